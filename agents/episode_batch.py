"""What an agent keeps of its running episodes.

Axes: ``N`` episodes, ``M`` candidate goals, ``J`` alternatives of a text, ``D`` embedding size.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from langrl.agents.one_for_all import chosen, has_only, is_one_for_all, writable
from langrl.agents.waypoints import Composition, Lift
from langrl.checkpoint import digest
from langrl.grounding.candidates import (
    Candidates,
    InstructedCandidates,
    ListedCandidates,
    draw_candidates,
)
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
    shared: dict[str, Any] | None


def _digest(tensor: Tensor) -> str:
    """Return the digest of a tensor of any dtype."""
    return digest(tensor.cpu().reshape(-1).view(torch.uint8).numpy())


class _OfCandidates:
    """A tensor or array [N, M, ...]: too large to copy it whenever episodes are dropped.

    The rows that are left are copied when it is next read, if it ever is.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, batch: "EpisodeBatch", owner: type) -> Any:
        value, kept = batch.stored[self._name]
        if kept is not None:
            value = chosen(value, kept)
            batch.stored[self._name] = value, None
        return value

    def __set__(self, batch: "EpisodeBatch", value: Any) -> None:
        batch.stored[self._name] = value, None


class EpisodeBatch:
    """N running episodes: contexts, candidates, embeddings, texts, scores and commitments.

    Args:
        agent: whose episodes they are, and what scores their goals.
        observations: present ones [N, ...]; they fix N and the shape of an observation.
    """

    goals = _OfCandidates()
    log_weights = _OfCandidates()
    goal_embeddings = _OfCandidates()
    language_score = _OfCandidates()

    def __init__(self, agent: Scorer, observations: Array) -> None:
        self.agent = agent
        self.texts: list[str | None] = [None] * len(observations)
        self.fresh = np.ones(len(observations), bool)  # episodes that have not started
        self.acted = np.zeros(len(observations), bool)  # episodes in which an action was taken
        self.renewed = self.fresh.copy()  # episodes whose candidates or texts have just changed
        self.taken: Array | None = None  # the last action of each [N, ...]
        self.commitments: Tensor | None = None  # what the strategy remembers
        self.lifted: Tensor | None = None  # scores of candidates as waypoints [N, M]
        self.observations = observations  # the first of each episode
        self.context: Tensor  # what the critic remembers
        self.text_embeddings: Tensor
        self.stored: dict[str, tuple[Any, Rows | None]] = {}  # see ``_OfCandidates``
        self._drawn: str | None = None  # digest of the goals, if all were drawn at once
        self._has_shared = False  # whether other agents may have some of its tensors, too

    def embeddings_of(self, goals: Tensor, rows: slice = slice(None)) -> Tensor:
        """Return the embeddings [n, 1, D] of a candidate of each of some episodes [n]."""
        embeddings, kept = self.stored["goal_embeddings"]
        kept = np.arange(len(embeddings)) if kept is None else kept
        episodes = torch.from_numpy(kept[rows]).to(embeddings.device)
        found: Tensor = embeddings[episodes, goals]
        return found.unsqueeze(1)

    @property
    def is_committed(self) -> bool:
        """Whether every episode has a goal that its strategy has committed to."""
        return self.commitments is not None and bool((self.commitments != UNDECIDED).all())

    @property
    def committed_goals(self) -> Array:
        """The goals that episodes are committed to [N, G]; every episode must have one."""
        assert self.commitments is not None
        found: Array = self.goals[np.arange(len(self.texts)), self.commitments.cpu().numpy()]
        return found

    def renew_paths(self, waypoints: Composition, keeps_goals: bool) -> None:
        """Forget the paths of episodes with other candidates or texts than before.

        Args:
            waypoints: of the agent.
            keeps_goals: whether the strategy commits to goals; else the candidates' scores as
                places on the way are computed, by a ``Lift``.
        """
        if self.renewed.any():
            waypoints.reset(self.renewed)
        if keeps_goals:
            return
        assert isinstance(waypoints, Lift)
        rows = np.flatnonzero(self.renewed)
        if self.lifted is None or len(rows) == len(self.texts):
            self.lifted = waypoints.lift(self.language_score + self.log_weights)
        elif len(rows):
            scores = self.language_score[rows] + self.log_weights[rows]
            self.lifted[rows] = waypoints.lift(scores)

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
        agent, first = self.agent, self.observations[rows]
        context = self.context if len(rows) == len(self.texts) else self.context[rows]
        shares = self._shares(rows)

        def draw() -> tuple[Array, Tensor, str, dict[str, Any]]:
            # A class made from it may draw others.
            listed = type(agent.candidates) is ListedCandidates
            some = slice(1 if listed else None)
            goals, log_weights = draw_candidates(
                agent.candidates, first[some], texts[some], generator
            )
            if len(goals) < len(rows):  # not copied for each episode
                goals = np.broadcast_to(goals, (len(rows), *goals.shape[1:]))
                log_weights = np.tile(log_weights, (len(rows), 1))
            weights = torch.from_numpy(log_weights).to(agent.device)
            drawn = digest(goals) if shares else ""
            return goals, weights, drawn, dict(generator.bit_generator.state)

        def embed() -> Tensor:
            alike = is_one_for_all(goals) and bool((context == context[:1]).all())
            some = slice(1 if alike else None)  # the same goals in the same world: only once
            tensor = as_input(writable(goals[some]), agent.critic, agent.device)
            embedded = agent.critic.embed_goals(context[some], tensor)
            return embedded.expand(len(rows), -1, -1)  # [rows, M, D]

        key: tuple[Any, ...] | None = None
        if shares:
            key = digest(first), first.shape, tuple(texts), str(generator.bit_generator.state)
        goals, weights, self._drawn, after = self._once("candidates", agent.candidates, key, draw)
        generator.bit_generator.state = after  # as if they had been drawn here
        if shares:
            key = self._drawn, goals.shape, _digest(context)
        embedded = self._once("embeddings", agent.critic, key, embed)
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
        self.renewed = np.array(
            [old != text for old, text in zip(self.texts, texts, strict=True)], bool
        )
        rows = np.flatnonzero(self.renewed)
        if not len(rows):
            return
        agent = self.agent

        def compute() -> tuple[Tensor, Tensor]:
            embedded = agent.embed_texts([texts[int(n)] for n in rows])  # [rows, J, D]
            embedded = embedded.to(agent.device)
            return embedded, self.compute_language_score(rows, embedded)  # [rows, M]

        key: tuple[Any, ...] | None = None
        if self._drawn and self._shares(rows):
            shape = self.goals.shape
            key = self._drawn, shape, digest(self.observations), agent.language_weight, tuple(texts)
        embedded, scores = self._once("scores", agent.language, key, compute)
        self._put(rows, text_embeddings=embedded, language_score=scores)
        if len(rows) == len(texts):
            self.commitments = None
        elif self.commitments is not None:
            self.commitments[rows] = UNDECIDED
        self.texts = list(texts)

    def reweigh(self, rows: Rows, log_weights: Tensor) -> None:
        """Give the candidates of some episodes other weights, and clear the commitments there.

        Args:
            rows: the episodes [n].
            log_weights: of their candidates [n, M]; -inf rules one out. An episode in which that
                would rule out all keeps its weights.
        """
        some = (log_weights > -torch.inf).any(1)
        changed = rows[some.cpu().numpy()]
        if not len(changed):
            return
        weights = self.log_weights.clone()  # other agents may have these, too
        weights[changed] = log_weights[some].to(weights)
        self.log_weights, self.lifted = weights, None
        if self.commitments is not None:
            self.commitments = self.commitments.clone()
            self.commitments[changed] = UNDECIDED

    def compute_language_score(self, rows: Rows, texts: Tensor) -> Tensor:
        """Return h [n, M] of some episodes' candidates and texts [n, J, D], times its weight."""
        agent = self.agent
        everyone = len(rows) == len(self.texts)
        if agent.shares_goals:
            embedded = self.goal_embeddings if everyone else chosen(self.goal_embeddings, rows)
            embedded = embedded[:1] if is_one_for_all(embedded) else embedded
        else:
            language, goals = agent.language, chosen(self.goals, rows)
            alike = getattr(language, "sees_goals_alone", False) and is_one_for_all(goals)
            some = slice(1 if alike else None)
            shown = as_input(writable(goals[some]), language, agent.device)
            observations = as_input(self.observations[rows][some], language, agent.device)
            embedded = language.embed_goals(observations, shown)
        texts = texts.unsqueeze(1).to(embedded.device)
        scores = agent.language.score(embedded, texts).squeeze(-1)
        return agent.language_weight * scores.to(agent.device)

    def keep(self, rows: Rows) -> None:
        """Go on with some of the episodes, and drop the others."""
        self.texts = [self.texts[n] for n in rows]
        self._drawn = None  # it was of all
        for name, (value, kept) in self.stored.items():
            self.stored[name] = value, rows if kept is None else kept[rows]
        names = ["fresh", "acted", "renewed", "observations", "context", "text_embeddings"]
        names += [
            name for name in ("taken", "commitments", "lifted") if getattr(self, name) is not None
        ]
        for name in names:
            setattr(self, name, getattr(self, name)[rows])

    def _shares(self, rows: Rows) -> bool:
        """Whether what is computed for some rows is for other agents, too: for all rows."""
        return self.agent.shared is not None and len(rows) == len(self.texts)

    def _once(
        self, name: str, part: object, key: tuple[Any, ...] | None, make: Callable[[], Any]
    ) -> Any:
        """Return what ``make`` returns, or what it returned to an agent with the same part and key.

        Only the newest is kept: agents that share meet the same tasks one after another.
        """
        if key is None:
            return make()
        shared = self.agent.shared
        assert shared is not None
        self._has_shared = True
        found = shared.get(name)
        if found is None or found[0] is not part or found[1] != key:
            found = shared[name] = (part, key, make())
        return found[2]

    def _put(self, rows: Rows, **values: Any) -> None:
        """Set rows of arrays and tensors by name; all rows at once may change the shape."""
        for name, value in values.items():
            if len(rows) == len(self.texts):
                setattr(self, name, value)
                continue
            mine = getattr(self, name)
            if name in self.stored and is_one_for_all(mine):
                if has_only(value, mine[:1]):
                    continue
                setattr(self, name, mine[np.arange(len(mine))])
            elif self._has_shared:  # not in place: other agents have it, too
                setattr(self, name, mine[np.arange(len(mine))])
            getattr(self, name)[rows] = value
