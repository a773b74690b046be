"""What histories contain: linear probes on exploration trajectories of grid worlds, by offset.

From the features of a state t, a linear map predicts what the agent faces and where it is, in the
states from K steps before to K steps after t, and what the room contains, whether in view or not.
Probes are scored in rooms that neither they nor the model were trained in.

The true direction, ``compass``, is in the view. Other directions and positions are relative to the
start of the exploration, so a history has to add up the way from there.

Axes: ``E`` explorations, ``L`` states of an exploration, ``T`` states of all explorations, ``n``
states that are probed, ``F`` features, ``V`` cells along a side of a view, ``G`` = 18 kinds, of
type and colour.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from langrl.data.grid.exploration import GridExplorations
from langrl.envs.grid.grammar import COLOURS, EMPTY, TYPES, WALL
from langrl.envs.grid.rooms import AHEAD
from langrl.envs.grid.views import UNSEEN
from langrl.errors import DomainError
from langrl.evaluation.probes import RidgeProbe, Split, accuracy, explained, majority, one_hot
from langrl.evaluation.statistics import roc_auc
from langrl.models.cpc import CPC

Integers = NDArray[np.int64]
Row = dict[str, Any]
THINGS = (TYPES["key"], TYPES["ball"], TYPES["box"])
KINDS = len(THINGS) * len(COLOURS)  # G
FACED = np.array([EMPTY, WALL, *sorted(TYPES.values())])  # what an agent can face
_STATES = 5  # numbers that the state of a cell can have: a shut door, the agent's direction + 1
_FEWEST = 50  # states that a probe of one kind is fitted on
_EXPLORATIONS_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class ExplorationStates:
    """States with ``reach`` steps before and after them in their exploration, and their variables.

    Args:
        explorations: one for each room.
        view: cells along a side of a view.
        length: states of an exploration that are used, L, at most.
        reach: the furthest offset, K.

    Raises:
        DomainError: if no exploration is long enough.
    """

    explorations: GridExplorations
    view: int
    length: int
    reach: int

    @cached_property
    def grid(self) -> tuple[Integers, NDArray[np.bool_]]:
        """Index of each exploration's states [E, L], and which of them exist."""
        first, last = self.explorations.first[:-1, None], self.explorations.first[1:, None]
        index = first + np.arange(self.length)
        return np.minimum(index, last - 1), index < last

    @cached_property
    def at(self) -> tuple[Integers, Integers]:
        """Exploration and time of the states that are probed, [n] each."""
        _, mask = self.grid
        wide = self.length - 2 * self.reach
        if wide < 1 or not mask[:, 2 * self.reach :].any():
            raise DomainError(
                f"none has {2 * self.reach + 1} states to look {self.reach} steps back and"
                " ahead; give longer explorations, or a shorter horizon"
            )
        exploration, time = np.nonzero(mask[:, 2 * self.reach :])
        return exploration, time + self.reach

    def index(self, offset: int = 0) -> Integers:
        """Return the numbers [n] of the probed states' neighbours, ``offset`` steps later."""
        exploration, time = self.at
        return self.explorations.first[exploration] + time + offset

    @cached_property
    def views(self) -> NDArray[np.uint8]:
        """What is seen in every state [T, V, V, 3]."""
        return self.explorations.views(self.view)

    @cached_property
    def turned(self) -> Integers:
        """Quarter turns clockwise since the start of the exploration [T]."""
        turns = self.explorations.segments.poses[:, 2]
        return (turns - turns[self._start]) % 4

    @cached_property
    def position(self) -> Integers:
        """Cells ahead of and to the right of the start of the exploration [T, 2]."""
        poses = self.explorations.segments.poses
        return from_pose(poses[self._start], poses[:, :2])

    @property
    def _start(self) -> Integers:
        return self.explorations.first[self.explorations.exploration]

    @cached_property
    def visible(self) -> NDArray[np.bool_]:
        """Which kinds are in view [T, G]."""
        return _kinds(self.views.reshape(len(self.views), -1, 3))

    @cached_property
    def seen(self) -> NDArray[np.bool_]:
        """Which kinds have been in view on the exploration so far [T, G]."""
        counts: Integers = np.cumsum(self.visible, 0)
        before = (counts - self.visible)[self._start]  # up to the start of the exploration
        return counts > before

    @cached_property
    def in_room(self) -> NDArray[np.bool_]:
        """Which kinds are in the room [T, G]."""
        rooms = self.explorations.segments.rooms
        return _kinds(rooms.reshape(len(rooms), -1, 2))[self.explorations.segments.room]

    def hidden(self, kind: int) -> tuple[NDArray[np.bool_], Integers]:
        """Return where an object is that was seen and is out of sight.

        Returns:
            Which probed states there is such an object in, the only one of its kind [n], and the
            cells that it is ahead of and to the right of the agent [n, 2].
        """
        rooms, at = self.explorations.segments.rooms, self.index()
        cells = kind_of(rooms) == kind  # [R, H, W]
        only = cells.sum((1, 2)) == 1
        where = np.stack(np.divmod(cells.reshape(len(cells), -1).argmax(1), cells.shape[2]), 1)
        room, poses = self.explorations.segments.room[at], self.explorations.segments.poses[at]
        out_of_sight = only[room] & self.seen[at, kind] & ~self.visible[at, kind]
        return out_of_sight, from_pose(poses, where[room])


