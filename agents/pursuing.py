"""What acts for an agent that asks, and is told what is believed to be meant.

Axes: ``N`` episodes, ``I`` cells of the map, ``M`` candidate goals.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from langrl.agents.episode_batch import EpisodeBatch
from langrl.agents.grounded import GroundedAgent
from langrl.errors import GroundingError
from langrl.grounding.intents import Intents, log_sums
from langrl.protocols import Agent, Array, Integers, Mask


class Follower(Protocol):
    """What acts for an agent that asks."""

    def reset(self, generator: Generator | None = None, mask: Mask | None = None) -> None:
        """Start new episodes; see ``langrl.protocols.Agent``."""

    def keep(self, mask: Mask) -> None:
        """Go on with some of the episodes."""

    def begin(self, states: Array, texts: Sequence[str], starts: Mask | None) -> Mask:
        """Bring the episodes up to date; returns where another one has begun [N]."""

    def pursue(self, rows: Integers, beliefs: NDArray[np.float64]) -> None:
        """Go to what is believed to be meant in some episodes, up to a factor [n, I]."""

    def act(self, states: Array, texts: Sequence[str], waits: Mask) -> Array:
        """Return actions [N, ...]; those where an episode ``waits`` [N] are not taken."""


class GroundedFollower:
    """Acts as an agent of a critic and a language side, with another posterior of intents.

    Args:
        agent: the one that acts, with its grounding strategy.
        intents: of the world.

    Raises:
        GroundingError: if the strategy looks at no candidates, so that answers would not matter.
    """

    def __init__(self, agent: GroundedAgent, intents: Intents) -> None:
        if "shared encoder" in agent.grounding.needs:
            raise GroundingError(
                f"{type(agent.grounding).__name__} compares actions with the text alone, whatever"
                " was answered; give an agent with max_goal, or another strategy of candidates"
            )
        self.agent, self.intents = agent, intents
        self._batch: EpisodeBatch
        self._weights: Tensor | None = None  # of the candidates as they were drawn [N, M]

    def reset(self, generator: Generator | None = None, mask: Mask | None = None) -> None:
        """Start new episodes; see ``GroundedAgent.reset``."""
        self.agent.reset(generator, mask)

    def keep(self, mask: Mask) -> None:
        """Go on with some of the episodes."""
        self.agent.keep(mask)
        if self._weights is not None:
            self._weights = self._weights[torch.from_numpy(mask)]

    def begin(self, states: Array, texts: Sequence[str], starts: Mask | None) -> Mask:
        """Draw candidates and score them where that is needed; see ``Follower.begin``."""
        self._batch = self.agent.prepare({"observation": states}, texts, starts)
        drawn, renewed = self._batch.log_weights, self._batch.renewed
        if self._weights is None or self._weights.shape != drawn.shape:
            self._weights = drawn.clone()
        rows = torch.from_numpy(renewed)
        self._weights[rows] = drawn[rows]
        return renewed

    def pursue(self, rows: Integers, beliefs: NDArray[np.float64]) -> None:
        """Weigh the candidates so that the agent's posterior of intents is what is believed.

        Candidates that reach the same intent share what is believed of it as before.
        """
        assert self._weights is not None
        batch, weights = self._batch, self._weights[rows]
        reached = torch.from_numpy(self.intents.reached(batch.goals[rows])).to(weights.device)
        terms = (batch.language_score[rows] + weights).double()
        sums = log_sums(terms, reached, beliefs.shape[1])
        factors = torch.from_numpy(beliefs).to(sums).log() - sums.clamp(min=-1e300)
        batch.reweigh(rows, weights + factors.gather(1, reached))

    def act(self, states: Array, texts: Sequence[str], waits: Mask) -> Array:
        """Return the agent's actions; see ``Follower.act``."""
        actions = self.agent.act({"observation": states}, texts)
        self._batch.acted &= ~waits
        return actions


class PlannedFollower:
    """Walks to the nearest of what is believed to be meant, by a planner that knows the world.

    Args:
        make_planner: returns a planner for a function that says where it may go, bool [N, R, C],
            of observations or rooms and of texts, such as ``GridPlanner``.
        shape: rows and columns of the map.
    """

    def __init__(
        self,
        make_planner: Callable[[Callable[[Any, Sequence[str]], Mask]], Agent],
        shape: tuple[int, int],
    ) -> None:
        self._shape, self._goals = shape, np.zeros((0, *shape), bool)
        self._planner = make_planner(lambda seen, texts: self._goals)

    def reset(self, generator: Generator | None = None, mask: Mask | None = None) -> None:
        """Start new episodes."""
        if mask is None:
            self._goals = self._goals[:0]

    def keep(self, mask: Mask) -> None:
        """Go on with some of the episodes."""
        self._goals = self._goals[mask]

    def begin(self, states: Array, texts: Sequence[str], starts: Mask | None) -> Mask:
        """Make room for the episodes; see ``Follower.begin``."""
        if len(self._goals) == len(states):
            return np.zeros(len(states), bool)
        self._goals = np.zeros((len(states), *self._shape), bool)
        return np.ones(len(states), bool)

    def pursue(self, rows: Integers, beliefs: NDArray[np.float64]) -> None:
        """Go to the nearest of what is believed to be meant."""
        self._goals[rows] = (beliefs > 0).reshape(-1, *self._shape)

    def act(self, states: Array, texts: Sequence[str], waits: Mask) -> Array:
        """Return the planner's actions."""
        return self._planner.act({"observation": states}, list(texts))
