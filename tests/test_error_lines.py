"""An error that is too long for a line loses its middle, and keeps what it says to do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langrl.errors import one_line

PATH = "/".join(["folder"] * 60)
REPAIR = "give a folder that langrl has written, or the name of a preset"


@pytest.mark.parametrize("longest", [120, 300, 1000])
@pytest.mark.parametrize("what", ["x" * 5000, "many words " * 500, PATH, f"{PATH} and {PATH}"])
def test_the_beginning_and_the_repair_stay(what, longest):
    line = one_line(f"langrl: error: config.yaml: {what}; {REPAIR}", longest)
    assert len(line) <= longest
    assert line.startswith("langrl: error: config.yaml: ")
    assert line.endswith(f"; {REPAIR}")


def test_paths_are_shortened_before_anything_is_left_out():
    line = one_line(f"{PATH}/one.yaml and {PATH}/two.yaml: learner.steps: no number; fix it", 160)
    assert len(line) <= 160
    assert "/one.yaml and folder" in line
    assert line.endswith("/two.yaml: learner.steps: no number; fix it")


def test_a_line_that_fits_is_as_it_was():
    text = f"{PATH[:150]}: unknown key 'a'; did you mean 'b'?"
    assert one_line(text) == text


def test_a_repair_that_would_fill_the_line_is_cut_too():
    line = one_line(f"config.yaml: wrong; {'choose one of them, ' * 40}", 120)
    assert len(line) <= 120
    assert line.startswith("config.yaml: wrong")
    assert line.endswith("choose one of them,")
    assert "; choose one of them, choose" in line


# Words that lose nothing by themselves.
_SYMBOLS = st.characters(categories=["L", "N", "P", "S"], exclude_characters=";")
_WORDS = st.lists(st.text(_SYMBOLS, min_size=1, max_size=32), min_size=1, max_size=60)


@given(_WORDS.map(" ".join), _WORDS.map(" ".join), st.sampled_from([120, 300, 1000]))
def test_what_is_wrong_begins_the_line_and_the_repair_ends_it(wrong, repair, longest):
    line = one_line(f"{wrong}; {repair}", longest)
    assert len(line) <= longest
    kept = longest // 3 - 8
    assert line.startswith(wrong[:kept].rstrip())
    if len(repair) <= longest // 2:
        assert line.endswith(f"; {repair}")
    else:
        assert f"; {repair[: longest // 4]}" in line
        assert line.endswith(repair[-longest // 6 :].lstrip())


@given(st.text(max_size=1500), st.sampled_from([120, 300, 1000]))
def test_any_text_becomes_one_line_that_stays_as_it_is(text, longest):
    line = one_line(text, longest)
    assert len(line) <= longest
    assert line.isprintable()
    assert one_line(line, longest) == line
