"""What an agent keeps of the episodes that it is in the middle of.

Axes: ``N`` episodes, ``M`` candidate goals, ``J`` alternatives of a text, ``D`` embedding size.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from langrl.grounding.candidates import InstructedCandidates, draw_candidates
from langrl.grounding.strategies import UNDECIDED

if TYPE_CHECKING:
    from langrl.agents.grounded import GroundedAgent


class EpisodeBatch:
    """What N running episodes keep: candidates, their embeddings, texts, fits, commitments."""

    def __init__(self, agent: "GroundedAgent", observations: NDArray[Any]) -> None:
        self.agent = agent
        self.texts: list[str | None] = [None] * len(observations)
        self.fresh = np.ones(len(observations), bool)  # episodes that have not begun
        self.acted = np.zeros(len(observations), bool)  # episodes in which an action was taken
        self.taken: NDArray[Any] | None = None  # the last action of each [N, ...]
        self.memory: Tensor | None = None
        self.observations = observations  # the first of each episode
        self.context: Tensor
        self.goals: NDArray[Any]
        self.log_weights: Tensor
        self.goal_embeddings: Tensor
        self.text_embeddings: Tensor
        self.fit: Tensor

    def must_begin(self, observations: NDArray[Any]) -> NDArray[np.bool_]:
        """Return which episodes have not begun, or are somewhere else than when they did."""
        before, now = torch.from_numpy(self.observations), torch.from_numpy(observations)
        return self.fresh | self.agent.critic.is_elsewhere(before, now).numpy()

    def must_draw(self, observations: NDArray[Any], texts: list[str]) -> NDArray[np.bool_]:
        """Return which episodes need candidates: new ones, and those told something new."""
        begins = self.must_begin(observations)
        if not isinstance(self.agent.candidates, InstructedCandidates):
            return begins
        return begins | [old != new for old, new in zip(self.texts, texts, strict=True)]

    def begin(self, rows: NDArray[np.int64], observations: NDArray[Any]) -> None:
        """Start new episodes and forget what was said and decided in them."""
        if not len(rows):
            return
        agent, whole = self.agent, len(rows) == len(self.texts)
        first = observations if whole else observations[rows]
        context = agent.critic.read(torch.from_numpy(first).to(agent.device))
        if whole:
            self.observations, self.context = first, context
        else:
            self.observations[rows], self.context[rows] = first, context
        for row in rows:
            self.texts[row] = None
        self.fresh[rows] = self.acted[rows] = False

    def draw(
        self, rows: NDArray[np.int64], texts: Sequence[str], generator: np.random.Generator
    ) -> None:
        """Draw the candidates of some episodes, whose texts are among those of all [N]."""
        if not len(rows):
            return
        agent, whole = self.agent, len(rows) == len(self.texts)
        told = [texts[row] for row in rows]
        goals, log_weights = draw_candidates(
            agent.candidates, self.observations[rows], told, generator
        )
        tensor = torch.from_numpy(goals).to(agent.device)
        weights = torch.from_numpy(log_weights).to(agent.device)
        context = self.context if whole else self.context[rows]
        embedded = agent.critic.embed_goals(context, tensor)  # [rows, M, D]
        if whole:
            self.goals, self.log_weights, self.goal_embeddings = goals, weights, embedded
        else:
            self.goals[rows], self.log_weights[rows] = goals, weights
            self.goal_embeddings[rows] = embedded

    def recall(self, observations: Tensor) -> None:
        """Take up what is seen [N, ...] after the last actions, where there were any."""
        if self.taken is not None and self.acted.any():
            actions, acted = torch.from_numpy(self.taken), torch.from_numpy(self.acted)
            device, critic = self.agent.device, self.agent.critic
            self.context = critic.recall(
                self.context, observations, actions.to(device), acted.to(device)
            )

    def compute_fit(self, rows: NDArray[np.int64], texts: Tensor) -> Tensor:
        """Return h [n, M] of the candidates of some episodes, given their texts [n, J, D]."""
        agent, whole = self.agent, len(rows) == len(self.goals)  # without an index, no copy
        if agent.shares_goals:
            embedded = self.goal_embeddings if whole else self.goal_embeddings[rows]
        else:
            goals = torch.from_numpy(self.goals[rows]).to(agent.device)
            observations = torch.from_numpy(self.observations[rows]).to(agent.device)
            embedded = agent.language.embed_goals(observations, goals)
        return agent.language_weight * agent.language.score(embedded, texts.unsqueeze(1)).squeeze(
            -1
        )

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Go on with some of the episodes only."""
        self.texts = [self.texts[n] for n in rows]
        self.fresh, self.observations = self.fresh[rows], self.observations[rows]
        self.acted, self.taken = self.acted[rows], None if self.taken is None else self.taken[rows]
        self.goals = self.goals[rows]
        names = ["context", "log_weights", "goal_embeddings", "text_embeddings", "fit"]
        for name in names if self.memory is None else [*names, "memory"]:
            setattr(self, name, getattr(self, name)[rows])

    def listen(self, texts: list[str]) -> None:
        """Take up instructions; one that has changed gets its fit, and its memory is cleared."""
        rows = [n for n, (old, new) in enumerate(zip(self.texts, texts, strict=True)) if old != new]
        if not rows:
            return
        agent = self.agent
        embedded = agent.embed_texts([texts[n] for n in rows])  # [rows, J, D]
        fit = self.compute_fit(np.array(rows), embedded)  # [rows, M]
        if len(rows) == len(texts):
            self.text_embeddings, self.fit, self.memory = embedded, fit, None
        else:
            self.text_embeddings[rows], self.fit[rows] = embedded, fit
            if self.memory is not None:
                self.memory[rows] = UNDECIDED
        self.texts = list(texts)
