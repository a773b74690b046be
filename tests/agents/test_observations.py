import numpy as np
import pytest

from langrl.agents.observations import read_observations
from langrl.errors import InstructionError, NonFiniteError, ShapeError

ONE = {"observation": np.array([1.5, 2.5]), "instruction": "row 3"}
TWO = {"observation": np.array([[1.5, 2.5], [0.5, 0.5]]), "instruction": ("row 3", "column 1")}


def test_a_single_observation_becomes_a_batch_of_one():
    states, texts, single = read_observations(ONE, None)
    assert states.tolist() == [[1.5, 2.5]]
    assert states.dtype == np.float32
    assert texts == ["row 3"]
    assert single


def test_a_batch_stays_a_batch():
    states, texts, single = read_observations(TWO, None)
    assert states.tolist() == [[1.5, 2.5], [0.5, 0.5]]
    assert texts == ["row 3", "column 1"]
    assert not single


def test_a_batch_of_one_is_not_single():
    batch = {"observation": np.zeros((1, 2)), "instruction": ["row 3"]}
    assert not read_observations(batch, None)[2]


@pytest.mark.parametrize("instructions", ["column 7", ["column 7", "row 0"], ("row 0", "row 1")])
def test_instructions_override_the_observations_own(instructions):
    texts = read_observations(TWO, instructions)[1]
    assert texts == (["column 7"] * 2 if isinstance(instructions, str) else list(instructions))


def test_instructions_may_come_from_the_caller_alone():
    observation = {"observation": np.zeros(2)}
    assert read_observations(observation, "row 3")[1] == ["row 3"]
    with pytest.raises(InstructionError):
        read_observations(observation, None)


@pytest.mark.parametrize("text", ["", "  ", "row\x00", "x" * 1001, None, 3])
def test_every_instruction_is_checked(text):
    with pytest.raises(InstructionError):
        read_observations(ONE | {"instruction": text}, None)
    with pytest.raises(InstructionError):
        read_observations(TWO, ["row 3", text])


@pytest.mark.parametrize("instructions", [["row 3"], ["row 3"] * 3, []])
def test_instructions_pair_with_observations(instructions):
    with pytest.raises(ShapeError, match=f"of 2 needs as many instr.*, got {len(instructions)};"):
        read_observations(TWO, instructions)


@pytest.mark.parametrize("shape", [(), (1, 2, 2)])
def test_states_of_other_axes_are_refused(shape):
    with pytest.raises(ShapeError, match="must be"):
        read_observations({"observation": np.zeros(shape), "instruction": "row 3"}, None)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_state_that_is_not_finite_is_named(bad):
    states = np.array([[0.5, 0.5], [0.5, bad]])
    with pytest.raises(NonFiniteError, match="observation 1 is not finite"):
        read_observations(TWO | {"observation": states}, None)


def test_the_observation_is_not_modified():
    states = TWO["observation"].copy()
    read_observations(TWO, "column 7")
    assert np.array_equal(TWO["observation"], states)
    assert TWO["instruction"] == ("row 3", "column 1")
