"""True numbers of steps in mazes of cells."""

import numpy as np
import torch
from torch import Tensor

from langrl.envs.maze.cells import CellFrame
from langrl.protocols import Array

CELLS = "shortest paths over the cells of the maze"


class CellSteps:
    """Counts the steps from goals to goals along shortest paths over 4-connected cells.

    Args:
        frame: of the maze, with a number of steps to cross a cell.
    """

    def __init__(self, frame: CellFrame) -> None:
        assert frame.steps_per_cell is not None
        self._frame, self._scale = frame, float(frame.steps_per_cell)

    def __call__(self, starts: Array, ends: Array) -> Tensor:
        """Return the steps from goals [N, G] to goals [M, G], [N, M]; inf where no way leads."""
        layout = self._frame.layout
        here, there = (
            layout.cell_index[tuple(self._frame.cells(goals).T)] for goals in (starts, ends)
        )
        cells = layout.distances[np.ix_(here, there)].astype(np.float32)
        cells[cells < 0] = np.inf
        return torch.from_numpy(cells) * self._scale
