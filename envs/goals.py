"""Goals as states to be reached: what goal-conditioned learning needs to know of a world.

Axes: ``N`` episodes, ``G`` numbers in a goal, ``H`` rows, ``W`` columns.
"""

import copy
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from operator import index
from typing import Any, Protocol, Self, runtime_checkable

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.envs.frames import (
    COSINE_ERROR,
    check_images,
    check_size,
    choose_similarity,
    resize,
    walk,
)
from langrl.envs.wrappers.text_features import read_embeddings
from langrl.errors import DomainError, GroundingError, ShapeError
from langrl.protocols import Array, Floats, Mask
from langrl.renamed.aliases import names_of

# No grammar reads this, so that no instruction of its own ends an episode of a world.
NO_TASK: Mapping[str, Any] = {"instruction": "pursue the desired goal"}
_FRAMES_KEPT = 10_000
_TRIES = 1000  # draws of goals before the rule that accepts them is called wrong


@runtime_checkable
class Goals(Protocol):
    """What counts as a goal in a world; batched over episodes, NumPy in and out.

    ``space`` is that of one goal [G]. ``options`` are passed to the world's ``reset`` when it is
    to be free of a task of its own.
    """

    space: "spaces.Box[Any]"
    options: Mapping[str, Any]

    def achieved(self, observations: Array, actions: Array | None = None) -> Array:
        """Return the goals [N, G] that are achieved in observations [N, ...].

        Args:
            observations: of the world.
            actions: what was done just before [N, ...]; None at the start of an episode.
        """

    def draw(self, observations: Array, generator: Generator) -> Array:
        """Return a goal [N, G] for each episode, given its first observation [N, ...]."""

    def reached(self, achieved: Array, desired: Array) -> Mask:
        """Return whether goals [..., G] are what is desired [..., G]; bool [...]."""


