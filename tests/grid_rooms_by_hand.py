"""A room of a grid world made by hand, and environments that begin in it."""

import numpy as np
import pytest

import langrl
from langrl.envs.grid.env import GridGoToEnv, GridGoToVectorEnv
from langrl.envs.grid.grammar import COLOURS, EMPTY, TYPES, WALL
from langrl.envs.grid.rooms import FORWARD, GRID_WORLDS, RIGHT, read_observation

EAST, SOUTH, WEST, NORTH = range(4)
LETTERS = {"D": "door", "K": "key", "B": "ball", "X": "box"}


def room_of(image):
    """A room from cells of two characters: ``##``, ``..``, or a colour and a kind, as in ``rK``.

    Colours are r(ed), g(reen), b(lue), p(urple) and y(ellow).
    """
    cells = [line.split() for line in image.strip().splitlines()]
    room = np.zeros((len(cells), len(cells[0]), 2), np.uint8)
    for (row, column), _ in np.ndenumerate(room[..., 0]):
        colour, letter = cells[row][column]
        if letter in LETTERS:
            number = next(COLOURS[name] for name in COLOURS if name[0] == colour)
            room[row, column] = TYPES[LETTERS[letter]], number
        else:
            room[row, column] = (WALL, COLOURS["grey"]) if letter == "#" else (EMPTY, 0)
    return room


ROOM = room_of(
    """
    ## ## ## ## ## ## ## ##
    ## .. .. .. .. .. rB ##
    ## .. .. .. .. .. .. ##
    ## .. .. .. .. .. .. ##
    ## rK .. .. .. .. .. ##
    ## .. .. .. .. .. .. ##
    ## bB .. .. .. .. gX ##
    ## ## ## ## ## ## ## ##
    """
)


START = (1, 1, EAST)
TO_THE_KEY = (RIGHT, FORWARD, FORWARD)
NICHE = room_of(
    """
    ## ## ## ## ## ## ## ##
    ## .. rB ## ## ## ## ##
    ## ## ## ## ## ## ## ##
    ## ## ## ## ## ## ## ##
    ## ## ## ## ## ## ## ##
    ## ## ## ## ## ## ## ##
    ## ## ## ## ## ## ## ##
    ## ## ## ## ## ## ## ##
    """
)


def begin(text, pose=START, room=ROOM, seed=0, **settings):
    """A single environment with everything chosen, and its first info."""
    env = GridGoToEnv(**settings)
    _, info = env.reset(seed=seed, options={"room": room, "pose": pose, "instruction": text})
    return env, info


def begin_many(count, text, pose=START, room=ROOM, seed=0, **settings):
    envs = GridGoToVectorEnv(count, **settings)
    _, infos = envs.reset(seed=seed, options={"room": room, "pose": pose, "instruction": text})
    return envs, infos


def pose_in(env_or_observation):
    return tuple(read_observation(env_or_observation[None])[1][0].tolist())


def objects_of(rooms):
    return rooms[..., 0] >= TYPES["door"]


def every_id(test):
    return pytest.mark.parametrize("name", langrl.GRID_IDS)(test)


def every_world(test):
    return pytest.mark.parametrize("world", GRID_WORLDS)(test)


def room_of_objects(image, objects):
    """A room from rows of characters: ``#`` is wall, letters are ``objects``, dots are empty."""
    rows = image.split()
    room = np.zeros((len(rows), len(rows[0]), 2), np.uint8)
    room[..., 0] = EMPTY
    for (r, c), _ in np.ndenumerate(room[..., 0]):
        if rows[r][c] == "#":
            room[r, c] = WALL, COLOURS["grey"]
        elif rows[r][c] != ".":
            colour, name = objects[rows[r][c]].split()
            room[r, c] = TYPES[name], COLOURS[colour]
    return room


def random_room(generator, objects=None, size=8, walls=0):
    """A walled room with objects of random kinds at random inner cells."""
    count = int(generator.integers(2, 9)) if objects is None else objects
    room = np.zeros((size, size, 2), np.uint8)
    room[..., 0] = WALL
    room[1:-1, 1:-1, 0] = EMPTY
    cells = generator.permutation((size - 2) ** 2)[: count + walls]
    for i, (r, c) in enumerate(zip(*np.divmod(cells, size - 2), strict=True)):
        kind = (generator.integers(4, 8), generator.integers(6)) if i < count else (WALL, 5)
        room[r + 1, c + 1] = kind
    return room


LETTERED_ROOM = room_of_objects(
    """
    #########
    #.R.K...#
    #.B.....#
    #.S.T.C.#
    #.......#
    #...A..D#
    #########
    """,
    {
        "R": "red ball", "B": "blue box", "S": "blue ball", "K": "red key", "T": "grey key",
        "A": "green ball", "C": "purple box", "D": "yellow door",
    },
)  # fmt: skip
