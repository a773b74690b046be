"""How far a maze critic is believed: from trajectories of new experts."""

import numpy as np
import torch

from langrl.data.config import DataConfig
from langrl.data.maze.experts import maze_experts
from langrl.data.replay import TrajectoryReplay
from langrl.data.trajectories import Trajectories
from langrl.envs.maze.world import StreetMaze
from langrl.grounding.cutoff import Futures, HeldOut, held_out_cutoff
from langrl.grounding.successor import SuccessorDistance

_TRAJECTORIES, _FUTURES = 1000, 1000


def held_out_of(trajectories: Trajectories, data: DataConfig, seed: int) -> HeldOut:
    """Return trajectories with futures as a run draws them.

    Args:
        trajectories: that a critic did not learn from.
        data: of the run.
        seed: of the futures.
    """
    replay = TrajectoryReplay(
        trajectories,
        discount=data.discount,
        tail=data.tail,
        action_negatives="none",
        count=1,
        cells=torch.zeros(len(trajectories.terminals), dtype=torch.int64),
        device=torch.device("cpu"),
    )
    batch = replay.sample(_FUTURES, torch.Generator().manual_seed(seed))
    states, actions, goals = (batch[name].numpy() for name in ("state", "action", "goal"))
    seen = trajectories.observations
    return HeldOut(seen, seen, trajectories.terminals, Futures(states, actions, states, goals))


def trusted_distance(
    world: StreetMaze, data: DataConfig, distance: SuccessorDistance
) -> float | None:
    """Return the distance in nats up to which a critic is believed; None if no distance is."""
    generator = np.random.default_rng([0, 1])  # none that a run has
    experts = maze_experts(world.layout, _TRAJECTORIES, generator, data.angle_noise)
    held_out = held_out_of(experts, data, seed=0)
    draws = torch.Generator().manual_seed(0)
    return held_out_cutoff(distance, held_out, draws, needed_only=False) or None
