from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest

from langrl.envs.goal_words import GoalWords, find_words, goes_on
from langrl.envs.maze.cells import CellFrame
from langrl.envs.phrasing import PHRASINGS
from langrl.envs.regions import RegionFrame
from langrl.errors import (
    DomainError,
    GroundingError,
    InstructionError,
    NonFiniteError,
    ShapeError,
    UnknownNameError,
)

MAZE = CellFrame(("#####", "#...#", "#.#.#", "#...#", "#####"), (1, 0), (0.5, 0.5), (1.5, 1.5))
SPACE = RegionFrame(("near-far", "right-left", "low-high"), (0.0,) * 3, (1.0,) * 3)
FRAMES = {"cells": MAZE, "regions": SPACE}


def goals_of(name, count=300, seed=0):
    generator = np.random.default_rng(seed)
    if name == "regions":
        return generator.uniform(0, 1, (count, 3)).astype(np.float32)
    cells = MAZE.layout.free_cells[generator.integers(8, size=count)]
    return ((cells + generator.uniform(0, 1, (count, 2)) - 1.5) * 2)[:, ::-1].astype(np.float32)


class Named(gym.Env):
    def __init__(self, name="", **parts):
        self.spec = gym.envs.registration.EnvSpec(name) if name else None
        self.__dict__.update(parts)


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("phrasing", PHRASINGS)
def test_a_drawn_text_is_true_of_its_goal(name, phrasing):
    words, goals = GoalWords(FRAMES[name]), goals_of(name)
    texts = words.draw_texts(goals, np.random.default_rng(1), phrasing=phrasing)
    assert len(texts) == len(goals)
    assert len(set(texts)) > 100
    for goal, text in zip(goals, texts, strict=True):
        assert words.denotation(goal[None], text).tolist() == [True], text


@pytest.mark.parametrize("name", FRAMES)
def test_pairs_cover_every_kind_and_the_seed_decides_them(name):
    words, goals = GoalWords(FRAMES[name]), goals_of(name)
    drawn = [words.draw_texts(goals, np.random.default_rng(seed)) for seed in (3, 3, 4)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert {words.frame.grammar.parse(text)[0] for text in drawn[0]} == set(words.kinds)
    only = words.draw_texts(goals[:20], np.random.default_rng(0), kinds=words.kinds[:1])
    assert {words.frame.grammar.parse(text)[0] for text in only} == {words.kinds[0]}


def test_denotations_in_a_maze_by_hand():
    words = GoalWords(MAZE)
    goals = np.array([[0, 0], [4, 0], [4, 4], [0, 4], [np.nan, 0]])  # x, y
    assert words.denotation(goals, "go to row 1").tolist() == [True, True, False, False, False]
    told = "proceed to row 1 or maybe column no 1 now"
    assert words.denotation(goals, told).tolist() == [True, True, False, True, False]
    assert words.denotation(goals, "dance") is None
    assert words.ambiguity_bits("go to row 1") == np.log2(3)
    assert np.isnan(words.ambiguity_bits("dance"))


def test_denotations_in_space_by_hand():
    words = GoalWords(SPACE)
    goals = np.array([[0.1, 0.9, 0.9], [0.9, 0.1, 0.6], [2, -1, 0.1]])
    assert words.denotation(goals, "high on the left").tolist() == [True, False, False]
    assert words.denotation(goals, "travel far from you").tolist() == [False, True, True]
    assert words.ambiguity_bits("high") == 5  # 32 of 64 boxes


def test_masks_may_differ_by_goal():
    words = GoalWords(MAZE)
    masks = np.stack([words.mask("row 1"), words.mask("row 3")])
    assert words.inside(np.array([[0, 0], [0, 0]]), masks).tolist() == [True, False]


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("text", ["", " ", "x" * 1001, "a\x00b", 3])
def test_what_cannot_be_an_instruction_is_refused(name, text):
    with pytest.raises(InstructionError):
        GoalWords(FRAMES[name]).check(text)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("cells", "go to row 0", "the rows with free cells are 1 to 3"),
        ("cells", "row 2 and column 2", "that cell is a wall"),
        ("regions", "low and high", "use 'or' for alternatives"),
    ],
)
def test_what_denotes_nothing_is_refused(name, text, says):
    with pytest.raises(InstructionError, match=says):
        GoalWords(FRAMES[name]).denotation(goals_of(name), text)


def test_unknown_kinds_phrasings_and_goals_that_are_not_finite_are_refused():
    words, generator = GoalWords(MAZE), np.random.default_rng(0)
    with pytest.raises(UnknownNameError, match="'rows'; did you mean 'row'"):
        words.draw_instruction(generator, ["rows"])
    with pytest.raises(UnknownNameError, match="no phrasing named 'heard'"):
        words.draw_instruction(generator, phrasing="heard")
    with pytest.raises(NonFiniteError, match="leave it out"):
        words.draw_texts(np.full((1, 2), np.nan), generator)


def test_words_of_an_environment_with_cells():
    env = Named(maze_map=[[0, 0]], ij_to_xy=lambda ij: (ij[1], ij[0]))
    found = find_words(env, goals_of("cells"))
    assert isinstance(found.frame, CellFrame)
    asked = find_words(env, goals_of("cells"), axes=("left-right", "bottom-top"))
    assert asked.frame.axes == ("left-right", "bottom-top")


def test_words_of_other_environments():
    goals = goals_of("regions")
    assert find_words(Named("FetchReach-v4"), goals).frame.axes[1] == "right-left"
    assert find_words(Named(), goals[:, :1]).frame.axes == ("low-high",)
    assert find_words(Named(), np.ones((4, 15))) is None
    many = find_words(Named(), np.tile(goals, 5), axes=(None,) * 14 + ("low-high",))
    assert many.denotation(np.tile(goals, 5), "high").any()


@pytest.mark.parametrize(
    ("goals", "axes", "error", "says"),
    [
        (np.zeros((3, 8, 8, 3), np.uint8), (), GroundingError, "goals of numbers"),
        (np.ones((3, 2)), (), DomainError, "all the same"),
        (goals_of("regions"), ("left-right",), ShapeError, r"\[M, 1\]"),
        (goals_of("regions"), ("left-up",) * 3, UnknownNameError, "no axis named 'left-up'"),
    ],
)
def test_goals_and_axes_that_do_not_fit_are_refused(goals, axes, error, says):
    with pytest.raises(error, match=says):
        find_words(Named(), goals, axes)


def test_arguments_with_which_episodes_go_on():
    assert goes_on(Named(_terminate_at_goal=True)) == {"terminate_at_goal": False}
    assert goes_on(Named(continuing_task=False, maze=SimpleNamespace())) == {
        "continuing_task": True
    }
    assert goes_on(Named()) == {}
