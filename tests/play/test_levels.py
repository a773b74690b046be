"""Levels of MiniGrid in the playground."""

import json

import numpy as np
import pytest

pytest.importorskip("minigrid")

from playing_levels import playground_in

from langrl.envs.minigrid_levels.reading import TOGGLE
from langrl.errors import ConfigError, InstructionError, LayoutError
from langrl.play.playground import open_run
from langrl.play.rendering import play_episode, write_episode
from langrl.play.session import Session
from langrl.play.worlds import Edit


def session_in(level):
    return Session(playground_in(level))


def finish(session):
    while session.step():
        pass
    return session.walks[0].success


def test_the_first_example_is_the_mission_of_the_level_and_is_judged_by_it():
    session = session_in("BabyAI-GoToLocal-v0")
    session.world = session.playground.world
    session.restart()
    session.tell(session.world.mission)
    view = session.look()
    assert json.loads(json.dumps(view, allow_nan=False)) == view
    assert view["scene"]["kind"] == "grid"
    assert view["belief"]["poses"]
    assert finish(session) is True
    assert session.playground.world.examples[0] == session.playground.world.mission


def test_a_door_that_is_opened_is_open_from_then_on():
    session = session_in("BabyAI-OpenDoor-v0")
    session.tell(session.world.mission)
    doors = [thing for thing in session.look()["scene"]["things"] if thing[2] == "door"]
    assert {thing[4] for thing in doors} == {"shut"}
    assert finish(session) is True
    walk = session.look()["walks"][0]
    assert len(walk["things"]) == len(walk["path"])
    changed = [things for things in walk["things"] if things is not None]
    assert len(changed) == 1
    assert [thing[4] for thing in changed[0] if thing[2] == "door"].count("open") == 1


def test_a_new_room_has_what_the_words_denote_and_other_texts_are_judged():
    session = session_in("BabyAI-GoToLocal-v0")
    session.tell("pick up a purple key")
    session.restart()
    assert "denotes" in session.look()["says"][0]
    assert finish(session) is True


def test_a_level_is_edited_and_the_agent_placed():
    session = session_in("BabyAI-GoToLocal-v0")
    free = np.argwhere(session.world.layout[1:7, 1:7, 0] == 1) + 1
    spots = [cell for cell in free.tolist() if cell != session.start[:2].tolist()]
    with pytest.raises(InstructionError):
        session.world.denoted("go to the grey door")
    session.edit([Edit(*spots[0], "door", "grey")])
    session.tell("go to the grey door")
    assert session.look()["denoted"] == [spots[0]]
    assert session.look()["scene"]["edited"]
    session.place([*spots[-1], 0])
    assert session.look()["walks"][0]["path"][0] == [*spots[-1], 0]
    with pytest.raises(LayoutError, match="something is there"):
        session.place([*spots[0], 0])
    with pytest.raises(LayoutError, match="something is there"):
        session.place([99, 1, 0])
    with pytest.raises(LayoutError, match="outer walls"):
        session.edit([Edit(0, 1, "free")])
    session.reset_world()
    assert not session.look()["scene"]["edited"]


def test_a_mission_that_the_grammar_cannot_read_is_judged_by_the_level():
    session = session_in("BabyAI-PutNextLocal-v0")
    session.tell(session.world.mission)
    assert "it judges success" in session.look()["says"][0]
    session.step()
    session.tell("colourless green ideas")
    assert "beyond the grammar" in session.look()["says"][0]
    for _ in range(3):
        session.step()
    assert session.walks[0].success is None


def test_a_level_that_judges_by_itself_takes_its_own_mission():
    session = session_in("MiniGrid-GoToDoor-8x8-v0")
    assert not session.look()["scene"]["can_edit"]
    session.tell("go to the red ball")
    assert "judges by its own mission" in session.look()["says"][0]
    session.tell(session.world.mission)
    assert session.look()["can_run"]


def test_things_that_are_carried_are_with_the_agent():
    session = session_in("BabyAI-PickupLoc-v0")
    session.tell("pick up something")
    session.walks[0].acting.act = lambda *_: np.int64(TOGGLE)
    session.step()
    assert session.walks[0].things[-1] is None  # nothing has changed


def test_episodes_in_levels_are_films_and_pages(tmp_path):
    session = play_episode(playground_in("BabyAI-OpenDoor-v0"), "open a door")
    for suffix in (".html", ".gif"):
        write_episode(tmp_path / f"a{suffix}", session, "langrl")
        assert (tmp_path / f"a{suffix}").stat().st_size > 5_000


@pytest.mark.parametrize(
    ("config", "why"),
    [("task: street-maze\nworld: {layout: fork}", "cannot be played with in levels"),
     ("task: sb3\nworld: langrl/GridGoTo-v0\npolicy: {algorithm: ppo}", "cannot be played with")],
)  # fmt: skip
def test_other_runs_are_refused_before_their_agents_are_made(config, why, tmp_path):
    (tmp_path / "config.yaml").write_text(config)
    with pytest.raises(ConfigError, match=why):
        open_run(tmp_path, "BabyAI-GoToLocal-v0")
