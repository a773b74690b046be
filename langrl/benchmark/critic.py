"""Speed of one update of the critic of goal-reaching agents, against its bare matrix products.

The settings are the usual ones: two layers of 256 units, embeddings of 64 numbers.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor, nn

from langrl.agents.config import GoalLearnerConfig
from langrl.agents.contrastive_actor_critic import ContrastiveActorCritic
from langrl.models.actors import ComparingActor
from langrl.models.config import ActorConfig, StateGoalCriticConfig
from langrl.models.critics.state_goal import StateGoalCriticDescription, build_state_goal_critic
from langrl.models.goal_networks import InputDescription
from langrl.training.jobs import cores
from langrl.training.learner import OfflineReplay
from langrl.training.logs import progress
from langrl.training.memory import keep_freed_memory
from langrl.training.optim import Batch

BATCHES = (256, 1024)
THREADS = (1, 2)
_STATE, _ACTION, _GOAL = 29, 8, 2  # numbers of each in AntMaze
_TURNS = 20  # updates and products per round, by turns
_WARMUP = 5


def critic(rounds: int) -> list[dict[str, Any]]:
    """Time updates of a critic, checks, loss, gradients and Adam included.

    Beside them, by turns: the matrix products alone that such an update consists of, of all linear
    layers and of the scores of all pairs, forward and backward. On one thread, seconds are those of
    the processor, so that other programs' are not in it.
    """
    keep_freed_memory()
    threads, rows = torch.get_num_threads(), []
    tried = [count for count in THREADS if count <= cores()]
    with progress("speed: critic", len(BATCHES) * len(tried)) as bar:
        try:
            for count in tried:
                torch.set_num_threads(count)
                for size in BATCHES:
                    rows.append(_row(size, count, rounds))
                    bar.update(len(rows), "sizes")
        finally:
            torch.set_num_threads(threads)
    return rows


def _row(size: int, threads: int, rounds: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    batch = {
        name: torch.randn(size, numbers, generator=generator)
        for name, numbers in (("state", _STATE), ("action", _ACTION), ("goal", _GOAL))
    }
    learner = _learner(generator)
    update = partial(learner.update, batch)
    bare = partial(_multiply, _products(learner, batch, generator))
    for _ in range(_WARMUP):
        update(), bare()
    clock = time.process_time if threads == 1 else time.perf_counter
    pairs = [(_time(update, clock), _time(bare, clock)) for _ in range(_TURNS * rounds)]
    seconds, products = (statistics.median(column) for column in zip(*pairs, strict=True))
    return {
        "benchmark": "critic",
        "variant": f"batch {size:,}, {threads} thread{'s' if threads > 1 else ''}",
        "milliseconds": 1000 * seconds,
        "products_milliseconds": 1000 * products,
        "ratio": seconds / products,
    }


def _learner(generator: Generator) -> ContrastiveActorCritic:
    """Return a critic of 2 x 256 units and embeddings of 64, and what trains it, without actor."""
    config = StateGoalCriticConfig(width=256, depth=2, embedding=64)
    observation, goal = (
        InputDescription(shape=(count,), low=(-1.0,) * count, high=(1.0,) * count)
        for count in (_STATE, _GOAL)
    )
    description = StateGoalCriticDescription(
        observation=observation, goal=goal, actions=_ACTION, config=config
    )
    model = build_state_goal_critic(description, seed=0)
    actor = ComparingActor(model, ActorConfig(kind="compare"))
    return ContrastiveActorCritic(
        model, actor, OfflineReplay(dict), GoalLearnerConfig(), 1, generator
    )


def _products(
    learner: ContrastiveActorCritic, batch: Batch, generator: Generator
) -> list[tuple[Tensor, Tensor]]:
    """Return the factors of all products in an update, of the same sizes and layouts."""
    found: list[tuple[Tensor, Tensor]] = []

    def note(layer: nn.Linear, inputs: tuple[Tensor], output: Tensor) -> None:
        given, weight = (
            torch.randn(value.shape, generator=generator) for value in (inputs[0], layer.weight)
        )
        gradient = torch.randn(output.shape, generator=generator)
        found.extend([(given, weight.mT), (gradient.mT, given)])
        if inputs[0].requires_grad:  # not the first layer
            found.append((gradient, weight))

    layers = [layer for layer in learner.critic.modules() if isinstance(layer, nn.Linear)]
    handles = [layer.register_forward_hook(note) for layer in layers]
    learner.loss(batch)
    for handle in handles:
        handle.remove()
    size, numbers = len(batch["state"]), learner.critic.description.config.embedding
    left, right, gradient = (
        torch.randn(size, columns, generator=generator) for columns in (numbers, numbers, size)
    )
    return [*found, (left, right.mT), (gradient, right), (gradient.mT, left)]


def _multiply(products: list[tuple[Tensor, Tensor]]) -> None:
    for left, right in products:
        left @ right


def _time(run: Callable[[], object], clock: Callable[[], float]) -> float:
    """Return the seconds of one call."""
    begin = clock()
    run()
    return clock() - begin
