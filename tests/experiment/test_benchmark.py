import math

import numpy as np

from langrl.envs.layouts import load_layout
from langrl.envs.maze_world import move
from langrl.experiment.benchmark import scalar_move


def test_the_scalar_baseline_moves_as_the_batched_dynamics_do():
    layout = load_layout("fork")
    generator = np.random.default_rng(0)
    cells = layout.free_cells[generator.integers(len(layout.free_cells), size=500)]
    positions = (cells + generator.random((500, 2)) * 0.99).astype(np.float32)
    angles = generator.uniform(0, 2 * math.pi, 500)
    directions = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    batched = move(layout.walls, positions, directions)
    walls = layout.walls.tolist()
    scalar = [
        scalar_move(walls, float(r), float(c), angle)
        for (r, c), angle in zip(positions, angles, strict=True)
    ]
    # float32 against float64: a point that is on a wall within rounding may stop one check later
    close = np.abs(batched - np.array(scalar)).max(1) < 1e-4
    assert close.mean() > 0.99
