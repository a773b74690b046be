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
from torch import Tensor

from langrl.agents.asking import AskingAgent
from langrl.agents.grounded import GroundedAgent
from langrl.agents.pursuing import GroundedFollower
from langrl.benchmark.level_world import LevelWorld
from langrl.benchmark.tasks import WORLDS, BenchmarkTask
from langrl.errors import ConfigError
from langrl.functional.conformal import adaptive_scores
from langrl.grounding.beliefs import Beliefs, LanguageBeliefs
from langrl.grounding.chooser import Posterior
from langrl.grounding.intents import GridIntents, Intents, MazeIntents
from langrl.protocols import Array, Mask

_LEAST = 1e-12  # the least probability that is charged for: a posterior may rule out what is meant


@dataclass(frozen=True)
class Fit:
    """What is fitted to a posterior on tasks apart; see ``langrl.benchmark.calibration``.

    Args:
        temperature: of the posterior over intents.
        set_temperature: of the one that conformal sets are made of.
        threshold: of the scores of conformal sets; None: none are made.
    """

    temperature: float = 1.0
    set_temperature: float = 1.0
    threshold: float | None = None


UNFITTED = Fit()


@dataclass(frozen=True, eq=False)
class MeasuredBeliefs:
    """Columns of outcomes about beliefs, [N] each; see ``Outcomes``."""

    nll: NDArray[np.float64]
    confidence: NDArray[np.float64]
    right: NDArray[np.float64]
    set_size: NDArray[np.float64]
    covered: NDArray[np.float64]
    ssc: NDArray[np.float64]

    def columns(self) -> dict[str, Any]:
        """Return the columns by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def unknown(cls, count: int) -> "MeasuredBeliefs":
        """Return what is known of an agent that does not say what it believes."""
        return cls(*(np.full(count, math.nan) for _ in fields(cls)))


def intents_of(world: str) -> Intents:
    """Return what instructions can mean in a world, by its name."""
    own: Any = WORLDS[world]
    if hasattr(own, "maze"):
        return MazeIntents(own.maze, own.questions)
    if isinstance(own, LevelWorld):
        from langrl.grounding.level_intents import LevelIntents  # minigrid takes half a second

        return LevelIntents(own.questions)
    return GridIntents(own.questions)


class AgentBeliefs:
    """The posterior over intents of an agent that has a method ``posterior``.

    Args:
        agent: whose it is; see ``langrl.agents.grounded.GroundedAgent.posterior``.
        intents: of the world.
    """

    is_exact = False

    def __init__(self, agent: Any, intents: Intents) -> None:
        self._agent, self.intents = agent, intents

    def log_posterior(self, observations: Array, texts: Sequence[str]) -> Tensor:
        """Return log p(i|l) [N, I]; see ``langrl.grounding.beliefs.Beliefs``.

        Raises:
            ConfigError: if what the agent returns is no ``Posterior``.
        """
        possible, found = self.intents.possible(observations), []
        for observation, text, mask in zip(observations, texts, possible, strict=True):
            posterior = self._agent.posterior({"observation": observation}, text)
            if not isinstance(posterior, Posterior):
                raise ConfigError(
                    f"posterior of {type(self._agent).__name__} gave a"
                    f" {type(posterior).__name__}; return a langrl.grounding.chooser.Posterior"
                )
            found.append(posterior.of_intents(self.intents.reached(posterior.goals), mask))
        return torch.from_numpy(np.stack(found)).log()


def beliefs_of(agent: Any, world: str) -> Beliefs | None:
    """Return what an agent believes of intents, with a temperature of 1; None if it does not say.

    Args:
        agent: any; see ``langrl.protocols.Agent``.
        world: by its name, of ``WORLDS``.
    """
    if isinstance(agent, AskingAgent):
        if not isinstance(agent.follower, GroundedFollower):
            return agent.beliefs
        agent = agent.follower.agent
    if isinstance(agent, GroundedAgent):
        weight = agent.language_weight
        return LanguageBeliefs(agent.language, intents_of(world), language_weight=weight)
    return AgentBeliefs(agent, intents_of(world)) if hasattr(agent, "posterior") else None


def measure_beliefs(
    tasks: Sequence[BenchmarkTask], log_posterior: Tensor, seed: int, fit: Fit
) -> MeasuredBeliefs:
    """Measure posteriors over intents in N tasks of one mode.

    Args:
        tasks: N of them.
        log_posterior: of intents [N, I], with a temperature of 1.
        seed: of the random order of intents that are equally likely.
        fit: of the posterior.
    """
    denoted, intended = masks_of(tasks)
    aim = denoted if tasks[0].mode == "any" else intended
    probabilities = (log_posterior / fit.temperature).softmax(-1).numpy()
    mass = (probabilities * aim).sum(1).clip(_LEAST, 1)
    sizes = covered = ssc = np.full(len(tasks), math.nan)
    if fit.threshold is not None:
        generator = torch.Generator().manual_seed(seed)
        scored = adaptive_scores((log_posterior / fit.set_temperature).softmax(-1), generator)
        # An infinite threshold, of too few calibration tasks, takes in what is possible at all.
        sets = ((scored <= fit.threshold) & scored.isfinite()).numpy()
        sizes, covered = sets.sum(1).astype(float), (sets & intended).any(1).astype(float)
        ssc = (sets & denoted).sum(1) / (sets | denoted).sum(1)
    return MeasuredBeliefs(
        nll=-np.log(mass),
        confidence=probabilities.max(1).clip(0, 1),
        right=aim[np.arange(len(tasks)), probabilities.argmax(1)].astype(float),
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
