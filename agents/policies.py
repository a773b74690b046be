"""Policies of other libraries as agents that follow instructions, and as proposers of actions.

A policy is anything with ``predict(observations, deterministic=...) -> (actions, state)``, as
Stable-Baselines3's algorithms have it.

Axes: ``N`` episodes, ``M`` candidate goals, ``G`` numbers in a goal, ``A`` actions.
"""

import copy
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from langrl.agents.observations import read_observations
from langrl.envs.goals import Goals
from langrl.envs.text_features import TextFeatures
from langrl.errors import ConfigError, ShapeError
from langrl.grounding.chooser import GoalChooser, Posterior
from langrl.protocols import Observation


class Policy(Protocol):
    """Maps batches of observations to actions."""

    def predict(self, observation: Any, *, deterministic: bool = False) -> tuple[Any, Any]:
        """Return actions [N, ...] and a recurrent state, which is not used."""
        ...


def predict(
    policy: Policy, observations: dict[str, Any], generator: np.random.Generator | None
) -> NDArray[Any]:
    """Return a policy's actions [N, ...]: draws if there is a generator, or else the best ones."""
    if generator is None:
        return np.asarray(policy.predict(observations, deterministic=True)[0])
    # Policies draw from torch's global generator, which is put back afterwards.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(generator.integers(2**63)))
        return np.asarray(policy.predict(observations, deterministic=False)[0])


class _Episodes:
    """The generator and the running episodes of a policy's agent."""

    def __init__(self, axes: int, draw: bool) -> None:
        self._axes, self._draw = axes, draw
        self.reset()

    def reset(
        self,
        generator: np.random.Generator | None = None,
        mask: NDArray[np.bool_] | None = None,
    ) -> None:
        """Start new episodes: in every row, or in those where ``mask`` [N] is True."""
        if generator is not None or not hasattr(self, "_generator"):
            self._generator = generator or np.random.default_rng(0)

    @property
    def _drawing(self) -> np.random.Generator | None:
        return self._generator if self._draw else None


class InstructionPolicy(_Episodes):
    """A policy that reads instructions as numbers, trained with ``EmbedInstruction`` or the like.

    Args:
        policy: takes {"observation", "instruction"}.
        feature: maps texts to numbers, as the wrapper did.
        axes: how many axes an observation has.
        draw: draw actions, instead of taking the best.
    """

    def __init__(
        self, policy: Policy, feature: TextFeatures, *, axes: int, draw: bool = False
    ) -> None:
        super().__init__(axes, draw)
        self._policy, self._feature = policy, feature

    def act(
        self, observations: Observation, instructions: str | Sequence[str] | None = None
    ) -> NDArray[Any]:
        """Return an action, or actions [N, ...]; see ``langrl.protocols.Agent``."""
        states, texts, single = read_observations(observations, instructions, self._axes)
        seen = {"observation": states, "instruction": self._feature(texts)}
        actions = predict(self._policy, seen, self._drawing)
        return actions[0] if single else actions


