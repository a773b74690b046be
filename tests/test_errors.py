import pytest

from langrl import errors
from langrl.errors import ConfigError, LangRLError, UnknownNameError, lookup, suggestion

ERRORS = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, LangRLError)
]


def test_lookup_returns_what_the_name_stands_for():
    assert lookup({"dot": 1, "cosine": 2}, "cosine", "energy") == 2


def test_lookup_returns_entries_that_are_none():
    assert lookup({"row": None}, "row", "kind") is None


def test_unknown_name_suggests_the_closest_one():
    with pytest.raises(UnknownNameError) as caught:
        lookup({"dot": 1, "cosine": 2}, "cosin", "energy")
    assert str(caught.value) == "no energy named 'cosin'; did you mean 'cosine'?"


def test_unknown_name_that_is_close_to_none_lists_them_all():
    with pytest.raises(UnknownNameError) as caught:
        lookup({"dot": 1, "cosine": 2}, "xyzzy", "energy")
    assert str(caught.value) == "no energy named 'xyzzy'; choose one of: dot, cosine"


def test_unknown_name_with_line_breaks_stays_on_one_line():
    with pytest.raises(UnknownNameError) as caught:
        lookup({"dot": 1}, "a\nb\r\nc", "energy")
    assert len(str(caught.value).splitlines()) == 1


def test_suggestion_takes_any_iterable_of_names():
    assert suggestion("forkk", (name for name in ("blank", "fork"))) == "did you mean 'fork'?"


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_message_is_one_line(kind):
    assert str(kind("a layout\n  is ragged;\n\n  fix it\n")) == "a layout is ragged; fix it"


@pytest.mark.parametrize("kind", [kind for kind in ERRORS if kind is not LangRLError])
def test_every_error_can_be_caught_as_langrl_error_and_as_a_builtin_one(kind):
    assert issubclass(kind, LangRLError)
    assert issubclass(kind, (ValueError, ImportError, RuntimeError))


def test_message_of_an_error_without_text_is_empty():
    assert str(ConfigError()) == ""
