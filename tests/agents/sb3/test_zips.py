import base64
import io
import json
import pickle
import zipfile
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from payloads import Runs, torch_file
from sb3_policies import CENTRED, GRID, INSTRUCTED, MAZE, adapt, build
from sb3_zips import change_data, change_zip, read_data
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.envs import FakeImageEnv
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import FlattenExtractor

from langrl.agents.sb3 import stored_weights, zips
from langrl.agents.sb3.extractors import FourierExtractor, InstructionExtractor, PoseExtractor
from langrl.agents.sb3.zips import load_policy
from langrl.envs.wrappers.goals import GoalEnv
from langrl.errors import CheckpointError, PickledError
from langrl.tasks.registry import load_run_config
from langrl.tasks.sb3.agent import read_policy

SEEN = {
    "flat": spaces.Box(np.float32([-1, -2, -np.inf]), np.float32([1, 0.30000001, np.inf])),
    "image": spaces.Box(0, 255, (1, 40, 40), np.uint8),
    "parts": spaces.Dict(
        {
            "goal": spaces.Box(-np.inf, np.inf, (2,), np.float64),
            "image": spaces.Box(0, 255, (1, 36, 36), np.uint8),
            "kind": spaces.Discrete(3),
            "switches": spaces.MultiBinary(2),
            "two": spaces.MultiDiscrete([2, 3]),
            "within": spaces.Box(np.float32([-1, -2.5]), np.float32([1, 8])),
        }
    ),
    "number": spaces.Discrete(4),
}
ACTIONS = {
    "few": spaces.Discrete(3),
    "scaled": spaces.Box(np.float32([-2.0, -0.1]), np.float32([2.0, 0.7]), dtype=np.float32),
    "several": spaces.MultiDiscrete([2, 3]),
    "switches": spaces.MultiBinary(2),
}
OFF_POLICY = {"buffer_size": 1, "learning_starts": 1}
ON_POLICY = {"n_steps": 8}


class Still(gym.Env):
    """An environment of given spaces in which nothing happens."""

    def __init__(self, seen, actions):
        self.observation_space, self.action_space = SEEN[seen], ACTIONS[actions]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 0.0, False, False, {}


def make(algorithm, policy, seen, actions, **options):
    sizes = ON_POLICY if algorithm in (PPO, A2C) else OFF_POLICY
    options = {**sizes, **options}
    options["policy_kwargs"] = {"net_arch": [8], **options.get("policy_kwargs", {})}
    return algorithm(policy, Still(seen, actions), seed=0, device="cpu", **options)


SMALL = {"features_extractor_kwargs": {"features_dim": 8}, "net_arch": [8]}
MADE = {
    "ppo": partial(make, PPO, "MlpPolicy", "flat", "few"),
    "a2c": partial(make, A2C, "MlpPolicy", "flat", "scaled"),
    "dqn": partial(make, DQN, "MlpPolicy", "flat", "few"),
    "sac": partial(make, SAC, "MlpPolicy", "flat", "scaled"),
    "td3": partial(make, TD3, "MlpPolicy", "flat", "scaled"),
    "ddpg": partial(make, DDPG, "MlpPolicy", "flat", "scaled"),
    "ppo, parts": partial(make, PPO, "MultiInputPolicy", "parts", "several"),
    "dqn, parts": partial(make, DQN, "MultiInputPolicy", "parts", "few"),
    "sac, parts": partial(make, SAC, "MultiInputPolicy", "parts", "scaled"),
    "td3, parts": partial(make, TD3, "MultiInputPolicy", "parts", "scaled"),
    "a2c, image": partial(make, A2C, "CnnPolicy", "image", "switches", policy_kwargs=SMALL),
    "dqn, image": partial(make, DQN, "CnnPolicy", "image", "few", policy_kwargs=SMALL),
    "sac, image": partial(make, SAC, "CnnPolicy", "image", "scaled", policy_kwargs=SMALL),
    "ddpg, image": partial(make, DDPG, "CnnPolicy", "image", "scaled", policy_kwargs=SMALL),
    "ppo, number": partial(make, PPO, "MlpPolicy", "number", "few"),
    "ppo, gSDE": partial(make, PPO, "MlpPolicy", "flat", "scaled", use_sde=True),
    "sac, gSDE": partial(make, SAC, "MlpPolicy", "flat", "scaled", use_sde=True),
    "ppo, arguments": partial(
        make, PPO, "MlpPolicy", "flat", "scaled",
        policy_kwargs={
            "net_arch": {"pi": [4, 5], "vf": [6]}, "activation_fn": torch.nn.SiLU,
            "ortho_init": False, "log_std_init": -1.0, "share_features_extractor": False,
            "features_extractor_class": FlattenExtractor, "optimizer_class": torch.optim.SGD,
            "optimizer_kwargs": {},
        },
    ),
    "sac, arguments": partial(
        make, SAC, "MlpPolicy", "flat", "scaled",
        policy_kwargs={"net_arch": {"pi": [4], "qf": [5]}, "n_critics": 3, "clip_mean": 1.5},
    ),
    "fourier": lambda: build("sac", GoalEnv(gym.make(MAZE)), FourierExtractor),
    "pose": lambda: build("dqn", GoalEnv(gym.make(GRID)), PoseExtractor, features_dim=8),
    "reads": lambda: build("ppo", adapt(), InstructionExtractor, **INSTRUCTED),
    "reads rooms": lambda: build("ppo", adapt(GRID), InstructionExtractor, **CENTRED),
}  # fmt: skip


