"""OGBench's PointMaze data sets, made anew by their published recipe.

The same distribution, not the same bits: the published files are downloads that were drawn with
NumPy's global generator, and here every episode is seeded apart, so that episodes can be made in
any order, by any number of processes, and again after an interruption.

The recipe: a point starts at a uniform free cell; its goal is in a uniform cell that is no
straight corridor (*navigate*), or in a cell four steps away (*stitch*), and both are off the
cells' centres by uniform noise. Each step is the unit vector to the centre of the next cell on a
shortest path, or of the goal's cell once there, plus Gaussian noise, clipped to [-1, 1]. In
*navigate*, a goal that is reached is followed by another; in *stitch*, the point stays. Time alone
ends an episode.

Axes: ``F`` free cells, ``T`` states.

Source: Park et al. 2024, arXiv:2410.20092, and the project's data_gen_scripts.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.random import Generator

from langrl.envs.maze.layouts import Layout
from langrl.protocols import Floats, Integers

NOISE = 0.5  # standard deviation of the noise in each number of an action
STITCH_CELLS = 4  # from the start to the goal
VALIDATION = 10  # one episode for validation to this many
_SIDES = ((-1, 0), (0, -1), (1, 0), (0, 1))  # of equally short paths, the first of these is taken


@dataclass(frozen=True)
class Recipe:
    """One published data set: its maze, how goals are drawn, and its size."""

    maze: str  # medium, large or giant
    kind: str  # navigate or stitch
    episodes: int
    states: int  # of an episode


RECIPES = {
    f"ogbench/pointmaze-{maze}-{kind}": Recipe(maze, kind, episodes, states)
    for maze, kind, episodes, states in (
        ("medium", "navigate", 1000, 1001),
        ("large", "navigate", 1000, 1001),
        ("giant", "navigate", 500, 2001),
        ("medium", "stitch", 5000, 201),
        ("large", "stitch", 5000, 201),
        ("giant", "stitch", 5000, 201),
    )
}
"""The published sets that can be made, by name."""


@dataclass(frozen=True, eq=False)
class Episode:
    """``observations`` and ``actions``, float32 [T, 2], and how many goals were reached."""

    observations: Floats
    actions: Floats
    goals: int


class Expert:
    """What the expert knows of a maze: where cells are, and which is next on the way to another.

    Args:
        env: a maze of OGBench (``maze_map``, ``ij_to_xy`` and ``xy_to_ij``).
    """

    def __init__(self, env: Any) -> None:
        self.layout = Layout(np.asarray(env.maze_map) == 1)
        self.centres = np.array([env.ij_to_xy(cell) for cell in self.layout.free_cells], float)
        self._cell_at = env.xy_to_ij
        side = env.ij_to_xy((0, 1))[0] - env.ij_to_xy((0, 0))[0]
        self._noise = side / 4

    @cached_property
    def _beside(self) -> Integers:
        """Number of the free cell on each side of a free cell, -1 for a wall, int [F, 4]."""
        sides = self.layout.free_cells[:, None] + np.array(_SIDES)  # [F, 4, 2]
        index = np.pad(self.layout.cell_index, 1, constant_values=-1)
        return index[sides[..., 0] + 1, sides[..., 1] + 1]

    @cached_property
    def next_cells(self) -> Integers:
        """``next_cells[g, i]``: the cell after i on the way to g, and g after g, int [F, F]."""
        distances = self.layout.distances[:, self._beside]  # [F, F, 4], from goals to sides
        far = np.where(self._beside >= 0, distances, distances.max() + 1)
        chosen = np.take_along_axis(self._beside[None], far.argmin(2)[..., None], 2)[..., 0]
        np.fill_diagonal(chosen, np.arange(len(chosen)))
        return chosen

    @cached_property
    def vertices(self) -> Integers:
        """Numbers of the free cells that are no straight corridor."""
        up, left, down, right = (self._beside >= 0).T
        upright, level = up & down & ~left & ~right, left & right & ~up & ~down
        return np.flatnonzero(~upright & ~level)

    def cell(self, position: Floats) -> int:
        """Return the number of the free cell at a position (x, y)."""
        return int(self.layout.cell_index[self._cell_at(position)])

    def draw_goal(self, recipe: Recipe, start: int, generator: Generator) -> int:
        """Return the cell of a goal, for an episode that starts in a cell."""
        cells = self.vertices
        if recipe.kind == "stitch":
            cells = np.flatnonzero(self.layout.distances[start] == STITCH_CELLS)
        return int(generator.choice(cells)) if len(cells) else start

    def near(self, cell: int, generator: Generator) -> Floats:
        """Return a position (x, y) that is off a cell's centre by uniform noise."""
        return self.centres[cell] + generator.uniform(-self._noise, self._noise, 2)


def make_env(recipe: Recipe) -> Any:
    """Return OGBench's maze of a recipe, whose episodes do not end at goals."""
    from ogbench.locomaze.maze import make_maze_env

    return make_maze_env("point", "maze", maze_type=recipe.maze, terminate_at_goal=False)


def record_episode(env: Any, expert: Expert, recipe: Recipe, generator: Generator) -> Episode:
    """Let the expert act for one episode.

    Args:
        env: what ``make_env`` returns.
        expert: of this environment.
        recipe: how goals are drawn, and how many states there are.
        generator: the only source of randomness.
    """
    start = int(generator.integers(len(expert.centres)))
    goal = expert.draw_goal(recipe, start, generator)
    cells = {"init_ij": (0, 0), "goal_ij": (0, 0)}  # both positions are set below
    env.reset(seed=0, options={"task_info": cells})
    position = expert.near(start, generator)
    env.set_xy(position)
    env.set_goal(goal_xy=expert.near(goal, generator))
    noise = generator.normal(0, NOISE, (recipe.states, 2))
    observations, actions = np.empty((2, recipe.states, 2), np.float32)
    reached = 0
    for step in range(recipe.states):
        away = expert.centres[expert.next_cells[goal, expert.cell(position)]] - position
        action = np.clip(away / (np.hypot(*away) + 1e-6) + noise[step], -1, 1)
        observations[step], actions[step] = position, action
        position, _, _, _, info = env.step(action)
        if info["success"]:
            reached += recipe.kind == "navigate" or not reached
            if recipe.kind == "navigate":
                goal = expert.draw_goal(recipe, start, generator)
                env.set_goal(goal_xy=expert.near(goal, generator))
    return Episode(observations, actions, reached)
