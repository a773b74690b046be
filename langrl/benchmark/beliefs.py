"""What an agent believes before it acts, measured against what its instruction denotes.

Axes: ``N`` tasks, ``I`` cells of the map, ``M`` candidate goals.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from langrl.benchmark.tasks import WORLDS, BenchmarkTask
from langrl.errors import ConfigError
from langrl.functional.conformal import adaptive_scores
from langrl.grounding.chooser import Posterior
from langrl.grounding.intents import GridIntents, Intents, MazeIntents
from langrl.protocols import Array, Mask

_LEAST = 1e-12  # the least probability that is charged for: a posterior may rule out what is meant


@dataclass(frozen=True, eq=False)
class Beliefs:
    """Columns of outcomes about beliefs, [N] each; see ``Outcomes``."""

    nll: NDArray[np.float64]
    confidence: NDArray[np.float64]
    right: NDArray[np.float64]
    set_size: NDArray[np.float64]
    covered: NDArray[np.float64]
    ssc: NDArray[np.float64]

    def columns(self) -> dict[str, NDArray[np.float64]]:
        """Return the columns by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def unknown(cls, count: int) -> "Beliefs":
        """Return what is known of an agent that does not say what it believes."""
        return cls(*(np.full(count, math.nan) for _ in fields(cls)))


def intents_of(world: str) -> Intents:
    """Return what instructions can mean in a world, by its name."""
    own: Any = WORLDS[world]
    if hasattr(own, "maze"):
        return MazeIntents(own.maze, own.questions)
    return GridIntents(own.questions)


def posteriors_of(
    agent: Any, tasks: Sequence[BenchmarkTask], observations: Array
) -> list[Posterior]:
    """Return what an agent believes at the start of each task.

    Raises:
        ConfigError: if what its ``posterior`` returns is none.
    """
    found = []
    for task, observation in zip(tasks, observations, strict=True):
        posterior = agent.posterior({"observation": observation}, task.instruction)
        if not isinstance(posterior, Posterior):
            raise ConfigError(
                f"posterior of {type(agent).__name__} gave a {type(posterior).__name__}; return a"
                " langrl.grounding.chooser.Posterior"
            )
        found.append(posterior)
    return found


def intent_probabilities(
    world: str, posteriors: Sequence[Posterior], observations: Array
) -> NDArray[np.float64]:
    """Return the probability that each posterior gives to each cell being meant [N, I]."""
    intents = intents_of(world)
    possible = intents.possible(observations)
    pairs = zip(posteriors, possible, strict=True)
    return np.stack([each.of_intents(intents.reached(each.goals), mask) for each, mask in pairs])


def measure_beliefs(
    tasks: Sequence[BenchmarkTask],
    probabilities: NDArray[np.float64],
    seed: int,
    threshold: float | None = None,
) -> Beliefs:
    """Measure posteriors over intents in N tasks of one mode.

    Args:
        tasks: N of them.
        probabilities: of intents [N, I].
        seed: of the random order of intents that are equally likely.
        threshold: of conformal sets, which are not measured without it.
    """
    denoted, intended = masks_of(tasks)
    aim = denoted if tasks[0].mode == "any" else intended
    likeliest = probabilities.argmax(1)
    mass = (probabilities * aim).sum(1).clip(_LEAST, 1)
    unknown = np.full(len(tasks), math.nan)
    sizes, covered, ssc = unknown, unknown, unknown
    if threshold is not None:
        generator = torch.Generator().manual_seed(seed)
        scores = adaptive_scores(torch.from_numpy(probabilities), generator).numpy()
        sets = scores <= threshold
        sizes, covered = sets.sum(1).astype(float), (sets & intended).any(1).astype(float)
        ssc = (sets & denoted).sum(1) / (sets | denoted).sum(1)
    return Beliefs(
        nll=-np.log(mass),
        confidence=probabilities.max(1).clip(0, 1),
        right=aim[np.arange(len(tasks)), likeliest].astype(float),
        set_size=sizes,
        covered=covered,
        ssc=ssc,
    )


def masks_of(tasks: Sequence[BenchmarkTask]) -> tuple[Mask, Mask]:
    """Return what is denoted and what is meant in each task, bool [N, I] both."""
    denoted = np.stack([task.denoted_mask.reshape(-1) for task in tasks])
    width = WORLDS[tasks[0].world].shape[1]
    intended = np.zeros_like(denoted)
    cells = np.array([task.intended for task in tasks])
    intended[np.arange(len(tasks)), cells @ (width, 1)] = True
    return denoted, intended
