import itertools

import numpy as np
import pytest

from langrl.envs.phrasing import PHRASINGS, TASK_PHRASINGS
from langrl.envs.region_words import AXES, GOALS, KINDS, LEADS, TEMPLATES
from langrl.envs.regions import RegionFrame, RegionGrammar, axes_of
from langrl.errors import DomainError, InstructionError, ShapeError, UnknownNameError

REACH = RegionGrammar(("near-far", "right-left", "low-high"))  # as FetchReach
PLANE = RegionGrammar(("left-right", "bottom-top"))
LOW, HIGH, FIRST, LAST, EVERY = (0, 1), (2, 3), (0,), (3,), range(4)


def boxes(*quarters):
    return set(itertools.product(*quarters))


def denoted(grammar, text):
    return {tuple(map(int, box)) for box in np.argwhere(grammar.denotation(text))}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("go to the left", boxes(LOW, EVERY)),
        ("to the right", boxes(HIGH, EVERY)),
        ("far left", boxes(FIRST, EVERY)),
        ("go far to the left", boxes(FIRST, EVERY)),
        ("at the top", boxes(EVERY, HIGH)),
        ("the bottom half", boxes(EVERY, LOW)),
        ("go to the far right or the top", boxes(LAST, EVERY) | boxes(EVERY, HIGH)),
        ("at the top and on the left", boxes(LOW, HIGH)),
        ("somewhere in the middle", boxes((1, 2), (1, 2))),
        ("either far left or far right", boxes((0, 3), EVERY)),
        ("Over on the left-hand side", None),
        ("make your way over on the left side", boxes(LOW, EVERY)),
        ("bring yourself somewhere toward the bottom", boxes(EVERY, LOW)),
        ("proceed over to the far right now", boxes(LAST, EVERY)),
    ],
)
def test_denotation_in_the_plane(text, expected):
    assert (
        (PLANE.denotation(text) is None) if expected is None else denoted(PLANE, text) == expected
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("high on the left", boxes(EVERY, HIGH, HIGH)),  # left is where y is large
        ("low and near", boxes(LOW, EVERY, LOW)),
        ("very high up", boxes(EVERY, EVERY, LAST)),
        ("low or very far away", boxes(EVERY, EVERY, LOW) | boxes(LAST, EVERY, EVERY)),
        ("high and near and to the far left", boxes(LOW, LAST, HIGH)),
        ("low down at the right or near", boxes(EVERY, LOW, LOW) | boxes(LOW, EVERY, EVERY)),
        ("far away to the left", boxes(HIGH, HIGH, EVERY)),
        ("far to the left", boxes(EVERY, LAST, EVERY)),  # it is the left that is far
        ("travel high in the air", boxes(EVERY, EVERY, HIGH)),
        ("in the centre", boxes((1, 2), (1, 2), (1, 2))),
        ("up", boxes(EVERY, EVERY, HIGH)),
    ],
)
def test_denotation_in_space(text, expected):
    assert denoted(REACH, text) == expected


@pytest.mark.parametrize("grammar", [REACH, PLANE, RegionGrammar((None, "high-low"))])
@pytest.mark.parametrize("phrasing", TASK_PHRASINGS)
def test_whatever_is_written_is_read_as_it_was_meant(grammar, phrasing):
    generator = np.random.default_rng(0)
    for meaning in grammar.meanings:
        for _ in range(8):
            text = grammar.write(meaning, generator, phrasing)
            np.testing.assert_array_equal(
                grammar.denotation(text), grammar.mask(meaning), f"{text}: {meaning}"
            )


def test_held_out_templates_and_names_are_never_seen_ones():
    for forms in (LEADS, *GOALS.values()):
        if forms["seen"] != ["{}"]:
            assert not set(forms["seen"]) & set(forms["held_out"])
    generator = np.random.default_rng(0)
    seen, held_out = (
        {REACH.write(meaning, generator, phrasing) for meaning in REACH.meanings * 10}
        for phrasing in PHRASINGS
    )
    assert min(len(seen), len(held_out)) > 500
    assert not seen & held_out


def test_every_meaning_tells_some_goals_from_others_and_is_drawn_once():
    masks = [REACH.mask(meaning) for meaning in REACH.meanings]
    assert all(mask.any() and not mask.all() for mask in masks)
    assert len({mask.tobytes() for mask in masks}) == len(masks)
    assert {meaning[0] for meaning in REACH.meanings} == set(KINDS)


@pytest.mark.parametrize("cell", [(0, 0, 0), (1, 2, 1), (3, 0, 2)])
def test_a_meaning_drawn_for_a_box_is_true_of_it(cell):
    generator = np.random.default_rng(0)
    drawn = [REACH.draw_meaning(generator, cell=cell) for _ in range(200)]
    assert all(REACH.mask(meaning)[cell] for meaning in drawn)
    assert len({meaning[0] for meaning in drawn}) >= 4


def test_true_texts_of_a_kind_are_equally_likely():
    generator, cell = np.random.default_rng(0), (0, 0, 0)
    drawn = [REACH.draw_meaning(generator, ["half"], cell) for _ in range(3000)]
    counts = [drawn.count(("half", side)) for side in ("near", "right", "low")]
    assert sum(counts) == 3000
    assert min(counts) > 900