def saved(name, folder):
    model = MADE[name]()
    model.save(folder / "policy.zip")
    return model, folder / "policy.zip"


@pytest.fixture(scope="module")
def ppo(tmp_path_factory):
    return saved("ppo", tmp_path_factory.mktemp("zip"))[1]


def observations_of(model, count=8):
    """Return what a policy may see: in worlds of langrl, what is there."""
    if "normalize_images" in model.policy_kwargs:
        return [model.env.reset() for _ in range(count)]
    space = model.observation_space
    space.seed(0)
    return [space.sample() for _ in range(count)]


def actions_of(policy, observations):
    return [policy.predict(each, deterministic=True)[0] for each in observations]


@pytest.mark.parametrize("name", MADE)
def test_a_policy_predicts_as_when_sb3_loads_it_to_the_bit(name, tmp_path):
    model, path = saved(name, tmp_path)
    algorithm, observations = type(model), observations_of(model)
    ours, theirs = load_policy(path), algorithm.load(path, device="cpu", buffer_size=1)
    if isinstance(theirs.observation_space, spaces.Dict):
        assert list(ours.observation_space.spaces) == list(theirs.observation_space.spaces)
    chosen = actions_of(ours, observations)
    for one, other in zip(chosen, actions_of(theirs, observations), strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    if isinstance(ours.action_space, spaces.Box):
        assert len(np.unique(chosen)) > 2
    assert type(ours) is algorithm
    assert ours.action_space == theirs.action_space
    for key, value in theirs.policy.state_dict().items():
        assert torch.equal(ours.policy.state_dict()[key], value)


def test_loading_draws_no_random_numbers_of_the_process(ppo):
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    load_policy(ppo)
    assert torch.equal(torch.rand(2), expected)


def test_a_hostile_pickle_is_not_run_wherever_it_is(ppo, tmp_path):
    canary = tmp_path / "canary"
    hostile = pickle.dumps(Runs(canary))
    data = read_data(ppo)
    text = base64.b64encode(hostile).decode()
    for value in data.values():
        if isinstance(value, dict) and ":serialized:" in value:
            value[":serialized:"] = text
    data["policy_kwargs"] = {":type:": "<class 'dict'>", ":serialized:": text, "net_arch": [8]}
    path = change_zip(
        ppo, tmp_path / "hostile.zip", data=json.dumps(data), pytorch_variables_pth=hostile
    )
    load_policy(path)
    assert not canary.exists()
    with pytest.raises(Exception):  # noqa: B017, PT011  what was unpickled is no policy
        PPO.load(path, device="cpu")
    assert canary.exists()  # the canary sings


def test_weights_that_run_code_are_refused(ppo, tmp_path):
    canary = tmp_path / "canary"
    for content in (pickle.dumps(Runs(canary)), torch_file({"w": Runs(canary)})):
        path = change_zip(ppo, tmp_path / "hostile.zip", policy_pth=content)
        with pytest.raises(CheckpointError, match=r"policy\.pth"):
            load_policy(path)
    assert not canary.exists()


def test_files_beside_are_neither_read_nor_written(ppo, tmp_path, monkeypatch):
    (tmp_path / "inside").mkdir()
    monkeypatch.chdir(tmp_path / "inside")
    path = change_zip(ppo, tmp_path / "more.zip", **{"/////etc/x": b"x", "../outside": b"x"})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../outside.txt", b"x")
    load_policy(path)
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["inside", "more.zip"]


def bomb(ppo, path):
    zeros = bytes((64 << 20) + 1)
    return change_zip(ppo, path, zipfile.ZIP_DEFLATED, policy_pth=zeros)


def inner_bomb(ppo, path):
    with zipfile.ZipFile(ppo) as archive:
        inner = zipfile.ZipFile(io.BytesIO(archive.read("policy.pth")))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in inner.namelist():
            packed.writestr(name, inner.read(name))
    return change_zip(ppo, path, policy_pth=buffer.getvalue())


BOMBS = {
    bomb: "67,108,865 bytes",
    inner_bomb: "compressed within",
    lambda ppo, path: change_zip(ppo, path, data="[" * 200_000): "not readable",
    lambda ppo, path: change_zip(ppo, path, data=" " * (17 << 20)): "data claims",
    lambda ppo, path: change_zip(ppo, path, data="[1]"): "no table",
    lambda ppo, path: change_zip(ppo, path, zipfile.ZIP_LZMA): "compressed in a way",
    lambda ppo, path: change_zip(ppo, path, policy_pth=torch_file([1])): "no table of weights",
}


@pytest.mark.parametrize("make", BOMBS)
def test_a_zip_that_unfolds_is_refused(make, ppo, tmp_path):
    with pytest.raises(CheckpointError, match=BOMBS[make]):
        load_policy(make(ppo, tmp_path / "forged.zip"))


BOX = {":type:": "<class 'gymnasium.spaces.box.Box'>", "dtype": "float32"}
FIELDS = {
    "wide layers": (
        {"policy_kwargs": {"net_arch": [2**20, 2**20]}}, "more than|built|not enough memory",
    ),
    "no layers": ({"policy_kwargs": {"net_arch": ["8"]}}, "no widths of layers"),
    "many layers": ({"policy_kwargs": {"net_arch": [1] * 101}}, "no widths of layers"),
    "other layers": ({"policy_kwargs": {"net_arch": [9]}}, "the weight .* make"),
    "fewer layers": ({"policy_kwargs": {"net_arch": []}}, "the weight .* make"),
    "an observation": (
        {"observation_space": {**BOX, "_shape": [2**20, 2**20], "low": "[0.]", "high": "[1.]"}},
        "more than 4,194,304 numbers",
    ),
    "many parts": (
        {"observation_space": {
            ":type:": "<class 'gymnasium.spaces.dict.Dict'>",
            "spaces": "{'a': Box(0, 1, (2048, 1024), uint8), 'b': Box(0, 1, (2048, 1025), uint8)}",
        }},
        "more than 4,194,304 numbers",
    ),
    "another part": (
        {"observation_space": {
            ":type:": "<class 'gymnasium.spaces.dict.Dict'>", "spaces": "{'a': Text(1, 5)}",
        }},
        "'a' of observation_space is",
    ),
    "an open part": (
        {"observation_space": {
            ":type:": "<class 'gymnasium.spaces.dict.Dict'>", "spaces": "{'a': Box(" + "(" * 9999,
        }},
        "is not readable|'a' of observation_space",
    ),
    "negative sides": (
        {"observation_space": {**BOX, "_shape": [-3], "low": "[0.]", "high": "[1.]"}}, "no whole",
    ),
    "too few bounds": ({"observation_space": {"low": "[0. 1.]"}}, "2 bounds are given"),
    "no numbers": ({"observation_space": {"low": "[a b c]"}}, "observation_space is not readable"),
    "many actions": ({"action_space": {"n": str(10**12)}}, "no whole number"),
    "no space": ({"action_space": None}, "action_space is"),
    "two networks": (
        {"policy_kwargs": {"net_arch": {"pi": [8], "vf": []}}}, "in the policy only",
    ),
    "no class": ({"policy_class": None}, "its policy_class"),
    "no kwargs": ({"policy_kwargs": None}, "no policy_kwargs"),
}  # fmt: skip


@pytest.mark.parametrize("name", FIELDS)
def test_forged_fields_are_refused_before_any_weight_is_read(name, ppo, tmp_path, monkeypatch):
    monkeypatch.setattr(zips, "read_weights", None)
    fields, message = FIELDS[name]
    with pytest.raises(CheckpointError, match=message):
        load_policy(change_data(ppo, tmp_path / "forged.zip", **fields))


FORGED_TENSORS = {
    "repeated": torch.zeros(1).expand(10**12),
    "sparse": torch.sparse_coo_tensor(torch.zeros(1, 1, dtype=torch.long), [1.0], (10**9,)),
    "part of more": torch.zeros(10)[3:],
    "transposed": torch.zeros(3, 2).T,
    "other numbers": torch.zeros(8, 3, dtype=torch.float64),
}


@pytest.mark.parametrize("name", FORGED_TENSORS)
def test_forged_tensors_are_refused_before_any_weight_is_read(name, ppo, tmp_path, monkeypatch):
    with zipfile.ZipFile(ppo) as archive:
        weights = torch.load(io.BytesIO(archive.read("policy.pth")), weights_only=True)
    weights["mlp_extractor.policy_net.0.weight"] = FORGED_TENSORS[name]
    path = change_zip(ppo, tmp_path / "forged.zip", policy_pth=torch_file(weights))
    monkeypatch.setattr(zips, "read_weights", None)
    with pytest.raises(CheckpointError, match=r"policy\.pth|the weight"):
        load_policy(path)


def test_a_claim_that_is_larger_than_the_file_is_seen_without_its_numbers():
    content = torch_file({"w": torch.zeros(4)})
    shapes = stored_weights.read_shapes(content, "w.pth")
    assert shapes["w"].device.type == "meta"
    with pytest.raises(CheckpointError, match="which is not in it"):
        stored_weights.read_shapes(torch_file({"w": torch.zeros(1).expand(10**6)}), "w.pth")


class Own(ActorCriticPolicy):
    """A policy class of one's own."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)


class OwnExtractor(FlattenExtractor):
    """A features extractor of one's own."""


ONLY_PICKLED = {
    "policy class": (partial(make, PPO, Own, "flat", "few"), "its policy_class is .*Own"),
    "extractor": (
        partial(make, PPO, "MlpPolicy", "flat", "few",
                policy_kwargs={"features_extractor_class": OwnExtractor}),
        "its features_extractor_class is .*OwnExtractor",
    ),
    "activation": (
        partial(make, PPO, "MlpPolicy", "flat", "few",
                policy_kwargs={"activation_fn": torch.nn.Hardswish}),
        "its activation_fn is .*Hardswish",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ONLY_PICKLED)
def test_what_only_a_pickle_says_is_named(name, tmp_path):
    make_it, message = ONLY_PICKLED[name]
    make_it().save(tmp_path / "own.zip")
    with pytest.raises(PickledError, match=message) as caught:
        load_policy(tmp_path / "own.zip")
    assert str(tmp_path / "own.zip") in str(caught.value)


def test_bounds_of_actions_that_are_printed_short_come_from_the_environment(tmp_path, monkeypatch):
    low = np.float32([-0.012345678, -1])
    monkeypatch.setitem(ACTIONS, "fine", spaces.Box(low, -low, dtype=np.float32))
    model = make(SAC, "MlpPolicy", "flat", "fine")
    model.save(tmp_path / "policy.zip")
    with pytest.raises(PickledError, match="give env"):
        load_policy(tmp_path / "policy.zip")
    ours = load_policy(tmp_path / "policy.zip", Still("flat", "fine"))
    seen = observations_of(model)
    np.testing.assert_array_equal(actions_of(ours, seen), actions_of(model, seen))


def test_an_environment_of_other_spaces_is_refused(ppo):
    with pytest.raises(CheckpointError, match="its observation_space is"):
        load_policy(ppo, FakeImageEnv())
    with pytest.raises(CheckpointError, match="its action_space is"):
        load_policy(ppo, Still("flat", "several"))


def test_a_run_takes_the_policy_of_another_algorithm_that_has_its_spaces(tmp_path):
    model = TD3("MultiInputPolicy", GoalEnv(gym.make(MAZE)), buffer_size=1, device="cpu", seed=0)
    model.save(tmp_path / "td3.zip")
    config = load_run_config("sb3-sac-her-street-fork")
    policy = read_policy(tmp_path / "td3.zip", config, tmp_path)
    seen = [model.env.reset() for _ in range(4)]
    np.testing.assert_array_equal(actions_of(policy, seen), actions_of(model, seen))
    grid = load_run_config("sb3-dqn-her-grid-goto")
    with pytest.raises(CheckpointError, match="its observation_space is"):
        read_policy(tmp_path / "td3.zip", grid, tmp_path)


def test_what_is_no_zip_is_one_line(tmp_path):
    (tmp_path / "text.zip").write_text("no zip")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme", "x")
    for name, message in (
        ("text.zip", "not readable as a zip"),
        ("other.zip", "no zip of Stable-Baselines3"),
        ("none.zip", "no policy in"),
    ):
        with pytest.raises(CheckpointError, match=message):
            load_policy(tmp_path / name)
