"""What the checkpoints of goal-reaching runs hold beside weights: goals, states and a cut-off.

Axes: ``T`` states, ``S`` numbers of one, ``G`` numbers in a goal.
"""

import math

import torch
from torch import Tensor

from langrl.data.goal_replay import GoalReplay
from langrl.errors import TrajectoryError
from langrl.grounding.cutoff import HeldOut, held_out_cutoff
from langrl.protocols import Array
from langrl.tasks.goal_reaching.agent import GoalAgents
from langrl.tasks.goal_reaching.config import GoalRunConfig

_KEPT_GOALS = 5000  # achieved goals that a checkpoint holds, for candidates and words
_KEPT_NUMBERS = 1 << 22  # of states that it holds for waypoints, fewer where they are images


def trusted_distance(
    config: GoalRunConfig, agents: GoalAgents, replay: GoalReplay, held_out: GoalReplay | None
) -> float | None:
    """Return the cut-off of the present critic; None where no waypoints want one.

    Args:
        config: of the run.
        agents: on the critic.
        replay: what the run learns from.
        held_out: recorded trajectories that it does not learn from; None if there are none.
    """
    measured = held_out or replay
    if not config.grounding.waypoints or not len(measured) or len(measured.spaces.goal.shape) != 1:
        return None
    generator = torch.Generator().manual_seed(config.seed)
    try:
        found = held_out_cutoff(agents.distance(), HeldOut.of(measured, generator), generator)
    except TrajectoryError:  # nothing has moved yet
        return None
    return found or None  # 0, as of a critic that has not learned: the choice is the graph's


def as_arrays(visited: tuple[Tensor, Tensor] | None) -> tuple[Array, Array] | None:
    """Return states and goals as arrays, if there are some."""
    return None if visited is None else (visited[0].numpy(), visited[1].numpy())


def visited_states(replay: GoalReplay, seed: int) -> tuple[Tensor, Tensor] | None:
    """Return states of the replay and what was achieved in them, the same for the same replay.

    There are none before the first step.
    """
    if not len(replay):
        return None
    size = max(1, math.prod(replay.spaces.observation.shape))
    count = min(_KEPT_GOALS, max(1, _KEPT_NUMBERS // size))
    batch = replay.sample(count, torch.Generator().manual_seed(seed))
    return batch["state"].cpu().contiguous(), batch["achieved"].cpu().contiguous()


def achieved_goals(replay: GoalReplay, seed: int) -> Tensor:
    """Return goals that were achieved in training [any, G], the same ones for the same replay."""
    if not len(replay):
        return torch.zeros(0)
    goals: Tensor = replay.sample(_KEPT_GOALS, torch.Generator().manual_seed(seed))["goal"]
    return goals.cpu().contiguous()
