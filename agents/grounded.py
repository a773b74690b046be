"""The agent that follows instructions: a critic, a language side, and a grounding strategy.

Axes: ``N`` episodes, ``M`` candidate goals, ``A`` actions compared, ``S`` numbers in a state,
``J`` alternatives of a text, ``D`` embedding size.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from langrl.agents.observations import read_observations
from langrl.errors import GroundingError, ShapeError
from langrl.grounding.candidates import Candidates
from langrl.grounding.strategies import UNDECIDED, Decision, Grounding, Scores, check_needs
from langrl.models.critics import GoalCritic, LanguageCritic
from langrl.protocols import Observation

_GOALS_AT_ONCE = 4096
_SCORES_AT_ONCE = 1 << 18


@dataclass(frozen=True, eq=False)
class Posterior:
    """Where an instruction may lead: ``goals`` [M, S], ``probabilities`` [M]."""

    goals: NDArray[np.float32]
    probabilities: NDArray[np.float32]

    @property
    def entropy_bits(self) -> float:
        """Uncertainty about the goal in bits, at most log2 M."""
        p = self.probabilities[self.probabilities > 0].astype(np.float64)
        return float(-(p * np.log2(p)).sum())


class GroundedAgent:
    """Follows instructions by scoring candidate goals.

    Args:
        critic: f(s, a, g).
        language: h(g, l).
        grounding: the strategy.
        candidates: draws candidate goals for each new episode.
        actions: the actions to compare [A, ...].
        device: where the modules are.

    Raises:
        GroundingError: if the strategy needs a shared goal encoder and there is none.
    """

    def __init__(
        self,
        critic: GoalCritic,
        language: LanguageCritic,
        grounding: Grounding,
        candidates: Candidates,
        *,
        actions: NDArray[np.float32],
        device: torch.device | str = "cpu",
    ) -> None:
        shared = critic.goal is language.goal
        check_needs(grounding, frozenset({"critic"} | ({"shared encoder"} if shared else set())))
        self.critic, self.language = critic.eval(), language.eval()
        self.grounding, self.candidates, self.actions = grounding, candidates, actions
        self.device = torch.device(device)
        self._shared = shared
        self._actions = torch.from_numpy(actions).to(self.device)
        self._texts: dict[str, Tensor] = {}
        self.reset()

    @classmethod
    def load(cls, folder: str | Path, **overrides: Any) -> "GroundedAgent":
        """Load the agent of a run folder or of a checkpoint; see ``agents.saved.load_agent``."""
        from langrl.agents.saved import load_agent

        return load_agent(folder, **overrides)

    def reset(
        self,
        generator: np.random.Generator | None = None,
        mask: NDArray[np.bool_] | None = None,
    ) -> None:
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
        if mask is None:
            self._batch: _Batch | None = None
        elif self._batch is not None:
            self._batch.begin(np.flatnonzero(mask), self._generator)

    def keep(self, mask: NDArray[np.bool_]) -> None:
        """Go on with the episodes of the batch where ``mask`` [N] is True, and drop the others."""
        if self._batch is not None:
            self._batch.keep(np.flatnonzero(mask))

    @torch.no_grad()
    def act(
        self, observations: Observation, instructions: str | Sequence[str] | None = None
    ) -> NDArray[np.float32]:
        """Return the best of the compared actions for each observation.

        Args:
            observations: as the environment gives them, single or N of them.
            instructions: used instead of the observation's own.

        Returns:
            An action, or actions [N, ...].

        Raises:
            InstructionError, ShapeError, NonFiniteError: see ``read_observations``.
        """
        states, texts, single = read_observations(observations, instructions)
        batch = self._rows(states, texts)
        state = torch.from_numpy(states).to(self.device).unsqueeze(1)  # [N, 1, S]
        every = self._actions.expand(len(states), *self._actions.shape)  # [N, A, ...]
        embedded = self.critic.state_action(state, every)  # [N, A, D]
        # A few episodes at a time: their scores [n, A, M] then stay in a CPU's cache.
        if not len(states):
            raise ShapeError("act needs at least one observation, got a batch of 0")
        size = max(1, _SCORES_AT_ONCE // (len(self.actions) * batch.goals.shape[1]))
        chosen, memories = [], []
        for start in range(0, len(states), size):
            rows = slice(start, start + size)  # a slice, not an index: no copy of the candidates
            decision, memory = self._decide(embedded[rows], batch, rows)
            memories.append(memory)
            chosen.append(self._action_scores(decision, embedded[rows], batch, rows).argmax(1))
        batch.memory = None if memories[0] is None else torch.cat(memories)  # type: ignore[arg-type]
        actions = self.actions[torch.cat(chosen).cpu().numpy()]
        return actions[0] if single else actions

    @torch.no_grad()
    def posterior(self, observation: Observation, instruction: str | None = None) -> Posterior:
        """Return candidate goals with p(g|l), for a single observation; changes no episode.

        The candidates are those of the running episode if the agent acts on single observations,
        and otherwise a draw of their own.

        Raises:
            ShapeError: for a batch of observations.
        """
        _, texts, single = read_observations(observation, instruction)
        if not single:
            raise ShapeError("posterior takes a single observation; call it for each of the batch")
        batch = self._batch
        if batch is None or len(batch.texts) != 1:
            batch = _Batch(self, 1)
            batch.begin(np.array([0]), copy.deepcopy(self._generator))
        fit = self._fit(batch.goals, batch.goal_embeddings, self.embed_texts(texts))
        log_posterior = Scores(fit, batch.log_weights).log_posterior[0]
        return Posterior(batch.goals[0].copy(), log_posterior.exp().cpu().numpy())

    def _fit(self, goals: NDArray[np.float32], embedded: Tensor, texts: Tensor) -> Tensor:
        """Return h [n, M] of goals [n, M, S], the critic's embeddings of them, texts [n, J, D]."""
        if not self._shared:
            tensor = torch.from_numpy(goals).to(self.device)
            embedded = encode_in_chunks(self.language.goal, tensor)
        return self.language.score(embedded, texts.unsqueeze(1)).squeeze(-1)

    def _decide(
        self, embedded: Tensor, batch: "_Batch", rows: slice
    ) -> tuple[Decision, Tensor | None]:
        """Ask the strategy about some of the episodes; ``embedded`` [n, A, D] is theirs."""
        direct = None
        if self._shared:
            text = batch.text_embeddings[rows]  # [n, J, D]
            direct = self.critic.score(embedded, text).logsumexp(-1)
        scores = Scores(
            batch.fit[rows],
            batch.log_weights[rows],
            lambda: self.critic.score(embedded, batch.goal_embeddings[rows]),
            direct,
        )
        memory = None if batch.memory is None else batch.memory[rows]
        return self.grounding.ground(scores, memory, self._torch_generator)

    def _action_scores(
        self, decision: Decision, embedded: Tensor, batch: "_Batch", rows: slice
    ) -> Tensor:
        """Return a decision's scores of actions [n, A]; those for its goal if it names one."""
        if decision.action_scores is not None:
            return decision.action_scores
        if decision.goal is None:
            raise GroundingError("the strategy answered with neither action scores nor a goal")
        candidates = batch.goal_embeddings[rows]  # [n, M, D]
        each = torch.arange(len(candidates), device=self.device)
        goals = candidates[each, decision.goal].unsqueeze(1)  # [n, 1, D]
        return self.critic.score(embedded, goals).squeeze(-1)

    def _rows(self, states: NDArray[np.float32], texts: list[str]) -> "_Batch":
        """Return the episodes' candidates and fits, brought up to date with the texts."""
        if self._batch is None or len(self._batch.texts) != len(states):
            self._batch = _Batch(self, len(states))
            self._batch.begin(np.arange(len(states)), self._generator)
        self._batch.listen(texts)
        return self._batch

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Return embeddings [K, J, D]; each distinct text is encoded once, by itself.

        By itself, because the last bits of an embedding vary with what else is in the batch.
        """
        if len(self._texts) > 10_000:
            self._texts.clear()
        for text in dict.fromkeys(texts):
            if text not in self._texts:
                self._texts[text] = self.language.encode_text([text])[0]
        return torch.stack([self._texts[text] for text in texts])


@torch.no_grad()
def encode_in_chunks(encoder: torch.nn.Module, goals: Tensor) -> Tensor:
    """Encode goals [..., S] piece by piece, so that hidden layers stay in a CPU's cache."""
    pieces = goals.flatten(0, -2).split(_GOALS_AT_ONCE)
    return torch.cat([encoder(piece) for piece in pieces]).unflatten(0, goals.shape[:-1])


