"""Words for the goals of an environment: texts, and which goals are what they mean.

Goals are numbers. A *frame* says which cell of a finite map each goal is in, and has a grammar that
writes texts about cells and reads them: rows and columns of a maze (``langrl.envs.maze.cells``), or
quarters of the range of each number (``langrl.envs.regions``). Frames are plain values.

Axes: ``M`` goals, ``P`` pairs of a goal and a text, ``G`` numbers in a goal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.envs.maze.cells import cell_frame
from langrl.envs.phrasing import TASK_PHRASINGS, Meaning, TaskPhrasing
from langrl.envs.regions import RegionFrame, RegionGrammar, axes_of
from langrl.errors import GroundingError, NonFiniteError, ShapeError, lookup
from langrl.protocols import Array, Integers, Mask


class CellGrammar(Protocol):
    """Writes and reads instructions that denote cells of a map."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The instruction types."""

    @property
    def drawn_kinds(self) -> tuple[str, ...]:
        """These, and those that are drawn only where they are asked for."""

    def denotation(self, text: str) -> Mask | None:
        """Return the cells that a text denotes; None if it is unknown.

        Raises:
            InstructionError: if it cannot be an instruction, or denotes nothing.
        """

    def draw_meaning(
        self, generator: Generator, kinds: Sequence[str] = ..., cell: Any = None
    ) -> Meaning:
        """Draw a meaning of some kinds, one that is true of a cell if it is given."""

    def write(self, meaning: Meaning, generator: Generator, phrasing: TaskPhrasing) -> str:
        """Return one of the texts for a meaning."""


class GoalFrame(Protocol):
    """Which cell of a map each goal is in."""

    @property
    def grammar(self) -> CellGrammar:
        """What writes and reads texts about cells."""

    def cells(self, goals: Array) -> Integers:
        """Return the cells of goals [M, G], indices into the map, int [M, axes of the map]."""

    def shortest_steps(self, goals: Array, masks: Mask) -> NDArray[np.float64]:
        """Return the steps from goals [M, G] to the nearest cell of M masks; nan if unknown."""


@dataclass(frozen=True, eq=False)
class GoalWords:
    """Texts about goals, and what they denote.

    Args:
        frame: which cell each goal is in, and the words for cells.
    """

    frame: GoalFrame

    @property
    def kinds(self) -> tuple[str, ...]:
        """The instruction types."""
        return self.frame.grammar.kinds

    def mask(self, instruction: str) -> Mask | None:
        """Return the cells that a text denotes; None if that is unknown.

        Raises:
            InstructionError: if the text cannot be an instruction, or denotes nothing.
        """
        return self.frame.grammar.denotation(instruction)

    def denotation(self, goals: Array, instruction: str) -> Mask | None:
        """Return which goals [M, G] satisfy an instruction, bool [M]; None if that is unknown.

        Raises:
            InstructionError: if the text cannot be an instruction, or denotes nothing.
            ShapeError: if goals are not [M, G].
        """
        mask = self.mask(instruction)
        return None if mask is None else self.inside(goals, mask)

    def inside(self, goals: Array, masks: Mask) -> Mask:
        """Return whether goals [M, G] are in cells of a mask, or of a mask each, bool [M].

        NaN is nowhere.
        """
        cells = tuple(self.frame.cells(goals).T)
        each = cells if masks.ndim == len(cells) else (np.arange(len(goals)), *cells)
        return np.asarray(masks[each] & ~np.isnan(np.asarray(goals)).any(1))

    def check(self, instruction: str) -> None:
        """Raise InstructionError if a text cannot be an instruction, or denotes nothing here."""
        self.mask(instruction)

    def ambiguity_bits(self, instruction: str) -> float:
        """Return log2 of the number of cells that a text denotes; nan if that is unknown."""
        mask = self.mask(instruction)
        return float("nan") if mask is None else float(np.log2(mask.sum()))

    def draw_texts(
        self,
        goals: Array,
        generator: Generator,
        kinds: Sequence[str] | None = None,
        phrasing: TaskPhrasing = "seen",
    ) -> list[str]:
        """Return a text that is true of each goal [P, G]: pairs for ``learn_language``.

        Texts of one kind that are true of a goal are equally likely, and every goal gets one.

        Raises:
            NonFiniteError: if a goal is NaN or infinite.
            InstructionError: if no text of these kinds is true of some goal.
        """
        if not np.isfinite(goals).all():
            raise NonFiniteError("a goal is NaN or infinite; leave it out")
        grammar = self.frame.grammar
        chosen = self._kinds(kinds, phrasing)
        return [
            grammar.write(grammar.draw_meaning(generator, chosen, tuple(cell)), generator, phrasing)
            for cell in self.frame.cells(goals).tolist()
        ]

    def draw_instruction(
        self,
        generator: Generator,
        kinds: Sequence[str] | None = None,
        phrasing: TaskPhrasing = "seen",
    ) -> str:
        """Return a text of some kinds that denotes something."""
        grammar = self.frame.grammar
        meaning = grammar.draw_meaning(generator, self._kinds(kinds, phrasing))
        return grammar.write(meaning, generator, phrasing)

    def _kinds(self, kinds: Sequence[str] | None, phrasing: str) -> tuple[str, ...]:
        lookup(dict.fromkeys(TASK_PHRASINGS), phrasing, "phrasing")
        for kind in kinds or ():
            lookup(dict.fromkeys(self.frame.grammar.drawn_kinds), kind, "instruction type")
        return tuple(kinds or self.kinds)


