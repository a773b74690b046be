import numpy as np
import pytest

from langrl.errors import InstructionError
from langrl.protocols import MAX_INSTRUCTION_LENGTH, Agent, check_instruction


@pytest.mark.parametrize("text", ["", " ", "\n\t  \n"])
def test_blank_text_is_refused(text):
    with pytest.raises(InstructionError, match="empty; say where to go"):
        check_instruction(text)


@pytest.mark.parametrize("text", [None, 3, 2.5, b"go to row 3", ["go to row 3"], object()])
def test_what_is_not_text_is_refused(text):
    with pytest.raises(InstructionError, match=type(text).__name__):
        check_instruction(text)


@pytest.mark.parametrize("length", [MAX_INSTRUCTION_LENGTH + 1, 1_000_000])
def test_too_long_text_is_refused_without_repeating_it(length):
    with pytest.raises(InstructionError) as caught:
        check_instruction("x" * length)
    assert str(length) in str(caught.value)
    assert str(MAX_INSTRUCTION_LENGTH) in str(caught.value)
    assert len(str(caught.value)) < 200


def test_text_of_exactly_the_longest_length_is_accepted():
    text = "x" * MAX_INSTRUCTION_LENGTH
    assert check_instruction(text) == text


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("go\x00to row 3", "U+0000, at position 2"),
        ("row 3\x1b[2J", "U+001B, at position 5"),
        ("row 3\x7f", "U+007F, at position 5"),
        ("row\x853", "U+0085, at position 3"),
    ],
)
def test_control_characters_are_refused_and_located(text, named):
    with pytest.raises(InstructionError) as caught:
        check_instruction(text)
    assert named in str(caught.value)


@pytest.mark.parametrize("text", ["row \ud800", "\udfff row"])
def test_lone_surrogates_are_refused(text):
    with pytest.raises(InstructionError, match="surrogate") as caught:
        check_instruction(text)
    str(caught.value).encode("utf-8")  # the message itself can be printed


@pytest.mark.parametrize(
    "text",
    [
        "go to row 3",
        "https://example.org/?q=<script>",
        "file:///etc/passwd",
        "../../etc/passwd",
        "C:\\Windows\\system32",
        "$(rm -rf /); {} %s",
        "gehe zu Zeile drei, bitte: ä ö ü ß",
        "去第三行",
        "اذهب إلى الصف ٣",
        "e\u0301 is an e with an accent",
        "a rocket \U0001f680",
        "go to row 3\nor to\tcolumn 4\n",
    ],
)
def test_any_other_text_is_accepted_unchanged(text):
    assert check_instruction(text) is text


@pytest.mark.parametrize("text", ["به خانه می\u200cروم", "\U0001f469\u200d\U0001f680 to row 3"])
def test_joiners_of_ordinary_writing_are_no_control_characters(text):
    assert check_instruction(text) is text


def test_numpy_strings_are_text():
    assert check_instruction(np.array(["row 3"])[0]) == "row 3"


def test_anything_with_reset_and_act_is_an_agent():
    class Still:
        def reset(self, generator=None, mask=None):
            pass

        def act(self, observations, instructions=None):
            return np.zeros(2)

    assert isinstance(Still(), Agent)
    assert not isinstance(object(), Agent)
