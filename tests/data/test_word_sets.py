from hashlib import sha256
from importlib import resources

import numpy as np
import pytest
from documents import ROOT

from langrl.data import word_sets
from langrl.data.word_sets import (
    SHA256,
    denoted_cells,
    denoted_objects,
    read_meaningless,
    read_written,
)
from langrl.envs.grid.grammar import COLOURS, TYPES, WALL
from langrl.envs.grid.rooms import GRID_WORLDS, draw_rooms
from langrl.envs.maze.grammar import MazeGrammar
from langrl.envs.maze.layouts import load_layout
from langrl.errors import DomainError, InstructionError

FAMILIES = [(family, group) for family in ("grid", "maze") for group in ("development", "blind")]


def shared_texts(blind, development):
    """Return how many texts are in both: a count, so that no failure prints a blind text."""
    return len({each.text.lower() for each in blind} & {each.text.lower() for each in development})


@pytest.mark.parametrize("name", SHA256)
def test_the_hand_written_texts_are_those_of_the_documents(name):
    data = resources.files("langrl.data.words").joinpath(f"{name}.json").read_bytes()
    assert sha256(data).hexdigest() == SHA256[name]
    assert SHA256[name] in (ROOT / "docs" / "explanation" / "words.md").read_text()


def test_a_changed_file_is_refused(monkeypatch):
    monkeypatch.setitem(word_sets.SHA256, "meaningless", "0" * 64)
    read_meaningless.cache_clear()
    with pytest.raises(DomainError, match=r"meaningless\.json is not the file"):
        read_meaningless("blind")
    read_meaningless.cache_clear()


@pytest.mark.parametrize(("family", "least"), [("grid", 400), ("maze", 300)])
def test_blind_texts_are_many_and_none_is_for_development(family, least):
    blind, development = (read_written(family, group) for group in ("blind", "development"))
    assert len(blind) >= least
    assert shared_texts(blind, development) == 0
    groups = {each.group for each in blind} == {each.group for each in development}
    assert groups


def test_meaningless_texts_denote_nothing_and_those_of_development_are_others():
    blind, development = (read_meaningless(group) for group in ("blind", "development"))
    named = sum(each.denotation is not None for each in (*blind, *development))
    assert named == 0
    assert shared_texts(blind, development) == 0


@pytest.mark.parametrize(("family", "group"), FAMILIES)
def test_every_denotation_can_be_evaluated_and_is_neither_nothing_nor_everything(family, group):
    rooms = draw_rooms(GRID_WORLDS["crowded"], 400, np.random.default_rng(0))
    for each in read_written(family, group):
        if family == "maze":
            count = int(denoted_cells(each.denotation, (10, 10)).sum())
            assert 0 < count < 100
        else:
            assert denoted_objects(each.denotation, rooms).shape == rooms.shape[:3]


def test_cells_are_those_of_the_grammar_where_both_have_a_name_for_them():
    grammar = MazeGrammar(load_layout("blank"))
    for denotation, meaning in [
        ({"row": 3}, ("row", 3)),
        ({"column": 0}, ("column", 0)),
        ({"half": "bottom"}, ("half", "bottom")),
        ({"corner": "bottom left"}, ("corner", "bottom", "left")),
        ({"cell": [4, 2]}, ("cell", ("row", 4), ("column", 2))),
        ({"or": [{"row": 1}, {"half": "left"}]}, ("either", ("row", 1), ("half", "left"))),
    ]:
        np.testing.assert_array_equal(denoted_cells(denotation, (10, 10)), grammar.mask(meaning))
    rest = denoted_cells({"not": {"and": [{"half": "top"}, {"half": "right"}]}}, (10, 10))
    assert rest.sum() == 75


def test_objects_are_found_by_what_they_are_and_where_they_stand():
    room = np.full((1, 5, 5, 2), (1, 0), np.uint8)
    room[:, [0, -1]] = room[:, :, [0, -1]] = (WALL, 5)
    places = {(1, 1): ("ball", "red"), (1, 2): ("key", "blue"), (2, 2): ("ball", "blue")}
    for place, (kind, colour) in places.items():
        room[0][place] = TYPES[kind], COLOURS[colour]
    ball = {"thing": {"type": "ball", "colour": None}}
    blue = {"thing": {"type": None, "colour": "blue"}}

    def found(denotation):
        return [tuple(place) for place in np.argwhere(denoted_objects(denotation, room)[0])]

    assert found(ball) == [(1, 1), (2, 2)]
    assert found({"and": [ball, {"not": blue}]}) == [(1, 1)]
    assert found({"beside": [ball, blue]}) == [(1, 1), (2, 2)]
    assert found({"at": [ball, "corner"]}) == [(1, 1)]
    assert found({"at": [blue, "wall"]}) == [(1, 2)]
    assert found({"at": [blue, "open"]}) == [(2, 2)]
    assert found({"not": ball}) == [(1, 2)]


def test_what_is_no_denotation_is_refused():
    with pytest.raises(InstructionError, match="one entry"):
        denoted_cells({}, (10, 10))
    with pytest.raises(InstructionError, match="no denotation 'thing'"):
        denoted_cells({"thing": {}}, (10, 10))
