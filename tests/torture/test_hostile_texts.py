"""Whatever is given for an instruction is embedded or refused, and nothing is opened or fetched."""

import json
import sys
import warnings
from contextlib import suppress

import pytest
from hostile import OBJECTS, TEXTS
from reading_texts import all_readers
from tally import counted, tally

from langrl.errors import InstructionError, ShapeError
from langrl.protocols import as_texts, check_instructions

FITS_MAZES, FITS_GRIDS = "go to row 3", "go to anything"
REFUSALS = (InstructionError,)


class Watch:
    """Counts sockets and opened files while it is on."""

    def __init__(self):
        self.on, self.seen = False, []
        sys.addaudithook(self._audit)

    def _audit(self, event, arguments):
        if self.on and (event.startswith("socket.") or event == "open"):
            self.seen.append((event, arguments[:1]))


@pytest.fixture(scope="module")
def watch():
    return Watch()


@pytest.fixture(scope="module")
def readers(world, make_critics, tiny_language):
    """Everything that reads an instruction, after one that it takes: modules are imported."""
    made = all_readers(world, make_critics, tiny_language)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for read in made.values():
            for text in (FITS_MAZES, FITS_GRIDS):
                with suppress(InstructionError):
                    read(text)
    return made


def refusal_of(read, given, watch, refusals):
    """Return with what message something is refused, empty if it is read."""
    watch.seen.clear()
    watch.on = True
    try:
        read(given)
    except refusals as error:
        return str(error)
    finally:
        watch.on = False
    return ""


def try_all(readers, inputs, watch, check, refusals):
    for name, read in readers.items():
        for label, given in inputs.items():
            with check.case(f"{name}, {label}"), warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of texts that change
                said = refusal_of(read, given, watch, refusals)
                assert "\n" not in said
                assert len(said) <= 600
                assert watch.seen == []


@counted(14, 200)
def test_any_text_is_read_or_refused_and_opens_nothing(many, readers, watch):
    texts = TEXTS[:: max(1, -(-len(TEXTS) // many))]
    inputs = {ascii(text)[:40]: text for text in texts}
    with tally("7 hostile texts, each through each reader") as check:
        try_all(readers, inputs, watch, check, REFUSALS)


@counted(42, 42)
def test_what_is_no_text_is_refused_as_none(many, readers, watch):
    with tally("7 objects that are no texts, each through each reader") as check:
        try_all(readers, OBJECTS, watch, check, REFUSALS)


@pytest.mark.parametrize("kind", ["maze", "grid"])
@counted(14, 200)
def test_any_text_is_answered_by_the_page(many, kind, watch):
    pytest.importorskip("uvicorn")
    import playing

    from langrl.play.session import Session

    session = Session(getattr(playing, f"{kind}_playground")())
    for text in (FITS_MAZES, FITS_GRIDS):  # modules are imported
        session.tell(text)
    with tally(f"7 hostile texts on the page of a {kind}") as check:
        for text in TEXTS[:: max(1, -(-len(TEXTS) // many))]:
            with check.case(ascii(text)[:40]):
                said = refusal_of(session.tell, text, watch, REFUSALS)
                assert len(said) <= 600
                assert watch.seen == []
                json.dumps(session.look(), allow_nan=False).encode()


@pytest.mark.parametrize("name", OBJECTS)
def test_no_object_is_a_list_of_texts(name):
    with pytest.raises(InstructionError):
        check_instructions(OBJECTS[name], 1)


def test_lists_of_texts_are_taken_in_their_order():
    assert as_texts("go") == ["go"]
    assert as_texts(("b", "a", "b")) == ["b", "a", "b"]
    assert as_texts({"b": 1, "a": 2}.keys()) == ["b", "a"]
    assert check_instructions("go", 2) == ["go", "go"]
    assert check_instructions(["b", "a"], 2) == ["b", "a"]
    assert check_instructions([]) == []
    with pytest.raises(ShapeError, match="a batch of 2 needs as many instructions, got 1"):
        check_instructions(["a"], 2)
