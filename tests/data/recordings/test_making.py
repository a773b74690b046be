import numpy as np
import pytest
from stand_in_maze import StandInMaze

from langrl.data.recordings import making
from langrl.data.recordings.making import make_recording, validation_file
from langrl.data.recordings.reading import read_recording
from langrl.errors import ConfigError, MissingExtraError, UnknownNameError

NAME = "ogbench/pointmaze-medium-stitch"  # of 201 states an episode


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    """Make data sets in a small maze, in parts of two episodes."""
    made = []

    def make_env(recipe):
        made.append(recipe)
        return StandInMaze()

    monkeypatch.setattr(making, "make_env", make_env)
    monkeypatch.setattr(making, "check_extra", lambda *_: None)
    monkeypatch.setattr(making, "_PART_STATES", 402)
    return made


def files(folder):
    return {path.name for path in folder.iterdir()}


def test_a_set_and_its_validation_episodes_are_made_in_ogbenchs_layout(tmp_path):
    out = tmp_path / "new" / "stitch.npz"
    made = make_recording(NAME, out, episodes=21, workers=1)
    assert [each.path for each in made] == [out, validation_file(out)]
    assert [each.trajectories for each in made] == [21, 2]
    assert files(out.parent) == {"stitch.npz", "stitch-val.npz"}  # and no parts
    train, validation = (read_recording(each.path) for each in made)
    assert train.layout == "ogbench"
    assert train.lengths.tolist() == [201] * 21
    assert validation.lengths.tolist() == [201] * 2
    assert made[0].states == train.states
    assert 0.5 < made[0].goals <= 1
    assert not (train.observations[:201] == validation.observations[:201]).all()


def test_without_ten_episodes_there_are_none_for_validation(tmp_path):
    made = make_recording(NAME, tmp_path / "a.npz", episodes=3, workers=1)
    assert [each.trajectories for each in made] == [3]
    assert files(tmp_path) == {"a.npz"}


def test_an_interrupted_command_goes_on_and_ends_with_the_same_bits(
    tmp_path, monkeypatch, stand_in
):
    whole, cut = tmp_path / "whole.npz", tmp_path / "cut.npz"
    make_recording(NAME, whole, episodes=11, workers=1)
    parts = len(stand_in)
    assert parts == 7  # 6 of two episodes at most, and one for validation

    def run_some(function, jobs, workers, label):
        for job in jobs[:3]:
            function(*job)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(making, "run_jobs", run_some)
        with pytest.raises(KeyboardInterrupt):
            make_recording(NAME, cut, episodes=11)
    assert not cut.exists()
    stand_in.clear()
    make_recording(NAME, cut, episodes=11, workers=1)
    assert len(stand_in) == parts - 3
    for one, other in ((whole, cut), (validation_file(whole), validation_file(cut))):
        with np.load(one) as expected, np.load(other) as found:
            assert all(np.array_equal(expected[name], found[name]) for name in expected)


def test_a_larger_set_begins_with_the_episodes_of_a_smaller_one_of_the_same_seed(tmp_path):
    sets = {}
    for name, episodes, seed in (("small", 3, 0), ("large", 5, 0), ("other", 3, 1)):
        out = tmp_path / f"{name}.npz"
        make_recording(NAME, out, episodes=episodes, seed=seed, workers=1)
        sets[name] = read_recording(out).observations
    assert np.array_equal(sets["small"], sets["large"][: len(sets["small"])])
    assert not np.array_equal(sets["small"], sets["other"])


def test_wrong_requests_are_refused(tmp_path, monkeypatch):
    with pytest.raises(UnknownNameError, match="did you mean 'ogbench/pointmaze-giant-navigate'"):
        make_recording("ogbench/pointmaze-gigant-navigate", tmp_path / "a.npz")
    with pytest.raises(ConfigError, match=r"a.hdf5: name an .npz file"):
        make_recording(NAME, tmp_path / "a.hdf5")
    (tmp_path / "a.npz").write_text("mine")
    with pytest.raises(ConfigError, match=r"a.npz: there is such a file; name another, or remove"):
        make_recording(NAME, tmp_path / "a.npz")
    assert (tmp_path / "a.npz").read_text() == "mine"
    monkeypatch.undo()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r'pip install "langrl\[ogbench\]"'):
        make_recording(NAME, tmp_path / "b.npz")