class GoalPolicy(_Episodes):
    """A policy of goals that follows instructions: a goal is chosen when an instruction is heard.

    Args:
        policy: takes {"observation", "achieved_goal", "desired_goal"}.
        chooser: chooses goals.
        goals: what is achieved in an observation.
        axes: how many axes an observation has.
        draw: draw actions, instead of taking the best.
    """

    def __init__(
        self,
        policy: Policy,
        chooser: GoalChooser,
        goals: Goals,
        *,
        axes: int,
        draw: bool = False,
    ) -> None:
        super().__init__(axes, draw)
        self._policy, self._chooser, self._goals = policy, chooser, goals

    def reset(
        self,
        generator: np.random.Generator | None = None,
        mask: NDArray[np.bool_] | None = None,
    ) -> None:
        """Start new episodes: goals are chosen anew; see ``langrl.protocols.Agent``."""
        super().reset(generator, mask)
        if mask is None:
            self._texts: list[str | None] = []
        else:
            over = np.asarray(mask, bool)
            pairs = zip(self._texts, over, strict=True)
            self._texts = [None if ended else text for text, ended in pairs]

    def keep(self, mask: NDArray[np.bool_]) -> None:
        """Go on with the episodes of the batch where ``mask`` [N] is True, and drop the others."""
        rows = np.flatnonzero(mask)
        self._texts = [self._texts[n] for n in rows]
        self._desired = self._desired[rows]

    def act(
        self, observations: Observation, instructions: str | Sequence[str] | None = None
    ) -> NDArray[Any]:
        """Return an action, or actions [N, ...]; see ``langrl.protocols.Agent``."""
        states, texts, single = read_observations(observations, instructions, self._axes)
        if len(self._texts) != len(texts):
            self._texts = [None] * len(texts)
            self._desired = np.zeros((len(texts), *self._goals.space.shape), np.float32)
        pairs = zip(self._texts, texts, strict=True)
        rows = [n for n, (old, new) in enumerate(pairs) if old != new]
        if rows:
            heard = [texts[n] for n in rows]
            self._desired[rows], _ = self._chooser.choose(states[rows], heard, self._generator)
            self._texts = list(texts)
        seen = {
            "observation": states,
            "achieved_goal": self._goals.achieved(states),
            "desired_goal": self._desired,
        }
        actions = predict(self._policy, seen, self._drawing)
        return actions[0] if single else actions

    def posterior(self, observation: Observation, instruction: str | None = None) -> Posterior:
        """Return candidate goals with p(g|l), for a single observation; changes no episode.

        Raises:
            ShapeError: for a batch of observations.
        """
        states, texts, single = read_observations(observation, instruction, self._axes)
        if not single:
            raise ShapeError("posterior takes a single observation; call it for each of the batch")
        _, (found,) = self._chooser.choose(states, texts, copy.deepcopy(self._generator))
        real = found.probabilities > 0
        return Posterior(found.goals[real], found.probabilities[real])


class PolicyActions:
    """Proposes a policy's own actions to a critic, so that every strategy works with the policy.

    Pass it as ``actions`` of ``GroundedAgent``. A policy of goals acts for goals that are drawn
    from what the instruction may mean; another one acts as it would.

    Args:
        policy: takes {"observation", "achieved_goal", "desired_goal"}, or what is observed alone.
        count: actions that are proposed in each state, A.
        goals: what is achieved in an observation; needed for a policy of goals.
        draw: draw actions for each goal, instead of taking the best.

    Raises:
        ConfigError: if no action is to be proposed.
    """

    def __init__(
        self, policy: Policy, count: int = 16, goals: Goals | None = None, draw: bool = True
    ) -> None:
        if count < 1:
            raise ConfigError(f"count is the number of actions to propose, at least 1; got {count}")
        self._policy, self._count, self._goals, self._draw = policy, count, goals, draw

    def propose(
        self,
        observations: NDArray[Any],
        goals: NDArray[Any],
        beliefs: NDArray[np.float32],
        generator: np.random.Generator,
    ) -> NDArray[Any]:
        """Return actions [N, A, ...]; see ``langrl.agents.grounded.Proposal``."""
        every = observations.repeat(self._count, 0)  # [N * A, ...]
        seen: Any = every
        if self._goals is not None:
            drawn = _draw_goals(goals, beliefs, self._count, generator)
            achieved = self._goals.achieved(every)
            seen = {"observation": every, "achieved_goal": achieved, "desired_goal": drawn}
        actions = predict(self._policy, seen, generator if self._draw else None)
        return actions.reshape(len(observations), self._count, *actions.shape[1:])


def _draw_goals(
    goals: NDArray[Any],
    beliefs: NDArray[np.float32],
    count: int,
    generator: np.random.Generator,
) -> NDArray[np.float32]:
    """Return ``count`` candidates of each episode, drawn from what is believed [N * count, G]."""
    reached = beliefs.astype(np.float64).cumsum(1)  # [N, M]
    at = generator.random((len(goals), count)) * reached[:, -1:]
    index = np.stack([np.searchsorted(row, x) for row, x in zip(reached, at, strict=True)])
    drawn = np.take_along_axis(goals, np.minimum(index, goals.shape[1] - 1)[..., None], 1)
    return drawn.reshape(-1, goals.shape[-1]).astype(np.float32)
