"""How well each of the compared actions follows an instruction, as a strategy decides.

Axes: ``N`` episodes, ``M`` candidate goals, ``A`` actions compared, ``J`` alternatives of a text,
``D`` embedding size; ``n`` some of the episodes.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from torch import Generator, Tensor

from langrl.agents.episode_batch import EpisodeBatch
from langrl.agents.waypoints import Composition, Lift
from langrl.errors import GroundingError
from langrl.grounding.strategies import Decision, Grounding, Scores
from langrl.models.critics.maze import LanguageCritic
from langrl.models.protocols import Critic, Language
from langrl.protocols import Array

_SCORES_AT_ONCE = 1 << 18


@runtime_checkable
class Pursuit(Protocol):
    """A proposal that acts by itself for a goal that a strategy has committed to."""

    def pursue(self, observations: Array, goals: Array) -> Array:
        """Return actions [N, ...] for observations [N, ...] with a goal each [N, G]."""


class Strategist(Protocol):
    """What decides between actions: a critic and a strategy, as an agent has them."""

    critic: Critic
    language: Language
    grounding: Grounding
    keeps_goals: bool
    compares_directly: bool
    waypoints: Composition | None
    torch_generator: Generator

    @property
    def pursues(self) -> bool:
        """Whether goals that are committed to are gone to without comparing actions."""


class ActionScores:
    """Scores of the actions compared at one step of N episodes.

    Args:
        agent: who decides.
        states: what is seen [N, ...].
        embedded: the actions, as the critic embeds them [N, A, D].
        batch: the episodes; goals that are committed to are written there.
    """

    def __init__(
        self, agent: Strategist, states: Array, embedded: Tensor, batch: EpisodeBatch
    ) -> None:
        self._agent, self._states, self._embedded, self._batch = agent, states, embedded, batch

    def compute(self) -> Tensor:
        """Return the scores [N, A].

        Raises:
            GroundingError: if the strategy decides nothing, or compares embeddings of two sizes.
        """
        if self._is_committed:
            return self._of_commitments()
        scores, commitments = zip(*map(self._of_some, self._parts()), strict=True)
        known = [commitment for commitment in commitments if commitment is not None]
        self._batch.commitments = torch.cat(known) if known else None
        to_waypoints = self._is_committed and self._agent.waypoints is not None
        if to_waypoints and not self._agent.pursues:
            return self._of_commitments()
        return torch.cat(scores)

    @property
    def _is_committed(self) -> bool:
        return self._agent.keeps_goals and self._batch.is_committed

    def _parts(self) -> list[slice]:
        """Return slices of the episodes: their scores [n, A, M] then stay in a CPU's cache."""
        count, actions = self._embedded.shape[:2]
        size = max(1, _SCORES_AT_ONCE // (actions * self._batch.log_weights.shape[1]))
        if self._agent.waypoints is not None:
            size = count  # there are no scores of each action with each candidate
        # Slices, not indices: no copy of the candidates.
        return [slice(start, start + size) for start in range(0, count, size)]

    def _of_some(self, rows: slice) -> tuple[Tensor, Tensor | None]:
        """Return the scores of some episodes [n, A], and what the strategy commits to [n]."""
        decision, commitment = self._decide(rows)
        if decision.action_scores is not None:
            return decision.action_scores, commitment
        if decision.goal is None:
            raise GroundingError("the strategy answered with neither action scores nor a goal")
        goals = self._batch.embeddings_of(decision.goal, rows)
        return self._of_goals(self._embedded[rows], goals), commitment

    def _decide(self, rows: slice) -> tuple[Decision, Tensor | None]:
        """Ask the strategy about some of the episodes."""
        agent, batch, embedded = self._agent, self._batch, self._embedded[rows]
        language, weights = batch.language_score[rows], batch.log_weights[rows]
        critic: Callable[[], Tensor]
        if isinstance(agent.waypoints, Lift) and batch.lifted is not None:
            near, index = agent.waypoints.believed(embedded)
            # the others count, too, in a mean over all: with nothing
            fewer = math.log(index.shape[1] / batch.lifted.shape[1])
            language = batch.lifted[rows].gather(1, index) + fewer
            weights, critic = torch.zeros_like(language), lambda: near
        elif agent.waypoints is not None:
            critic = partial(agent.waypoints.goal_scores, self._states[rows])
        else:
            critic = partial(agent.critic.score, embedded, batch.goal_embeddings[rows])
        direct = self._compare_directly(rows) if agent.compares_directly else None
        scores = Scores(language, weights, critic, direct)
        commitments = None if batch.commitments is None else batch.commitments[rows]
        return agent.grounding.ground(scores, commitments, agent.torch_generator)

    def _compare_directly(self, rows: slice) -> Tensor:
        """Score actions by their texts [n, J, D], as if those were goals; returns [n, A]."""
        embedded, texts = self._embedded[rows], self._batch.text_embeddings[rows]
        if isinstance(self._agent.language, LanguageCritic):
            texts = self._agent.language.as_goals(texts)
        if embedded.shape[-1] != texts.shape[-1]:
            raise GroundingError(
                f"direct compares embeddings of one size, got {embedded.shape[-1]} of the critic"
                f" and {texts.shape[-1]} of the language side; use log_sum_exp, which needs no"
                " common space"
            )
        return self._agent.critic.score(embedded, texts).logsumexp(-1)

    def _of_commitments(self) -> Tensor:
        """Return scores [N, A] towards the goals that are committed to."""
        waypoints, batch = self._agent.waypoints, self._batch
        if waypoints is not None:
            return waypoints.action_scores(self._states, self._embedded, batch.committed_goals)
        assert batch.commitments is not None
        return self._of_goals(self._embedded, batch.embeddings_of(batch.commitments))

    def _of_goals(self, embedded: Tensor, goals: Tensor) -> Tensor:
        """Score actions [n, A, D] by a goal each [n, 1, D]; returns [n, A]."""
        return self._agent.critic.score(embedded, goals).squeeze(-1)
