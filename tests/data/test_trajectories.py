import contextlib

import numpy as np
import pytest

from langrl.data.trajectories import ARRAYS, Trajectories, load_trajectories
from langrl.errors import LangRLError, NonFiniteError, TrajectoryError


def arrays(**changes):
    """Return two trajectories, of three states and of two."""
    return {
        "observations": np.arange(10, dtype=np.float32).reshape(5, 2),
        "actions": np.full((5, 2), 0.5, np.float32),
        "terminals": np.array([False, False, True, False, True]),
    } | changes


def load(folder, **changes):
    np.savez(folder / "data.npz", **arrays(**changes))
    return load_trajectories(folder / "data.npz", state_size=2, action_size=2)


def test_what_is_saved_is_loaded(tmp_path):
    saved = Trajectories(**arrays())
    saved.save(tmp_path / "data.npz")
    loaded = load_trajectories(tmp_path / "data.npz", state_size=2, action_size=2)
    for name in ARRAYS:
        assert np.array_equal(getattr(loaded, name), getattr(saved, name))
        assert getattr(loaded, name).dtype == getattr(saved, name).dtype


def test_a_file_is_loaded_from_the_path_it_was_saved_to(tmp_path):
    Trajectories(**arrays()).save(tmp_path / "data")
    loaded = load_trajectories(tmp_path / "data", state_size=2, action_size=2)
    assert len(loaded.observations) == 5


def test_ends_and_transitions_of_two_trajectories():
    trajectories = Trajectories(**arrays())
    assert trajectories.ends.tolist() == [2, 2, 2, 4, 4]
    assert trajectories.transitions.tolist() == [0, 1, 3]


def test_a_trajectory_of_a_single_state_has_no_transition():
    trajectories = Trajectories(**arrays(terminals=np.array([True, False, True, True, True])))
    assert trajectories.ends.tolist() == [0, 2, 2, 3, 4]
    assert trajectories.transitions.tolist() == [1]


def test_other_number_types_are_converted(tmp_path):
    loaded = load(
        tmp_path,
        observations=np.arange(10).reshape(5, 2),
        actions=np.ones((5, 2), np.float64),
        terminals=np.array([0, 0, 1, 0, 1]),
    )
    assert loaded.observations.dtype == loaded.actions.dtype == np.float32
    assert loaded.terminals.tolist() == [False, False, True, False, True]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"terminals": np.array([False, True])}, "mixed lengths"),
        ({"actions": np.ones((4, 2), np.float32)}, "mixed lengths.*actions 4"),
        ({"observations": np.ones(5, np.float32)}, "observations must have 2 axes"),
        ({"actions": np.ones((5, 2, 1), np.float32)}, "actions must have 2 axes"),
        ({"terminals": np.ones((5, 1), bool)}, "terminals must have 1 axes"),
        ({"terminals": np.array(True)}, "terminals"),
        ({"observations": np.float32(1)}, "observations"),
        ({"terminals": np.zeros(5, bool)}, "does not end"),
        ({"terminals": np.ones(5, bool)}, "single state"),
        ({name: arrays()[name][:0] for name in ARRAYS}, "does not end"),
        ({"observations": np.ones((5, 3), np.float32)}, "observations has rows of 3"),
        ({"actions": np.ones((5, 1), np.float32)}, "actions has rows of 1"),
        ({"actions": np.full((5, 2), "north")}, "not numbers"),
        ({"observations": np.ones((5, 2), complex)}, "not numbers"),
    ],
)
def test_arrays_off_the_schema_are_refused_with_the_file_name(tmp_path, changes, message):
    with pytest.raises(TrajectoryError, match=rf"data\.npz.*{message}"):
        load(tmp_path, **changes)


class Trap:
    """Unpickling it would set ``sprung``."""

    sprung = False

    def __reduce__(self):
        return (setattr, (Trap, "sprung", True))


def test_pickled_arrays_are_refused_unopened(tmp_path):
    observations = np.empty((5, 2), object)
    observations[:] = Trap()
    with pytest.raises(TrajectoryError, match=r"data\.npz"):
        load(tmp_path, observations=observations)
    assert not Trap.sprung


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TrajectoryError, match=r"no trajectory file.*none\.npz"):
        load_trajectories(tmp_path / "none.npz", 2, 2)
    with pytest.raises(TrajectoryError, match="no trajectory file"):
        load_trajectories(tmp_path, 2, 2)


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04 broken"])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    with pytest.raises(TrajectoryError, match=r"data\.npz"):
        load_trajectories(path, 2, 2)


def test_a_single_array_is_refused(tmp_path):
    path = tmp_path / "observations.npy"
    np.save(path, arrays()["observations"])
    with pytest.raises(TrajectoryError, match=r"single array; save an \.npz with observations"):
        load_trajectories(path, 2, 2)


def test_missing_arrays_are_listed(tmp_path):
    np.savez(tmp_path / "data.npz", observations=arrays()["observations"])
    with pytest.raises(TrajectoryError, match="no array 'actions' and no array 'terminals'"):
        load_trajectories(tmp_path / "data.npz", 2, 2)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_any_flipped_bit_gives_an_error_or_valid_numbers(tmp_path, save):
    path = tmp_path / "data.npz"
    save(path, **arrays())
    content = path.read_bytes()
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        with contextlib.suppress(LangRLError):
            assert load_trajectories(path, 2, 2).observations.shape == (5, 2)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["observations", "actions"])
def test_a_number_that_is_not_finite_is_named_by_index(tmp_path, name, bad):
    values = arrays()[name].copy()
    values[3, 1] = bad
    with pytest.raises(NonFiniteError, match=rf"{name}\[3\] is not finite"):
        load(tmp_path, **{name: values})


def test_the_unused_last_action_may_be_nan(tmp_path):
    actions = arrays()["actions"].copy()
    actions[[2, 4]] = np.nan
    assert load(tmp_path, actions=actions).transitions.tolist() == [0, 1, 3]
