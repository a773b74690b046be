"""The agent that follows instructions: a critic, a language side, and a grounding strategy.

Axes: ``N`` episodes, ``M`` candidate goals, ``A`` actions compared, ``S`` numbers in a state,
``J`` alternatives of a text, ``D`` embedding size.
"""

import copy
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from langrl.agents.committed_paths import Plan
from langrl.agents.episode_batch import EpisodeBatch
from langrl.agents.observations import (
    check_mask,
    read_observations,
    read_single,
    warn_of_missed_starts,
)
from langrl.agents.waypoints import Composition, Lift, Targets
from langrl.checkpoint import load_agent
from langrl.errors import GroundingError, ShapeError
from langrl.grounding.candidates import Candidates, InstructedCandidates
from langrl.grounding.chooser import Posterior, TextCache
from langrl.grounding.strategies import Decision, Grounding, Scores, check_needs
from langrl.models.protocols import (
    Critic,
    Language,
    as_input,
    device_of,
    evaluation_mode,
    shares_goal_encoder,
)
from langrl.protocols import Array, Floats, Instructions, Mask, Observation

_SCORES_AT_ONCE = 1 << 18


class Proposal(Protocol):
    """Proposes actions for a critic to compare."""

    def propose(
        self, observations: Array, goals: Array, beliefs: Floats, generator: np.random.Generator
    ) -> Array:
        """Return actions [N, A, ...], as many for each episode.

        Args:
            observations: [N, ...].
            goals: candidates [N, M, G].
            beliefs: their probabilities given the instruction [N, M].
            generator: source of randomness.
        """


@runtime_checkable
class Pursuit(Protocol):
    """A proposal that acts by itself for a goal that a strategy has committed to."""

    def pursue(self, observations: Array, goals: Array) -> Array:
        """Return actions [N, ...] for observations [N, ...] with a goal each [N, G]."""


