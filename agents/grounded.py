"""The agent that follows instructions: a critic, a language side, and a grounding strategy.

Axes: ``N`` episodes, ``M`` candidate goals, ``A`` actions compared, ``S`` numbers in a state,
``J`` alternatives of a text, ``D`` embedding size.
"""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from langrl.agents.action_scores import ActionScores, Pursuit
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
from langrl.grounding.strategies import Grounding, Scores, check_needs
from langrl.models.protocols import (
    Critic,
    Language,
    as_input,
    device_of,
    evaluation_mode,
    shares_goal_encoder,
)
from langrl.protocols import Array, Floats, Instructions, Mask, Observation


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
        self.compares_directly = self.shares_goals or "shared encoder" in grounding.needs
        evaluation_mode(critic)
        evaluation_mode(language)
        self.critic, self.language = critic, language
        self.grounding, self.candidates, self.actions = grounding, candidates, actions
        self.device = device_of(critic) if device is None else torch.device(device)
        self.language_weight, self.temperature = language_weight, temperature
        self._to_action = to_action
        self.keeps_goals = bool(getattr(grounding, "keeps_goals", False))
        self.waypoints = None if "shared encoder" in grounding.needs else waypoints
        if not self.keeps_goals and not isinstance(self.waypoints, Lift | None):
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

    @property
    def pursues(self) -> bool:
        """Whether its actions are a ``Pursuit``, which needs to be told where to go next."""
        told = self.waypoints is None or isinstance(self.waypoints, Targets)
        return told and isinstance(self.actions, Pursuit)

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
            self.torch_generator = torch.Generator(self.device).manual_seed(seed)
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
            batch.renew_paths(self.waypoints, self.keeps_goals)
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
        if not (self.keeps_goals and batch.is_committed and self.pursues):
            return None
        assert isinstance(self.actions, Pursuit)
        goals = batch.committed_goals
        if not isinstance(self.waypoints, Targets):
            return self.actions.pursue(states, goals)
        targets = self.waypoints.targets(states, goals)
        return self.waypoints.steer(self.actions.pursue(states, targets))

    def _compare(self, states: Array, state: Tensor, batch: EpisodeBatch) -> Array:
        """Return the best of the compared actions [N, ...], as the strategy scores them."""
        actions = self._propose(states, batch)  # [N, A, ...]
        compared = as_input(actions, self.critic, self.device)
        embedded = self.critic.embed_actions(batch.context, state, compared)  # [N, A, D]
        chosen = self._pick(ActionScores(self, states, embedded, batch).compute())
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
        return torch.multinomial(chances, 1, generator=self.torch_generator).squeeze(1)

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
        understood = self.embed_texts.p_understood(texts[0])
        return Posterior(batch.goals[0][real], probabilities[real], prior[real], understood)

    def p_understood(self, instruction: str) -> float | None:
        """Return how likely a text means something; None if the language side does not know.

        Raises:
            InstructionError: if the text cannot be an instruction.
        """
        return self.embed_texts.p_understood(instruction)

    def plan(self, observation: Observation, instruction: str | None = None) -> Plan | None:
        """Return the path of waypoints to a goal that a text may mean.

        The text is taken as that of a new episode, at a single observation; no episode changes.
        None where the agent follows no path of waypoints.
        """
        if not (isinstance(self.waypoints, Targets) and self.keeps_goals):
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
