"""The agent asks on the page what is meant, in Chromium."""

import pytest

pytest.importorskip("uvicorn")

from visiting import BELIEF

from langrl.play.playground import open_run

pytestmark = pytest.mark.browser


def test_an_agent_asks_and_the_answer_changes_the_belief(visit, small_run, monkeypatch):
    monkeypatch.setattr("langrl.play.asking.PRICE", 1e-4)  # it has learned next to nothing
    page = visit(open_run(small_run("maze")))
    page.type("go to row 3 or row 8")
    page.check("#hidden")
    page.browser.wait("state.view.hidden && state.view.meant")
    assert "You mean the row" in page.text("meant")
    page.browser.evaluate("document.getElementById('text').focus()")
    page.browser.press("Enter", 13, "\r")
    page.browser.wait("state.view.question")
    before = page.browser.evaluate(BELIEF)
    assert page.browser.evaluate("document.querySelectorAll('#question button').length") > 1
    page.browser.evaluate("document.querySelector('#question button.first').click()")
    page.browser.wait("!state.view.question || state.view.over")
    page.browser.wait(f"document.getElementById('ranked').textContent !== {before!r}")