class GroundedAgent:
    """Follows instructions by scoring candidate goals.

    Args:
        critic: f(s, a, g).
        language: h(g, l).
        grounding: the strategy.
        candidates: draws candidate goals for each new episode.
        actions: the actions to compare [A, ...], or a proposal of some for each observation, such
            as ``langrl.agents.goal_policy.PolicyActions``. One that is a ``Pursuit`` acts by itself
            once the strategy has committed to goals.
        device: where the critic is; where its weights are if not given. The language side may be
            elsewhere, where its weights are.
        language_weight: factor on the language score h(g, l). 1 trusts its calibration; above 1,
            goals with the highest scores count for more.
        temperature: actions are drawn from the softmax of their scores, in nats, over this; 0
            takes the best. A small one keeps agents with few actions from going in circles.
        to_action: returns the environment's actions [N, ...] for those that were chosen, where
            the critic knows others.
        waypoints: how far goals are reached; the candidates are its waypoints then. Strategies
            that decide anew at every step need one that is a ``Lift``; ``direct`` does without.
        compare_separate: offer ``direct`` although the goal encoders are not shared, to show that
            comparing the embeddings of separate models is at chance. The embeddings of both must
            have one size.

    Raises:
        GroundingError: if the strategy needs a shared goal encoder and there is none.
    """

    def __init__(
        self,
        critic: Critic,
        language: Language,
        grounding: Grounding,
        candidates: Candidates | InstructedCandidates,
        *,
        actions: Array | Proposal,
        device: torch.device | str | None = None,
        language_weight: float = 1.0,
        temperature: float = 0.0,
        to_action: Callable[[Array], Array] | None = None,
        waypoints: Composition | None = None,
        compare_separate: bool = False,
    ) -> None:
        self.shares_goals = shares_goal_encoder(critic, language)
        shared = {"shared encoder"} if self.shares_goals or compare_separate else set()
        check_needs(grounding, frozenset({"critic"} | shared))
        self._direct = self.shares_goals or "shared encoder" in grounding.needs
        evaluation_mode(critic)
        evaluation_mode(language)
        self.critic, self.language = critic, language
        self.grounding, self.candidates, self.actions = grounding, candidates, actions
        self.device = device_of(critic) if device is None else torch.device(device)
        self.language_weight, self.temperature = language_weight, temperature
        self._to_action = to_action
        self._keeps_goals = bool(getattr(grounding, "keeps_goals", False))
        self.waypoints = None if "shared encoder" in grounding.needs else waypoints
        if not self._keeps_goals and not isinstance(self.waypoints, Lift | None):
            raise GroundingError(
                f"{type(grounding).__name__} decides anew at every step; give waypoints that are"
                " Marginalised"
            )
        self.embed_texts = TextCache(language)
        self._own = False  # whether the last texts were those of the observations
        self.shared: dict[str, Any] | None = None
        """Where agents that meet the same tasks find what others have computed for them; see
        ``langrl.evaluation.comparison.compare``, which gives one dict to all of its agents."""
        self.reset()

    @classmethod
    def load(cls, folder: str | Path, **overrides: Any) -> "GroundedAgent":
        """Load the agent of a run folder or of a checkpoint; see ``langrl.tasks.loading``."""
        agent = load_agent(folder, **overrides)
        assert isinstance(agent, cls)
        return agent

    def reset(self, generator: np.random.Generator | None = None, mask: Mask | None = None) -> None:
        """Start new episodes: candidates are drawn anew and commitments forgotten.

        Args:
            generator: source of candidates and of sampled goals; seeded with 0 at first, and
                kept from call to call, if not given.
            mask: which episodes of the batch [N]; all of them if not given.
        """
        if generator is not None or not hasattr(self, "_generator"):
            self._generator = generator or np.random.default_rng(0)
            seed = int(self._generator.integers(2**63))
            self._torch_generator = torch.Generator(self.device).manual_seed(seed)
        if self.waypoints is not None:
            self.waypoints.reset(mask)
        if mask is None:
            self._batch: EpisodeBatch | None = None
        elif self._batch is not None:
            self._batch.fresh |= check_mask(mask, len(self._batch.fresh))

    def keep(self, mask: Mask) -> None:
        """Go on with the episodes of the batch where ``mask`` [N] is True, and drop the others."""
        if self._batch is not None:
            kept = check_mask(mask, len(self._batch.fresh))
            self._batch.keep(np.flatnonzero(kept))
            if self.waypoints is not None:
                self.waypoints.keep(kept)

    @torch.no_grad()
    def prepare(
        self, observations: Observation, instructions: Instructions, starts: Mask | None = None
    ) -> EpisodeBatch:
        """Bring the episodes up to date as ``act`` does, without acting, and return them.

        Arguments and errors are as those of ``act``, which goes on from there. The batch says in
        ``renewed`` [N] where the candidates or the texts are other ones than before.
        """
        axes = self.critic.observation_axes
        states, texts, _ = read_observations(observations, instructions, axes)
        return self._update(states, texts, starts, instructions is None)

    @torch.no_grad()
    def act(
        self,
        observations: Observation,
        instructions: Instructions = None,
        starts: Mask | None = None,
    ) -> Array:
        """Return the best of the compared actions for each observation.

        Args:
            observations: as the environment gives them, single or N of them.
            instructions: used instead of the observation's own.
            starts: which of them are the first of an episode, bool [N]; else episodes go on,
                except where the critic sees another room, and a text of the observations that
                changes is warned of.

        Returns:
            An action, or actions [N, ...].

        Raises:
            InstructionError, ShapeError, NonFiniteError: see ``read_observations``.
            GroundingError: if ``compare_separate`` meets embeddings of different sizes.
        """
        axes = self.critic.observation_axes
        states, texts, single = read_observations(observations, instructions, axes)
        batch = self._update(states, texts, starts, instructions is None)
        state = as_input(states, self.critic, self.device)
        batch.update_memory(state)
        if self.waypoints is not None:
            batch.renew_paths(self.waypoints, self._keeps_goals)
        taken = self._pursue(states, batch)
        if taken is None:
            taken = self._compare(states, state, batch)
            pursued = self._pursue(states, batch)  # where that has just committed to goals
            taken = taken if pursued is None else pursued
        # A copy: callers may write over the actions that they are given.
        batch.taken, batch.acted = taken.copy(), np.ones(len(states), bool)
        if self._to_action is not None:
            taken = self._to_action(taken)
        return taken[0] if single else taken

    def _pursue(self, states: Array, batch: EpisodeBatch) -> Array | None:
        """Return the actions [N, ...] of a ``Pursuit``, once every episode has a goal to keep."""
        if not (self._is_committed(batch) and isinstance(self.actions, Pursuit)):
            return None
        goals = batch.committed_goals
        if self.waypoints is not None:
            if not isinstance(self.waypoints, Targets):
                return None
            goals = self.waypoints.targets(states, goals)
        return self.actions.pursue(states, goals)

    def _is_committed(self, batch: EpisodeBatch) -> bool:
        return self._keeps_goals and batch.is_committed

    def _compare(self, states: Array, state: Tensor, batch: EpisodeBatch) -> Array:
        """Return the best of the compared actions [N, ...], as the strategy scores them."""
        actions = self._propose(states, batch)  # [N, A, ...]
        compared = as_input(actions, self.critic, self.device)
        embedded = self.critic.embed_actions(batch.context, state, compared)  # [N, A, D]
        chosen = self._pick(self._score_actions(states, embedded, batch))
        return actions[np.arange(len(states)), chosen.cpu().numpy()]

    def _propose(self, states: Array, batch: EpisodeBatch) -> Array:
        """Return the actions to compare in each state [N, A, ...]."""
        if isinstance(self.actions, np.ndarray):
            # Repeated, not a view of one row: torch takes no array that it could not write to.
            return self.actions[None].repeat(len(states), 0)
        log_posterior = Scores(batch.language_score, batch.log_weights).log_posterior
        beliefs = log_posterior.exp().cpu().numpy()
        proposed = self.actions.propose(states, batch.goals, beliefs, self._generator)
        if proposed.ndim < 2 or len(proposed) != len(states):
            raise ShapeError(
                f"proposed actions are [{len(states)}, A, ...], got {list(proposed.shape)}"
            )
        return proposed

    def _pick(self, scores: Tensor) -> Tensor:
        """Return an action for each row of scores [n, A]: the best, or a draw near it."""
        if not self.temperature:
            return scores.argmax(1)
        chances = (scores / self.temperature).softmax(1)
        return torch.multinomial(chances, 1, generator=self._torch_generator).squeeze(1)

    @torch.no_grad()
    def posterior(self, observation: Observation, instruction: str | None = None) -> Posterior:
        """Return candidate goals with p(g|l), for a single observation; changes no episode.

        The candidates are those of the running episode if the agent acts on single observations,
        and otherwise a draw of their own.

        Raises:
            ShapeError: for a batch of observations.
        """
        states, texts = read_single(observation, instruction, self.critic.observation_axes)
        batch = self._batch
        if batch is None or len(batch.texts) != 1 or batch.needs_candidates(states, texts)[0]:
            batch = EpisodeBatch(self, states)
            batch.start(states, texts, copy.deepcopy(self._generator))
        scores = batch.compute_language_score(np.array([0]), self.embed_texts(texts))
        log_posterior = Scores(scores, batch.log_weights).log_posterior[0]
        real = (batch.log_weights[0] > -torch.inf).cpu().numpy()
        probabilities = log_posterior.exp().cpu().numpy()
        prior = batch.log_weights[0].softmax(0).cpu().numpy()
        return Posterior(batch.goals[0][real], probabilities[real], prior[real])

    def plan(self, observation: Observation, instruction: str | None = None) -> Plan | None:
        """Return the path of waypoints to a goal that a text may mean.

        The text is taken as that of a new episode, at a single observation; no episode changes.
        None where the agent follows no path of waypoints.
        """
        if not (isinstance(self.waypoints, Targets) and self._keeps_goals):
            return None
        walker, follower = copy.copy(self), copy.copy(self.waypoints)
        walker.shared, walker.waypoints = None, follower
        walker.reset(np.random.default_rng(0))
        walker.act(observation, instruction)
        return follower.plan(0)

    @property
    def info(self) -> dict[str, Array]:
        """What the last actions of N episodes were chosen by, where there are waypoints.

        ``path_found`` [N] says whether a path of waypoints leads to the goal that is committed to.
        Where none does, the critic alone decides. For more see ``Composition``.
        """
        return {} if self.waypoints is None else self.waypoints.info

    def _score_actions(self, states: Array, embedded: Tensor, batch: EpisodeBatch) -> Tensor:
        """Return the strategy's scores of actions [N, A], of their embeddings [N, A, D]."""
        if self._is_committed(batch):
            return self._score_committed(states, embedded, batch)
        direct = self._compare_directly(embedded, batch.text_embeddings) if self._direct else None
        # A few episodes at a time: their scores [n, A, M] then stay in a CPU's cache.
        candidates = batch.log_weights.shape[1]
        size = max(1, _SCORES_AT_ONCE // (embedded.shape[1] * candidates))
        if self.waypoints is not None:
            size = len(embedded)  # there are no scores of each action with each candidate
        scores, commitments = [], []
        for start in range(0, len(embedded), size):
            rows = slice(start, start + size)  # a slice, not an index: no copy of the candidates
            compared = None if direct is None else direct[rows]
            decision, commitment = self._decide(states, embedded[rows], compared, batch, rows)
            scores.append(self._action_scores(decision, embedded[rows], batch, rows))
            commitments.append(commitment)
        known = [commitment for commitment in commitments if commitment is not None]
        batch.commitments = torch.cat(known) if known else None
        planned = self._is_committed(batch) and self.waypoints is not None
        if planned and not (
            isinstance(self.actions, Pursuit) and isinstance(self.waypoints, Targets)
        ):
            return self._score_committed(states, embedded, batch)
        return torch.cat(scores)

    def _score_committed(self, states: Array, embedded: Tensor, batch: EpisodeBatch) -> Tensor:
        """Return scores of actions [N, A] towards the goals that are committed to."""
        if self.waypoints is not None:
            return self.waypoints.action_scores(states, embedded, batch.committed_goals)
        assert batch.commitments is not None
        return self._score_goals(embedded, batch.embeddings_of(batch.commitments))

    def _decide(
        self,
        states: Array,
        embedded: Tensor,
        direct: Tensor | None,
        batch: EpisodeBatch,
        rows: slice,
    ) -> tuple[Decision, Tensor | None]:
        """Ask the strategy about some of the episodes; ``embedded`` [n, A, D] is theirs."""
        language, weights = batch.language_score[rows], batch.log_weights[rows]
        critic: Callable[[], Tensor]
        if isinstance(self.waypoints, Lift) and batch.lifted is not None:
            near, index = self.waypoints.believed(embedded)
            # the others count, too, in a mean over all: with nothing
            fewer = math.log(index.shape[1] / batch.lifted.shape[1])
            language = batch.lifted[rows].gather(1, index) + fewer
            weights, critic = torch.zeros_like(language), lambda: near
        elif self.waypoints is not None:
            critic = partial(self.waypoints.goal_scores, states[rows])
        else:
            critic = partial(self.critic.score, embedded, batch.goal_embeddings[rows])

        scores = Scores(language, weights, critic, direct)
        commitments = None if batch.commitments is None else batch.commitments[rows]
        return self.grounding.ground(scores, commitments, self._torch_generator)

    def _compare_directly(self, embedded: Tensor, texts: Tensor) -> Tensor:
        """Score actions [n, A, D] by texts [n, J, D], as if those were goals; returns [n, A]."""
        if embedded.shape[-1] != texts.shape[-1]:
            raise GroundingError(
                f"direct compares embeddings of one size, got {embedded.shape[-1]} of the critic"
                f" and {texts.shape[-1]} of the language side; use log_sum_exp, which needs no"
                " common space"
            )
        return self.critic.score(embedded, texts).logsumexp(-1)

    def _action_scores(
        self, decision: Decision, embedded: Tensor, batch: EpisodeBatch, rows: slice
    ) -> Tensor:
        """Return a decision's scores of actions [n, A]; those for its goal if it names one."""
        if decision.action_scores is not None:
            return decision.action_scores
        if decision.goal is None:
            raise GroundingError("the strategy answered with neither action scores nor a goal")
        return self._score_goals(embedded, batch.embeddings_of(decision.goal, rows))

    def _score_goals(self, embedded: Tensor, goals: Tensor) -> Tensor:
        """Score actions [n, A, D] by a goal each [n, 1, D]; returns [n, A]."""
        return self.critic.score(embedded, goals).squeeze(-1)

    def _update(
        self, states: Array, texts: list[str], starts: Mask | None, own: bool
    ) -> EpisodeBatch:
        """Return the episodes, with candidates and language scores for the present texts.

        ``own`` says that the texts are those of the observations.
        """
        starting = None if starts is None else check_mask(starts, len(states))
        if self._batch is None or len(self._batch.texts) != len(states):
            self._batch = EpisodeBatch(self, states)
        elif starting is not None:
            self._batch.fresh |= starting
        self._batch.start(states, texts, self._generator)
        if own and self._own:
            warn_of_missed_starts(self._batch.texts, texts, stacklevel=5)
        self._own = own
        self._batch.set_instructions(texts)
        return self._batch