def test_kinds_that_are_not_true_of_a_box_are_refused():
    with pytest.raises(InstructionError, match="type middle fits here; add 'half'"):
        REACH.draw_meaning(np.random.default_rng(0), ["middle"], (0, 0, 0))
    with pytest.raises(UnknownNameError, match="'ends'; did you mean 'end'"):
        REACH.draw_meaning(np.random.default_rng(0), ["ends"])


@pytest.mark.parametrize("text", ["dance", "row 3", "not left", "or left", "left or", "low " * 60])
def test_unreadable_text_has_no_denotation(text):
    assert REACH.denotation(text) is None


@pytest.mark.parametrize("text", ["", "  ", None, "x" * 1001, "left\x00"])
def test_what_cannot_be_an_instruction_is_refused(text):
    with pytest.raises(InstructionError):
        REACH.parse(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("low and high", "'low and high' denotes nothing: its parts exclude each other; use 'or'"),
        ("high and in the middle and very low", "use 'or'"),
        ("at the top", "nothing is top here; the words for sides are near, far, right, left, low"),
    ],
)
def test_what_denotes_nothing_says_why(text, says):
    with pytest.raises(InstructionError, match=says):
        REACH.denotation(text)


@pytest.mark.parametrize(
    "text",
    [
        "up " * 60 + "x",
        "left or " * 24 + "x",
        "either " * 25 + "low or high",
        "low and " * 24 + "x",
    ],
)
def test_hostile_text_is_read_with_bounded_work(text):
    assert len(text) <= 200
    TEMPLATES.read_goal.cache_clear()
    assert REACH.parse(text) is None
    assert TEMPLATES.read_goal.cache_info().misses < 2000


def test_axes_are_checked():
    with pytest.raises(
        UnknownNameError, match="no axis named 'left-rigth'; did you mean 'left-right"
    ):
        RegionGrammar(("left-rigth",))
    with pytest.raises(DomainError, match="no number of a goal has words"):
        RegionGrammar((None, None))
    with pytest.raises(DomainError, match="have the same words"):
        RegionGrammar(("left-right", "right-left"))
    assert AXES["right-left"] == ("right", "left")


def test_quarters_are_of_the_range_in_which_goals_are_found():
    goals = np.stack([np.linspace(-10, 10, 1001), np.linspace(5, 6, 1001)], 1)
    goals[0] = [1e6, 5]  # one that is far off says little about where goals are
    frame = RegionFrame.of(goals, ("left-right", "bottom-top"))
    assert frame.low == pytest.approx((-9.8, 5.0), abs=0.05)
    assert frame.high == pytest.approx((9.8, 6.0), abs=0.05)
    cells = frame.cells([[-99, 5.1], [-0.1, 5.4], [0.1, 5.6], [99, 7], [np.nan, 5.9]])
    assert cells.tolist() == [[0, 0], [1, 1], [2, 2], [3, 3], [0, 3]]
    assert np.isnan(frame.shortest_steps(goals[:2], frame.grammar.mask(("middle",)))).all()


def test_an_axis_along_which_goals_hardly_differ_has_no_words():
    goals = np.random.default_rng(0).uniform(0, 1, (500, 3)) * [1, 1, 1e-4]
    frame = RegionFrame.of(goals, ("left-right", "near-far", "low-high"))
    assert frame.axes == ("left-right", "near-far", None)
    assert frame.cells(goals)[:, 2].max() == 0
    with pytest.raises(InstructionError, match="nothing is high here"):
        frame.grammar.denotation("high")


@pytest.mark.parametrize(
    ("goals", "error", "says"),
    [
        (np.ones((5, 2)), DomainError, "all the same"),
        (np.full((5, 2), np.nan), DomainError, "not finite"),
        (np.ones((5, 3)), ShapeError, r"\[M, 2\]"),
        (np.ones((0, 2)), ShapeError, r"\[M, 2\]"),
    ],
)
def test_goals_without_a_range_are_refused(goals, error, says):
    with pytest.raises(error, match=says):
        RegionFrame.of(goals, ("left-right", "bottom-top"))


def test_frames_are_checked():
    with pytest.raises(ShapeError, match="a value for each number of a goal, got 2, 1 and 1"):
        RegionFrame(("left-right", None), (0.0,), (1.0,))
    with pytest.raises(DomainError, match="low below high"):
        RegionFrame(("left-right",), (1.0,), (1.0,))


def test_environments_have_axes_by_their_ids_or_by_their_goals():
    assert axes_of("FetchReach-v4", 3) == ("near-far", "right-left", "low-high")
    assert axes_of("mine/FetchPush-v2", 3) == ("near-far", "right-left", "low-high")
    assert axes_of("FetchReach-v4", 2) == axes_of("", 2) == ("left-right", "bottom-top")
    assert axes_of("Mine-v0", 3) == ("left-right", "near-far", "low-high")
    assert axes_of("HandReach-v3", 15) is None
