"""Worlds of others in Chromium: pictures, planes, and levels of MiniGrid."""

import json

import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("minigrid")

from chromium import Chromium, find_chromium
from goal_cubes import cube_playground
from playing_levels import playground_in
from visiting import BELIEF, CAPTIONS, CONTRAST

from langrl.play.rendering import play_episode, write_episode

pytestmark = pytest.mark.browser


def test_a_world_without_a_map_shows_its_own_pictures(visit):
    page = visit(cube_playground(3))
    page.type("go to the far left")
    first = page.browser.evaluate(BELIEF)
    assert "far left" in first
    page.type("go to the far right")
    assert page.browser.evaluate(BELIEF) != first
    page.browser.wait("document.querySelector('figure').picture")
    shade = (
        "(() => { const canvas = document.querySelector('canvas');"
        " return canvas.getContext('2d').getImageData(9, 9, 1, 1).data[0]; })()"
    )
    before = page.browser.evaluate(shade)
    page.check("input[value=max_goal]")
    page.browser.wait("state.view.walks.length === 2")
    page.run()
    assert all("success in" in caption for caption in page.browser.evaluate(CAPTIONS))
    page.browser.wait(f"{shade} > {before} + 20")
    hidden = page.browser.evaluate("[$('asking').hidden, $('tools').hidden]")
    assert hidden == [True, True]
    page.browser.evaluate("document.querySelector('canvas').focus()")
    page.browser.press("ArrowUp")
    page.browser.press("b", 66, "b")
    page.browser.wait("state.view.step === 0")


def test_goals_in_a_plane_are_dots(visit):
    page = visit(cube_playground(2))
    page.type("at the top")
    assert page.browser.evaluate("state.view.belief.points.length") > 8
    assert "each dot is a goal" in page.text("key")
    page.run()
    assert "success in" in page.browser.evaluate(CAPTIONS)[0]


def test_a_level_is_typed_run_and_edited(visit):
    page = visit(playground_in("BabyAI-OpenDoor-v0"))
    text = page.browser.evaluate("state.info.examples[0]")
    page.browser.evaluate("$('examples').firstChild.click()")
    page.browser.wait(f"document.body.dataset.text === {json.dumps(text)}")
    page.type("open a door")
    assert "denotes" in page.text("says")
    page.run()
    assert "success in" in page.browser.evaluate(CAPTIONS)[0]
    doors = "sceneOf(state.view, state.view.walks[0]).things.filter((thing) => thing[4] === 'open')"
    assert len(page.browser.evaluate(doors)) == 1
    free = page.browser.evaluate(
        "(() => { const { rows, columns, things } = state.view.scene;"
        " const [r, c] = state.view.walks[0].path[0];"
        " for (let row = 1; row < rows; row++) for (let column = 1; column < columns; column++)"
        " if (!things.some((thing) => thing[0] === row && thing[1] === column)"
        " && !(row === r && column === c)) return [row, column]; })()"
    )
    page.browser.evaluate("$('thing').value = 'box', $('colour').value = 'purple'")
    page.check("input[value=edit]")
    page.click(free)
    assert page.text("error") == ""
    page.type("go to the purple box")
    assert page.browser.evaluate("state.view.denoted") == [free]


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out_and_texts_stand_out(visit, width, scheme):
    page = visit(cube_playground(3))
    page.browser.prefer(scheme)
    page.browser.resize(width, 800)
    page.type("go to the far left")
    assert page.browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.browser.evaluate(CONTRAST) >= 4.5


def test_a_file_of_a_world_without_a_map_plays(tmp_path):
    path = tmp_path / "episode.html"
    write_episode(path, play_episode(cube_playground(3), "to the far right"), "langrl, cube")
    with Chromium(find_chromium(), tmp_path / "profile") as browser:
        browser.open(path)
        browser.wait("pictures[0].every((picture) => picture.naturalWidth)")
        browser.evaluate("$('at').value = 1000, $('at').oninput()")
        assert "success in" in browser.evaluate("$('panels').textContent")
        assert browser.complaints == []
