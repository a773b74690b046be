import warnings

import numpy as np
import pytest

from langrl.data.recordings.reading import LAYOUTS, read_recording
from langrl.data.trajectories import Trajectories

LENGTHS = (3, 4, 2)
STATES = sum(LENGTHS)
LAST = np.array([0, 0, 1, 0, 0, 0, 1, 0, 1], bool)


@pytest.fixture
def arrays():
    generator = np.random.default_rng(0)
    return {
        "observations": generator.normal(size=(STATES, 3)),
        "actions": generator.uniform(-1, 1, (STATES, 2)),
    }


@pytest.fixture
def save(tmp_path):
    def write(**arrays):
        np.savez(tmp_path / "data.npz", **arrays)
        return tmp_path / "data.npz"

    return write


def test_ogbench_terminals_mark_ends_by_time(arrays, save):
    path = save(**arrays, terminals=LAST, qpos=arrays["observations"])
    found = read_recording(path)
    assert found.layout == "ogbench"
    assert found.lengths.tolist() == list(LENGTHS)
    assert np.array_equal(found.last, LAST)
    assert not found.terminated.any()
    assert found.observations.dtype == found.actions.dtype == np.float32
    np.testing.assert_allclose(found.observations, arrays["observations"], rtol=1e-6)
    np.testing.assert_allclose(found.actions, arrays["actions"], rtol=1e-6)
    assert found.achieved is None
    assert found.desired is None
    assert found.rewards is None


def test_ogbench_compact_form_marks_two_states_and_says_which_one_counts(arrays, save):
    marked = LAST | np.roll(LAST, -1)
    found = read_recording(save(**arrays, terminals=marked, valids=1.0 - LAST))
    assert found.layout == "ogbench"
    assert np.array_equal(found.last, LAST)


def test_transitions_with_next_observations_get_their_last_states(arrays, save):
    acted = ~LAST  # OGBench's regular form leaves out last states, and terminals move forward
    following = np.roll(arrays["observations"], -1, axis=0)
    transitions = {name: values[acted] for name, values in arrays.items()}
    path = save(
        **transitions,
        terminals=np.roll(LAST, -1)[acted],
        next_observations=following[acted],
        rewards=np.ones(acted.sum()),
        masks=np.ones(acted.sum()),
    )
    found = read_recording(path)
    assert found.layout == "ogbench"
    assert np.array_equal(found.last, LAST)
    np.testing.assert_allclose(found.observations, arrays["observations"], rtol=1e-6)
    np.testing.assert_allclose(found.actions[acted], transitions["actions"], rtol=1e-6)
    assert np.array_equal(found.rewards, acted.astype(np.float32))


def test_d4rl_tells_ends_for_good_from_ends_by_time(arrays, save):
    terminals = np.zeros(STATES, bool)
    terminals[6] = True
    timeouts = LAST & ~terminals
    goals = np.ones((STATES, 2))
    path = save(
        **arrays,
        terminals=terminals,
        timeouts=timeouts,
        rewards=terminals.astype(float),
        **{"infos/goal": goals},
    )
    found = read_recording(path)
    assert found.layout == "d4rl"
    assert np.array_equal(found.last, LAST)
    assert np.array_equal(found.terminated, terminals)
    assert np.array_equal(found.rewards, terminals.astype(np.float32))
    assert np.array_equal(found.desired, goals.astype(np.float32))
    assert found.left_out == 0


def test_d4rl_files_are_cut_off_anywhere_and_may_mark_states_after_an_end(arrays, save):
    terminals = np.array([0, 0, 1, 1, 1, 0, 0, 0, 0])  # solved, and solved still
    found = read_recording(save(**arrays, terminals=terminals, timeouts=np.zeros(STATES)))
    assert found.lengths.tolist() == [3, 4]
    assert found.terminated.tolist() == [False, False, True] + [False] * 4
    assert found.left_out == 2
    kept = arrays["observations"][[0, 1, 2, 5, 6, 7, 8]]
    np.testing.assert_allclose(found.observations, kept, rtol=1e-6)


def test_without_timeouts_rewards_show_that_terminals_are_d4rls(arrays, save):
    found = read_recording(save(**arrays, terminals=LAST, rewards=np.zeros(STATES)))
    assert found.layout == "d4rl"
    assert np.array_equal(found.terminated, LAST)


def test_gymnasiums_names_are_read(arrays, save):
    terminations = np.zeros(STATES, bool)
    terminations[2] = True
    path = save(**arrays, terminations=terminations, truncations=LAST & ~terminations)
    found = read_recording(path)
    assert found.layout == "gymnasium"
    assert np.array_equal(found.last, LAST)
    assert np.array_equal(found.terminated, terminations)
    assert not read_recording(save(**arrays, dones=LAST)).terminated.any()


def test_a_file_of_langrl_is_read(arrays, tmp_path):
    numbers = {name: values.astype(np.float32) for name, values in arrays.items()}
    Trajectories(**numbers, terminals=LAST).save(tmp_path / "own")
    found = read_recording(tmp_path / "own")  # without a suffix: the content decides
    assert found.layout == "ogbench"
    assert np.array_equal(found.observations, numbers["observations"])
    assert np.array_equal(found.last, LAST)


def test_whole_numbers_are_choices_and_images_stay_bytes(save):
    images = np.random.default_rng(0).integers(256, size=(STATES, 4, 5, 3), dtype=np.uint8)
    actions = np.arange(STATES, dtype=np.int32)
    for given in (actions, actions[:, None]):
        found = read_recording(save(observations=images, actions=given, terminals=LAST))
        assert found.discrete
        assert found.actions.dtype == np.int64
        assert np.array_equal(found.actions, actions)
        assert found.observations.dtype == np.uint8
        assert np.array_equal(found.observations, images)


def test_the_action_at_a_last_state_may_be_missing(arrays, save):
    arrays["actions"][LAST] = np.nan
    found = read_recording(save(**arrays, terminals=LAST))
    assert np.array_equal(np.isnan(found.actions).all(1), LAST)


def test_hdf5_is_read_as_npz_is(arrays, save, tmp_path):
    h5py = pytest.importorskip("h5py", reason='needs "langrl[minari]"')
    given = {**arrays, "terminals": np.zeros(STATES, bool), "timeouts": LAST}
    given["rewards"], given["infos/goal"] = np.zeros(STATES), np.ones((STATES, 2))
    with h5py.File(tmp_path / "data.npz.renamed", "w") as file:
        for name, values in given.items():
            file[name] = values
    found, same = read_recording(tmp_path / "data.npz.renamed"), read_recording(save(**given))
    assert found.layout == same.layout == "d4rl"
    for name in ("observations", "actions", "last", "terminated", "desired", "rewards"):
        assert np.array_equal(getattr(found, name), getattr(same, name))


def test_every_layout_is_described():
    assert set(LAYOUTS) == {"ogbench", "d4rl", "gymnasium", "minari"}


def test_reading_warns_of_nothing(arrays, save):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_recording(save(**arrays, terminals=LAST))
