"""Going on from a zip without its pickles, beside what Stable-Baselines3 does with them."""

import pickle
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
import torch

pytest.importorskip("stable_baselines3")

from payloads import Runs
from sb3_policies import SMALL, build_small
from sb3_zips import change_data, change_zip, rewritten, with_pickled_fields

from langrl.agents.sb3.resumed import load_training
from langrl.errors import CheckpointError


@pytest.fixture(scope="module")
def zips(tmp_path_factory):
    """A function from the name of an algorithm to a zip of it, a little trained."""
    made = {}

    def make(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name) / "policy.zip"
            build_small(name).learn(40).save(made[name])
        return made[name]

    return make


def learned(model):
    model.learn(30, reset_num_timesteps=False)
    return model.policy.state_dict()


@pytest.mark.parametrize("name", SMALL)
def test_training_goes_on_to_the_bits_that_sb3_itself_reaches(zips, name):
    kind, world, _ = SMALL[name]
    theirs = kind.load(zips(name), env=gym.make(world), device="cpu")
    expected = learned(theirs)
    ours = build_small(name)
    load_training(zips(name), ours)
    start = {key: value.clone() for key, value in ours.policy.state_dict().items()}
    found = learned(ours)
    assert all(torch.equal(found[key], value) for key, value in expected.items())
    assert any(not torch.equal(found[key], value) for key, value in start.items())
    assert ours.num_timesteps == theirs.num_timesteps
    assert ours._n_updates == theirs._n_updates


@pytest.mark.parametrize("name", ["ppo", "sac"])
def test_a_hostile_pickle_is_not_run(zips, name, tmp_path):
    canary = tmp_path / "canary"
    hostile = pickle.dumps(Runs(canary))
    kind = SMALL[name][0]
    path = with_pickled_fields(zips(name), tmp_path / "hostile.zip", hostile)
    load_training(path, build_small(name))
    assert not canary.exists()
    with pytest.raises(Exception):  # noqa: B017, PT011  what was unpickled is no policy
        kind.load(path, device="cpu")
    assert canary.exists()  # the canary sings


@pytest.mark.parametrize("part", ["policy", "policy.optimizer", "pytorch_variables"])
def test_tensors_that_run_code_are_refused(zips, part, tmp_path):
    name = "sac" if part == "pytorch_variables" else "ppo"
    canary, written = tmp_path / "canary", tmp_path / "written"
    torch.save({"w": Runs(canary)}, written)
    path = rewritten(zips(name), tmp_path / "hostile.zip", {f"{part}.pth": written.read_bytes()})
    with pytest.raises(CheckpointError, match=part):
        load_training(path, build_small(name))
    assert not canary.exists()


OPTIMISERS = {
    "no table": lambda state: {"state": 3},
    "other weights": lambda state: {"state": {99: {}}},
    "another shape": lambda state: {"state": {0: {"exp_avg": torch.zeros(3, 3, 3)}}},
    "a text": lambda state: {"state": {0: {"exp_avg": "x"}}},
    "a list": lambda state: [1, 2],
}


@pytest.mark.parametrize("kind", OPTIMISERS)
def test_the_state_of_another_optimiser_is_refused(zips, kind, tmp_path):
    torch.save(OPTIMISERS[kind]({}), tmp_path / "written")
    content = (tmp_path / "written").read_bytes()
    path = rewritten(zips("ppo"), tmp_path / "other.zip", {"policy.optimizer.pth": content})
    with pytest.raises(CheckpointError, match=r"policy\.optimizer"):
        load_training(path, build_small("ppo"))


@pytest.mark.parametrize(
    ("change", "why"),
    [(partial(change_data, num_timesteps="many"), "how many steps"),
     (partial(change_data, num_timesteps=-1), "how many steps"),
     (partial(change_data, observation_space=None), "observation_space"),
     (partial(change_zip, policy_pth=b"x"), "policy.pth")],
)  # fmt: skip
def test_damaged_zips_are_named(zips, change, why, tmp_path):
    path = change(zips("ppo"), tmp_path / "damaged.zip")
    with pytest.raises(CheckpointError, match=why) as told:
        load_training(path, build_small("ppo"))
    assert str(path) in str(told.value)


def test_zips_of_other_algorithms_and_worlds_are_refused(zips, tmp_path):
    for stored, own in (("ppo", "sac"), ("sac", "td3"), ("dqn", "a2c"), ("a2c", "ppo")):
        with pytest.raises(CheckpointError):
            load_training(zips(stored), build_small(own))
    with pytest.raises(CheckpointError, match="no policy in"):
        load_training(tmp_path / "none.zip", build_small("ppo"))


def test_nothing_that_is_not_finite_comes_of_counters(zips, tmp_path):
    path = change_data(zips("dqn"), tmp_path / "odd.zip", exploration_rate=7, _n_calls=-3)
    model = build_small("dqn")
    load_training(path, model)
    assert 0 <= model.exploration_rate <= 1
    assert model._n_calls == 0
    assert np.isfinite(model._current_progress_remaining)
