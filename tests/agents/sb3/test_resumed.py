"""Going on from a zip without its pickles, beside what Stable-Baselines3 does with them."""

import base64
import json
import pickle
import zipfile
from copy import deepcopy
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
import torch

pytest.importorskip("stable_baselines3")

from sb3_zips import change_data, change_zip, read_data
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3

from langrl.agents.sb3.resumed import load_training
from langrl.errors import CheckpointError

SMALL = {"policy_kwargs": {"net_arch": [8]}, "seed": 0, "device": "cpu"}
OFF = {"learning_starts": 10, "batch_size": 8, "buffer_size": 100} | SMALL
MAKERS = {
    "ppo": (PPO, "Pendulum-v1", {"n_steps": 16, "batch_size": 8, "n_epochs": 2} | SMALL),
    "a2c": (A2C, "CartPole-v1", SMALL),
    "dqn": (DQN, "CartPole-v1", OFF | {"target_update_interval": 7}),
    "sac": (SAC, "Pendulum-v1", OFF),
    "td3": (TD3, "Pendulum-v1", OFF),
}  # fmt: skip


def build(name):
    kind, world, options = MAKERS[name]
    return kind("MlpPolicy", gym.make(world), **deepcopy(options))  # which some change


@pytest.fixture(scope="module")
def zips(tmp_path_factory):
    """A function from the name of an algorithm to a zip of it, a little trained."""
    made = {}

    def make(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name) / "policy.zip"
            build(name).learn(40).save(made[name])
        return made[name]

    return make


def learned(model):
    model.learn(30, reset_num_timesteps=False)
    return model.policy.state_dict()


@pytest.mark.parametrize("name", MAKERS)
def test_training_goes_on_to_the_bits_that_sb3_itself_reaches(zips, name):
    kind, world, _ = MAKERS[name]
    theirs = kind.load(zips(name), env=gym.make(world), device="cpu")
    expected = learned(theirs)
    ours = build(name)
    load_training(zips(name), ours)
    start = {key: value.clone() for key, value in ours.policy.state_dict().items()}
    found = learned(ours)
    assert all(torch.equal(found[key], value) for key, value in expected.items())
    assert any(not torch.equal(found[key], value) for key, value in start.items())
    assert ours.num_timesteps == theirs.num_timesteps
    assert ours._n_updates == theirs._n_updates


class Runs:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("name", ["ppo", "sac"])
def test_a_hostile_pickle_is_not_run(zips, name, tmp_path):
    canary = tmp_path / "canary"
    hostile = pickle.dumps(Runs(canary))
    data, kind = read_data(zips(name)), MAKERS[name][0]
    for value in data.values():
        if isinstance(value, dict) and ":serialized:" in value:
            value[":serialized:"] = base64.b64encode(hostile).decode()
    path = change_zip(zips(name), tmp_path / "hostile.zip", data=json.dumps(data))
    load_training(path, build(name))
    assert not canary.exists()
    with pytest.raises(Exception):  # noqa: B017, PT011  what was unpickled is no policy
        kind.load(path, device="cpu")
    assert canary.exists()  # the canary sings


@pytest.mark.parametrize("part", ["policy", "policy.optimizer", "pytorch_variables"])
def test_tensors_that_run_code_are_refused(zips, part, tmp_path):
    name = "sac" if part == "pytorch_variables" else "ppo"
    canary, written = tmp_path / "canary", tmp_path / "written"
    torch.save({"w": Runs(canary)}, written)
    path = rewritten(zips(name), tmp_path / "hostile.zip", f"{part}.pth", written.read_bytes())
    with pytest.raises(CheckpointError, match=part):
        load_training(path, build(name))
    assert not canary.exists()


def rewritten(source, target, file, content):
    with zipfile.ZipFile(source) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(target, "w") as archive:
        for name, value in (files | {file: content}).items():
            archive.writestr(name, value)
    return target


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
    path = rewritten(zips("ppo"), tmp_path / "other.zip", "policy.optimizer.pth", content)
    with pytest.raises(CheckpointError, match=r"policy\.optimizer"):
        load_training(path, build("ppo"))


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
        load_training(path, build("ppo"))
    assert str(path) in str(told.value)


def test_zips_of_other_algorithms_and_worlds_are_refused(zips, tmp_path):
    for stored, own in (("ppo", "sac"), ("sac", "td3"), ("dqn", "a2c"), ("a2c", "ppo")):
        with pytest.raises(CheckpointError):
            load_training(zips(stored), build(own))
    with pytest.raises(CheckpointError, match="no policy in"):
        load_training(tmp_path / "none.zip", build("ppo"))


def test_nothing_that_is_not_finite_comes_of_counters(zips, tmp_path):
    path = change_data(zips("dqn"), tmp_path / "odd.zip", exploration_rate=7, _n_calls=-3)
    model = build("dqn")
    load_training(path, model)
    assert 0 <= model.exploration_rate <= 1
    assert model._n_calls == 0
    assert np.isfinite(model._current_progress_remaining)
