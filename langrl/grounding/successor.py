"""Contrastive successor distances: how far a place is from a state, in nats of a critic.

``d(s -> w) = f(w, *, w) - f(s, *, w)``: how much less likely the place is from here than from
itself. With the exact log ratio it is a quasimetric: distances of short ways add up. The star is
the log mean exp over the actions compared; the best action says less of places that are near.

Axes: ``N`` states, ``A`` actions compared, ``W`` places, ``L`` places of each state, ``G`` numbers
in a goal, ``D`` embedding size.
Source: Myers et al. 2024, arXiv:2406.17098.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from langrl.errors import GroundingError, ShapeError
from langrl.functional.waypoints import successor_distance
from langrl.models.protocols import Critic, as_input, device_of, evaluation_mode
from langrl.protocols import Array, Integers

_SCORES_AT_ONCE = 1 << 22
_DESCRIBED = ("observation", "goal", "actions", "discrete")


@dataclass(frozen=True, eq=False)
class Places:
    """Where one can go, as critics see it.

    Args:
        embedded: of each critic, embeddings [..., W, D].
        own: of each member of each critic, f(w, *, w) [..., W].
    """

    embedded: list[Tensor]
    own: list[Tensor]

    def at(self, index: Tensor) -> "Places":
        """Return some of W places [N, L], or [L], by their numbers."""
        return Places([part[index] for part in self.embedded], [part[index] for part in self.own])

    def put(self, rows: Integers, places: "Places") -> None:
        """Replace some of N places by n others."""
        index = torch.from_numpy(rows)
        for mine, new in (
            *zip(self.embedded, places.embedded, strict=True),
            *zip(self.own, places.own, strict=True),
        ):
            mine[index.to(mine.device)] = new

    @classmethod
    def stack(cls, places: Sequence[Self]) -> Self:
        """Return single places side by side, as N of them."""
        embedded, own = (
            [torch.stack(parts) for parts in zip(*every, strict=True)]
            for every in ([each.embedded for each in places], [each.own for each in places])
        )
        return cls(embedded, own)


class SuccessorDistance:
    """Measures distances by one or several critics, of which the largest counts.

    A critic that is an ensemble itself (``member_scores``) counts as several.

    Args:
        critics: f(s, a, g), of one world.
        actions: compared in each state [A, ...]: all of them, or a fixed set.
        device: where the critics are; where the weights of the first are if not given.

    Raises:
        GroundingError: without a critic, or if critics are of different worlds.
    """

    def __init__(
        self, critics: Sequence[Critic], actions: Array, device: torch.device | str | None = None
    ) -> None:
        _check_worlds(critics)
        self.critics, self.actions = tuple(critics), actions
        self.device = device_of(critics[0]) if device is None else torch.device(device)
        for critic in critics:
            evaluation_mode(critic)

    @torch.no_grad()
    def embed(self, observations: Array) -> list[Tensor]:
        """Return the embeddings [N, A, D] of states [N, ...] with each action, of each critic."""
        count, embedded = len(observations), []
        compared = self.actions[None].repeat(count, 0)
        for critic in self.critics:
            states, actions = (as_input(x, critic, self.device) for x in (observations, compared))
            context = critic.initial_context(states)
            embedded.append(critic.embed_actions(context, states, actions))
        return embedded

    @torch.no_grad()
    def places(self, states: Array, goals: Array) -> Places:
        """Return places that are states [W, ...] in which goals [W, G] are achieved."""
        targets = self._embed_goals(states[:1], goals)
        own: list[Tensor] = []
        for number, embedded in enumerate(self.embed(states)):
            each = targets[number].unsqueeze(1)  # [W, 1, D]
            own += [x[:, 0] for x in map(over_actions, self._scores(number, embedded, each))]
        return Places(targets, own)

    @torch.no_grad()
    def goals(
        self, goals: Array, states: Array, embedded: Sequence[Tensor]
    ) -> tuple[Places, Tensor]:
        """Return places of goals [N, G] whose own states are not known, and distances [W, N].

        A goal is taken to be as likely from itself as from the state that leads to it most surely.

        Args:
            goals: to embed.
            states: known ones [W, ...], which distances are from.
            embedded: what ``embed`` gave for them.
        """
        targets = self._embed_goals(states[:1], goals)
        every = self._score(embedded, Places(targets, []))  # [W, N] of each member
        places = Places(targets, [part.amax(0) for part in every])
        return places, _farthest(places, every)

    @torch.no_grad()
    def measure(self, embedded: Sequence[Tensor], places: Places) -> Tensor:
        """Return distances [N, W] from what ``embed`` gave to places, of L for each row [N, L]."""
        return _farthest(places, self._score(embedded, places))

    def _score(self, embedded: Sequence[Tensor], places: Places) -> list[Tensor]:
        """Return f(s, *, w) [N, W] of each member."""
        count, actions = embedded[0].shape[:2]
        size = max(1, _SCORES_AT_ONCE // (actions * places.embedded[0].shape[-2]))
        chunks = []
        for start in range(0, count, size):
            rows = slice(start, start + size)
            chunks.append(list(self._chunk(embedded, places, rows)))
        return [torch.cat(parts) for parts in zip(*chunks, strict=True)]

    def _chunk(self, embedded: Sequence[Tensor], places: Places, rows: slice) -> Iterator[Tensor]:
        for number, part in enumerate(embedded):
            targets = places.embedded[number]
            targets = targets[rows] if targets.ndim == 3 else targets
            for scores in self._scores(number, part[rows], targets):
                yield over_actions(scores)  # [n, W]

    def _scores(self, number: int, embedded: Tensor, targets: Tensor) -> list[Tensor]:
        """Return f [..., A, W] of each member of a critic."""
        critic = self.critics[number]
        members = getattr(critic, "member_scores", None)
        if members is None:
            return [critic.score(embedded, targets)]
        scores: list[Tensor] = members(embedded, targets)
        return scores

    def _embed_goals(self, first: Array, goals: Array) -> list[Tensor]:
        embedded = []
        for critic in self.critics:
            states, targets = (as_input(x, critic, self.device) for x in (first, goals[None]))
            embedded.append(critic.embed_goals(critic.initial_context(states), targets)[0])
        return embedded


def _farthest(places: Places, scores: Sequence[Tensor]) -> Tensor:
    """Return the largest distance [N, W] by scores f(s, *, w) of each member."""
    rows = zip(places.own, scores, strict=True)
    return torch.stack([successor_distance(own, each) for own, each in rows]).amax(0)


def over_actions(scores: Tensor) -> Tensor:
    """Return the log mean exp over actions [N, W] of scores [N, A, W]."""
    return scores.logsumexp(1) - math.log(scores.shape[1])


def _check_worlds(critics: Sequence[Critic]) -> None:
    """Raise GroundingError unless there is a critic, and all take the same states and goals."""
    if not critics:
        raise GroundingError("distances need a critic; pass one or several of one world")
    first, *others = critics
    for number, other in enumerate(others, 1):
        for name in ("observation_axes", *_DESCRIBED):
            one, two = (_described(critic, name) for critic in (first, other))
            if one != two:
                raise GroundingError(
                    f"critic {number} is of another world than critic 0: {name} is {two} and not"
                    f" {one}; join critics that were trained in one environment"
                )


def _described(critic: Critic, name: str) -> object:
    if name == "observation_axes":
        return critic.observation_axes
    value = getattr(getattr(critic, "description", None), name, None)
    return getattr(value, "shape", value)  # the ranges differ with the data


def check_states(states: Array, goals: Array) -> None:
    """Raise ShapeError unless there are as many states [T, ...] as goals [T, G]."""
    if len(states) != len(goals) or not len(states):
        raise ShapeError(
            f"waypoints are drawn from states and the goals achieved in them, got {len(states)} and"
            f" {len(goals)}; give one goal for each state, and at least one"
        )
