"""Labels of what images of grid worlds show and what texts about them mean.

The grammar gives both exactly. A model that also predicts them learns from every image and text by
itself, not only from the few pairs of a batch that differ in one property.

Axes: ``R`` rooms, ``M`` images, ``P`` = ``len(SHOWN)``, ``K`` texts, ``S`` = ``len(SLOTS)``.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np

from langrl.envs.grid.grammar import ANYTHING, COLOURS, TYPES
from langrl.envs.phrasing import Meaning
from langrl.protocols import Integers

_THINGS: list[Meaning] = [
    ("thing", colour, name) for colour, name in product((None, *COLOURS), (None, *TYPES))
]

SHOWN: tuple[Meaning, ...] = (
    *_THINGS,
    *(("next_to", ANYTHING, thing) for thing in _THINGS),
    *(("nearest_wall", thing) for thing in _THINGS),
)
"""What may hold of the object that the agent faces: colour, type, neighbours, nearest wall."""

SLOTS: tuple[tuple[str | None, ...], ...] = (
    ("thing", "except", "both", "either", "next_to", "nearest_wall"),
    *((None, *COLOURS), (None, *TYPES)) * 2,
)
"""The values of a meaning's kind, and of the colour and type of its first and second thing."""
_UNLABELLED = -100  # what torch's cross entropy leaves out


def unlabelled() -> Integers:
    """Return the labels [S] of a text that is no meaning: no loss counts them."""
    return np.full(len(SLOTS), _UNLABELLED)


def meant_labels(meanings: Sequence[Meaning]) -> Integers:
    """Return the numbers in ``SLOTS`` of meanings [K, S]; raises ValueError for nested parts."""
    rows = []
    for meaning in meanings:
        parts = [meaning] if meaning[0] == "thing" else [*meaning[1:]]
        named = [value for part in [*parts, ANYTHING][:2] for value in part[1:]]
        values = zip(SLOTS, (meaning[0], *named), strict=True)
        rows.append([slot.index(value) for slot, value in values])
    return np.array(rows, np.int64).reshape(-1, len(SLOTS))
