import json

import numpy as np
import pytest

from langrl.errors import ConfigError, InstructionError, LangRLError, LayoutError, UnknownNameError
from langrl.play.playground import open_run
from langrl.play.session import Session
from langrl.play.worlds import MOST_STEPS, Belief, Edit


def told(playground, text, *strategies):
    session = Session(playground)
    if playground.world.kind == "grid":  # sessions begin in a room of their own
        session.world = playground.world
        session.place([5, 5, 3])
    if strategies:
        session.compare(strategies)
    session.tell(text)
    return session


def finish(session):
    while session.step():
        pass
    return [walk.success for walk in session.walks]


def test_what_a_page_shows_is_json(maze, grid):
    for playground, text in ((maze, "go to row 2"), (grid, "go to a ball")):
        session = told(playground, text)
        session.step()
        view = session.look()
        assert json.loads(json.dumps(view, allow_nan=False)) == view


def test_before_anything_is_said_there_is_no_belief_and_nothing_to_run(session):
    view = session.look()
    assert (view["belief"], view["denoted"], view["can_run"]) == (None, None, False)
    assert "example" in view["says"][0]
    with pytest.raises(InstructionError, match="type an instruction"):
        session.step()


def test_another_text_changes_the_belief(session):
    session.tell("go to row 0")
    first = session.look()["belief"]
    session.tell("go to column 5")
    second = session.look()["belief"]
    assert {cell[0] for cell in first["cells"][:6]} == {0}
    assert {cell[1] for cell in second["cells"][:5]} == {5}
    assert 0 < second["bits"] < np.log2(22)
    assert second["ranked"][0]["name"].endswith("column 5")


def test_the_entropy_is_that_of_cells():
    cells = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    belief = Belief.of_cells(cells, np.array([0.5, 0.25, 0.25, 0.0]))
    assert belief.bits == pytest.approx(1.5)
    assert belief.on(np.array([[True, False], [True, True]])) == pytest.approx(0.75)


def test_poses_that_face_one_cell_count_together(grid):
    belief = told(grid, "the red ball").belief()
    assert belief.cells[0].tolist() == [1, 3]
    assert len(belief.poses) > 3
    assert belief.probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert belief.to_json(grid.world)["ranked"][0]["name"] == "red ball at row 1, column 3"


@pytest.mark.parametrize("text", ["xyzzy", "it is blue or what"])
def test_words_beyond_the_grammar_are_followed_without_a_verdict(maze, text):
    session = told(maze, text)
    view = session.look()
    assert view["can_run"]
    assert view["denoted"] is None
    assert "beyond the grammar" in view["says"][0]
    assert finish(session) == [None]
    assert session.steps == MOST_STEPS


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [("maze", "go to row 99", "rows with free cells are 0 to 4"),
     ("grid", "go to the purple box", "denotes nothing in this room")],
)  # fmt: skip
def test_a_text_that_denotes_nothing_is_answered_in_words(request, name, text, why):
    session = told(request.getfixturevalue(name), text)
    view = session.look()
    assert not view["can_run"]
    assert why in view["says"][0]
    assert view["belief"] is not None
    with pytest.raises(InstructionError, match=why):
        session.step()


def test_strategies_act_side_by_side_from_one_start(maze):
    session = told(maze, "go to row 4", "nearest_goal", "log_sum_exp")
    session.place([0.5, 0.5])
    assert finish(session) == [True, False]
    paths = [walk["path"] for walk in session.look()["walks"]]
    assert paths[0][0] == paths[1][0] == [0.5, 0.5]
    assert len(paths[0]) - 1 == 7  # half a cell each, to row 4.0
    assert len(paths[1]) - 1 == MOST_STEPS


def test_a_grid_world_ends_with_done_in_front_of_an_object(grid):
    session = told(grid, "the yellow key", "nearest_goal", "log_sum_exp")
    session.place([5, 5, 3])
    assert finish(session) == [True, False]  # the other one takes the nearest object


def test_a_step_after_the_end_does_nothing(maze):
    session = told(maze, "go to row 4")
    finish(session)
    before = session.look()
    assert not session.step()
    assert session.look() == before


def test_placing_the_agent_starts_anew(maze):
    session = told(maze, "go to row 4")
    finish(session)
    revision = session.revision
    session.place([0.25, 0.75])
    assert session.look()["walks"][0]["path"] == [[0.25, 0.75]]
    assert session.revision > revision
    assert not session.is_over


