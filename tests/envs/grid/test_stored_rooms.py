"""Rooms of a seed stay the same from version to version: stored runs resume on them."""

import zlib

import numpy as np
import pytest

from langrl.envs.draws import keys_of
from langrl.envs.grid.rooms import GRID_WORLDS, draw_keyed_rooms, draw_rooms

SUMS = {  # of 50 rooms of a generator, and of keys
    "goto": (3754203276, 1015909587),
    "crowded": (452095888, 241762405),
    "rooms": (4265550089, 3399563539),
    "relations": (552804569, 884861112),
    "nine_rooms": (2039995214, 2286298728),
}


@pytest.mark.parametrize("world", GRID_WORLDS)
def test_rooms_are_those_of_earlier_versions(world):
    drawn = draw_rooms(GRID_WORLDS[world], 50, np.random.default_rng(0))
    keyed = draw_keyed_rooms(GRID_WORLDS[world], keys_of(0, np.arange(50)))
    assert tuple(zlib.crc32(rooms.tobytes()) for rooms in (drawn, keyed)) == SUMS[world]
