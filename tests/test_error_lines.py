"""An error that is too long for a line loses its middle, and keeps what it says to do."""

import pytest

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
