"""A maze with the methods of OGBench's PointMaze, in a few lines, for tests without it."""

from typing import Any

import numpy as np


class StandInMaze:
    """A point in a 5 x 6 maze with a loop, a corridor and a dead end; walls stop it."""

    maze_map = np.array(
        [
            [1, 1, 1, 1, 1, 1],
            [1, 0, 0, 0, 0, 1],
            [1, 0, 1, 0, 1, 1],
            [1, 0, 0, 0, 0, 1],
            [1, 1, 1, 1, 1, 1],
        ]
    )

    def __init__(self) -> None:
        self.starts: list[np.ndarray] = []
        self.goals: list[np.ndarray] = []

    def ij_to_xy(self, cell: Any) -> tuple[float, float]:
        return float(cell[1] * 4 - 4), float(cell[0] * 4 - 4)

    def xy_to_ij(self, position: Any) -> tuple[int, int]:
        return int((position[1] + 6) / 4), int((position[0] + 6) / 4)

    def reset(self, *, seed: int, options: dict[str, Any]) -> None:
        self.position = np.full(2, np.nan)

    def set_xy(self, position: Any) -> None:
        self.position = np.array(position)
        self.starts.append(self.position)

    def set_goal(self, *, goal_xy: Any) -> None:
        self.goals.append(np.array(goal_xy))

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, float]]:
        moved = self.position + 0.2 * np.asarray(action)
        if not self.maze_map[self.xy_to_ij(moved)]:
            self.position = moved
        success = float(np.linalg.norm(self.position - self.goals[-1]) <= 1)
        return self.position, success, False, False, {"success": success}

    def close(self) -> None:
        pass
