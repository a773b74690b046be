"""What acts for an agent that asks, and is told which intents are left.

Axes: ``N`` episodes, ``I`` cells of the map, ``M`` candidate goals, ``G`` numbers in a goal.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from langrl.agents.episode_batch import EpisodeBatch
from langrl.agents.grounded import GroundedAgent
from langrl.errors import DomainError
from langrl.grounding.chooser import Posterior
from langrl.grounding.intents import Intents, exact_log_posterior, intent_log_posterior
from langrl.protocols import Agent, Array, Integers, Mask


class Follower(Protocol):
    """What acts for an agent that asks, and where it may go."""

    is_exact: bool
    """Whether it goes only where the texts say, as a planner does that knows what they denote."""

    def reset(self, generator: np.random.Generator | None = None, mask: Mask | None = None) -> None:
        """Start new episodes; see ``langrl.protocols.Agent``."""

    def keep(self, mask: Mask) -> None:
        """Go on with some of the episodes."""

    def begin(self, states: Array, texts: Sequence[str], starts: Mask | None) -> Mask:
        """Bring the episodes up to date; returns where another one has begun [N]."""

    def log_beliefs(self, states: Array, texts: Sequence[str], rows: Integers) -> Tensor:
        """Return log p(i|l) [n, I] of some episodes that have just begun."""

    def narrow(self, rows: Integers, left: Mask) -> None:
        """Go to the intents that are left [n, I] in some episodes."""

    def act(self, states: Array, texts: Sequence[str], waits: Mask) -> Array:
        """Return actions [N, ...]; those where an episode ``waits`` [N] are not taken."""

    def posterior(self, state: Array, text: str) -> Posterior:
        """Return goals with what is believed of them, in a single observation."""


class GroundedFollower:
    """Acts as an agent of a critic and a language side, which is told where to go by answers.

    Args:
        agent: the one that acts, with its grounding strategy.
        intents: of the world.
        temperature: the log posterior of intents is divided by it; see ``fit_temperature``.

    Raises:
        DomainError: if the temperature is not above 0.
    """

    is_exact = False

    def __init__(self, agent: GroundedAgent, intents: Intents, temperature: float = 1.0) -> None:
        if not temperature > 0:
            raise DomainError(f"a temperature is above 0, got {temperature}")
        self.agent, self.intents, self.temperature = agent, intents, temperature
        self._batch: EpisodeBatch

    def reset(self, generator: np.random.Generator | None = None, mask: Mask | None = None) -> None:
        """Start new episodes; see ``GroundedAgent.reset``."""
        self.agent.reset(generator, mask)

    def keep(self, mask: Mask) -> None:
        """Go on with some of the episodes."""
        self.agent.keep(mask)

    def begin(self, states: Array, texts: Sequence[str], starts: Mask | None) -> Mask:
        """Draw candidates and score them where that is needed; see ``Follower.begin``."""
        self._batch = self.agent.prepare({"observation": states}, texts, starts)
        return self._batch.renewed

    def log_beliefs(self, states: Array, texts: Sequence[str], rows: Integers) -> Tensor:
        """Return what the candidates' scores say of intents; see ``Follower.log_beliefs``."""
        batch = self._batch
        prior = batch.log_weights[rows].cpu()
        posterior = batch.language_score[rows].cpu() + prior
        reached = torch.from_numpy(self.intents.reached(batch.goals[rows]))
        possible = torch.from_numpy(self.intents.possible(states[rows]))
        found = intent_log_posterior(posterior, prior, reached, possible)
        return (found / self.temperature).log_softmax(-1)

    def narrow(self, rows: Integers, left: Mask) -> None:
        """Rule out the candidates that reach other intents."""
        reached = self.intents.reached(self._batch.goals[rows])
        self._batch.narrow(rows, np.take_along_axis(left, reached, 1))

    def act(self, states: Array, texts: Sequence[str], waits: Mask) -> Array:
        """Return the agent's actions; see ``Follower.act``."""
        actions = self.agent.act({"observation": states}, texts)
        self._batch.acted &= ~waits
        return actions

    def posterior(self, state: Array, text: str) -> Posterior:
        """Return candidates that reach intents, with what is believed of those; see ``Follower``.

        Those that reach the same intent share what is believed of it as the agent says.
        """
        found = self.agent.posterior({"observation": state}, text)
        reached, possible = self.intents.reached(found.goals), self.intents.possible(state[None])[0]
        beliefs = found.of_intents(reached, possible) ** (1 / self.temperature)
        prior = np.ones(len(reached)) if found.prior is None else found.prior
        real = possible[reached]
        shares = (_shares(each * real, reached) for each in (found.probabilities, prior))
        return _posterior(found.goals, reached, beliefs / beliefs.sum(), *shares)


