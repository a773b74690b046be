"""Pairs of a state and a text that is true of it, without actions.

Axes: ``P`` pairs, ``U`` distinct texts, ``S`` numbers in a state, ``R`` rows, ``C`` columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from langrl.data.maze.texts import MazeTextWriter
from langrl.envs.maze.grammar import KINDS
from langrl.envs.maze.world import StreetMaze
from langrl.envs.phrasing import Phrasing
from langrl.protocols import Floats, Integers, Mask


@dataclass(frozen=True, eq=False)
class StateTextPairs:
    """``states`` float32 [P, S]; ``text_index`` int [P] into the U distinct ``texts``.

    ``denoted`` [U, R, C] are the cells that each text denotes; a text that is written for several
    meanings, by a slip of spelling, denotes those of the first.
    """

    states: Floats
    text_index: Integers
    texts: tuple[str, ...]
    denoted: Mask


def maze_pairs(
    world: StreetMaze,
    count: int,
    generator: Generator,
    kinds: Sequence[str] = KINDS,
    phrasing: Phrasing = "seen",
    paraphrases: float = 0.0,
) -> StateTextPairs:
    """Draw states uniform over the free area, each with an instruction that it satisfies.

    Args:
        world: the maze.
        count: how many pairs.
        generator: the only source of randomness.
        kinds: instruction types.
        phrasing: of the texts that are the grammar's.
        paraphrases: share of texts that are ``MazeTextWriter``'s instead.

    Source: arXiv:2501.11326, appendix on street mazes, where texts name a row or a column.
    """
    states = world.sample_states(count, generator)
    grammar, writer = world.grammar, MazeTextWriter(world.grammar, kinds)
    numbers: dict[str, int] = {}
    masks, index = [], []
    for row, column in states.astype(int).tolist():
        if paraphrases and generator.random() < paraphrases:
            text, mask = writer.draw((row, column), generator)
        else:
            meaning = grammar.draw_meaning(generator, kinds, (row, column))
            text, mask = grammar.write(meaning, generator, phrasing), grammar.mask(meaning)
        if text not in numbers:
            numbers[text] = len(numbers)
            masks.append(mask)
        index.append(numbers[text])
    return StateTextPairs(states, np.array(index), tuple(numbers), np.stack(masks))
