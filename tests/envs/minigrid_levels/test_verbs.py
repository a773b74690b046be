"""What each verb can be done with, what has no goal, and how many levels work: as the docs say."""

import re
from collections import Counter

import gymnasium as gym
import minigrid  # noqa: F401  registers its levels
import numpy as np
import pytest
from documents import ROOT

from langrl.envs.grid.grammar import COLOURS, TYPES
from langrl.envs.minigrid_levels.env import MiniGridLevelEnv
from langrl.envs.minigrid_levels.reading import DONE, DROP, PICKUP, TOGGLE
from langrl.envs.minigrid_levels.tasks import can_be_done, denoted_by, read_task, without_goal
from langrl.errors import ConfigError, InstructionError
from langrl.tasks.grid.level_suite import _unknown

PAGE = ROOT / "docs" / "how-to" / "minigrid-levels.md"
LEVELS = sorted(name for name in gym.registry if name.startswith(("BabyAI-", "MiniGrid-")))
REASONS = {
    "cells": r"has (goal|lava) cells; langrl's grid worlds have keys, balls, boxes and doors\.",
    "mission": r"has no mission, so that there is nothing to follow; choose a level with one",
    "files": r"does not start, as the installed minigrid lacks a part of it .*; choose another",
}


def room_of(*things):
    """A row of objects, by colour and type."""
    return np.array([[(TYPES[name], COLOURS[colour]) for colour, name in things]], np.uint8)


def test_doors_are_opened_and_all_else_is_picked_up():
    room = room_of(("red", "ball"), ("red", "door"), ("red", "key"), ("red", "box"))
    assert can_be_done((PICKUP,), room).tolist() == [[True, False, True, True]]
    assert can_be_done((TOGGLE,), room).tolist() == [[False, True, False, False]]
    assert can_be_done((DONE,), room).all()
    assert can_be_done((DONE, PICKUP), room).all()
    for text, cells in (
        ("pick up something red", [True, False, True, True]),
        ("open something red", [False, True, False, False]),
        ("go to something red", [True] * 4),
    ):
        task = read_task(text)
        assert denoted_by(task, room, None).cells.tolist() == [cells]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("open a ball", "'open a ball': only doors can be opened; name one, or go to it"),
        ("pick up a door", "'pick up a door': only keys, balls and boxes can be picked up;"),
    ],
)
def test_what_cannot_be_done_in_any_layout_is_refused_at_once(text, message):
    env = MiniGridLevelEnv("BabyAI-GoToLocal-v0")
    with pytest.raises(InstructionError, match=re.escape(message)):
        env.reset(seed=0, options={"instruction": text})


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("put the red ball next to the blue box", "something to be put down"),
        ("drop the ball", "something to be put down"),
        ("open the red door, then open the blue door", "several things in turn"),
        ("pick up a key and go to the door", "several things in turn"),
        ("close the door", "something to be closed or moved"),
        ("sing a song", None),
        ("pull the red door open", None),
        ("go to a ball", None),
    ],
)
def test_a_verb_without_a_goal_is_followed_and_said(text, what):
    assert without_goal(text) == what
    if what is not None:
        env = MiniGridLevelEnv("BabyAI-GoToLocal-v0")
        _, info = env.reset(seed=0, options={"instruction": text})
        assert not info["is_judged"]
        assert np.isnan(info["ambiguity_bits"])
        assert f"asks for {what}, which is no goal here: it is followed" in _unknown(text)
    else:
        assert "beyond the grammar" in _unknown(text)


def test_no_way_is_known_where_a_key_is_needed():
    env = MiniGridLevelEnv("BabyAI-UnlockLocal-v0")
    _, info = env.reset(seed=0)
    assert info["ambiguity_bits"] == 0
    assert np.isnan(info["shortest_steps"])
    shut = MiniGridLevelEnv("BabyAI-OpenDoor-v0")
    assert shut.reset(seed=0)[1]["shortest_steps"] >= 1


def test_what_is_put_next_to_another_is_judged_by_the_level():
    env = MiniGridLevelEnv("BabyAI-PutNextLocalS5N3-v0")
    _, info = env.reset(seed=0)
    assert info["is_judged"]
    assert env.denoted_cells is None
    env.step(DROP)


def test_as_many_levels_work_and_are_refused_as_the_page_says():
    """Every level that minigrid registers is tried; those refused have one line with the reason."""
    found = Counter()
    for name in LEVELS:
        try:
            env = MiniGridLevelEnv(name)
        except ConfigError as error:
            text = str(error)
            assert text.startswith(f"{name} ")
            assert "\n" not in text
            (reason,) = [each for each, how in REASONS.items() if re.search(how, text)]
            found[reason] += 1
            continue
        _, info = env.reset(seed=0)
        found["works"] += 1
        found["denotes"] += bool(np.isfinite(info["ambiguity_bits"]))
    told = re.search(
        r"Of the (\d+) levels that minigrid \d\.\d registers, (\d+) work; (\d+) are refused: (\d+)"
        r" with.*?, (\d+) whose files.*?, and (\d+) without a mission .*? In (\d+) of those that",
        " ".join(PAGE.read_text().split()),
    )
    refused = sum(found[reason] for reason in REASONS)
    assert tuple(map(int, told.groups())) == (
        len(LEVELS), found["works"], refused, found["cells"], found["files"], found["mission"],
        found["denotes"],
    )  # fmt: skip
