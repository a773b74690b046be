"""Goals as states to be reached: what goal-conditioned learning needs to know of a world.

Axes: ``N`` episodes, ``G`` numbers in a goal, ``H`` rows, ``W`` columns.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from langrl.envs.grid_rooms import DONE, reachable_poses, read_observation
from langrl.envs.maze_world import StreetMaze
from langrl.errors import GroundingError, ShapeError

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

    space: spaces.Box
    options: Mapping[str, Any]

    def achieved(
        self, observations: NDArray[Any], actions: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Return the goals [N, G] that are achieved in observations [N, ...].

        Args:
            observations: of the world.
            actions: what was done just before [N, ...]; None at the start of an episode.
        """
        ...

    def draw(self, observations: NDArray[Any], generator: np.random.Generator) -> NDArray[Any]:
        """Return a goal [N, G] for each episode, given its first observation [N, ...]."""
        ...

    def reached(self, achieved: NDArray[Any], desired: NDArray[Any]) -> NDArray[np.bool_]:
        """Return whether goals [..., G] are what is desired [..., G]; bool [...]."""
        ...


class MazeGoals:
    """Positions in a maze; one is reached in its cell.

    Args:
        world: the maze.
    """

    options = NO_TASK

    def __init__(self, world: StreetMaze) -> None:
        self.world = world
        size = np.array(world.walls.shape, np.float32)
        self.space = spaces.Box(np.zeros(2, np.float32), size, dtype=np.float32)

    def achieved(
        self, observations: NDArray[Any], actions: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Return positions [N, 2]: the observations themselves."""
        return np.array(observations, np.float32)

    def draw(self, observations: NDArray[Any], generator: np.random.Generator) -> NDArray[Any]:
        """Return positions [N, 2], uniform over the free area."""
        return self.world.sample_states(len(observations), generator)

    def reached(self, achieved: NDArray[Any], desired: NDArray[Any]) -> NDArray[np.bool_]:
        """Return whether positions [..., 2] are in the same cell."""
        return np.asarray((np.floor(achieved) == np.floor(desired)).all(-1))


class PoseGoals:
    """Poses in a room where ``done`` was said: (row, column, direction, whether it was said).

    Args:
        size: cells along a side of the world.
    """

    options = NO_TASK

    def __init__(self, size: int) -> None:
        high = np.array([size - 1, size - 1, 3, 1], np.float32)
        self.space = spaces.Box(np.zeros(4, np.float32), high, dtype=np.float32)

    def achieved(
        self, observations: NDArray[Any], actions: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Return the poses [N, 4] of observations [N, H, W, 3]."""
        _, poses = read_observation(observations)
        said = np.zeros(len(poses)) if actions is None else np.asarray(actions) == DONE
        return np.column_stack([poses, said]).astype(np.float32)

    def draw(self, observations: NDArray[Any], generator: np.random.Generator) -> NDArray[Any]:
        """Return poses [N, 4] that can be reached, with ``done`` said."""
        goals = np.ones((len(observations), 4), np.float32)
        for n, poses in enumerate(reachable_poses(observations)):
            goals[n, :3] = poses[generator.integers(len(poses))]
        return goals

    def reached(self, achieved: NDArray[Any], desired: NDArray[Any]) -> NDArray[np.bool_]:
        """Return whether poses [..., 4] are the same, what was said included."""
        return np.asarray((np.asarray(achieved) == np.asarray(desired)).all(-1))


class BoxGoals:
    """Some numbers of a vector observation, reached within a tolerance: for environments at large.

    Args:
        low: least goal that is drawn [G].
        high: largest goal that is drawn [G].
        tolerance: largest Euclidean distance at which a goal is reached, in units of observations.
        columns: which numbers of the observation are the goal; the first G by default.
        accept: says which of drawn goals [K, G] can be reached, bool [K]; all by default.

    Raises:
        ShapeError: if low, high and columns are not of one length, or low is above high.
    """

    options: Mapping[str, Any] = {}

    def __init__(
        self,
        low: Sequence[float],
        high: Sequence[float],
        tolerance: float,
        columns: Sequence[int] | None = None,
        accept: Callable[[NDArray[Any]], NDArray[np.bool_]] | None = None,
    ) -> None:
        self.low, self.high = np.asarray(low, np.float32), np.asarray(high, np.float32)
        self.columns = list(range(self.low.size) if columns is None else columns)
        if self.low.ndim != 1 or not self.low.shape == self.high.shape == (len(self.columns),):
            raise ShapeError(
                f"low, high and columns must have a number for each of a goal's, got"
                f" {list(self.low.shape)}, {list(self.high.shape)} and {len(self.columns)}"
            )
        if not (np.isfinite(self.low) & np.isfinite(self.high) & (self.low <= self.high)).all():
            raise ShapeError("low must be at most high, and both finite: goals are drawn between")
        self.tolerance, self.accept = tolerance, accept
        size = self.low.shape
        self.space = spaces.Box(-np.inf, np.inf, size, np.float32)  # goals may be missed by far

    def achieved(
        self, observations: NDArray[Any], actions: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Return the goal's numbers [N, G] of observations [N, S]."""
        return np.asarray(observations)[..., self.columns].astype(np.float32)

    def draw(self, observations: NDArray[Any], generator: np.random.Generator) -> NDArray[Any]:
        """Return goals [N, G], uniform between low and high where they are accepted."""
        count, drawn = len(observations), np.zeros((0, self.low.size), np.float32)
        for _ in range(_TRIES):
            goals = generator.uniform(self.low, self.high, (4 * count, self.low.size))
            goals = goals.astype(np.float32)
            kept = goals if self.accept is None else goals[self.accept(goals)]
            drawn = np.concatenate([drawn, kept])
            if len(drawn) >= count:
                return drawn[:count]
        raise ShapeError(f"accept took too few of {_TRIES * 4 * count} goals; widen what it takes")

    def reached(self, achieved: NDArray[Any], desired: NDArray[Any]) -> NDArray[np.bool_]:
        """Return whether goals [..., G] are within the tolerance."""
        gap = np.asarray(achieved, np.float64) - np.asarray(desired, np.float64)
        return np.asarray(np.linalg.norm(gap, axis=-1) <= self.tolerance)


class FrameGoals:
    """What an environment's frames look like, by their embeddings [D]: goals are pictures.

    Args:
        env: made with ``render_mode="rgb_array"``; one, as its present frame is what is achieved.
        encode_image: maps pictures uint8 [M, H, W, 3] to embeddings [M, D].
        pictures: goals to draw from; frames that were seen before if not given.
        similarity: the least cosine at which a goal is reached.

    Raises:
        GroundingError: if the environment does not render as pictures.
    """

    options = NO_TASK

    def __init__(
        self,
        env: gym.Env[Any, Any],
        encode_image: Callable[[NDArray[np.uint8]], Any],
        pictures: NDArray[np.uint8] | None = None,
        similarity: float = 0.99,
    ) -> None:
        if env.render_mode != "rgb_array":
            raise GroundingError(
                f"goals as pictures need frames, and render_mode is {env.render_mode!r}; make the"
                ' environment with render_mode="rgb_array"'
            )
        self._env, self._encode, self.similarity = env, encode_image, similarity
        self._known = None if pictures is None else self._embed(pictures)
        self._seen: deque[NDArray[np.float32]] = deque(maxlen=_FRAMES_KEPT)
        if self._known is None:
            env.reset(seed=0)  # some environments have no frame before
        width = self.achieved(np.zeros(1)).shape[1] if self._known is None else self._known.shape[1]
        self.space = spaces.Box(-1.0, 1.0, (width,), np.float32)

    def _embed(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return unit embeddings [M, D]."""
        encoded = self._encode(pictures)
        if hasattr(encoded, "detach"):
            encoded = encoded.detach().cpu()
        array = np.asarray(encoded, np.float32)
        if array.ndim != 2 or len(array) != len(pictures):
            raise ShapeError(
                f"encode_image gives {list(array.shape)} for {len(pictures)} pictures, not [M, D]"
            )
        norms = np.linalg.norm(array, axis=1, keepdims=True)
        return np.clip(array / np.maximum(norms, 1e-12), -1, 1)

    def achieved(
        self, observations: NDArray[Any], actions: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Return the embedding [1, D] of the environment's present frame."""
        if len(observations) != 1:
            raise ShapeError("an environment has one frame at a time; wrap each of a batch")
        frame = self._embed(np.asarray(self._env.render())[None])
        if self._known is None:
            self._seen.append(frame[0])
        return frame

    def draw(self, observations: NDArray[Any], generator: np.random.Generator) -> NDArray[Any]:
        """Return the embedding of one of the pictures [N, D]."""
        known = np.stack(self._seen) if self._known is None else self._known
        return known[generator.integers(len(known), size=len(observations))]

    def reached(self, achieved: NDArray[Any], desired: NDArray[Any]) -> NDArray[np.bool_]:
        """Return whether embeddings [..., D] are similar enough."""
        return np.asarray((np.asarray(achieved) * desired).sum(-1) >= self.similarity)
