"""Mazes of others: where an agent is placed, and what is drawn."""

import numpy as np
import pytest

pytest.importorskip("ogbench")

from goal_cubes import KnowsRegions

from langrl.envs.goal_words import find_words
from langrl.envs.goal_worlds import make_goal_env
from langrl.errors import LayoutError
from langrl.play.goals import GoalWorld
from langrl.play.playground import Playground
from langrl.play.session import Session


@pytest.fixture(scope="module")
def session():
    env = make_goal_env("pointmaze-medium-v0", 50)
    words = find_words(env, np.zeros((1, 2)))
    env.close()
    world = GoalWorld.of("pointmaze-medium-v0", words, 50)
    agents = Playground(
        "runs/medium", world, lambda strategy: KnowsRegions(words, 2), ("max_goal",), "max_goal"
    )
    return Session(agents)


def test_an_agent_is_placed_in_the_cell_that_was_clicked(session):
    session.place([6.2, 1.9])
    assert np.floor(session.start).tolist() == [6, 1]
    session.tell("go to row 6")
    view = session.look()
    assert "It is there already" in view["says"][-1]
    assert view["walks"][0]["path"][0] == pytest.approx(session.start, abs=1e-3)
    walk = session.walks[0]
    session.step()
    assert np.abs(walk.path[1] - walk.path[0]).max() < 0.3
    session.again()
    session.step()
    assert walk.path[0].tolist() == session.start.tolist()


@pytest.mark.parametrize("place", [[0, 0], [99, 1], [1], [-1, 2]])
def test_nobody_is_placed_in_a_wall_or_outside(session, place):
    with pytest.raises(LayoutError, match="a wall is there"):
        session.place(place)


def test_its_walls_are_drawn_and_a_new_start_is_drawn(session):
    scene = session.look()["scene"]
    assert scene["walls"][0] == "########"
    assert scene["can_place"]
    before = session.start.tolist()
    session.tell("go to row 1")
    session.restart()
    assert session.start.tolist() != before
    assert int(session.start[0]) != 1
