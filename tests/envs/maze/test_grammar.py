import contextlib
import itertools

import numpy as np
import pytest

from langrl.envs.maze import grammar as grammar_module
from langrl.envs.maze.grammar import GOALS, KINDS, LEADS, SIDES, MazeGrammar
from langrl.envs.maze.layouts import LAYOUTS, load_layout
from langrl.envs.phrasing import PHRASINGS
from langrl.errors import InstructionError, UnknownNameError

FORK = MazeGrammar(load_layout("fork"))  # 15 x 15
BLANK = MazeGrammar(load_layout("blank"))  # 10 x 10
EXAMPLES = {
    "row": ("row", 4),
    "column": ("column", 11),
    "either": ("either", ("row", 4), ("column", 11)),
    "cell": ("cell", ("column", 11), ("row", 4)),
    "corner": ("corner", "bottom", "left"),
    "half": ("half", "top"),
}


def cells(mask):
    return {(int(row), int(column)) for row, column in np.argwhere(mask)}


def block(rows, columns):
    return set(itertools.product(rows, columns))


def names(meaning, phrasing):
    """Every way to name a meaning in a set of phrasings."""
    kind, *slots = meaning
    options = [
        names(slot, phrasing) if isinstance(slot, tuple) else SIDES.get(slot, [str(slot)])
        for slot in slots
    ]
    for template, *words in itertools.product(GOALS[kind][phrasing], *options):
        yield template.format(*words)


def texts(meaning, phrasing):
    for lead, name in itertools.product(LEADS[phrasing], list(names(meaning, phrasing))):
        yield lead.format(name)


FORK_ROW_3 = block([3], range(10, 15))  # columns 0-9 are wall
FORK_COLUMN_11 = block(range(15), [11])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("go to row 3", FORK_ROW_3),
        ("go to row 2", block([2], range(15))),
        ("column 11", FORK_COLUMN_11),
        ("column 0", block(range(0, 15, 2), [0])),
        ("row 3 or column 11", FORK_ROW_3 | FORK_COLUMN_11),
        ("row 3 and column 11", {(3, 11)}),
        ("either row 2 or row 3", block([2], range(15)) | FORK_ROW_3),
        ("row 3 or row 99", FORK_ROW_3),
        ("the bottom right corner", block(range(10, 15), range(10, 15))),
        ("the top left corner", block([0, 2, 4], range(5))),
        ("the top half", block([0, 2, 4, 6], range(15)) | block([1, 3, 5], range(10, 15))),
        ("the right half", block(range(0, 15, 2), range(8, 15)) | block(range(15), range(10, 15))),
        ("the top half and the left half", block([0, 2, 4, 6], range(7))),
    ],
)
def test_denotation_on_the_fork_maze(text, expected):
    assert cells(FORK.denotation(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the top half", block(range(5), range(10))),
        ("the bottom half", block(range(5, 10), range(10))),
        ("the left half", block(range(10), range(5))),
        ("the lower left corner", block([6, 7, 8, 9], range(4))),
    ],
)
def test_denotation_on_the_blank_maze(text, expected):
    assert cells(BLANK.denotation(text)) == expected


def test_middle_line_of_an_odd_side_belongs_to_no_half():
    grammar = MazeGrammar(load_layout("...\n...\n..."))
    assert cells(grammar.denotation("the top half")) == block([0], range(3))
    assert cells(grammar.denotation("the bottom half")) == block([2], range(3))
    assert cells(grammar.denotation("the left half")) == block(range(3), [0])
    assert cells(grammar.denotation("the right half")) == block(range(3), [2])


def test_halves_of_an_even_side_share_it():
    halves = [BLANK.mask(("half", side)) for side in ("top", "bottom")]
    np.testing.assert_array_equal(halves[0] ^ halves[1], np.ones((10, 10), bool))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_denotations_hold_no_wall(layout):
    grammar = MazeGrammar(load_layout(layout))
    generator = np.random.default_rng(0)
    for _ in range(100):
        assert not (grammar.mask(grammar.draw_meaning(generator)) & grammar.layout.walls).any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("phrasing", PHRASINGS)