@pytest.mark.parametrize("place", [[1.5, 2.5], [-1, 0], [99, 0], [0.5], [], [float("nan"), 0.5]])
def test_nobody_is_placed_in_a_wall_or_outside(maze, place):
    session = told(maze, "go to row 4")
    before = session.look()
    with pytest.raises(LayoutError, match="place the agent on a free cell"):
        session.place(place)
    assert session.look() == before


@pytest.mark.parametrize("place", [[0, 0, 0], [1, 3, 0], [2, 2], [2, 2, 7], [2.5, 2, 0]])
def test_nobody_is_placed_on_an_object(grid, place):
    session = told(grid, "a ball")
    before = session.look()
    with pytest.raises(LangRLError):
        session.place(place)
    assert session.look() == before


def test_a_wall_takes_the_belief_of_its_cell_away_and_a_free_cell_gets_some(maze):
    session = told(maze, "go to column 2")
    session.place([4.5, 5.5])
    assert (1, 2) not in cells_of(session)
    assert (0, 2) in cells_of(session)
    session.edit([Edit(1, 2, "free"), Edit(0, 2, "wall")])
    assert (1, 2) in cells_of(session)
    assert (0, 2) not in cells_of(session)
    assert session.look()["scene"]["walls"][:2] == ["..#...", ".#.##."]
    assert session.look()["scene"]["edited"]
    assert finish(session) == [True]
    session.reset_world()
    assert session.look()["scene"]["walls"] == maze.world.scene()["walls"]
    assert not session.look()["scene"]["edited"]
    assert (0, 2) in cells_of(session)


def cells_of(session):
    return {(row, column) for row, column, _ in session.look()["belief"]["cells"]}


@pytest.mark.parametrize(
    ("edits", "why"),
    [([Edit(0, 0, "wall"), Edit(2, 0, "wall")], "unreachable"),
     ([Edit(9, 0, "wall")], "outside"), ([Edit(0, 0, "ball")], "no thing in a maze named")],
)  # fmt: skip
def test_an_edit_that_leaves_no_maze_is_refused(maze, edits, why):
    session = told(maze, "go to row 4")
    session.place([4.5, 4.5])
    before = session.look()
    with pytest.raises((LayoutError, UnknownNameError), match=why):
        session.edit(edits)
    assert session.look() == before


def test_nothing_is_built_where_the_agent_stands(session):
    session.place([0.5, 5.5])
    with pytest.raises(LayoutError, match="place the agent"):
        session.edit([Edit(0, 5, "wall")])


def test_an_object_that_is_put_in_a_room_can_be_gone_to(grid):
    session = told(grid, "the green box")
    session.place([5, 5, 3])
    assert not session.look()["can_run"]
    session.edit([Edit(2, 5, "box", "green")])
    assert session.look()["denoted"] == [[2, 5]]
    assert finish(session) == [True]
    with pytest.raises(LayoutError, match="hang together"):
        session.edit([Edit(2, column, "wall") for column in range(1, 7)])
    with pytest.raises(LayoutError, match="outer walls stay"):
        session.edit([Edit(0, 5, "free")])
    with pytest.raises(UnknownNameError, match="'green'"):
        session.edit([Edit(2, 5, "box", "greem")])


def test_a_new_start_is_away_from_what_is_denoted(maze):
    session = told(maze, "go to row 4 or row 2")
    for _ in range(5):
        session.restart()
        assert int(session.start[0]) not in (2, 4)


def test_a_new_room_has_what_the_text_denotes(grid):
    session = told(grid, "go to the green box")
    session.restart()
    assert session.look()["can_run"]
    assert session.world.room.tolist() != grid.world.room.tolist()


def test_a_new_start_for_a_text_that_denotes_nothing_is_any(maze):
    session = told(maze, "go to row 99")
    session.restart()
    assert session.look()["belief"] is not None


def test_a_start_where_the_text_is_satisfied_is_said(maze):
    session = told(maze, "go to row 0")
    session.place([0.5, 0.5])
    assert any("there already" in said for said in session.look()["says"])


@pytest.mark.parametrize("names", [[], ["a", "b", "c", "d", "e"]])
def test_one_to_four_strategies_are_compared(session, names):
    with pytest.raises(ConfigError, match="1 to 4"):
        session.compare(names)


