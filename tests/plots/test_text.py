import warnings

import pytest
from matplotlib.font_manager import findfont, get_font

from langrl.plots.base import figure, save
from langrl.plots.text import make_legible, wrap

UNKNOWN = "\u0378\u0379"  # not assigned: no font has them


def drawn(title, tmp_path):
    """Return a figure's title as it was drawn, its families, and the warnings of saving it."""
    fig = figure(4, 2, title)
    fig.subplots()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        save(fig, tmp_path / "x.png")
    text = fig._suptitle
    return text.get_text(), text.get_fontfamily(), [str(each.message) for each in caught]


def test_a_title_that_the_font_has_is_left_alone(tmp_path):
    assert drawn("“Tür 3” in €", tmp_path) == ("“Tür 3” in €", ["sans-serif"], [])


def test_characters_of_no_font_are_code_points_with_one_warning(tmp_path):
    text, _, messages = drawn(f"go to {UNKNOWN}", tmp_path)
    assert text == r"go to \u0378\u0379"
    assert len(messages) == 1
    assert "install" in messages[0]


def test_a_long_text_of_code_points_is_broken_into_lines(tmp_path):
    text, _, _ = drawn(UNKNOWN * 20, tmp_path)
    assert text.count("\n") >= 5
    assert max(map(len, text.splitlines())) <= 44
    assert text.replace("\n", "") == r"\u0378\u0379" * 20


def test_another_installed_font_is_used_where_it_has_the_character(tmp_path):
    default = get_font(findfont("DejaVu Sans")).get_charmap()
    other = get_font(findfont("STIXGeneral")).get_charmap()
    char = next(chr(code) for code in sorted(other) if code not in default and chr(code).isalpha())
    text, families, messages = drawn(f"go to {char}", tmp_path)
    assert text == f"go to {char}"
    assert len(families) == 2
    assert messages == []


def test_a_text_is_made_legible_once():
    fig = figure(4, 2, UNKNOWN)
    with pytest.warns(UserWarning, match="code points"):
        make_legible(fig)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_legible(fig)


def test_lines_are_as_wide_as_they_may_be():
    assert wrap("short", 4, 10) == "short"
    lines = wrap("go to the red ball or the green key " * 4, 4, 10).splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) * 0.58 * 10 / 72 <= 4
    assert wrap("one\ntwo", 4, 10) == "one\ntwo"