def test_every_template_is_read_as_it_was_meant(kind, phrasing):
    meaning = EXAMPLES[kind]
    for text in texts(meaning, phrasing):
        assert FORK.parse(text) == meaning, text


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("phrasing", PHRASINGS)
def test_whatever_is_drawn_and_written_can_be_read_back(layout, phrasing):
    grammar = MazeGrammar(load_layout(layout))
    generator = np.random.default_rng(1)
    for kind in KINDS * 20:
        meaning = grammar.draw_meaning(generator, [kind])
        text = grammar.write(meaning, generator, phrasing)
        np.testing.assert_array_equal(
            grammar.mask(grammar.parse(text)), grammar.mask(meaning), text
        )


@pytest.mark.parametrize("phrasing", PHRASINGS)
def test_nested_meanings_can_be_read_back(phrasing):
    meaning = ("either", ("cell", ("row", 2), ("column", 3)), ("corner", "top", "right"))
    expected = {(2, 3)} | (block(range(5), range(10, 15)))
    generator = np.random.default_rng(0)
    for _ in range(50):
        text = FORK.write(meaning, generator, phrasing)
        assert cells(FORK.denotation(text)) == expected, text


def test_held_out_templates_are_never_seen_ones():
    assert not set(LEADS["seen"]) & set(LEADS["held_out"])
    for templates in GOALS.values():
        assert not set(templates["seen"]) & set(templates["held_out"])


@pytest.mark.parametrize("kind", KINDS)
def test_held_out_texts_never_equal_seen_ones(kind):
    seen, held_out = (set(texts(EXAMPLES[kind], phrasing)) for phrasing in PHRASINGS)
    assert len(seen) > len(LEADS["seen"])
    assert len(held_out) > len(LEADS["held_out"])
    assert not seen & held_out


def test_written_texts_are_of_the_phrasing_that_was_asked_for():
    generator = np.random.default_rng(0)
    for phrasing, kind in itertools.product(PHRASINGS, KINDS):
        allowed = set(texts(EXAMPLES[kind], phrasing))
        written = {FORK.write(EXAMPLES[kind], generator, phrasing) for _ in range(30)}
        assert written <= allowed
        assert len(written) > 5


def test_same_seed_writes_the_same_texts():
    def written(seed):
        generator = np.random.default_rng(seed)
        meanings = [FORK.draw_meaning(generator) for _ in range(20)]
        return [FORK.write(meaning, generator, "seen") for meaning in meanings]

    assert written(3) == written(3)
    assert written(3) != written(4)


def test_every_kind_is_drawn():
    generator = np.random.default_rng(0)
    drawn = [FORK.draw_meaning(generator)[0] for _ in range(300)]
    assert set(drawn) == set(KINDS)
    assert drawn.count("either") > drawn.count("corner")  # weights 6 and 2


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_kinds_asked_for_are_drawn(kind):
    generator = np.random.default_rng(0)
    meanings = {FORK.draw_meaning(generator, [kind]) for _ in range(40)}
    assert {meaning[0] for meaning in meanings} == {kind}
    assert len(meanings) > 2
    assert all(FORK.mask(meaning).any() for meaning in meanings)


def test_every_row_and_column_is_drawn():
    generator = np.random.default_rng(0)
    drawn = {BLANK.draw_meaning(generator, ["row", "column"]) for _ in range(400)}
    assert drawn == {(kind, number) for kind in ("row", "column") for number in range(10)}


def test_rows_without_a_free_cell_are_not_drawn():
    grammar = MazeGrammar(load_layout("##.\n##.\n##."))
    generator = np.random.default_rng(0)
    assert {grammar.draw_meaning(generator, ["column"]) for _ in range(20)} == {("column", 2)}


@pytest.mark.parametrize("cell", [(0, 0), (14, 14), (3, 12), (7, 10)])
def test_meaning_drawn_for_a_cell_is_true_of_it(cell):
    generator = np.random.default_rng(0)
    for _ in range(100):
        assert FORK.mask(FORK.draw_meaning(generator, cell=cell))[cell]


def test_corner_that_the_cell_is_not_in_cannot_be_drawn():
    with pytest.raises(InstructionError, match="type corner fits here; add 'row'"):
        BLANK.draw_meaning(np.random.default_rng(0), ["corner"], cell=(5, 5))


