import numpy as np
import pytest
from scipy.stats import chisquare

from langrl.data.state_text_pairs import maze_pairs
from langrl.envs.maze.grammar import KINDS, LEADS
from langrl.envs.maze.world import StreetMaze
from langrl.errors import InstructionError


def draw(world, count=400, seed=0, **settings):
    return maze_pairs(world, count, np.random.default_rng(seed), **settings)


def kinds_of(world, pairs):
    return {world.grammar.parse(text)[0] for text in pairs.texts}


@pytest.mark.parametrize("name", ["fork", "island"])
@pytest.mark.parametrize("phrasing", ["seen", "held_out"])
def test_every_text_is_true_of_its_state(name, phrasing):
    world = StreetMaze(name)
    pairs = draw(world, phrasing=phrasing)
    assert pairs.states.shape == (400, 2)
    assert pairs.text_index.shape == (400,)
    for state, number in zip(pairs.states, pairs.text_index, strict=True):
        assert world.denotation(state[None], pairs.texts[number]).item()


def test_all_kinds_appear(world):
    assert kinds_of(world, draw(world)) == set(KINDS)


@pytest.mark.parametrize(
    "kinds", [("row",), ("column",), ("row", "column"), ("either",), ("cell",), ("row", "half")]
)
def test_only_the_kinds_asked_for_appear(world, kinds):
    assert kinds_of(world, draw(world, kinds=kinds)) == set(kinds)


def test_a_kind_that_is_true_of_no_state_names_the_repair(world):
    with pytest.raises(InstructionError, match="no instruction of type corner"):
        draw(world, kinds=("corner",))


def test_each_text_is_listed_once_and_used(world):
    pairs = draw(world)
    assert len(set(pairs.texts)) == len(pairs.texts)
    assert set(pairs.text_index.tolist()) == set(range(len(pairs.texts)))


def test_seen_and_held_out_texts_never_meet(world):
    seen, held_out = (draw(world, 2000, phrasing=p).texts for p in ("seen", "held_out"))
    assert not set(seen) & set(held_out)
    openings = tuple(lead.split("{}")[0] for lead in LEADS["held_out"])
    assert not any(text.startswith(openings) for text in seen)
    assert all(text.startswith(openings) for text in held_out)


def test_states_are_uniform_over_the_free_cells(world):
    rows, columns = np.floor(draw(world, 1900, kinds=("row",)).states).astype(int).T
    numbers = world.layout.cell_index[rows, columns]
    assert (numbers >= 0).all()
    assert chisquare(np.bincount(numbers, minlength=len(world.layout.free_cells))).pvalue > 1e-3


def test_the_seed_decides_the_pairs(world):
    one, two, other = (draw(world, 50, seed) for seed in (3, 3, 4))
    assert one.texts == two.texts
    assert np.array_equal(one.states, two.states)
    assert np.array_equal(one.text_index, two.text_index)
    assert not np.array_equal(one.states, other.states)
