"""Policies of other libraries as agents that follow instructions, and as proposers of actions.

A policy is anything with ``predict(observations, deterministic=...) -> (actions, state)``, as
Stable-Baselines3's algorithms have it.

Axes: ``N`` episodes, ``M`` candidate goals, ``G`` numbers in a goal, ``A`` actions.
"""

import copy
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.random import Generator

from langrl.agents.observations import (
    check_mask,
    read_observations,
    read_single,
    warn_of_missed_starts,
)
from langrl.envs.goals import Goals
from langrl.envs.wrappers.checks import check_goal
from langrl.envs.wrappers.text_features import TextFeatures
from langrl.errors import ConfigError, ShapeError
from langrl.evaluation.policies import Policy, predict
from langrl.grounding.chooser import GoalChooser, Posterior
from langrl.protocols import Array, Floats, Instructions, Mask, Observation


@runtime_checkable
class ShowsScenes(Protocol):
    """Goals of a world in which an observation can show that another episode has begun."""

    def scene_changed(self, before: Array, now: Array) -> Mask:
        """Return bool [N]: which observations [N, ...] are of another episode than ``before``."""


class _PolicyAgent:
    """How the agents below read observations, draw actions and start episodes."""

    def __init__(self, policy: Policy, axes: int, draw: bool) -> None:
        self._policy, self._axes, self._draw = policy, axes, draw
        self._generator = np.random.default_rng(0)

    def reset(self, generator: Generator | None = None, mask: Mask | None = None) -> None:
        """Start new episodes: in every row, or in those where ``mask`` [N] is True."""
        self._generator = generator or self._generator

    def keep(self, mask: Mask) -> None:
        """Go on with the episodes of the batch where ``mask`` [N] is True, and drop the others."""

    def act(
        self,
        observations: Observation,
        instructions: Instructions = None,
        starts: Mask | None = None,
    ) -> Array:
        """Return an action, or actions [N, ...]; see ``langrl.protocols.Agent``."""
        states, texts, single = read_observations(observations, instructions, self._axes)
        checked = np.zeros(len(states), bool)
        checked = checked if starts is None else check_mask(starts, len(states))
        inputs = self._inputs(states, texts, checked, instructions is None)
        actions = predict(self._policy, inputs, self._generator if self._draw else None)
        return actions[0] if single else actions

    def _inputs(self, states: Array, texts: list[str], starts: Mask, own: bool) -> dict[str, Array]:
        """Return what the policy takes, by name [N, ...].

        Args:
            states: what is observed [N, ...].
            texts: N instructions.
            starts: which observations are the first of an episode [N].
            own: the texts are those of the observations.
        """
        raise NotImplementedError


class InstructionPolicy(_PolicyAgent):
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
        super().__init__(policy, axes, draw)
        self._feature = feature

    def _inputs(self, states: Array, texts: list[str], starts: Mask, own: bool) -> dict[str, Array]:
        return {"observation": states, "instruction": self._feature(texts)}


