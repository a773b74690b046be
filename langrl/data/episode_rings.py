"""Which states of which episodes lie in which slots of rings, one ring per environment.

A row's states are numbered from 0 for ever: state k lies in slot k % C, until state k + C takes it.
Whatever is noted of states thus stays true as slots are written again.

Axes: ``N`` rows, ``C`` slots of a row, ``E`` episodes of a row that are told apart, ``R`` some
rows, ``B`` states that are drawn.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from langrl.errors import CheckpointError
from langrl.protocols import Integers, Mask

Allocate = Callable[[str, tuple[int, ...], torch.dtype], Tensor]  # name, shape, dtype; zeros
_GOES_ON = torch.iinfo(torch.int64).max  # the last state of an open episode
_COUNTERS = ("states", "episodes", "made", "dropped")


class States(NamedTuple):
    """States by row and number, each int64 [...]."""

    row: Tensor
    number: Tensor

    def after(self, steps: int) -> "States":
        """Return the states so many steps later."""
        return States(self.row, self.number + steps)


class Episodes(NamedTuple):
    """The episodes of states, each [...]."""

    name: Tensor  # int64, another one for every episode of all rows
    first: Tensor  # int64, the number of the first state that is left
    last: Tensor  # int64, that of the last state, or the newest if it goes on
    terminated: Tensor  # bool; False where a time limit ended it, or nothing has yet


class EpisodeRings:
    """Episodes in rings of states, and their transitions, which are drawn evenly.

    A transition is a state in which an action was taken; its successor is the next state of the
    row, in the same episode. Rows that are written are in ascending order, none twice.

    Args:
        rows: number N of rings.
        slots: states C that each holds, 2 or more.
        allocate: makes the tables, all on one device.
        episodes: number E of each row; by default as many as C slots can hold, of two or more
            states each, but for the oldest, of which one may be left, and the newest.
    """

    def __init__(
        self, rows: int, slots: int, allocate: Allocate, episodes: int | None = None
    ) -> None:
        self.rows, self.slots = rows, slots
        count = slots // 2 + 2 if episodes is None else episodes
        self._tables = {
            "episode": allocate("episode", (rows, slots), torch.int64),  # of each state
            "transition": allocate("transition", (rows, slots), torch.int64),  # its state
            "first": allocate("first", (rows, count), torch.int64),  # of each episode: a state
            "last": allocate("last", (rows, count), torch.int64),
            "terminated": allocate("terminated", (rows, count), torch.bool),
        }
        self._device = self._tables["last"].device
        # Counted since ever [N]. Transitions are numbered too: those from dropped to made are left.
        self._counters = {name: np.zeros(rows, np.int64) for name in _COUNTERS}
        self.open: Mask = np.zeros(rows, bool)
        self._copies: dict[str, Tensor] | None = None

    def __len__(self) -> int:
        """Return how many transitions there are."""
        return int((self._counters["made"] - self._counters["dropped"]).sum())

    @property
    def used(self) -> int:
        """How many slots have been written, in the row with the most."""
        return min(int(self._counters["states"].max()), self.slots)

    def begin(self, rows: Integers) -> Tensor:
        """Begin an episode in rows [R] and return the slots of its first states.

        Slots are int64 [R] and numbered over all rows. Episodes that are open there are cut off.
        """
        self.end(rows[self.open[rows]])
        counters = self._counters
        number = counters["episodes"][rows]
        self._note("first", rows, number, counters["states"][rows])
        self._note("last", rows, number, np.full(len(rows), _GOES_ON))
        self._note("terminated", rows, number, np.zeros(len(rows), bool))
        counters["episodes"][rows] += 1
        self.open[rows] = True
        return self.append(rows)

    def act(self, rows: Integers) -> Tensor:
        """Note that the newest states of rows [R] are acted in, and return their slots [R].

        The successors are to be appended next.
        """
        counters = self._counters
        newest = counters["states"][rows] - 1
        self._note("transition", rows, counters["made"][rows], newest)
        counters["made"][rows] += 1
        return self._place("episode", rows, newest)

    def append(self, rows: Integers) -> Tensor:
        """Add a state to the open episodes of rows [R] and return the slots [R].

        Where a ring is full, the oldest state is forgotten.
        """
        counters = self._counters
        number = counters["states"][rows]
        full = rows[number >= self.slots]
        if full.size:
            dropped = counters["dropped"][full]
            oldest = self._read("transition", self._place("transition", full, dropped))
            lost = oldest.cpu().numpy() == counters["states"][full] - self.slots
            counters["dropped"][full] += lost & (dropped < counters["made"][full])
        self._note("episode", rows, number, counters["episodes"][rows] - 1)
        counters["states"][rows] += 1
        self._copies = None
        return self._place("episode", rows, number)

    def end(self, rows: Integers, terminated: Mask | None = None) -> None:
        """End the open episodes of rows [R] at their newest states.

        Args:
            rows: where.
            terminated: bool [R]; False, the default, where they were cut off.
        """
        number = self._counters["episodes"][rows] - 1
        self._note("last", rows, number, self._counters["states"][rows] - 1)
        if terminated is not None:
            self._note("terminated", rows, number, terminated)
        self.open[rows] = False

    def fill(self, last: Mask, terminated: Mask) -> None:
        """Take all slots of a single row for recorded states, and close its episodes.

        Args:
            last: bool [C], which states are the last ones of episodes; the final one is.
            terminated: bool [C], which of them ended the world's task.
        """
        assert self.rows == 1
        assert last[-1]
        ends = np.flatnonzero(last)
        begins = np.concatenate([[0], ends[:-1] + 1])
        transitions = np.flatnonzero(~last)
        columns = {
            "episode": np.cumsum(last) - last,
            "transition": transitions,
            "first": begins,
            "last": ends,
            "terminated": terminated[ends],
        }
        for name, values in columns.items():
            self._tables[name][0, : len(values)] = torch.from_numpy(values).to(self._device)
        counts = (self.slots, len(ends), len(transitions), 0)
        for name, count in zip(_COUNTERS, counts, strict=True):
            self._counters[name][:] = count
        self._copies = None

    def draw(self, size: int, generator: Generator, *, spread: bool = False) -> States:
        """Draw transitions [B], each equally likely.

        Args:
            size: how many, B.
            generator: source of randomness, on any device.
            spread: draw one from each of B equal parts of all transitions, so that few are of one
                episode.
        """
        total, copies, device = len(self), self._on_device(), generator.device
        if spread:
            share = torch.rand(size, generator=generator, device=device, dtype=torch.float64)
            part = torch.arange(size, device=device) + share
            pick = (part * (total / size)).long().clamp_(max=total - 1)
        else:
            pick = torch.randint(total, (size,), generator=generator, device=device)
        pick = pick.to(self._device)
        row = torch.searchsorted(copies["until"], pick, right=True)
        number = pick - copies["offset"][row]
        return States(row, self._read("transition", self._slot("transition", row, number)))

    def draw_groups(self, count: int, size: int, generator: Generator, within: int = 0) -> States:
        """Draw groups of transitions of one episode each, one group after another [E * n].

        An episode is as likely as it has transitions, and within it all are equally likely.

        Args:
            count: how many groups, E; few are of one episode.
            size: transitions of each, n; where there are fewer, some are drawn twice.
            generator: source of randomness, on any device.
            within: how many steps from one of a group the others are, at most; 0: anywhere in its
                episode.
        """
        one = self.draw(count, generator, spread=True)
        found = self.episodes(one)
        first, end = found.first, found.last  # of transitions: there is none in the last state
        if within:
            first = torch.maximum(first, one.number - within)
            end = torch.minimum(end, one.number + within + 1)
        device = generator.device
        share = torch.rand((count, size), generator=generator, device=device, dtype=torch.float64)
        room = (end - first).unsqueeze(1)  # [E, 1]
        chosen = first.unsqueeze(1) + (share.to(self._device) * room).long().minimum(room - 1)
        return States(one.row.unsqueeze(1).expand_as(chosen).flatten(), chosen.flatten())

    def newest(self, row: int, count: int) -> States:
        """Return the newest states of a row in the order of time, as many as there are [count]."""
        until = int(self._counters["states"][row])
        first = max(until - min(count, self.slots), 0)
        number = torch.arange(first, until, device=self._device)
        return States(torch.full_like(number, row), number)

    def episodes(self, states: States) -> Episodes:
        """Return the episodes that states [...] are of."""
        row, newest = states.row, self._on_device()["states"][states.row] - 1
        number = self._read("episode", self.slots_of(states))
        place = self._slot("last", row, number)
        # What an open episode has so far; and of an old one, what has not been overwritten.
        last = torch.minimum(self._read("last", place), newest)
        first = torch.maximum(self._read("first", place), newest + 1 - self.slots)
        return Episodes(number * self.rows + row, first, last, self._read("terminated", place))

    def slots_of(self, states: States) -> Tensor:
        """Return the slots of states, int64 [...], numbered over all rows."""
        return self._slot("episode", states.row, states.number)

    def state(self) -> dict[str, Tensor]:
        """Return what is in use, as tensors by name; they are views and change with the rings."""
        used = dict.fromkeys(("episode", "transition"), self.used)
        episodes = int(self._counters["episodes"].max())
        kept = {name: table[:, : used.get(name, episodes)] for name, table in self._tables.items()}
        counters = {name: torch.from_numpy(count) for name, count in self._counters.items()}
        sizes = torch.tensor([self.rows, self.slots])
        return kept | counters | {"open": torch.from_numpy(self.open), "sizes": sizes}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what ``state()`` returned, in rings of the same sizes.

        Raises:
            CheckpointError: if the number of rows or slots is another one.
        """
        stored = state["sizes"].tolist()
        if stored != [self.rows, self.slots]:
            raise CheckpointError(
                f"the replay is of {stored[0]} environments with {stored[1]} states each, not of"
                f" {self.rows} with {self.slots}; keep collect.envs and replay.capacity"
            )
        for name in _COUNTERS:
            self._counters[name][:] = state[name].cpu().numpy()
        self.open[:] = state["open"].cpu().numpy()
        for name, table in self._tables.items():
            table[:, : state[name].shape[1]] = state[name].to(self._device)
        self._copies = None

    def _on_device(self) -> dict[str, Tensor]:
        """Return the counters that drawing needs, where the tables are."""
        if self._copies is None:
            counters = self._counters
            until = np.cumsum(counters["made"] - counters["dropped"])
            wanted = {
                "states": counters["states"],
                "until": until,  # transitions in this row and those before it
                "offset": until - counters["made"],
            }
            self._copies = {
                name: torch.tensor(values, device=self._device) for name, values in wanted.items()
            }
        return self._copies

    def _slot(self, table: str, row: Tensor, number: Tensor) -> Tensor:
        size = self._tables[table].shape[1]
        return row * size + number % size

    def _place(self, table: str, rows: Integers, number: Integers) -> Tensor:
        size = self._tables[table].shape[1]
        return torch.from_numpy(rows * size + number % size).to(self._device)

    def _read(self, table: str, place: Tensor) -> Tensor:
        return self._tables[table].view(-1)[place]

    def _note(self, table: str, rows: Integers, number: Integers, values: Integers | Mask) -> None:
        place = self._place(table, rows, number)
        self._tables[table].view(-1)[place] = torch.from_numpy(values).to(self._device)