class _Batch:
    """What N running episodes keep: candidates, their embeddings, texts, fits, commitments."""

    def __init__(self, agent: GroundedAgent, count: int) -> None:
        self.agent = agent
        self.texts: list[str | None] = [None] * count
        self.memory: Tensor | None = None
        self.goals: NDArray[np.float32]
        self.log_weights: Tensor
        self.goal_embeddings: Tensor
        self.text_embeddings: Tensor
        self.fit: Tensor

    def begin(self, rows: NDArray[np.int64], generator: np.random.Generator) -> None:
        """Draw candidates for new episodes and forget what was said and decided in them."""
        if not len(rows):
            return
        agent = self.agent
        goals, log_weights = agent.candidates.draw(len(rows), generator)
        tensor = torch.from_numpy(goals).to(agent.device)
        weights = torch.from_numpy(log_weights).to(agent.device)
        embedded = encode_in_chunks(agent.critic.goal, tensor)  # [rows, M, D]
        if len(rows) == len(self.texts):
            self.goals, self.log_weights, self.goal_embeddings = goals, weights, embedded
        else:
            self.goals[rows], self.log_weights[rows] = goals, weights
            self.goal_embeddings[rows] = embedded
        for row in rows:
            self.texts[row] = None

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Go on with some of the episodes only."""
        self.texts = [self.texts[n] for n in rows]
        self.goals = self.goals[rows]
        names = ["log_weights", "goal_embeddings", "text_embeddings", "fit"]
        for name in names if self.memory is None else [*names, "memory"]:
            setattr(self, name, getattr(self, name)[rows])

    def listen(self, texts: list[str]) -> None:
        """Take up instructions; one that has changed gets its fit, and its memory is cleared."""
        rows = [n for n, (old, new) in enumerate(zip(self.texts, texts, strict=True)) if old != new]
        if not rows:
            return
        agent = self.agent
        embedded = agent.embed_texts([texts[n] for n in rows])  # [rows, J, D]
        fit = agent._fit(self.goals[rows], self.goal_embeddings[rows], embedded)  # [rows, M]
        if len(rows) == len(texts):
            self.text_embeddings, self.fit, self.memory = embedded, fit, None
        else:
            self.text_embeddings[rows], self.fit[rows] = embedded, fit
            if self.memory is not None:
                self.memory[rows] = UNDECIDED
        self.texts = list(texts)
