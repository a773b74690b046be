from dataclasses import replace

from playing import Knowing, maze_playground

from langrl.play.session import Session


class Doubting(Knowing):
    """Knows only texts with a row."""

    def posterior(self, observation, instruction):
        p = 0.9 if "row" in instruction else 0.08
        return replace(super().posterior(observation, instruction), p_understood=p)


def said(text, agent=Doubting):
    session = Session(maze_playground(agent))
    session.tell(text)
    return session.look()["says"]


def test_the_page_says_what_is_probably_not_understood():
    assert "Probably not understood: p 0.08." in said("what is the weather like?")
    assert said("go to column 5")[0] == "Probably not understood: p 0.08."


def test_the_page_is_silent_where_a_text_is_understood_or_nobody_knows():
    assert not any("understood" in line for line in said("go to row 2"))
    assert not any("understood" in line for line in said("go to column 5", Knowing))
