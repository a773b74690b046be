"""Street mazes as Gymnasium environments: told, in words, which cells to go to.

The single and the vector environment keep their episodes in the same arrays and move them by the
same functions, those of ``maze_world``. Axes: ``N`` environments, ``R`` rows, ``C`` columns.
"""

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from langrl.envs.autoreset import Autoreset
from langrl.envs.instruction_space import InstructionSpace
from langrl.envs.maze.goals import MazeGoals
from langrl.envs.maze.grammar import KINDS, MazeGrammar
from langrl.envs.maze.layouts import Layout
from langrl.envs.maze.world import Positions, StreetMaze, move, rotate, unit
from langrl.envs.phrasing import PHRASINGS, Phrasing
from langrl.errors import ConfigError, InstructionError, LayoutError, ShapeError, lookup
from langrl.protocols import check_instruction

CELL_PIXELS = 24
_TRIES = 1000  # draws of a task before it is called impossible


class _Episodes:
    """The state of N episodes: positions, instructions, what they denote, and the clock."""

    def __init__(
        self,
        world: StreetMaze,
        count: int,
        kinds: Sequence[str],
        phrasing: Phrasing,
        angle_noise: float,
    ) -> None:
        if isinstance(kinds, str) or not kinds:
            raise InstructionError(f"kinds is a tuple; choose some of {', '.join(KINDS)}")
        for name in kinds:
            lookup(dict.fromkeys(KINDS), str(name), "kind of instruction")
        lookup(dict.fromkeys(PHRASINGS), str(phrasing), "phrasing")
        if not (math.isfinite(angle_noise) and angle_noise >= 0):
            raise ConfigError(f"angle_noise is in degrees, at least 0; got {angle_noise}")
        self.world, self.count, self.kinds, self.phrasing = world, count, tuple(kinds), phrasing
        self.angle_noise = np.deg2rad(angle_noise)
        self.positions = np.zeros((count, 2), np.float32)
        self.instructions = [""] * count
        self.masks = np.zeros((count, *world.walls.shape), bool)
        self.ambiguity_bits = np.full(count, np.nan)
        self.shortest_steps = np.full(count, np.nan)
        self.noise: np.random.Generator | None = None

    def seed(self, generator: np.random.Generator) -> None:
        # A stream of its own, one draw per environment and step: every agent meets the same noise.
        self.noise = np.random.default_rng(generator.integers(2**63))

    def begin(
        self, rows: NDArray[np.int64], generator: np.random.Generator, options: dict[str, Any]
    ) -> None:
        """Start new episodes in the given rows."""
        texts, positions = self._options(options)
        if positions is None:
            starts = self.world.sample_states(len(rows), generator)
        else:
            starts = positions[rows]
        for n, start in zip(rows, starts, strict=True):
            free = positions is None
            if texts is None:
                text, mask, start = self._draw(generator, start, free)
            else:
                text = texts[n]
                denoted = self.world.cell_mask(text)  # None where unknown: satisfied nowhere
                mask = np.zeros(self.world.walls.shape, bool) if denoted is None else denoted
                start = self._elsewhere(generator, start, mask) if free else start
            self.positions[n], self.instructions[n], self.masks[n] = start, text, mask
        cells = self.masks[rows].sum((1, 2))
        self.ambiguity_bits[rows] = np.where(cells > 0, np.log2(np.maximum(cells, 1)), np.nan)
        self.shortest_steps[rows] = self.world.shortest_steps(
            self.positions[rows], self.masks[rows]
        )

    def _options(self, options: dict[str, Any]) -> tuple[list[str] | None, Positions | None]:
        if unknown := sorted(set(options) - {"instruction", "position"}):
            raise InstructionError(
                f"no reset option {unknown[0]!r}; use 'instruction' or 'position'"
            )
        texts, positions = options.get("instruction"), options.get("position")
        if texts is not None:
            if isinstance(texts, str | bytes) or not isinstance(texts, Sequence | np.ndarray):
                texts = [check_instruction(texts)] * self.count
            if len(texts) != self.count:
                raise ShapeError(f"reset needs {self.count} instructions, got {len(texts)}")
            texts = [check_instruction(text) for text in texts]
        return texts, None if positions is None else self._starts(positions)

    def _starts(self, given: Any) -> Positions:
        try:
            positions = np.asarray(given, np.float32)
        except (TypeError, ValueError) as error:
            raise ShapeError("the option 'position' must be numbers (row, column)") from error
        if positions.shape not in ((2,), (self.count, 2)):
            raise ShapeError(
                f"the option 'position' is [2] or [{self.count}, 2], got {list(positions.shape)}"
            )
        positions = np.broadcast_to(positions, (self.count, 2))
        if not self.world.inside(positions, ~self.world.walls).all():
            raise LayoutError("a start position is in a wall or outside the maze; use a free one")
        return positions

    def _draw(
        self, generator: np.random.Generator, start: Positions, free: bool
    ) -> tuple[str, NDArray[np.bool_], Positions]:
        """Draw an instruction that the start does not satisfy; another start too, where free."""
        grammar = self.world.grammar
        for _ in range(_TRIES):
            meaning = grammar.draw_meaning(generator, self.kinds)
            mask = grammar.mask(meaning)
            if not mask[int(start[0]), int(start[1])]:
                return grammar.write(meaning, generator, self.phrasing), mask, start
            if free:  # "already satisfied" skips the whole task, as in the published protocol
                start = self.world.sample_states(1, generator)[0]
        raise InstructionError(
            f"every instruction of kind {' or '.join(self.kinds)} is satisfied at the start;"
            " allow more kinds"
        )

    def _elsewhere(
        self, generator: np.random.Generator, start: Positions, mask: NDArray[np.bool_]
    ) -> Positions:
        """Return the start, or another one that does not satisfy the mask, where there is one."""
        for _ in range(_TRIES):
            if not mask[int(start[0]), int(start[1])]:
                break
            start = self.world.sample_states(1, generator)[0]
        return start

    def advance(self, actions: NDArray[Any]) -> NDArray[np.bool_]:
        """Move everybody once and return who satisfies their instruction, bool [N]."""
        if np.shape(actions) != (self.count, 2):
            raise ShapeError(f"step needs actions [{self.count}, 2], got {list(np.shape(actions))}")
        if self.noise is None:
            raise ResetNeeded("Cannot call env.step() before calling env.reset()")
        directions = unit(actions)
        if self.angle_noise:
            directions = rotate(directions, self.noise.normal(0, self.angle_noise, self.count))
        self.positions = move(self.world.walls, self.positions, directions)
        return self.world.inside(self.positions, self.masks)