class PlannedFollower:
    """Walks to the nearest intent that is left, by a planner that knows the world.

    Args:
        make_planner: returns a planner for a function that says where it may go, bool [N, H, W],
            of observations or rooms and texts, such as ``GridPlanner``.
        intents: of the world; the planner believes what the texts denote.
    """

    def __init__(
        self,
        make_planner: Callable[[Callable[[Any, Sequence[str]], Mask]], Agent],
        intents: Intents,
    ) -> None:
        self.intents, self._left = intents, np.zeros((0, 0), bool)
        self._planner = make_planner(lambda _, texts: self._left.reshape(-1, *intents.shape))

    def reset(self, generator: np.random.Generator | None = None, mask: Mask | None = None) -> None:
        """Start new episodes."""
        if mask is None:
            self._left = self._left[:0]

    def keep(self, mask: Mask) -> None:
        """Go on with some of the episodes."""
        self._left = self._left[mask]

    def begin(self, states: Array, texts: Sequence[str], starts: Mask | None) -> Mask:
        """Make room for the episodes; see ``Follower.begin``."""
        if len(self._left) == len(states):
            return np.zeros(len(states), bool)
        self._left = np.zeros((len(states), int(np.prod(self.intents.shape))), bool)
        return np.ones(len(states), bool)

    def log_beliefs(self, states: Array, texts: Sequence[str], rows: Integers) -> Tensor:
        """Return the exact posterior; see ``Follower.log_beliefs``."""
        return exact_log_posterior(self.intents, states[rows], [texts[n] for n in rows])

    def narrow(self, rows: Integers, left: Mask) -> None:
        """Go to the intents that are left."""
        self._left[rows] = left

    def act(self, states: Array, texts: Sequence[str], waits: Mask) -> Array:
        """Return the planner's actions."""
        return self._planner.act({"observation": states}, list(texts))

    def posterior(self, state: Array, text: str) -> Posterior:
        """Return the exact posterior; see ``Follower.posterior``."""
        return exact_posterior(
            self.intents, state, exact_log_posterior(self.intents, state[None], [text])[0]
        )


def exact_posterior(intents: Intents, state: Array, log_beliefs: Tensor) -> Posterior:
    """Return goals that reach intents, each with its share of what is believed of its intent.

    Args:
        intents: of the world.
        state: a single observation.
        log_beliefs: log p(i|l) [I].
    """
    goals = intents.goals(state)
    reached = intents.reached(goals)
    shares = _shares(np.ones(len(goals)), reached)
    return _posterior(goals, reached, log_beliefs.exp().numpy(), shares, shares)


def _shares(weights: NDArray[Any], reached: Integers) -> NDArray[np.float64]:
    """Return which part of its intent's weight each goal has [M], of weights [M]."""
    sums = np.bincount(reached, weights)[reached]
    return np.divide(weights, sums, out=np.zeros(len(sums)), where=sums > 0)


def _posterior(
    goals: Array,
    reached: Integers,
    beliefs: NDArray[np.float64],
    shares: NDArray[np.float64],
    prior: NDArray[np.float64],
) -> Posterior:
    real = prior > 0
    probabilities = (beliefs[reached] * shares)[real]
    return Posterior(goals[real], probabilities.astype(np.float32), prior[real].astype(np.float32))