def test_a_strategy_that_there_is_not_is_named(session):
    with pytest.raises(UnknownNameError, match="did you mean 'max_goal'"):
        session.compare(["max_gaol"])


def test_sessions_do_not_share_episodes(maze):
    first, second = Session(maze), Session(maze)
    first.tell("go to row 4")
    first.place([0.5, 0.5])
    first.edit([Edit(1, 2, "free")])
    finish(first)
    assert second.text == ""
    assert not second.look()["scene"]["edited"]
    assert second.steps == 0


# -- trained agents, and what they ask ----------------------------------------------------------


@pytest.fixture(scope="module", params=["maze", "grid"])
def trained(request, small_run):
    return open_run(small_run(request.param))


def test_a_trained_run_is_opened_with_its_own_strategy_first(trained):
    session = told(trained, trained.world.examples[0])
    session.restart()
    assert session.walks[0].strategy == trained.strategy == trained.strategies[0]
    assert session.step()
    total = sum(p for *_, p in session.look()["belief"]["cells"])
    assert 0.9 < total < 1.01


def test_beliefs_are_those_of_the_agent_that_acts(trained):
    session = told(trained, trained.world.examples[0])
    session.restart()
    shown = session.belief()
    session.step()
    agent = session.walks[0].agent
    seen = {"observation": session.world.observe(session.start)}
    again = Belief.of(agent.posterior(seen, session.text), session.world)
    assert np.array_equal(again.cells, shown.cells)
    np.testing.assert_allclose(again.probabilities, shown.probabilities, atol=1e-5)


def test_the_same_seed_gives_the_same_episode(trained):
    paths = []
    for _ in range(2):
        session = told(trained, trained.world.examples[1])
        session.restart()
        for _ in range(5):
            session.step()
        paths.append([place.tolist() for place in session.walks[0].path])
    assert paths[0] == paths[1]


def test_an_agent_asks_what_is_meant_and_the_answer_rules_out_the_others(trained, monkeypatch):
    monkeypatch.setattr("langrl.play.asking.PRICE", 1e-4)  # it has learned next to nothing
    text = "go to row 3 or row 8" if trained.world.kind == "maze" else "walk to any object"
    session = told(trained, text)
    session.restart()
    session.hide(True)
    view = session.look()
    assert view["meant"] in view["denoted"]
    assert not session.step()  # it waits
    question = session.look()["question"]
    assert question["true"] in range(len(question["answers"]))
    before = session.look()["belief"]["bits"]
    session.answer(question["true"])
    assert session.look()["question"] is None
    assert session.look()["belief"]["bits"] < before
    assert view["meant"] in [cell[:2] for cell in session.look()["belief"]["cells"]]


def test_the_visitor_says_which_one_is_meant(trained):
    session = told(trained, trained.world.examples[1])
    session.restart()
    denoted = session.look()["denoted"]
    with pytest.raises(ConfigError, match="anything that is denoted"):
        session.mean(denoted[0])
    session.hide(True)
    session.mean(denoted[-1])
    assert session.look()["meant"] == denoted[-1]
    assert session.hidden.mask(session.world.denoted(session.text)).sum() == 1
    session.compare([trained.strategy, "max_goal"])
    assert session.look()["meant"] == denoted[-1]
    with pytest.raises(ConfigError, match="outlined"):
        session.mean([0, 0] if [0, 0] not in denoted else [1, 1])
    session.hide(False)
    assert session.look()["meant"] is None


def test_committing_to_another_one_than_is_meant_is_a_failure(maze, grid):
    for world, place, action in (
        (maze.world, np.array([2.5, 0.5], np.float32), np.array([1.0, 0.0])),
        (grid.world, np.array([2, 3, 3]), 3),
    ):
        denoted, meant = np.ones((2, *world.denoted(world.examples[0]).shape), bool)
        assert world.move(place, action, denoted, meant)[1:] == (True, True)
        assert world.move(place, action, denoted, ~meant)[1:] == (True, False)


def test_an_answer_to_nothing_is_refused(session):
    with pytest.raises(ConfigError, match="nothing was asked"):
        session.answer(0)
    with pytest.raises(ConfigError, match="anything that is denoted"):
        session.mean([0, 0])
