"""Images with texts: of poses in grid worlds with an exact mask, or from a folder.

Axes: ``R`` rooms, ``M`` images of ``H`` x ``W`` cells, ``K`` texts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.data.images.labels import SHOWN, meant_labels, unlabelled
from langrl.data.word_sets import Denotation, denoted_objects
from langrl.envs.grid.grammar import LEVELS, denoted
from langrl.envs.grid.meanings import check_drawn, draw_meanings
from langrl.envs.grid.rendering import render_rooms
from langrl.envs.grid.rooms import Rooms, RoomSpec, ahead, draw_rooms, facing, is_free, is_object
from langrl.envs.phrasing import Meaning
from langrl.protocols import Integers, Mask

Write = Callable[[Meaning, Generator], str]
Compose = Callable[[NDArray[np.uint8], Integers, Generator], tuple[str, Denotation] | None]


@dataclass(frozen=True, eq=False)
class ImageTexts:
    """Images, texts, and which image satisfies which text.

    Args:
        images: uint8 [M, height, width, 3].
        texts: K texts.
        positives: bool [K, M].
        shown: what each image shows, bool [M, P], if requested; see ``labels``.
        meant: what each text means, int64 [K, S], if requested.
    """

    images: NDArray[np.uint8]
    texts: list[str]
    positives: Mask
    shown: Mask | None = None
    meant: Integers | None = None


def draw_images(rooms: Rooms, count: int, generator: Generator) -> tuple[Integers, Integers]:
    """Draw poses in rooms [R, H, W, 2], about half of which face an object.

    The objects of a room are faced about equally often, however many ways there are.

    Returns:
        Which room, int64 [R * count], and the pose there, int64 [R * count, 3]; in every room the
        first half of them face objects.
    """
    free = is_free(rooms)
    objects = is_object(rooms)
    faces = facing(objects, free)
    half = count - count // 2
    number, poses = [], []
    for room in range(len(rooms)):
        facing_poses = np.argwhere(faces[room])
        row, column = ahead(facing_poses)
        ranked = _spread(row * rooms.shape[2] + column, generator)
        chosen = facing_poses[np.resize(ranked, half)]
        others = np.argwhere(free[room][:, :, None] & ~faces[room])
        rest = others[generator.integers(len(others), size=count - half)]
        poses.append(np.concatenate([chosen, rest]))
        number.append(np.full(count, room))
    return np.concatenate(number), np.concatenate(poses)


def _spread(cells: Integers, generator: Generator) -> Integers:
    """Return an order in which every cell comes once before any comes twice."""
    order = generator.permutation(len(cells))
    seen: dict[int, int] = {}
    turn = np.zeros(len(cells))
    for place, index in enumerate(order):
        seen[cells[index]] = turn[place] = seen.get(cells[index], 0) + 1
    return order[np.argsort(turn, kind="stable")]


def satisfies(meanings: Sequence[Meaning], rooms: Rooms, number: Integers, poses: Integers) -> Mask:
    """Return whether each image's agent faces an object that a meaning denotes there, bool [K, M].

    Images are of poses [M, 3], each in the room of its number [M] among ``rooms`` [R, H, W, 2].
    """
    row, column = ahead(poses)
    unique = {meaning: denoted(meaning, rooms)[number, row, column] for meaning in set(meanings)}
    return np.stack([unique[meaning] for meaning in meanings])


def world_batch(
    spec: RoomSpec,
    write: Write,
    generator: Generator,
    *,
    rooms: int,
    images: int,
    texts: int,
    levels: Sequence[str] = LEVELS,
    labels: bool = False,
    compose: Compose | None = None,
    composed: float = 0.0,
) -> ImageTexts:
    """Draw rooms, images of poses in them, and texts about what is faced there.

    Every text has a positive image; images that face nothing have no text.

    Args:
        spec: what rooms look like.
        write: puts a meaning into words.
        generator: the only source of randomness.
        rooms: how many.
        images: of each room.
        texts: of each room.
        levels: levels of meaning to draw from.
        labels: whether to add what the images show and the texts mean.
        compose: writes a text about an object (a cell) of a room without a meaning, and returns
            what it denotes; such texts have no labels.
        composed: share of texts that are written so.
    """
    drawn = draw_rooms(spec, rooms, generator)
    number, poses = draw_images(drawn, images, generator)
    row, column = ahead(poses)
    half = images - images // 2
    faced = np.add.outer(np.arange(rooms) * images, np.arange(texts) % half).ravel()
    each = drawn.repeat(texts, 0)
    cells = np.stack([row[faced], column[faced]], 1)
    meanings = check_drawn(draw_meanings(each, generator, levels, cells)[0], each, levels)
    written = [write(meaning, generator) for meaning in meanings]
    positives = satisfies(meanings, drawn, number, poses)
    meant = meant_labels(meanings) if labels else None
    if compose is not None:
        for k in np.flatnonzero(generator.random(len(meanings)) < composed).tolist():
            if found := compose(each[k], cells[k], generator):
                written[k], denotation = found
                positives[k] = denoted_objects(denotation, drawn)[number, row, column]
                if meant is not None:
                    meant[k] = unlabelled()
    return ImageTexts(
        render_rooms(drawn[number], poses),
        written,
        positives,
        satisfies(SHOWN, drawn, number, poses).T if labels else None,
        meant,
    )
