"""Street mazes as Gymnasium environments: an instruction in words says which cells to go to.

Arriving in a cell that the instruction denotes commits the agent to it, and ends the episode.

Axes: ``N`` environments, ``R`` rows, ``C`` columns.
"""

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.envs.autoreset import Autoreset
from langrl.envs.draws import Words, keys_of, normal
from langrl.envs.instructed import InstructedEnv, InstructedVectorEnv
from langrl.envs.instruction_space import InstructionSpace
from langrl.envs.intents import IntentEpisodes, Mode
from langrl.envs.maze.goals import MazeGoals
from langrl.envs.maze.grammar import DRAWN_KINDS, MazeGrammar
from langrl.envs.maze.layouts import Layout
from langrl.envs.maze.world import Positions, StreetMaze, move, rotate, unit
from langrl.envs.phrasing import TASK_PHRASINGS, TaskPhrasing
from langrl.envs.questions import maze_questions
from langrl.errors import ConfigError, InstructionError, LayoutError, ShapeError, lookup
from langrl.protocols import Array, Integers, Mask

CELL_PIXELS = 24
_TRIES = 1000  # draws of a task before it is called impossible

Task = tuple[str, Mask, Positions]  # the instruction, what it denotes [R, C], and the start [2]


class _Episodes(IntentEpisodes):
    """The state of N episodes in a maze; its stream is that of the noise.

    The noise is one draw per environment and step, so every agent meets the same. That of an
    episode with the option ``noise_seed`` is a function of that number and the step alone.
    """

    def __init__(
        self,
        world: StreetMaze,
        count: int,
        kinds: Sequence[str],
        phrasing: TaskPhrasing,
        angle_noise: float,
        mode: Mode,
    ) -> None:
        options = ("instruction", "position", "noise_seed", "intended")
        super().__init__(count, options, mode, maze_questions(world.walls.shape))
        if isinstance(kinds, str) or not kinds:
            raise InstructionError(f"kinds is a tuple; choose some of {', '.join(DRAWN_KINDS)}")
        for name in kinds:
            lookup(dict.fromkeys(DRAWN_KINDS), str(name), "instruction type")
        lookup(dict.fromkeys(TASK_PHRASINGS), str(phrasing), "phrasing")
        if not (math.isfinite(angle_noise) and angle_noise >= 0):
            raise ConfigError(f"angle_noise is in degrees, at least 0; got {angle_noise}")
        self.world, self.kinds, self.phrasing = world, tuple(kinds), phrasing
        self.angle_noise = np.deg2rad(angle_noise)
        self.positions = np.zeros((count, 2), np.float32)
        self.noise_keys = np.zeros(count, np.uint64)  # 0: of the stream
        self.steps = np.zeros(count, np.int64)

    def begin(self, rows: Integers, generator: Generator, options: dict[str, Any]) -> None:
        """Start new episodes in some rows; where that is refused, every row stays as it was."""
        texts, (given, noise_seed, intended) = self.read_options(options)
        cells, keys = self.read_intended(intended, rows), self._read_seeds(noise_seed)[rows]
        free = given is None
        if free:
            starts = self.world.sample_states(len(rows), generator)
        else:
            starts = self._check_positions(given)[rows]
        tasks = [
            self._draw(generator, start, free)
            if texts is None
            else self._read(generator, start, free, texts[n])
            for n, start in zip(rows, starts, strict=True)
        ]
        told, masks, positions = zip(*tasks, strict=True)
        denoted = np.stack(masks)
        # In mode "any" nothing is drawn, so that tasks are those of a world without hidden intent.
        meant = self.mean(denoted, cells, generator if self.mode == "hidden" else None)
        self.intended[rows], self.denoted[rows], self.positions[rows] = meant, denoted, positions
        self.noise_keys[rows], self.steps[rows] = keys, 0
        for n, text in zip(rows.tolist(), told, strict=True):
            self.instructions[n] = text
        steps = self.world.shortest_steps(self.positions[rows], denoted)
        self.note(rows, denoted.sum((1, 2)), steps)

    def _read_seeds(self, given: Any) -> Words:
        """Return a key of the noise of each episode [N], 0 where it is not given."""
        if given is None:
            return np.zeros(self.count, np.uint64)
        seeds = np.asarray(given)
        whole = seeds.shape in ((), (self.count,)) and seeds.dtype.kind in "iu"
        if not whole or (seeds < 0).any():
            raise ShapeError(
                f"the option 'noise_seed' is a whole number of at least 0, or {self.count} of them,"
                f" got {list(seeds.shape)} of {seeds.dtype}"
            )
        return np.broadcast_to(keys_of(seeds), (self.count,))

    def _check_positions(self, given: Any) -> Positions:
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

    def _draw(self, generator: Generator, start: Positions, free: bool) -> Task:
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
            f"every instruction of type {' or '.join(self.kinds)} is satisfied at the start;"
            " allow more kinds"
        )

    def _read(self, generator: Generator, start: Positions, free: bool, text: str) -> Task:
        """Return a given text as a task; where free, the start does not satisfy it if possible."""
        denoted = self.world.cell_mask(text)  # None where unknown: satisfied nowhere
        mask = np.zeros(self.world.walls.shape, bool) if denoted is None else denoted
        for _ in range(_TRIES if free else 0):
            if not mask[int(start[0]), int(start[1])]:
                break
            start = self.world.sample_states(1, generator)[0]
        return text, mask, start

    def check_actions(self, actions: Array, ignored: Integers) -> Array:
        """Return unit vectors [N, 2], 0 where ignored; raises ShapeError or NonFiniteError."""
        if np.shape(actions) != (self.count, 2):
            raise ShapeError(f"step needs actions [{self.count}, 2], got {list(np.shape(actions))}")
        self.check_started()
        if len(ignored):
            actions = np.array(actions)
            actions[ignored] = 0
        return unit(actions)

    def advance(self, actions: Array) -> tuple[Mask, list[Mask]]:
        """Move everybody once; who satisfies their instruction has ended the episode."""
        assert self.stream is not None
        if self.angle_noise:
            drawn = self.stream.normal(0, self.angle_noise, self.count)
            own = self.angle_noise * normal(self.noise_keys, self.steps)
            actions = rotate(actions, np.where(self.noise_keys > 0, own, drawn))
        self.steps += 1
        self.positions = move(self.world.walls, self.positions, actions)
        arrived = [
            self.world.inside(self.positions, each) for each in (self.denoted, self.intended)
        ]
        return arrived[0].copy(), arrived[: len(self.outcomes)]

    def observe(self) -> Positions:
        """Return the positions [N, 2]."""
        return self.positions.copy()