def from_pose(poses: Integers, cells: Integers) -> Integers:
    """Return how far cells [n, 2] are ahead of and to the right of poses [n, 3], int [n, 2]."""
    gap = cells - poses[:, :2]
    ahead, right = AHEAD[poses[:, 2]], AHEAD[(poses[:, 2] + 1) % 4]
    return np.stack([(gap * ahead).sum(1), (gap * right).sum(1)], 1)


def kind_of(cells: NDArray[np.uint8]) -> Integers:
    """Return the kind of object in cells [..., 2 or 3], 0 to G - 1, or -1 for none."""
    kind, colour = cells[..., 0].astype(np.int64), cells[..., 1].astype(np.int64)
    is_thing = np.isin(kind, THINGS)
    return np.where(is_thing, (kind - THINGS[0]) * len(COLOURS) + colour, -1)


def _kinds(cells: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which kinds are among cells [N, any, 2 or 3], bool [N, G]."""
    found = kind_of(cells)
    return np.stack([(found == kind).any(1) for kind in range(KINDS)], 1)


# -- features --------------------------------------------------------------------------------


def view_features(views: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return views [n, V, V, 3] as one-hot numbers, float [n, F]."""
    codes = ([UNSEEN, *FACED], list(COLOURS.values()), range(_STATES))
    flat = views.reshape(len(views), -1, 3)
    parts = [flat[..., n] == code for n, known in enumerate(codes) for code in known]
    return np.concatenate(parts, 1).astype(np.float32)


@torch.no_grad()
def model_features(model: CPC, states: ExplorationStates) -> dict[str, NDArray[np.float32]]:
    """Return the codes ``z`` and the contexts ``c`` of a model at the probed states [n, F]."""
    index, _ = states.grid
    device = next(model.parameters()).device
    found: dict[str, list[NDArray[np.float32]]] = {"z": [], "c": []}
    for start in range(0, len(index), _EXPLORATIONS_AT_ONCE):
        some = index[start : start + _EXPLORATIONS_AT_ONCE]
        z = model.encode(torch.from_numpy(states.views[some]).to(device))
        before = torch.from_numpy(states.explorations.actions_before[some]).to(device)
        c, _ = model.contexts(z, before if model.actions else None)
        found["z"].append(z.cpu().numpy())
        found["c"].append(c.cpu().numpy())
    return {name: np.concatenate(parts)[states.at] for name, parts in found.items()}


def features(
    model: CPC, untrained: CPC, states: ExplorationStates
) -> dict[str, NDArray[np.float32]]:
    """Return every set of features that is compared, [n, F] each."""
    trained, other = model_features(model, states), model_features(untrained, states)
    return {
        "context": trained["c"],
        "code": trained["z"],
        "untrained context": other["c"],
        "view": view_features(states.views[states.index()]),
    }


# -- measuring -------------------------------------------------------------------------------


def probe_explorations(
    model: CPC, untrained: CPC, fit: ExplorationStates, test: ExplorationStates
) -> list[Row]:
    """Fit probes on every set of features, and return a row for each variable and offset.

    Args:
        model: what is probed.
        untrained: a model of the same shape, for comparison.
        fit: states that probes are fitted in.
        test: states of other rooms that they are scored in.

    Returns:
        Rows of ``features``, ``variable``, ``offset`` (steps later), ``score``, ``measure``
        (accuracy, auc or r2), ``chance`` (what is scored without features) and ``states``, how
        many were scored.
    """
    known, asked = features(model, untrained, fit), features(model, untrained, test)
    groups = fit.at[0]
    rows = []
    for name in known:
        split = Split(known[name], groups, asked[name])
        found = _probe_all(RidgeProbe(split), fit, test)
        found += [*_probe_kinds_faced(split, fit, test), _probe_hidden(split, fit, test)]
        rows += [{"features": name} | row | {"states": len(test.at[0])} for row in found]
    return rows


def _row(variable: str, offset: int, score: float, measure: str, chance: float) -> Row:
    values = (variable, offset, score, measure, chance)
    return dict(zip(("variable", "offset", "score", "measure", "chance"), values, strict=True))


def _probe_all(probe: RidgeProbe, fit: ExplorationStates, test: ExplorationStates) -> list[Row]:
    """Return rows of the variables that every state has."""
    rows = []
    for offset in range(-fit.reach, fit.reach + 1):
        here, there = fit.index(offset), test.index(offset)
        for name, classes in (("faced", len(FACED)), ("turned", 4)):
            labels, truth = _labels(name, fit)[here], _labels(name, test)[there]
            score = accuracy(probe.predict(one_hot(labels, classes)), truth)
            rows.append(_row(name, offset, score, "accuracy", majority(labels, truth)))
        known, truth = fit.position[here], test.position[there]
        score = explained([probe.predict(known)], [truth], [known.mean(0)])
        rows.append(_row("position", offset, score, "r2", 0.0))
    here, there = fit.index(), test.index()
    labels, truth = (
        fit.explorations.segments.poses[here, 2],
        test.explorations.segments.poses[there, 2],
    )
    score = accuracy(probe.predict(one_hot(labels, 4)), truth)
    rows.append(_row("compass", 0, score, "accuracy", majority(labels, truth)))
    for name in ("seen", "in_room"):
        scores, matches = probe.predict(getattr(fit, name)[here]), getattr(test, name)[there]
        each = [roc_auc(scores[:, kind], matches[:, kind]) for kind in range(KINDS)]
        rows.append(_row(f"kinds_{name}", 0, float(np.nanmean(each)), "auc", 0.5))
    return rows


def _labels(name: str, states: ExplorationStates) -> Integers:
    if name == "turned":
        return states.turned
    return np.searchsorted(FACED, states.explorations.faced[:, 0])


def _probe_kinds_faced(split: Split, fit: ExplorationStates, test: ExplorationStates) -> list[Row]:
    """Return rows of which of the kinds is faced, in states in which one is."""
    rows = []
    for offset in range(-fit.reach, fit.reach + 1):
        labels = kind_of(fit.explorations.faced)[fit.index(offset)]
        truth = kind_of(test.explorations.faced)[test.index(offset)]
        known, asked = labels >= 0, truth >= 0
        if not _enough(split, known, asked):
            continue
        probe = RidgeProbe(Split(split.fit[known], split.groups[known], split.test[asked]))
        score = accuracy(probe.predict(one_hot(labels[known], KINDS)), truth[asked])
        chance = majority(labels[known], truth[asked])
        rows.append(_row("kind_faced", offset, score, "accuracy", chance))
    return rows


def _probe_hidden(split: Split, fit: ExplorationStates, test: ExplorationStates) -> Row:
    """Return the row of where objects out of sight are, a probe for each kind."""
    predictions, truths, means = [], [], []
    for kind in range(KINDS):
        (known, there), (asked, truth) = fit.hidden(kind), test.hidden(kind)
        if _enough(split, known, asked):
            probe = RidgeProbe(Split(split.fit[known], split.groups[known], split.test[asked]))
            predictions.append(probe.predict(there[known]))
            truths.append(truth[asked])
            means.append(there[known].mean(0))
    score = explained(predictions, truths, means) if predictions else float("nan")
    return _row("hidden_object", 0, score, "r2", 0.0)


def _enough(split: Split, known: NDArray[np.bool_], asked: NDArray[np.bool_]) -> bool:
    """Whether there are states enough to fit a probe, of several explorations, and one to score."""
    groups = len(np.unique(split.groups[known]))
    return bool(known.sum() >= _FEWEST and groups >= 2 and asked.any())
