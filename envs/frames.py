"""Frames of environments: a random walk to look at, sizes, and how alike frames are.

Axes: ``M`` frames, ``H`` rows, ``W`` columns, ``D`` numbers in an embedding.
"""

import copy
import warnings
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from numpy.typing import NDArray

from langrl.errors import DomainError, ShapeError
from langrl.protocols import Floats

COSINE_ERROR = 1e-6  # embeddings are of single precision
_FRAMES, _STEPS = 16, 4  # of a walk; steps from one frame to the next
_APART = 0.9  # share of pairs of frames that are told apart with half the distance to spare
_COMPARED = 64  # frames at most, as every pair of them is compared
_CONFUSED = 0.25  # share of pairs that are not told apart, from which we warn


def walk(env: gym.Env[Any, Any], options: Mapping[str, Any]) -> NDArray[np.uint8]:
    """Return frames [M, H, W, 3] of a random walk, always the same one.

    Args:
        env: the environment, which is left as if it had not been seeded.
        options: passed to ``reset`` where there are instructions, so that none ends the walk.
    """
    actions = copy.deepcopy(env.action_space)
    actions.seed(0)
    space = env.observation_space
    instructed = isinstance(space, spaces.Dict) and "instruction" in space.spaces
    free = dict(options) if instructed else None
    env.reset(seed=0, options=free)
    frames = [np.asarray(env.render())]
    while len(frames) < _FRAMES:
        for _ in range(_STEPS):
            _, _, terminated, truncated, _ = env.step(actions.sample())
            if terminated or truncated:
                env.reset(options=free)
        frames.append(np.asarray(env.render()))
    fresh, _ = seeding.np_random()
    env.reset(seed=int(fresh.integers(2**31)), options=free)  # as if it had not been seeded
    return np.stack(frames)


def choose_similarity(
    frames: NDArray[np.uint8], embedded: Floats, similarity: float | None
) -> float:
    """Return the given similarity, or one that few pairs of frames reach which differ.

    The estimate is halfway between 1 and the cosine that nine of ten such pairs stay below. Of
    more than 64 frames, 64 evenly spaced ones are compared.

    Args:
        frames: images [M, H, W, 3].
        embedded: their unit embeddings [M, D].
        similarity: the least cosine at which frames count as alike; estimated if not given.

    Warns:
        UserWarning: if many pairs of frames that differ count as alike.
    """
    count = min(len(frames), _COMPARED)
    kept = np.arange(count) * len(frames) // count
    frames, embedded = frames[kept], embedded[kept]
    one, two = np.triu_indices(len(frames), 1)
    differ = np.array([(frames[a] != frames[b]).any() for a, b in zip(one, two, strict=True)], bool)
    cosines = (embedded[one[differ]].astype(np.float64) * embedded[two[differ]]).sum(1)
    if similarity is None:
        nearest = float(np.quantile(cosines, _APART)) if len(cosines) else 1.0
        similarity = min((1 + nearest) / 2, 1.0)
    alike = (cosines >= similarity - COSINE_ERROR).mean() if len(cosines) else 1.0
    if alike > _CONFUSED and len(frames) > 1:
        problem = (
            f"{alike:.0%} of the pairs of frames that differ have a cosine of {similarity:.6g} or"
            " more, and count as reached; give another encode_image or size, or a higher similarity"
            if len(cosines)
            else "all frames are the same; give images, or an environment whose frames change"
        )
        warnings.warn(
            f"goals as images can hardly be told apart: {problem}", UserWarning, stacklevel=4
        )
    return similarity


def check_images(images: Any) -> NDArray[np.uint8]:
    """Return images uint8 [M, H, W, 3]; raises ShapeError if they are none."""
    try:
        array = np.asarray(images)
    except ValueError:
        array = np.zeros(0)  # of several sizes
    if array.ndim != 4 or array.shape[-1] != 3 or array.dtype != np.uint8 or not array.size:
        raise ShapeError(
            f"images are uint8 [M, H, W, 3], all of one size, got {array.dtype}"
            f" {list(array.shape)}; render them as the environment does"
        )
    return array


def check_size(size: Any) -> tuple[int, int]:
    """Return a size as (rows, columns); raises DomainError if it is no number of pixels."""
    sides = (size, size) if isinstance(size, int | np.integer) else size
    pair = isinstance(sides, tuple | list) and len(sides) == 2
    if not pair or not all(isinstance(n, int | np.integer) and n >= 1 for n in sides):
        raise DomainError(
            f"size is pixels, (rows, columns) or one number for both, got {size!r}; give such as"
            " size=64"
        )
    return int(sides[0]), int(sides[1])


def resize(images: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.uint8]:
    """Return images [M, rows, columns, 3], each pixel the mean of those it covers [M, H, W, 3]."""
    means = _means(_means(images.astype(np.float32), 1, rows), 2, columns)
    return means.round().astype(np.uint8)


def _means(array: Floats, axis: int, count: int) -> Floats:
    """Return means over ``count`` neighbouring parts of an axis; of one pixel where it has less."""
    starts = np.arange(count) * array.shape[axis] // count
    lengths = np.maximum(np.diff(starts, append=array.shape[axis]), 1)
    shape = [-1 if n == axis else 1 for n in range(array.ndim)]
    sums: Floats = np.add.reduceat(array, starts, axis)
    return sums / lengths.reshape(shape).astype(np.float32)