def _draw_instruction(
    grammar: MazeGrammar, kinds: Sequence[str], phrasing: TaskPhrasing, generator: Generator
) -> str:
    return grammar.write(grammar.draw_meaning(generator, kinds), generator, phrasing)


def _spaces(
    world: StreetMaze, kinds: Sequence[str], phrasing: TaskPhrasing
) -> tuple[spaces.Dict, Any]:
    draw = partial(_draw_instruction, world.grammar, kinds, phrasing)
    seen = MazeGoals(world).space
    space = spaces.Dict({"observation": seen, "instruction": InstructionSpace(draw)})
    return space, spaces.Box(-1, 1, (2,), np.float32)


class StreetMazeEnv(InstructedEnv):
    """One agent in a maze. Observation {"observation": (row, column), "instruction": text}.

    The action is a direction (row, column); its length is ignored. The reward is 1 when the agent
    first is in a cell that the instruction denotes, which ends the episode. ``info`` reports
    ``is_success``, ``ambiguity_bits`` (log2 of the number of denoted cells) and
    ``shortest_steps`` from the start; the last two are nan where the denotation is unknown.
    In mode ``hidden`` one denoted cell, uniformly drawn, is meant and the words do not say which:
    the reward is 1 only for that one, which ``info`` reports as ``intended_success``.

    ``reset(options={"instruction": text, "position": (row, column), "intended": (row, column),
    "noise_seed": number})`` sets any of them; with a noise seed, the noise of step t depends on it
    and t alone. In mode ``any`` no cell is meant unless the option says so.

    Args:
        layout: a published name, an ASCII map (``#`` wall, ``.`` free), or a file with one.
        kinds: which instruction types to draw, of ``langrl.envs.maze.grammar.DRAWN_KINDS``.
        phrasing: ``seen``, ``held_out`` or ``noisy`` phrasings.
        angle_noise: standard deviation in degrees of the noise on every direction.
        mode: ``any``, any denoted cell will do, or ``hidden``.
        render_mode: None or ``rgb_array``.

    Raises:
        LayoutError, UnknownNameError, InstructionError: naming the argument and the repair.
    """

    _episodes: _Episodes
    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(
        self,
        layout: str | Path | Layout = "fork",
        kinds: Sequence[str] = ("row", "column"),
        phrasing: TaskPhrasing = "seen",
        angle_noise: float = 0.0,
        mode: Mode = "any",
        render_mode: str | None = None,
    ) -> None:
        self.world = StreetMaze(layout)
        self.render_mode = render_mode
        self._episodes = _Episodes(self.world, 1, kinds, phrasing, angle_noise, mode)
        self.observation_space, self.action_space = _spaces(self.world, kinds, phrasing)
        self.goals, self.questions = MazeGoals(self.world), self._episodes.questions

    def denotation(self, goals: Array, instruction: str) -> Mask | None:
        """As ``StreetMaze.denotation``."""
        return self.world.denotation(goals, instruction)

    def render(self) -> NDArray[np.uint8] | None:
        """Return an image [H, W, 3]: walls dark, denoted cells green, the agent red."""
        if self.render_mode != "rgb_array":
            gym.logger.warn("render() needs gym.make(..., render_mode='rgb_array')")
            return None
        image = np.full((*self.world.walls.shape, 3), 245, np.uint8)
        image[self._episodes.denoted[0]] = (170, 220, 170)
        image[self.world.walls] = (60, 64, 72)
        image = image.repeat(CELL_PIXELS, 0).repeat(CELL_PIXELS, 1)
        image[::CELL_PIXELS] = image[:, ::CELL_PIXELS] = (200, 200, 200)
        centre = self._episodes.positions[0] * CELL_PIXELS
        pixels = np.indices(image.shape[:2]).transpose(1, 2, 0) + 0.5
        image[((pixels - centre) ** 2).sum(-1) < (CELL_PIXELS * 0.3) ** 2] = (220, 50, 47)
        return image


class StreetMazeVectorEnv(InstructedVectorEnv):
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
        phrasing: TaskPhrasing = "seen",
        angle_noise: float = 0.0,
        mode: Mode = "any",
        max_episode_steps: int = 100,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    ) -> None:
        autoreset = Autoreset(num_envs, max_episode_steps, autoreset_mode)
        self.world = StreetMaze(layout)
        episodes = _Episodes(self.world, num_envs, kinds, phrasing, angle_noise, mode)
        super().__init__(autoreset, episodes, *_spaces(self.world, kinds, phrasing))
        self.questions = episodes.questions

    def denotation(self, goals: Array, instruction: str) -> Mask | None:
        """As ``StreetMaze.denotation``."""
        return self.world.denotation(goals, instruction)
