"""Goal worlds side by side, every episode seeded apart; see ``GoalEngine`` in goal_engine.py."""

from langrl import GRID_IDS, MAZE_IDS

# The engines of arrays, by environment: "module:class", imported when one is used.
ENGINES: dict[str, str] = {
    **dict.fromkeys(MAZE_IDS, "langrl.envs.maze.goal_engine:MazeGoalEngine"),
    **dict.fromkeys(GRID_IDS, "langrl.envs.grid.goal_engine:GridGoalEngine"),
}
