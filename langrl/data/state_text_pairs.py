"""Pairs of a state and a text that is true of it, without actions.

Axes: ``P`` pairs, ``U`` distinct texts, ``S`` numbers in a state.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from langrl.envs.goal_words import GoalWords
from langrl.envs.maze.cells import street_frame
from langrl.envs.maze.grammar import KINDS
from langrl.envs.maze.world import StreetMaze
from langrl.envs.phrasing import Phrasing
from langrl.protocols import Floats, Integers


@dataclass(frozen=True, eq=False)
class StateTextPairs:
    """``states`` float32 [P, S]; ``text_index`` int [P] into the U distinct ``texts``."""

    states: Floats
    text_index: Integers
    texts: tuple[str, ...]


def maze_pairs(
    world: StreetMaze,
    count: int,
    generator: Generator,
    kinds: Sequence[str] = KINDS,
    phrasing: Phrasing = "seen",
) -> StateTextPairs:
    """Draw states uniform over the free area, each with an instruction that it satisfies.

    Source: arXiv:2501.11326, appendix on street mazes, where texts name a row or a column.
    """
    states = world.sample_states(count, generator)
    texts = GoalWords(street_frame(world)).draw_texts(states, generator, kinds, phrasing)
    distinct = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    return StateTextPairs(states, np.array([distinct[text] for text in texts]), tuple(distinct))