class BoxGoals:
    """Some numbers of a vector observation, reached within a tolerance: for environments at large.

    What is achieved is float32; wrappers give goals the dtype of the observations that they are
    numbers of.

    Args:
        low: least goal that is drawn [G].
        high: largest goal that is drawn [G].
        tolerance: largest Euclidean distance at which a goal is reached, in units of observations.
        columns: which numbers of the observation are the goal; the first G by default, and -1 is
            the last.
        accept: says which of drawn goals [K, G] can be reached, bool [K]; all by default.

    Raises:
        ShapeError: if low, high and columns are not of one length, a column is no whole number or
            named twice, or low is above high.
        DomainError: if the tolerance is no distance.
    """

    options: Mapping[str, Any] = {}

    def __init__(
        self,
        low: Sequence[float],
        high: Sequence[float],
        tolerance: float,
        columns: Sequence[int] | None = None,
        accept: Callable[[Array], Mask] | None = None,
    ) -> None:
        try:
            self.low, self.high = np.asarray(low, np.float32), np.asarray(high, np.float32)
            self.columns = list(range(self.low.size) if columns is None else map(index, columns))
        except (TypeError, ValueError):
            raise ShapeError(
                "low, high and columns must be lists of numbers, and columns of whole ones"
            ) from None
        if self.low.ndim != 1 or not self.low.shape == self.high.shape == (len(self.columns),):
            raise ShapeError(
                f"low, high and columns must be lists with a number for each of a goal's, got"
                f" {list(self.low.shape)}, {list(self.high.shape)} and [{len(self.columns)}]"
            )
        if not self.low.size:
            raise ShapeError("low and high are empty; a goal has at least one number")
        if not (np.isfinite(self.low) & np.isfinite(self.high) & (self.low <= self.high)).all():
            raise ShapeError("low must be at most high, and both finite: goals are drawn between")
        if len(set(self.columns)) < len(self.columns):
            raise ShapeError(f"columns are {self.columns}; name each number once")
        self._ends = min(self.columns), max(self.columns)
        self.tolerance, self.accept = check_number(tolerance, "tolerance", 0, np.inf), accept
        size = self.low.shape
        self.space = spaces.Box(-np.inf, np.inf, size, np.float32)  # goals may be missed by far

    def as_dtype(self, dtype: Any) -> Self:
        """Return the same goals in another dtype."""
        goals = copy.copy(self)
        low, high = self.space.low.astype(dtype), self.space.high.astype(dtype)
        goals.space = spaces.Box(low, high, dtype=dtype)
        return goals

    def achieved(self, observations: Array, actions: Array | None = None) -> Array:
        """Return the goal's numbers [N, G] of observations [N, S]."""
        states = np.asarray(observations)
        if states.ndim != 2 or not self._has_columns(states.shape[1]):
            raise self._refusal(states.shape[1:])
        return states[:, self.columns].astype(self.space.dtype)

    def check_space(self, space: spaces.Space[Any]) -> None:
        """Raise ShapeError unless observations of a space are vectors with the goal's numbers.

        Each number is to be named once. It is asked where ``achieved`` is that of ``BoxGoals``.
        """
        shape = space.shape or ()
        if len(shape) != 1 or not self._has_columns(shape[0]):
            raise self._refusal(shape)
        if len({column % shape[0] for column in self.columns}) < len(self.columns):
            raise ShapeError(
                f"columns are {self.columns} of vectors of {shape[0]}; name each number once"
            )

    def _has_columns(self, width: int) -> bool:
        return -width <= self._ends[0] and self._ends[1] < width

    def _refusal(self, shape: tuple[int, ...]) -> ShapeError:
        return ShapeError(
            f"BoxGoals takes the numbers {self.columns} of vectors, and an observation is"
            f" {list(shape)}; give it other columns, or wrap the environment in"
            " gymnasium.wrappers.FlattenObservation"
        )

    def draw(self, observations: Array, generator: Generator) -> Array:
        """Return goals [N, G], uniform between low and high where they are accepted."""
        count, drawn = len(observations), np.zeros((0, self.low.size), np.float32)
        for _ in range(_TRIES):
            goals = generator.uniform(self.low, self.high, (4 * count, self.low.size))
            drawn = np.concatenate([drawn, self._accepted(goals.astype(np.float32))])
            if len(drawn) >= count:
                return drawn[:count]
        raise ShapeError(f"accept took too few of {_TRIES * 4 * count} goals; widen what it takes")

    def _accepted(self, goals: Floats) -> Floats:
        if self.accept is None:
            return goals
        kept = np.asarray(self.accept(goals))
        if kept.shape != goals.shape[:1] or kept.dtype != bool:
            raise ShapeError(
                f"accept gives {kept.dtype} {list(kept.shape)} for {len(goals)} goals; let it"
                f" return bool [{len(goals)}]"
            )
        return goals[kept]

    def reached(self, achieved: Array, desired: Array) -> Mask:
        """Return whether goals [..., G] are within the tolerance."""
        gap = np.asarray(achieved, np.float64) - np.asarray(desired, np.float64)
        return np.asarray(np.linalg.norm(gap, axis=-1) <= self.tolerance)


