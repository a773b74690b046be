"""The playground in Chromium, as a visitor uses it."""

import json

import pytest

pytest.importorskip("uvicorn")

from playing import grid_playground, maze_playground
from visiting import BELIEF, CAPTIONS, CONTRAST

pytestmark = pytest.mark.browser


def test_a_maze_is_typed_run_edited_and_compared(visit):
    page = visit(maze_playground())
    page.type("go to row 4")
    first = page.browser.evaluate(BELIEF)
    assert "row 4" in first
    assert "denotes 6 cells" in page.text("says")
    page.type("go to column 5")
    assert page.browser.evaluate(BELIEF) != first
    page.click((0, 0))
    page.run()
    assert "success in" in page.browser.evaluate(CAPTIONS)[0]

    page.check("input[value=edit]")
    page.click((1, 5), (2, 5))  # drawn in one go
    assert page.browser.evaluate("state.view.scene.walls")[1:3] == [".#####", ".....#"]
    page.click((4, 5), (3, 5))
    assert "unreachable" in page.text("error") or page.browser.evaluate("state.view.scene.walls")[
        3
    ] == (".#####")

    page.check("input[value=log_sum_exp]")
    page.browser.wait("state.view.walks.length === 2")
    page.browser.evaluate("document.getElementById('rate').value = 30")
    page.type("go to row 4")
    page.browser.evaluate("document.querySelector('input[value=place]').click()")
    page.click((0, 0), panel=1)
    page.run()
    captions = page.browser.evaluate(CAPTIONS)
    assert captions[0].startswith("nearest_goal: success")
    assert captions[1] == "log_sum_exp: failure after 100 steps"


def test_a_grid_world_is_typed_run_edited_and_compared(visit):
    page = visit(grid_playground())
    page.type("go to any object")
    first = page.browser.evaluate(BELIEF)
    page.run()
    assert "success in" in page.browser.evaluate(CAPTIONS)[0]
    page.browser.evaluate("document.getElementById('restart').click()")
    page.browser.wait(f"{BELIEF} !== {json.dumps(first)}")

    at = page.browser.evaluate(  # of an object, which another one replaces
        "state.view.scene.things.find((thing) => thing[2] !== 'wall').slice(0, 2)"
    )
    page.browser.evaluate("$('thing').value = 'box', $('colour').value = 'purple'")
    page.check("input[value=edit]")
    page.click(at)
    assert page.text("error") == ""
    page.type("go to the purple box")
    assert f"purple box at row {at[0]}, column {at[1]}" in page.browser.evaluate(BELIEF)
    page.check("input[value=log_sum_exp]")
    page.browser.wait("state.view.walks.length === 2")
    page.run()
    assert page.browser.evaluate(CAPTIONS)[0].startswith("nearest_goal: success")


@pytest.mark.parametrize(
    ("text", "answer", "runs"),
    [("go to row 99", "rows with free cells are 0 to 4", False),
     ("colourless green ideas", "beyond the grammar", True)],
)  # fmt: skip
def test_words_that_mean_nothing_are_answered(visit, text, answer, runs):
    page = visit(maze_playground())
    page.type(text)
    assert answer in page.text("says")
    assert page.browser.evaluate("$('go').disabled") is not runs


def test_a_run_can_be_paused_and_gone_on_with(visit):
    page = visit(maze_playground())
    page.browser.evaluate("document.querySelector('input[value=log_sum_exp]').click()")
    page.browser.wait("state.view.walks.length === 2")
    page.click((0, 0))
    page.type("go to row 4")
    page.browser.press("Enter", 13, "\r")
    page.browser.wait("state.view.step > 2")
    page.browser.press("Enter", 13, "\r")
    page.browser.wait("document.body.dataset.running === 'false'")
    step = page.browser.evaluate("act({ do: 'look' }).then(() => state.view.step)")
    assert 2 < step < 100
    page.browser.evaluate("$('step').click()")
    page.browser.wait(f"state.view.step === {step + 1}")
    assert page.text("go") == "Go on"


def test_the_world_is_used_with_keys_alone(visit):
    page = visit(maze_playground())
    page.type("go to row 4")
    page.browser.evaluate("document.querySelector('canvas').focus()")
    for _ in range(9):
        page.browser.press("ArrowUp")
        page.browser.press("ArrowLeft")
    assert page.text("cursor").startswith("Row 0, column 0: free")
    page.browser.press("Enter", 13, "\r")
    page.browser.wait("state.view.walks[0].path[0].join() === '0.5,0.5'")
    page.browser.press("r", 82, "r")
    page.browser.wait("state.view.over")
    label = page.browser.evaluate("document.querySelector('canvas').getAttribute('aria-label')")
    assert label == "nearest_goal, agent in row 4, column 0, success in 7 steps"


def test_the_cursor_goes_with_the_mouse_and_says_what_was_made(visit):
    page = visit(maze_playground())
    page.check("input[value=edit]")
    says = "$('cursor').textContent"
    page.click((1, 5), (2, 5))
    page.browser.wait(f"{says}.startsWith('Row 2, column 5: wall')")
    page.browser.press("ArrowUp")
    assert page.text("cursor").startswith("Row 1, column 5: wall")
    page.browser.press("Enter", 13, "\r")
    page.browser.wait(f"{says}.startsWith('Row 1, column 5: free')")
    assert page.browser.evaluate("state.view.scene.walls")[1:3] == [".####.", ".....#"]


def test_an_idle_session_is_begun_anew_with_the_same_text(visit):
    page = visit(maze_playground())
    page.browser.evaluate("state.id = 'gone'")
    page.browser.evaluate("$('text').value = 'go to row 2', $('text').oninput()")
    page.browser.wait("document.body.dataset.text === 'go to row 2'")
    assert "a new one has begun" in page.text("error")
    page.browser.events[:] = [  # the browser notes the answer 410 by itself
        event for event in page.browser.events if "410" not in json.dumps(event)
    ]


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out_and_texts_stand_out(visit, width, scheme):
    page = visit(grid_playground())
    page.browser.prefer(scheme)
    page.browser.resize(width, 800)
    page.type("walk to any object")
    assert page.browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.browser.evaluate(CONTRAST) >= 4.5