class GoalPolicy(_PolicyAgent):
    """A policy of goals that follows instructions: each new instruction is turned into a goal.

    Args:
        policy: takes {"observation", "achieved_goal", "desired_goal"}.
        chooser: chooses goals.
        goals: what is achieved in an observation.
        axes: how many axes an observation has.
        draw: draw actions, instead of taking the best.
    """

    def __init__(
        self, policy: Policy, chooser: GoalChooser, goals: Goals, *, axes: int, draw: bool = False
    ) -> None:
        super().__init__(policy, axes, draw)
        self._chooser, self._goals = chooser, goals
        self._texts: list[str | None] = []  # the instruction that each episode's goal is for
        self._seen: Array = np.zeros(0)  # at the last action [N, ...]
        self._own = False  # whether those were the observations' own instructions
        self._desired = np.zeros((0, *goals.space.shape), goals.space.dtype)

    def reset(self, generator: Generator | None = None, mask: Mask | None = None) -> None:
        """Start new episodes: goals are chosen anew; see ``langrl.protocols.Agent``."""
        super().reset(generator, mask)
        if mask is None:
            self._texts = []
        elif self._texts:
            pairs = zip(self._texts, check_mask(mask, len(self._texts)), strict=True)
            self._texts = [None if over else text for text, over in pairs]

    def keep(self, mask: Mask) -> None:
        """Go on with the episodes of the batch where ``mask`` [N] is True, and drop the others."""
        if self._texts:
            rows = np.flatnonzero(check_mask(mask, len(self._texts)))
            self._texts = [self._texts[n] for n in rows]
            self._desired, self._seen = self._desired[rows], self._seen[rows]

    def _inputs(self, states: Array, texts: list[str], starts: Mask, own: bool) -> dict[str, Array]:
        before = self._going_on(states, starts)
        if own and self._own:
            warn_of_missed_starts(before, texts, stacklevel=4)
        self._own = own
        self._set_instructions(states, before, texts)
        achieved = self._goals.achieved(states)
        return {"observation": states, "achieved_goal": achieved, "desired_goal": self._desired}

    def _going_on(self, states: Array, starts: Mask) -> list[str | None]:
        """Return the texts of episodes that go on; None elsewhere, or if N is another one."""
        if len(self._texts) != len(states):
            return [None] * len(states)
        if isinstance(self._goals, ShowsScenes):
            starts = starts | self._goals.scene_changed(self._seen, states)
        return [None if over else text for text, over in zip(self._texts, starts, strict=True)]

    def _set_instructions(
        self, states: Array, before: Sequence[str | None], texts: list[str]
    ) -> None:
        """Choose goals where an instruction is new; where that fails, nothing changes."""
        desired = self._desired
        if len(desired) != len(texts):
            desired = np.zeros((len(texts), *desired.shape[1:]), desired.dtype)
        rows = [n for n, old in enumerate(before) if old != texts[n]]
        if rows:
            new = [texts[n] for n in rows]
            chosen, _ = self._chooser.choose_checked(states[rows], new, self._generator)
            desired = desired.copy()
            desired[rows] = [check_goal(goal, self._goals.space, "a candidate") for goal in chosen]
        self._texts, self._desired, self._seen = list(texts), desired, states

    def posterior(self, observation: Observation, instruction: str | None = None) -> Posterior:
        """Return candidate goals with p(g|l), for a single observation; changes no episode.

        Raises:
            ShapeError: for a batch of observations.
        """
        states, texts = read_single(observation, instruction, self._axes)
        generator = copy.deepcopy(self._generator)
        _, (found,) = self._chooser.choose_checked(states, texts, generator)
        real = found.probabilities > 0
        goals, beliefs = found.goals[real], found.probabilities[real]
        return Posterior(goals, beliefs, p_understood=found.p_understood)

    def p_understood(self, instruction: str) -> float | None:
        """Return how likely a text means something; see ``GroundedAgent.p_understood``."""
        return self._chooser.p_understood(instruction)


class PolicyActions:
    """Proposes a policy's own actions to a critic, so that every strategy works with the policy.

    Pass it as ``actions`` of ``GroundedAgent``. A policy of goals acts for goals that are drawn
    from the posterior over candidates; another policy acts on what is observed alone.

    Args:
        policy: takes {"observation", "achieved_goal", "desired_goal"}, or observations alone.
        count: actions to propose in each state, A.
        goals: what is achieved in an observation; needed for a policy of goals.
        draw: draw actions for each goal, instead of taking the best.

    Raises:
        ConfigError: if ``count`` is below 1.
    """

    def __init__(
        self, policy: Policy, count: int = 16, goals: Goals | None = None, draw: bool = True
    ) -> None:
        if count < 1:
            raise ConfigError(f"count is the number of actions to propose, at least 1; got {count}")
        self._policy, self._count, self._goals, self._draw = policy, count, goals, draw

    def propose(
        self, observations: Array, goals: Array, beliefs: Floats, generator: Generator
    ) -> Array:
        """Return actions [N, A, ...]; see ``langrl.agents.grounded.Proposal``."""
        every = observations.repeat(self._count, 0)  # [N * A, ...]
        inputs: Any = every
        if self._goals is not None:
            if goals.shape[2:] != self._goals.space.shape:
                raise ShapeError(
                    f"candidates are {list(goals.shape[2:])} and the policy's goals"
                    f" {list(self._goals.space.shape)}; draw candidates of its goals, in grid"
                    " worlds by ReachablePoses(said_done=True)"
                )
            drawn = draw_goals(goals, beliefs, self._count, generator)
            achieved = self._goals.achieved(every)
            inputs = {"observation": every, "achieved_goal": achieved, "desired_goal": drawn}
        actions = predict(self._policy, inputs, generator if self._draw else None)
        # Critics take int64 and float32.
        whole = np.issubdtype(actions.dtype, np.integer)
        actions = actions.astype(np.int64 if whole else np.float32)
        return actions.reshape(len(observations), self._count, *actions.shape[1:])


def draw_goals(goals: Array, beliefs: Floats, count: int, generator: Generator) -> Floats:
    """Draw ``count`` candidates of each episode by their probabilities; returns [N * count, G]."""
    reached = beliefs.astype(np.float64).cumsum(1)  # [N, M]
    at = generator.random((len(goals), count)) * reached[:, -1:]  # [N, count]
    index = np.stack([np.searchsorted(row, x) for row, x in zip(reached, at, strict=True)])
    drawn = np.take_along_axis(goals, np.minimum(index, goals.shape[1] - 1)[..., None], 1)
    return drawn.reshape(-1, goals.shape[-1]).astype(np.float32)