class FrameGoals:
    """What an environment's frames look like, by their embeddings [D]: goals are images.

    Args:
        env: made with ``render_mode="rgb_array"``; one, as its present frame is what is achieved.
        encode_image: maps images uint8 [M, H, W, 3] to embeddings [M, D].
        images: goals to draw from; if not given, frames that were seen before, a random walk at
            the start included.
        similarity: the least cosine at which a goal is reached. If not given, it is estimated
            from frames of a random walk: halfway between 1 and the cosine that nine of ten pairs
            of frames that differ stay below.
        size: pixels that frames and images are resized to before they are encoded, (rows,
            columns) or one number for both; not resized if not given.

    Raises:
        GroundingError: if the environment does not render as images.
        ShapeError: if images are none, not encoded as [M, D], or of a size that the encoder does
            not take.
        DomainError: if the similarity is no cosine, or the size no number of pixels.

    Warns:
        UserWarning: if frames can hardly be told apart: of pairs that differ, more than one in
            four reaches the similarity.
    """

    options = NO_TASK

    def __init__(
        self,
        env: gym.Env[Any, Any],
        encode_image: Callable[[NDArray[np.uint8]], Any],
        images: NDArray[np.uint8] | None = None,
        similarity: float | None = None,
        size: int | tuple[int, int] | None = None,
    ) -> None:
        if env.render_mode != "rgb_array":
            raise GroundingError(
                f"goals as images need frames, and render_mode is {env.render_mode!r}; make the"
                ' environment with render_mode="rgb_array"'
            )
        if not callable(encode_image):
            raise GroundingError(
                f"encode_image is a function of images, got {type(encode_image).__name__}; give"
                " the encode_image of a language-image model"
            )
        if similarity is not None:
            similarity = check_number(similarity, "similarity, a cosine,", -1, 1)
        self._size = None if size is None else check_size(size)
        self._env, self._encode, self._grows = env, encode_image, images is None
        goals = None if images is None else check_images(images)
        walked = walk(env, NO_TASK) if goals is None or similarity is None else goals
        seen = self._embed(walked)
        self.similarity = choose_similarity(walked, seen, similarity)
        self._first = list(seen if goals is None else self._embed(goals))
        self._known: deque[Floats] = deque(self._first, _FRAMES_KEPT)
        self.space = spaces.Box(-1.0, 1.0, self._first[0].shape, np.float32)

    def _embed(self, images: NDArray[np.uint8]) -> Floats:
        """Return unit embeddings [M, D]."""
        shown = images if self._size is None else resize(images, *self._size)
        try:
            array = read_embeddings(self._encode(shown), "encode_image")
        except ShapeError as error:
            raise ShapeError(
                f"{error}; frames are {images.shape[1]} x {images.shape[2]} pixels: where the"
                " encoder needs another size, give size= to RenderedGoals or FrameGoals, such as"
                " size=64"
            ) from error
        if array.ndim != 2 or len(array) != len(images) or not array.size:
            raise ShapeError(
                f"encode_image gives {list(array.shape)} for {len(images)} images, not [M, D]"
            )
        norms = np.linalg.norm(array, axis=1, keepdims=True)
        return np.clip(array / np.maximum(norms, 1e-12), -1, 1)

    def forget(self) -> None:
        """Forget frames since the start, so that what follows depends on a seed alone."""
        self._known = deque(self._first, _FRAMES_KEPT)

    def achieved(self, observations: Array, actions: Array | None = None) -> Array:
        """Return the embedding [1, D] of the environment's present frame."""
        if len(observations) != 1:
            raise ShapeError("an environment has one frame at a time; wrap each of a batch")
        frame = self._embed(np.asarray(self._env.render())[None])
        if self._grows:
            self._known.append(frame[0])
        return frame

    def draw(self, observations: Array, generator: Generator) -> Array:
        """Return the embedding of one of the images [N, D]."""
        drawn = generator.integers(len(self._known), size=len(observations))
        return np.stack([self._known[n] for n in drawn])

    def reached(self, achieved: Array, desired: Array) -> Mask:
        """Return whether embeddings [..., D] are similar enough."""
        one, two = np.asarray(achieved, np.float64), np.asarray(desired, np.float64)
        norms = np.linalg.norm(one, axis=-1) * np.linalg.norm(two, axis=-1)
        cosine = (one * two).sum(-1) / np.maximum(norms, 1e-12)
        return np.asarray(cosine >= self.similarity - COSINE_ERROR)


def check_number(value: Any, name: str, least: float, most: float) -> float:
    """Return a finite number; raises DomainError if it is none, or not from least to most."""
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not np.isfinite(value) or not least <= value <= most:
        span = "" if np.isinf(least) else f" of at least {least}"
        span += "" if np.isinf(most) else f" and at most {most}"
        raise DomainError(f"{name} is a finite number{span}, got {value!r}")
    return float(value)


__getattr__ = names_of(__name__)
