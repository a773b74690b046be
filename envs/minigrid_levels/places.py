"""Places that a mission names relative to where the agent starts: "on your left".

As in BabyAI, they are in the room where the agent starts, and of an object that lies ahead and to
the left both are true.

Axes: ``N`` episodes, ``H`` rows, ``W`` columns.
"""

import re

import numpy as np
from numpy.typing import NDArray

from langrl.envs.grid.grammar import WALL, beside
from langrl.envs.grid.rooms import AHEAD, DOOR, connected, read_observation
from langrl.envs.grid.words import Templates
from langrl.envs.minigrid_levels.reading import as_rooms
from langrl.protocols import Mask

PLACES: dict[str, Templates] = {
    "left": {"seen": ["on your left"], "held_out": ["to your left", "on the left of you"]},
    "right": {"seen": ["on your right"], "held_out": ["to your right", "on the right of you"]},
    "front": {"seen": ["in front of you"], "held_out": ["ahead of you", "before your eyes"]},
    "behind": {"seen": ["behind you"], "held_out": ["at your back", "in your back"]},
}
"""How to say where, by BabyAI's name of the place."""
_TOWARDS = {"front": 0, "right": 1, "behind": 2, "left": 3}  # turns to the right
_PATTERNS = {
    place: re.compile(
        "|".join(rf"\b{text}\b".replace(" ", r"\s+") for each in said.values() for text in each),
        re.IGNORECASE,
    )
    for place, said in PLACES.items()
}


def split_place(text: str) -> tuple[str, str | None]:
    """Return a text without the place that it names, and the place; None if it names not one."""
    found = {place: pattern for place, pattern in _PATTERNS.items() if pattern.search(text)}
    if len(found) != 1:
        return text, None
    ((place, pattern),) = found.items()
    return pattern.sub("", text), place


def cells_of_places(starts: NDArray[np.uint8]) -> Mask:
    """Return which cells are in each place [N, places, H, W], seen from starts [N, H, W, 3]."""
    plain = as_rooms(starts)
    _, poses = read_observation(plain)
    here = np.zeros(plain.shape[:3], bool)
    here[np.arange(len(poses)), poses[:, 0], poses[:, 1]] = True
    inside = connected(~np.isin(plain[..., 0], (WALL, DOOR)), here)
    inside |= beside(inside)
    cells = np.moveaxis(np.indices(starts.shape[1:3]), 0, -1)  # [H, W, 2]
    offset = cells - poses[:, None, None, :2]  # [N, H, W, 2]
    towards = AHEAD[(poses[:, 2, None] + [_TOWARDS[place] for place in PLACES]) % 4]
    found: Mask = np.einsum("nhwc,npc->nphw", offset, towards) > 0
    return found & inside[:, None]


def cells_in(place: str, start: NDArray[np.uint8]) -> Mask:
    """Return which cells [H, W] are in a place, seen from the start [H, W, 3] of an episode."""
    found: Mask = cells_of_places(start[None])[0, list(PLACES).index(place)]
    return found