def test_unknown_kind_suggests_the_closest_one():
    with pytest.raises(UnknownNameError, match="'colum'; did you mean 'column'"):
        FORK.draw_meaning(np.random.default_rng(0), ["colum"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("go to row 99", "the rows with free cells are 0 to 14"),
        ("column 15", "the columns with free cells are 0 to 14"),
        ("row 99 and column 3", "the rows with free cells are 0 to 14"),
        ("row 1 and column 3", "that cell is a wall"),
        ("row 1 and row 2", "use 'or' for alternatives"),
        ("the top half and the bottom half", "use 'or' for alternatives"),
        ("row 98 or row 99", "the rows with free cells are 0 to 14"),
    ],
)
def test_empty_denotation_says_what_exists(text, says):
    with pytest.raises(InstructionError, match=says) as caught:
        FORK.denotation(f"  {text}\n")
    assert str(caught.value).startswith(f"{text!r} denotes no cell")


def test_empty_denotation_names_only_rows_that_have_a_free_cell():
    grammar = MazeGrammar(load_layout("####\n....\n....\n####"))
    with pytest.raises(InstructionError, match="the rows with free cells are 1 to 2"):
        grammar.denotation("row 0")


def test_corner_full_of_walls_denotes_no_cell():
    grammar = MazeGrammar(load_layout("##....\n......"))
    with pytest.raises(InstructionError, match="denotes no cell"):
        grammar.denotation("the top left corner")


@pytest.mark.parametrize(
    "text",
    [
        "dance",
        "row",
        "row three",
        "row 3 4",
        "row 1.5",
        "row ٣",
        "row 1234567",
        "go to",
        "row 3 or",
        "or row 3",
        "row 3 or somewhere nice",
        "the top bottom corner",
        "the left top corner",
        "the north half",
        "tow 3",
        "https://example.org/row/3",
        "go to row 3; rm -rf /",
        "row 3 or " * 40 + "row 3",
    ],
)
def test_unreadable_text_has_no_denotation(text):
    assert FORK.parse(text) is None
    assert FORK.denotation(text) is None


@pytest.mark.parametrize("text", ["", "  ", None, 3, "row\x003"])
def test_what_cannot_be_an_instruction_is_refused(text):
    with pytest.raises(InstructionError):
        FORK.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "GO TO ROW 3",
        "Go to row 3.",
        "go  to\n\trow 3 !",
        "Go to row-3",
        "  go to, row 3?  ",
        "row 003",
    ],
)
def test_case_punctuation_hyphens_and_blanks_do_not_matter(text):
    assert FORK.parse(text) == ("row", 3)


def test_hyphenated_corner_is_read():
    assert FORK.parse("The upper-left-hand corner.") == ("corner", "top", "left")
    assert FORK.parse("The top-left corner!") == ("corner", "top", "left")


@pytest.mark.parametrize(
    "text",
    [
        "row 1 or to " * 15 + "x",
        "row 1 or else " * 13 + "x",
        "either row 1 or maybe " * 8 + "x",
        "row 1 and also row 1 or to " * 7 + "x",
        "both the cell in the spot in row 1 and in " * 4 + "x",
        "whichever you like of either row 1 or to " * 4 + "x",
        "either " * 20 + "row 1 or row 2",
        "a or " * 39 + "x",
    ],
)
def test_hostile_text_is_read_with_bounded_work(text):
    assert 150 < len(text) <= 200
    read = grammar_module._parse_goal
    read.cache_clear()
    assert FORK.parse(text) is None
    assert read.cache_info().misses < 500


def test_long_text_is_not_read_at_all():
    read = grammar_module._parse_goal
    read.cache_clear()
    assert FORK.parse("row 1 or to " * 80 + "row 1") is None
    assert read.cache_info().misses == 0


def test_writing_into_a_denotation_does_not_change_the_next_one():
    grammar = MazeGrammar(load_layout("blank"))
    for mask in (grammar.denotation("row 3"), grammar.mask(("row", 3))):
        with contextlib.suppress(ValueError):  # a read-only array is as good as a copy
            mask[:] = False
    assert grammar.mask(("row", 3)).sum() == 10
