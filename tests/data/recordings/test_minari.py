"""Minari's folders, written here by hand with h5py, and by Minari itself where it is installed."""

import json

import numpy as np
import pytest

from langrl.data.recordings.reading import read_recording
from langrl.errors import NonFiniteError, TrajectoryError

h5py = pytest.importorskip("h5py", reason='needs "langrl[minari]"')

STEPS = {0: 2, 1: 4, 2: 1, 10: 3}  # of each episode


def episode(steps, seed=0):
    generator = np.random.default_rng(seed)
    seen = generator.normal(size=(steps + 1, 3))
    return {
        "observations/observation": seen,
        "observations/achieved_goal": seen[:, :2],
        "observations/desired_goal": np.ones((steps + 1, 2)),
        "actions": generator.uniform(-1, 1, (steps, 2)),
        "rewards": np.arange(1.0, steps + 1),
        "terminations": np.zeros(steps, bool),
        "truncations": np.arange(1, steps + 1) == steps,
        "infos/success": np.array(["text"] * steps, object),
    }


@pytest.fixture
def episodes():
    return {number: episode(steps, number) for number, steps in STEPS.items()}


@pytest.fixture
def write(tmp_path):
    def written(episodes):
        folder = tmp_path / "umaze-v2"
        (folder / "data").mkdir(parents=True)
        (folder / "data" / "metadata.json").write_text(json.dumps({"data_format": "hdf5"}))
        with h5py.File(folder / "data" / "main_data.hdf5", "w") as file:
            for number, arrays in episodes.items():
                for name, values in arrays.items():
                    file[f"episode_{number}/{name}"] = values
        return folder

    return written


def test_episodes_are_joined_in_the_order_of_their_numbers(episodes, write):
    episodes[1]["terminations"][-1] = True
    folder = write(episodes)
    found = read_recording(folder)
    assert found.layout == "minari"
    assert found.lengths.tolist() == [steps + 1 for steps in STEPS.values()]
    assert found.terminated[found.ends].tolist() == [False, True, False, False]
    seen = np.concatenate([arrays["observations/observation"] for arrays in episodes.values()])
    np.testing.assert_allclose(found.observations, seen, rtol=1e-6)
    assert np.array_equal(found.achieved, found.observations[:, :2])
    assert np.array_equal(found.desired, np.ones_like(found.achieved))
    done = np.concatenate([arrays["actions"] for arrays in episodes.values()])
    np.testing.assert_allclose(found.actions[~found.last], done, rtol=1e-6)
    assert not found.actions[found.last].any()
    assert found.rewards.tolist() == [1, 2, 0, 1, 2, 3, 4, 0, 1, 0, 1, 2, 3, 0]
    for same in (folder / "data", folder / "data" / "main_data.hdf5"):
        assert np.array_equal(read_recording(same).observations, found.observations)


def test_plain_observations_and_discrete_actions_are_read(episodes, write):
    for arrays in episodes.values():
        seen = arrays["observations/observation"]
        for name in [name for name in arrays if name.startswith("observations")]:
            del arrays[name]
        arrays["observations"] = seen
        arrays["actions"] = np.arange(len(arrays["actions"]))
        del arrays["rewards"]
    found = read_recording(write(episodes))
    assert found.discrete
    assert found.observations.shape == (sum(STEPS.values()) + len(STEPS), 3)
    assert found.achieved is None
    assert found.rewards is None


def test_a_dict_within_an_observation_is_flattened_by_its_names(episodes, write):
    for arrays in episodes.values():
        seen = arrays.pop("observations/observation")
        arrays["observations/observation/velocity"] = seen[:, 1:]
        arrays["observations/observation/angle"] = seen[:, 0]
    found = read_recording(write(episodes))
    np.testing.assert_allclose(found.observations[:, :2], found.achieved, rtol=1e-6)


def missing(name):
    def change(episodes):
        del episodes[1][name]

    return change


def changed(name, value):
    def change(episodes):
        episodes[1][name] = value(episodes[1][name])

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            missing("actions"),
            "episode_1: there is no array 'actions'; Minari has a folder with data",
        ),
        (missing("truncations"), "episode_1: there is no array 'truncations'"),
        (missing("observations/observation"), "episode_1: there is no array"),
        (missing("observations/achieved_goal"), "some episodes have achieved and others do not"),
        (changed("actions", lambda a: a[:-1]), "episode_1: 3 actions need 4 observations"),
        (changed("actions", lambda a: a[:0]), "episode_1: 0 actions need 1 observations"),
        (changed("actions", lambda a: a[:, :1]), r"actions differ in shape .*: \[1\], \[2\]"),
        (changed("actions", lambda a: a.astype("S8")), "actions holds .S8, not numbers"),
        (
            changed("observations/observation", lambda o: o * np.nan),
            r"observations\[3\] is not fin",
        ),
    ],
)
def test_a_fault_is_named(change, message, episodes, write):
    change(episodes)
    folder = write(episodes)
    with pytest.raises((TrajectoryError, NonFiniteError), match=message) as raised:
        read_recording(folder)
    assert str(raised.value).startswith(f"{folder}: ")


def test_images_as_jpeg_are_refused(episodes, write):
    for arrays in episodes.values():
        for name in [name for name in arrays if name.startswith("observations")]:
            del arrays[name]
    folder = write(episodes)
    with h5py.File(folder / "data" / "main_data.hdf5", "r+") as file:
        for number, steps in STEPS.items():
            shape, kind = (steps + 1,), h5py.vlen_dtype(np.uint8)
            jpegs = file.create_dataset(f"episode_{number}/observations", shape, kind)
            jpegs[:] = [np.arange(5, dtype=np.uint8)] * (steps + 1)
    with pytest.raises(TrajectoryError, match="jpeg_encoding=False"):
        read_recording(folder)


@pytest.mark.filterwarnings("ignore")  # Minari's, of what a data set lacks
def test_what_minari_writes_is_read(tmp_path, monkeypatch):
    minari = pytest.importorskip("minari", reason='needs "langrl[minari]"')
    from gymnasium.spaces import Box, Dict
    from minari.data_collector import EpisodeBuffer

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    arrays = episode(4)
    names = ("observation", "achieved_goal", "desired_goal")
    buffer = EpisodeBuffer(
        id=0,
        observations={name: arrays[f"observations/{name}"] for name in names},
        **{name: arrays[name] for name in ("actions", "rewards", "terminations", "truncations")},
    )
    sizes = dict(zip(names, (3, 2, 2), strict=True))
    space = Dict({name: Box(-np.inf, np.inf, (size,)) for name, size in sizes.items()})
    minari.create_dataset_from_buffers(
        "test/own-v0", [buffer], observation_space=space, action_space=Box(-1, 1, (2,))
    )
    found = read_recording(tmp_path / "test" / "own-v0")
    np.testing.assert_allclose(found.achieved, arrays["observations/achieved_goal"], rtol=1e-6)
    assert found.lengths.tolist() == [5]
