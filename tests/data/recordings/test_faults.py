import pickle
import sys

import numpy as np
import pytest
from payloads import Runs

from langrl.data.recordings.reading import read_recording
from langrl.errors import LangRLError, MissingExtraError, NonFiniteError, TrajectoryError

STATES = 6
LAST = np.array([0, 0, 1, 0, 0, 1], bool)
OBSERVATIONS = np.arange(2.0 * STATES).reshape(STATES, 2)
GOOD = {"observations": OBSERVATIONS, "actions": np.zeros((STATES, 2)), "terminals": LAST}


def with_value(values, index, value):
    changed = np.array(values, float)
    changed[index] = value
    return changed


FAULTS = {
    "no actions": (
        {"actions": None},
        "there is no array 'actions', but observations, terminals; save all of observations,",
    ),
    "no ends": (
        {"terminals": None},
        "no array says where trajectories end: there is observations, actions; save 'terminals'",
    ),
    "no end marked": (
        {"terminals": np.zeros(STATES, bool)},
        "no end is marked: all 6 states would be one trajectory",
    ),
    "no end marked in D4RL": (
        {"terminals": np.zeros(STATES), "timeouts": np.zeros(STATES)},
        "no end is marked: all 6 states would be one trajectory",
    ),
    "the last one does not end": (
        {"terminals": np.array([0, 0, 1, 0, 0, 0])},
        "the last trajectory, from states 3 to 6, does not end; the file may have been cut off",
    ),
    "lengths": (
        {"actions": np.zeros((5, 2))},
        "arrays have mixed lengths: observations 6, actions 5; make them equal",
    ),
    "lengths of ends": (
        {"terminals": LAST[:5]},
        "mixed lengths: observations 6, terminals 5; make them equal",
    ),
    "one state": (
        {"terminals": np.array([0, 1, 1, 0, 0, 1])},
        "state 2 is a trajectory of its own; mark only the last state",
    ),
    "not finite": (
        {"observations": with_value(OBSERVATIONS, (4, 1), np.nan)},
        "observations[4] is not finite (1 such rows); remove these trajectories",
    ),
    "an action is not finite": (
        {"actions": with_value(GOOD["actions"], (3, 0), np.inf)},
        "actions[3] is not finite",
    ),
    "too large": (
        {"observations": with_value(OBSERVATIONS, (1, 1), 1e300)},
        "observations[1] is not finite",
    ),
    "marks": (
        {"terminals": with_value(LAST, 2, 2)},
        "terminals[2] is 2.0; write 1 at the last state",
    ),
    "a mark of another name": (
        {"is_last": LAST},
        "is_last looks as if it marked ends, and is not read under this name",
    ),
    "text": (
        {"actions": np.array(["left"] * STATES)},
        "actions holds <U4, not numbers",
    ),
    "axes": (
        {"observations": np.arange(6.0)},
        "observations have shape [6]; give [states, numbers], or images as uint8",
    ),
    "axes of actions": (
        {"actions": np.zeros(STATES)},
        "actions have shape [6]; give [states, numbers], or whole numbers [states]",
    ),
    "no states": (
        {name: values[:0] for name, values in GOOD.items()},
        "there are no states; record at least one trajectory",
    ),
    "no trajectories": (
        {"observations": None, "actions": None},
        "the layout is not known: there is terminals; save the arrays of ogbench: observations,",
    ),
    "order": (
        {"next_observations": OBSERVATIONS[::-1]},
        "next_observations[0] is not observations[1], and no trajectory ends there",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_its_repair(fault, tmp_path):
    changes, message = FAULTS[fault]
    arrays = {name: values for name, values in (GOOD | changes).items() if values is not None}
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(LangRLError) as raised:
        read_recording(tmp_path / "data.npz")
    told = str(raised.value)
    assert told.startswith(f"{tmp_path / 'data.npz'}: ")
    assert message in told
    assert "\n" not in told
    finite = isinstance(raised.value, TrajectoryError)
    assert finite or (isinstance(raised.value, NonFiniteError) and "finite" in told)


@pytest.mark.parametrize("pickled", ["object array", "pickle"])
def test_pickled_objects_are_refused_and_never_run(pickled, tmp_path):
    trap = Runs(tmp_path / "sprung")
    path = tmp_path / "data.npz"
    if pickled == "pickle":
        path.write_bytes(pickle.dumps(trap))
        message = "the file looks pickled, and langrl never reads pickles"
    else:
        np.savez(path, **(GOOD | {"observations": np.array([trap] * STATES)}))
        message = "observations is an array of Python objects, which langrl never reads; save"
    with pytest.raises(TrajectoryError, match=message):
        read_recording(path)
    assert not trap.path.exists()


def saved(folder):
    np.savez(folder / "good.npz", **GOOD)
    return (folder / "good.npz").read_bytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda whole: b"", "the file is empty; save an .npz"),
        (lambda whole: whole[:-40], "the file is damaged or was cut off"),
        (lambda whole: whole[: len(whole) // 2], "the file is damaged or was cut off"),
        (lambda whole: b"PK" + bytes(300), "the file is damaged or was cut off"),
        (lambda whole: whole.replace(b"NUMPY", b"NUMPI"), "the file is damaged or was cut off"),
        (lambda whole: b"a,b\n1,2\n", "the file is neither .npz nor .hdf5"),
    ],
)
def test_files_that_are_something_else_or_damaged_are_refused(content, message, tmp_path):
    path = tmp_path / "data.npz"
    path.write_bytes(content(saved(tmp_path)))
    with pytest.raises(TrajectoryError, match=message):
        read_recording(path)


def test_a_flipped_bit_is_noticed(tmp_path):
    whole = bytearray(saved(tmp_path))
    whole[250] ^= 1
    (tmp_path / "data.npz").write_bytes(whole)
    with pytest.raises(TrajectoryError, match="damaged"):
        read_recording(tmp_path / "data.npz")


def test_a_single_array_and_a_missing_file_are_refused(tmp_path):
    np.save(tmp_path / "one.npy", OBSERVATIONS)
    with pytest.raises(TrajectoryError, match="a single array"):
        read_recording(tmp_path / "one.npy")
    with pytest.raises(TrajectoryError, match="no such file or folder; check the path"):
        read_recording(tmp_path / "none.npz")


def test_folders_that_are_not_minaris_are_refused(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(TrajectoryError, match=r"no data/main_data.hdf5 in it, but notes.txt; name"):
        read_recording(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "0.arrow").touch()
    with pytest.raises(TrajectoryError, match="make the set with data_format='hdf5'"):
        read_recording(tmp_path)


def test_hdf5_without_its_library_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "data.hdf5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    monkeypatch.setitem(sys.modules, "h5py", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r'pip install "langrl\[minari\]"'):
        read_recording(tmp_path / "data.hdf5")


@pytest.mark.parametrize("link", ["soft", "external link", "external storage", "virtual"])
def test_hdf5_that_refers_to_other_files_is_refused(link, tmp_path):
    h5py = pytest.importorskip("h5py", reason='needs "langrl[minari]"')
    (tmp_path / "secret").write_bytes(bytes(64))
    with h5py.File(tmp_path / "other.hdf5", "w") as other:
        other["x"] = np.zeros((6, 2))
    with h5py.File(tmp_path / "data.hdf5", "w") as file:
        for name, values in GOOD.items():
            if name != "observations":
                file[name] = values
        if link == "soft":
            file["observations"] = h5py.SoftLink("/actions")
        elif link == "external link":
            file["observations"] = h5py.ExternalLink("other.hdf5", "/x")
        elif link == "external storage":
            store = [(str(tmp_path / "secret"), 0, 64)]
            file.create_dataset("observations", (4, 2), "f8", external=store)
        else:
            layout = h5py.VirtualLayout((6, 2), "f8")
            layout[:] = h5py.VirtualSource(tmp_path / "other.hdf5", "x", (6, 2))
            file.create_virtual_dataset("observations", layout)
    with pytest.raises(TrajectoryError, match=r"observations (is a link|lies in another file)"):
        read_recording(tmp_path / "data.hdf5")


def test_damaged_hdf5_is_refused(tmp_path):
    h5py = pytest.importorskip("h5py", reason='needs "langrl[minari]"')
    with h5py.File(tmp_path / "data.hdf5", "w") as file:
        for name, values in GOOD.items():
            file[name] = values
    whole = (tmp_path / "data.hdf5").read_bytes()
    (tmp_path / "data.hdf5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TrajectoryError, match="damaged or was cut off"):
        read_recording(tmp_path / "data.hdf5")