def find_words(
    env: gym.Env[Any, Any], goals: Array, axes: Sequence[str | None] = ()
) -> GoalWords | None:
    """Return the words for an environment's goals; None if there are none for so many numbers.

    In a maze they are rows and columns of its cells, and elsewhere regions of the goals' range.

    Args:
        env: the environment; it may be wrapped.
        goals: some that were achieved [M, G]; they say where goals are found.
        axes: names of axes for the numbers of a goal, of ``langrl.envs.region_words.AXES``, or
            None for a number without words. If given, words are of regions, in a maze too.

    Raises:
        LayoutError: if the environment has a maze whose map cannot be used.
        GroundingError: if goals are images.
        ShapeError, DomainError, UnknownNameError: if axes and goals do not fit.
    """
    if np.ndim(goals) != 2:
        raise GroundingError(
            f"words are for goals of numbers [M, G], got {list(np.shape(goals))}; for images, use"
            " a language-image model"
        )
    if not axes and (frame := cell_frame(env)) is not None:
        return GoalWords(frame)
    name = "" if env.spec is None else env.spec.id
    found = tuple(axes) or axes_of(name, np.shape(goals)[1])
    return None if found is None else GoalWords(RegionFrame.of(goals, found))


def find_grammar(
    env: gym.Env[Any, Any], numbers: int, axes: Sequence[str | None] = ()
) -> CellGrammar | None:
    """Return the grammar of the words for goals of so many numbers, before goals are known.

    Arguments and errors are as those of ``find_words``.
    """
    if not axes and (frame := cell_frame(env)) is not None:
        return frame.grammar
    found = tuple(axes) or axes_of("" if env.spec is None else env.spec.id, numbers)
    if found is not None and len(found) != numbers:
        raise ShapeError(f"goals have {numbers} numbers, and there are {len(found)} axes")
    return None if found is None else RegionGrammar(found)


def goes_on(env: gym.Env[Any, Any]) -> dict[str, Any]:
    """Return the arguments with which an environment's own goal ends no episode, if it has some.

    Mazes of OGBench and gymnasium-robotics take such arguments; who follows an instruction there
    is not to be stopped on the way.
    """
    base = env.unwrapped
    if hasattr(base, "_terminate_at_goal"):
        return {"terminate_at_goal": False}
    return {"continuing_task": True} if hasattr(base, "continuing_task") else {}
