"""Goal environments with instructions in the place of goals: what counts is what the words mean.

Axes: ``N`` environments, ``G`` numbers in a goal.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from numpy.random import Generator

from langrl.envs.autoreset import Autoreset
from langrl.envs.goal_engine import GoalEngine, Seen
from langrl.envs.goal_words import GoalWords
from langrl.envs.instructed import Episodes, InstructedVectorEnv
from langrl.envs.instruction_space import InstructionSpace
from langrl.envs.phrasing import TaskPhrasing
from langrl.envs.wrappers.resets import draw_unsatisfied
from langrl.errors import ConfigError, NonFiniteError, ShapeError
from langrl.protocols import Array, Integers, Mask

_STARTS = 20  # draws of a start, before one that satisfies a given text is taken


class _GoalEpisodes(Episodes):
    """The state of N episodes in a goal engine."""

    def __init__(
        self,
        engine: GoalEngine,
        words: GoalWords,
        kinds: Sequence[str] | None,
        phrasing: TaskPhrasing,
    ) -> None:
        super().__init__(engine.num_envs, ("instruction",))
        self.engine, self.words = engine, words
        self.draw = partial(words.draw_instruction, kinds=kinds, phrasing=phrasing)
        any_mask = words.mask(self.draw(np.random.default_rng(0)))  # or an error, at once
        assert any_mask is not None
        self.masks = np.zeros((self.count, *any_mask.shape), bool)  # what instructions denote
        self.satisfied = np.zeros(self.count, bool)  # at the start
        self._seen: Seen | None = None

    def begin(self, rows: Integers, generator: Generator, options: dict[str, Any]) -> None:
        """Start new episodes in some rows; a text that is refused changes nothing."""
        texts, _ = self.read_options(options)
        for text in dict.fromkeys(texts or ()):
            self.words.check(text)
        self._start(rows, generator)
        for n in rows:
            text = self._draw_text(n, generator) if texts is None else texts[n]
            mask = self.words.mask(text)
            self.instructions[n], self.masks[n] = text, mask is not None and mask
        for _ in range(_STARTS):
            again = rows[self._success()[rows]]
            if not len(again):
                break
            self._start(again, generator)
        self.satisfied[rows] = self._success()[rows]
        self._note(rows)

    def _draw_text(self, row: int, generator: Generator) -> str:
        """Draw a text that is not satisfied at a row's start, if there is one."""
        here = self._achieved()[row : row + 1]

        def is_satisfied(text: str) -> bool:
            return bool(self.words.denotation(here, text))

        return draw_unsatisfied(partial(self.draw, generator), is_satisfied)[0]

    def _start(self, rows: Integers, generator: Generator) -> None:
        self._seen = self.engine.reset(rows, generator.integers(2**31, size=len(rows)))

    def _note(self, rows: Integers) -> None:
        """Note how much the instructions of some rows denote, and the shortest ways."""
        achieved, masks = self._achieved()[rows], self.masks[rows]
        denoted = masks.reshape(len(rows), -1).sum(1)
        self.note(rows, denoted, self.words.frame.shortest_steps(achieved, masks))

    def _achieved(self) -> Array:
        assert self._seen is not None
        return self._seen.achieved

    def _success(self) -> Mask:
        """Return where what is achieved is what the instruction means [N]."""
        return self.words.inside(self._achieved(), self.masks)

    def check_actions(self, actions: Array, ignored: Integers) -> Array:
        """Return the actions [N, ...]; raises ShapeError or NonFiniteError if they are none."""
        self.check_started()
        space, given = self.engine.spaces.action, np.asarray(actions)
        discrete = isinstance(space, spaces.Discrete)
        if given.shape != (self.count, *(space.shape or ())):
            raise ShapeError(
                f"step needs actions [{self.count}, ...] of {space}, got {list(given.shape)}"
            )
        if not np.isfinite(given).all():
            raise NonFiniteError("an action is not finite; fix the agent")
        if discrete and not all(map(space.contains, given)):
            raise ShapeError(f"an action is none of {space}; fix the agent")
        return given

    def advance(self, actions: Array) -> tuple[Mask, list[Mask]]:
        """Act everywhere; who does what the instruction says has ended the episode."""
        stepped = self.engine.step(actions)
        self._seen = stepped.seen
        success = self._success()
        return success | stepped.terminated, [success]

    def observe(self) -> Array:
        """Return what is observed [N, ...]."""
        assert self._seen is not None
        return np.array(self._seen.observation)

    def report(self, outcomes: Sequence[Mask] = ()) -> dict[str, Array]:
        """Return what ``info`` holds; see ``Episodes.report``."""
        return super().report(outcomes) | {"started_satisfied": self.satisfied.copy()}


class InstructedGoals(InstructedVectorEnv):
    """N goal environments side by side, whose episodes are about instructions.

    Observations are {"observation": [N, ...], "instruction": texts}. The reward is 1 when what is
    achieved first is what the instruction means, which ends the episode. The environment's own
    reward and goals play no part; but where its own goal ends an episode, it ends: ``goes_on`` of
    ``langrl.envs.goal_words`` gives arguments with which some do not. Episodes start anew by
    ``reset(options={"reset_mask": [N]})``, and ``options={"instruction": text}`` sets the text of
    all of them. ``info`` reports what mazes of langrl do, and ``started_satisfied``: starts that
    satisfy the instruction are drawn again, where others exist. ``run_episodes``, ``run_batches``
    and ``compare`` of ``langrl.evaluation`` take it as it is.

    Args:
        engine: the environments; ``langrl.envs.goal_vector.make_engine`` makes them by an id.
        words: what texts mean.
        kinds: which instruction types to draw; all by default.
        phrasing: ``seen``, ``held_out`` or ``noisy`` phrasings.

    Raises:
        ConfigError: if episodes have no time limit.
        UnknownNameError: if there is no such instruction type or phrasing.
        InstructionError: if no instruction of these types denotes anything.
    """

    def __init__(
        self,
        engine: GoalEngine,
        words: GoalWords,
        kinds: Sequence[str] | None = None,
        phrasing: TaskPhrasing = "seen",
    ) -> None:
        limit = engine.spaces.max_episode_steps
        if limit is None:
            raise ConfigError(
                "the environment sets no time limit, so that episodes may not end; set"
                " max_episode_steps"
            )
        autoreset = Autoreset(engine.num_envs, limit, AutoresetMode.DISABLED)
        episodes = _GoalEpisodes(engine, words, kinds, phrasing)
        space = spaces.Dict(
            {
                "observation": engine.spaces.observation,
                "instruction": InstructionSpace(episodes.draw),
            }
        )
        super().__init__(autoreset, episodes, space, engine.spaces.action)
        self.words, self._engine = words, engine

    def denotation(self, goals: Array, instruction: str) -> Mask | None:
        """As ``GoalWords.denotation``."""
        return self.words.denotation(goals, instruction)

    def close_extras(self, **kwargs: Any) -> None:
        """Close the environments."""
        self._engine.close()
