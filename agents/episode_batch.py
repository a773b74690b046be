"""What an agent keeps of its running episodes.

Axes: ``N`` episodes, ``M`` candidate goals, ``J`` alternatives of a text, ``D`` embedding size.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from langrl.grounding.candidates import Candidates, InstructedCandidates, draw_candidates
from langrl.grounding.chooser import TextCache
from langrl.grounding.strategies import UNDECIDED
from langrl.models.protocols import Critic, Language, as_input
from langrl.protocols import Array, Integers, Mask

Rows = Integers
"""The numbers of some of the episodes, in ascending order."""


class Scorer(Protocol):
    """What scores candidate goals: a critic and a language side, as an agent has them."""

    critic: Critic
    language: Language
    candidates: Candidates | InstructedCandidates
    device: torch.device
    language_weight: float
    shares_goals: bool
    embed_texts: TextCache


class EpisodeBatch:
    """N running episodes: contexts, candidates, embeddings, texts, scores and commitments.

    Args:
        agent: whose episodes they are, and what scores their goals.
        observations: present ones [N, ...]; they fix N and the shape of an observation.
    """

    def __init__(self, agent: Scorer, observations: Array) -> None:
        self.agent = agent
        self.texts: list[str | None] = [None] * len(observations)
        self.fresh = np.ones(len(observations), bool)  # episodes that have not started
        self.acted = np.zeros(len(observations), bool)  # episodes in which an action was taken
        self.taken: Array | None = None  # the last action of each [N, ...]
        self.commitments: Tensor | None = None  # what the strategy remembers
        self.observations = observations  # the first of each episode
        self.context: Tensor  # what the critic remembers
        self.goals: Array
        self.log_weights: Tensor
        self.goal_embeddings: Tensor
        self.text_embeddings: Tensor
        self.language_score: Tensor

    def needs_reset(self, observations: Array) -> Mask:
        """Return which episodes have not started, or show another scene than their first one."""
        before, now = torch.from_numpy(self.observations), torch.from_numpy(observations)
        return self.fresh | self.agent.critic.scene_changed(before, now).cpu().numpy()

    def needs_candidates(self, observations: Array, texts: Sequence[str]) -> Mask:
        """Return which episodes need candidates.

        These are new ones and, where candidates depend on the text, those with another text.
        """
        new = self.needs_reset(observations)
        if not isinstance(self.agent.candidates, InstructedCandidates):
            return new
        return new | [old != text for old, text in zip(self.texts, texts, strict=True)]

    def start(self, observations: Array, texts: Sequence[str], generator: Generator) -> None:
        """Start the episodes that need it, and draw the candidates that are needed."""
        drawn = np.flatnonzero(self.needs_candidates(observations, texts))
        self.reset(np.flatnonzero(self.needs_reset(observations)), observations)
        self._draw(drawn, [texts[int(n)] for n in drawn], generator)

    def reset(self, rows: Rows, observations: Array) -> None:
        """Start episodes in some rows, seeing observations of all [N, ...]; forget their texts."""
        if not len(rows):
            return
        first = observations[rows]
        critic = self.agent.critic
        context = critic.initial_context(as_input(first, critic, self.agent.device))
        self._put(rows, observations=first, context=context)
        for n in rows:
            self.texts[n] = None
        self.fresh[rows] = self.acted[rows] = False

    def _draw(self, rows: Rows, texts: Sequence[str], generator: Generator) -> None:
        """Draw candidates of some episodes; each has its text."""
        if not len(rows):
            return
        agent = self.agent
        goals, log_weights = draw_candidates(
            agent.candidates, self.observations[rows], texts, generator
        )
        tensor = as_input(goals, agent.critic, agent.device)
        weights = torch.from_numpy(log_weights).to(agent.device)
        embedded = agent.critic.embed_goals(self._of("context", rows), tensor)  # [rows, M, D]
        self._put(rows, goals=goals, log_weights=weights, goal_embeddings=embedded)

    def update_memory(self, observations: Tensor) -> None:
        """Give the critic what is seen [N, ...] after the last actions, where there were any."""
        if self.taken is not None and self.acted.any():
            device, critic = self.agent.device, self.agent.critic
            actions = as_input(self.taken, critic, device)
            acted = torch.from_numpy(self.acted).to(device)
            self.context = critic.update_memory(self.context, observations, actions, acted)

    def set_instructions(self, texts: Sequence[str]) -> None:
        """Compute the scores of texts that have changed, and clear the commitments there."""
        rows = np.array([n for n, text in enumerate(texts) if self.texts[n] != text], int)
        if not len(rows):
            return
        embedded = self.agent.embed_texts([texts[n] for n in rows])  # [rows, J, D]
        embedded = embedded.to(self.agent.device)
        scores = self.compute_language_score(rows, embedded)  # [rows, M]
        self._put(rows, text_embeddings=embedded, language_score=scores)
        if len(rows) == len(texts):
            self.commitments = None
        elif self.commitments is not None:
            self.commitments[rows] = UNDECIDED
        self.texts = list(texts)

    def compute_language_score(self, rows: Rows, texts: Tensor) -> Tensor:
        """Return h [n, M] of some episodes' candidates and texts [n, J, D], times its weight."""
        agent = self.agent
        if agent.shares_goals:
            embedded = self._of("goal_embeddings", rows)
        else:
            language = agent.language
            goals = as_input(self.goals[rows], language, agent.device)
            observations = as_input(self.observations[rows], language, agent.device)
            embedded = language.embed_goals(observations, goals)
        texts = texts.unsqueeze(1).to(embedded.device)
        scores = agent.language.score(embedded, texts).squeeze(-1)
        return agent.language_weight * scores.to(agent.device)

    def keep(self, rows: Rows) -> None:
        """Go on with some of the episodes, and drop the others."""
        self.texts = [self.texts[n] for n in rows]
        names = ["fresh", "acted", "observations", "context", "goals", "log_weights"]
        names += ["goal_embeddings", "text_embeddings", "language_score"]
        names += [name for name in ("taken", "commitments") if getattr(self, name) is not None]
        for name in names:
            setattr(self, name, getattr(self, name)[rows])

    def _of(self, name: str, rows: Rows) -> Tensor:
        """Return rows of a tensor; the tensor itself, not a copy, if they are all of them."""
        tensor: Tensor = getattr(self, name)
        return tensor if len(rows) == len(tensor) else tensor[rows]

    def _put(self, rows: Rows, **values: Any) -> None:
        """Set rows of arrays and tensors by name; all rows at once may change the shape."""
        for name, value in values.items():
            if len(rows) == len(self.texts):
                setattr(self, name, value)
            else:
                getattr(self, name)[rows] = value
