import json

import numpy as np
import pytest
from goal_cubes import cube_playground
from PIL import Image

from langrl.errors import ConfigError, LayoutError
from langrl.play.lending import Lending
from langrl.play.rendering import play_episode, write_episode
from langrl.play.session import Session
from langrl.play.worlds import Edit


def finish(session):
    while session.step():
        pass
    return [walk.success for walk in session.walks]


@pytest.fixture(scope="module")
def plane():
    return cube_playground(2)


@pytest.fixture(scope="module")
def space():
    return cube_playground(3)


@pytest.mark.parametrize(
    ("text", "rows", "columns"),
    [("go to the far top", {0}, {0, 1, 2, 3}), ("go to the right", {0, 1, 2, 3}, {2, 3}),
     ("at the bottom and on the left", {2, 3}, {0, 1})],
)  # fmt: skip
def test_goals_in_a_plane_are_drawn_with_the_top_above(plane, text, rows, columns):
    session = Session(plane)
    session.tell(text)
    view = session.look()
    denoted = {tuple(cell) for cell in view["denoted"]}
    assert {row for row, _ in denoted} == rows
    assert {column for _, column in denoted} == columns
    best = view["belief"]["points"][0]
    assert (int(best[0]), int(best[1])) in denoted
    assert tuple(view["belief"]["ranked"][0]["cell"]) in denoted
    assert view["scene"]["labels"] == {"columns": ("left", "right"), "rows": ("top", "bottom")}


def test_an_agent_goes_through_a_plane_to_what_the_words_denote(plane):
    session = Session(plane)
    session.tell("go to the far right")
    session.restart()
    assert finish(session) == [True]
    path = session.look()["walks"][0]["path"]
    assert path[0][1] < 3 <= path[-1][1]
    assert not session.step()


def test_walks_side_by_side_have_one_start_and_worlds_of_their_own(plane):
    session = Session(plane)
    session.tell("go to the far left")
    session.compare(["nearest_goal", "max_goal"])
    finish(session)
    one, two = (walk["path"] for walk in session.look()["walks"])
    assert one == two
    session.again()
    finish(session)
    assert session.look()["walks"][0]["path"] == one


def test_what_cannot_be_done_there_is_named(plane):
    session = Session(plane)
    scene = session.look()["scene"]
    assert [scene[f"can_{what}"] for what in ("place", "edit", "mean")] == [False] * 3
    with pytest.raises(ConfigError, match="chooses its starts itself; draw a new one"):
        session.place([1, 1])
    with pytest.raises(LayoutError, match="stay as they are"):
        session.edit([Edit(1, 1, "wall")])
    with pytest.raises(ConfigError, match="nothing can be asked"):
        session.hide(True)


def test_where_there_is_no_map_pictures_are_shown_and_regions_listed(space):
    session = Session(space)
    session.tell("far right and near")
    view = json.loads(json.dumps(session.look(), allow_nan=False))
    assert view["scene"]["kind"] == "frames"
    assert view["scene"]["no_picture"] == ""
    assert view["belief"]["ranked"][0]["name"].startswith("far right, ")
    assert "regions" in view["says"][0]
    before = session.frame(0)
    assert before.shape == (30, 40, 3)
    assert finish(session) == [True]
    assert session.frame(0).mean() > before.mean()  # to the right
    with pytest.raises(ConfigError, match="counted from 0"):
        session.frame(1)


def test_a_machine_that_draws_nothing_says_so_and_goes_on():
    session = Session(cube_playground(3, "toys/Dark-v0"))
    assert (
        "no picture can be drawn on this machine (RuntimeError: no screen)"
        in (session.look()["scene"]["no_picture"])
    )
    session.tell("to the right")
    assert session.frame(0) is None
    assert finish(session) == [True]


def test_episodes_without_a_map_are_files_with_pictures(space, tmp_path):
    session = play_episode(space, "to the far left", ("nearest_goal", "max_goal"))
    write_episode(tmp_path / "a.html", session, "langrl, cube")
    page = (tmp_path / "a.html").read_text()
    frames = json.loads(page.split('id="episode">')[1].split("</script>")[0])["frames"]
    assert [len(each) for each in frames] == [len(walk.path) for walk in session.walks]
    assert frames[0][-1].startswith("data:image/jpeg;base64,")
    write_episode(tmp_path / "a.gif", session, "langrl, cube")
    with Image.open(tmp_path / "a.gif") as image:
        assert image.n_frames >= len(session.walks[0].path)


def test_episodes_in_a_plane_are_films(plane, tmp_path):
    write_episode(tmp_path / "a.gif", play_episode(plane, "to the far left"), "langrl")
    with Image.open(tmp_path / "a.gif") as image:
        assert np.asarray(image.convert("RGB")).std() > 5


def test_without_pictures_there_is_no_film(tmp_path):
    session = play_episode(cube_playground(3, "toys/Dark-v0"), "to the left")
    with pytest.raises(ConfigError, match=r"write an \.html file"):
        write_episode(tmp_path / "a.gif", session, "langrl")


def test_what_was_lent_is_lent_again_when_its_owner_is_forgotten():
    made = []

    class Owner:
        pass

    lending = Lending(lambda: made.append(None) or len(made))
    one, two = Owner(), Owner()
    assert (lending.lend(one), lending.lend(two)) == (1, 2)
    del one
    with lending.borrowed() as env:
        assert env == 1
    assert lending.lend(Owner()) == 1
    assert len(made) == 2