def _draw_instruction(
    grammar: MazeGrammar, kinds: Sequence[str], phrasing: Phrasing, generator: np.random.Generator
) -> str:
    return grammar.write(grammar.draw_meaning(generator, kinds), generator, phrasing)


def _spaces(world: StreetMaze, kinds: Sequence[str], phrasing: Phrasing) -> tuple[spaces.Dict, Any]:
    draw = partial(_draw_instruction, world.grammar, kinds, phrasing)
    size = np.array(world.walls.shape, np.float32)
    observation = spaces.Dict(
        {
            "observation": spaces.Box(np.zeros(2, np.float32), size, dtype=np.float32),
            "instruction": InstructionSpace(draw),
        }
    )
    return observation, spaces.Box(-1, 1, (2,), np.float32)


class StreetMazeEnv(gym.Env[dict[str, Any], NDArray[np.float32]]):
    """One agent in a maze. Observation {"observation": (row, column), "instruction": text}.

    The action is a direction (row, column); its length is ignored. The reward is 1 when the agent
    first is in a cell that the instruction denotes, which ends the episode. ``info`` reports
    ``is_success``, ``ambiguity_bits`` (log2 of the number of denoted cells) and
    ``shortest_steps`` from the start; the last two are nan where the denotation is unknown.
    ``reset(options={"instruction": text, "position": (row, column)})`` sets either.

    Args:
        layout: a published name, an ASCII map (``#`` wall, ``.`` free), or a file with one.
        kinds: which kinds of instruction to draw, of ``langrl.envs.maze.grammar.KINDS``.
        phrasing: ``seen`` or ``held_out`` phrasings.
        angle_noise: standard deviation in degrees of the noise on every direction.
        render_mode: None or ``rgb_array``.

    Raises:
        LayoutError, UnknownNameError, InstructionError: naming the argument and the repair.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(
        self,
        layout: str | Path | Layout = "fork",
        kinds: Sequence[str] = ("row", "column"),
        phrasing: Phrasing = "seen",
        angle_noise: float = 0.0,
        render_mode: str | None = None,
    ) -> None:
        self.world = StreetMaze(layout)
        self.render_mode = render_mode
        self._episodes = _Episodes(self.world, 1, kinds, phrasing, angle_noise)
        self.observation_space, self.action_space = _spaces(self.world, kinds, phrasing)
        self.goals = MazeGoals(self.world)

    def denotation(self, goals: NDArray[Any], instruction: str) -> NDArray[np.bool_] | None:
        """As ``StreetMaze.denotation``."""
        return self.world.denotation(goals, instruction)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start an episode; options: ``instruction`` (str) and ``position`` (row, column)."""
        super().reset(seed=seed)
        if seed is not None or self._episodes.noise is None:
            self._episodes.seed(self.np_random)
        self._episodes.begin(np.array([0]), self.np_random, options or {})
        return self._observe(), self._info(success=False)

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Move by one step in the direction of ``action`` [2]."""
        success = bool(self._episodes.advance(np.asarray(action)[None])[0])
        return self._observe(), float(success), success, False, self._info(success)

    def _observe(self) -> dict[str, Any]:
        episodes = self._episodes
        return {
            "observation": episodes.positions[0].copy(),
            "instruction": episodes.instructions[0],
        }

    def _info(self, success: bool) -> dict[str, Any]:
        return {
            "is_success": success,
            "ambiguity_bits": float(self._episodes.ambiguity_bits[0]),
            "shortest_steps": float(self._episodes.shortest_steps[0]),
        }

    def render(self) -> NDArray[np.uint8] | None:
        """Return a image [H, W, 3]: walls dark, denoted cells green, the agent red."""
        if self.render_mode != "rgb_array":
            gym.logger.warn("render() needs gym.make(..., render_mode='rgb_array')")
            return None
        image = np.full((*self.world.walls.shape, 3), 245, np.uint8)
        image[self._episodes.masks[0]] = (170, 220, 170)
        image[self.world.walls] = (60, 64, 72)
        image = image.repeat(CELL_PIXELS, 0).repeat(CELL_PIXELS, 1)
        image[::CELL_PIXELS] = image[:, ::CELL_PIXELS] = (200, 200, 200)
        centre = self._episodes.positions[0] * CELL_PIXELS
        pixels = np.indices(image.shape[:2]).transpose(1, 2, 0) + 0.5
        image[((pixels - centre) ** 2).sum(-1) < (CELL_PIXELS * 0.3) ** 2] = (220, 50, 47)
        return image


class StreetMazeVectorEnv(gym.vector.VectorEnv[dict[str, Any], NDArray[np.float32], NDArray[Any]]):
    """N mazes stepped as one array; ``gym.make_vec`` builds it. Arguments as ``StreetMazeEnv``.

    An episode that ends is reset by the next step, which ignores its action (NEXT_STEP), or by
    ``reset(options={"reset_mask": [N]})`` where ``autoreset_mode`` is DISABLED. Starts
    and instructions depend on the seed alone until an episode ends, and the noise of step t on
    the seed and t alone, so different agents meet the same tasks and the same noise.
    """

    def __init__(
        self,
        num_envs: int = 1,
        layout: str | Path | Layout = "fork",
        kinds: Sequence[str] = ("row", "column"),
        phrasing: Phrasing = "seen",
        angle_noise: float = 0.0,
        max_episode_steps: int = 100,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    ) -> None:
        self._autoreset = Autoreset(num_envs, max_episode_steps, autoreset_mode)
        self.num_envs, self.max_episode_steps = num_envs, max_episode_steps
        self.metadata = {"autoreset_mode": self._autoreset.mode}
        self.world = StreetMaze(layout)
        self._episodes = _Episodes(self.world, num_envs, kinds, phrasing, angle_noise)
        self.single_observation_space, self.single_action_space = _spaces(
            self.world, kinds, phrasing
        )
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def denotation(self, goals: NDArray[Any], instruction: str) -> NDArray[np.bool_] | None:
        """As ``StreetMaze.denotation``."""
        return self.world.denotation(goals, instruction)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start every episode; options as in ``StreetMazeEnv``, one for all or one for each."""
        super().reset(seed=seed)
        if seed is not None or self._episodes.noise is None:
            self._episodes.seed(self.np_random)
        rows, options = self._autoreset.read(options)
        self._episodes.begin(rows, self.np_random, options)
        self._autoreset.begin(rows)
        return self._observe(), self._info(np.zeros(self.num_envs, bool))

    def step(
        self, actions: NDArray[np.float32]
    ) -> tuple[dict[str, Any], NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Move every agent; rows that ended at the last step start anew instead."""
        ended = self._autoreset.renew()
        if len(ended):  # whatever their actions are, they do not count
            actions = np.array(actions)
            actions[ended] = 0
        success = self._episodes.advance(actions)
        if len(ended):
            self._episodes.begin(ended, self.np_random, {})
            success[ended] = False
        truncated = self._autoreset.count(ended, success)
        return self._observe(), success.astype(np.float64), success, truncated, self._info(success)

    def _observe(self) -> dict[str, Any]:
        episodes = self._episodes
        return {
            "observation": episodes.positions.copy(),
            "instruction": tuple(episodes.instructions),
        }

    def _info(self, success: NDArray[np.bool_]) -> dict[str, Any]:
        return {
            "is_success": success.copy(),
            "ambiguity_bits": self._episodes.ambiguity_bits.copy(),
            "shortest_steps": self._episodes.shortest_steps.copy(),
        }
