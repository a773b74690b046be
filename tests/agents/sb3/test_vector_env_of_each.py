"""What ``VectorAdapter`` asks of each environment, and what each of them reports."""

import re
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit

from langrl.envs.autoreset import autoreset_mode
from langrl.envs.wrappers.goals import GoalEnv
from langrl.envs.wrappers.instructions import EmbedInstruction
from langrl.errors import ConfigError

pytest.importorskip("stable_baselines3")

from sb3_policies import GRID, MAZE, build, encode
from stable_baselines3 import HerReplayBuffer
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from langrl.agents.sb3.extractors import PoseExtractor
from langrl.agents.sb3.replay import ContrastiveReplayBuffer
from langrl.agents.sb3.vector_env import VectorAdapter

KINDS = [SyncVectorEnv, AsyncVectorEnv]


class Reports(gym.Env):
    """Environment n reports n; frames are n everywhere; writes over what it returned."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 7}
    observation_space = spaces.Box(0, 99, (2,), np.float32)
    action_space = spaces.Discrete(2)
    render_mode = "rgb_array"

    def __init__(self, number, length=3):
        self.number, self.length, self.steps, self.difficulty = number, length, 0, 0
        self.seen = np.zeros(2, np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.observe(), {"started": self.number}

    def observe(self):
        self.seen[:] = self.number, self.steps
        return self.seen

    def step(self, action):
        self.steps += 1
        info = {"number": self.number, "_private": self.steps, "place": np.ones(3) * self.number}
        info |= {"name": f"env {self.number}", "more": {"steps": self.steps}}
        if self.number == 1:
            info["only"] = True
        return self.observe(), 1.0, self.steps == self.length, False, info

    def render(self):
        return np.full((4, 4, 3), self.number, np.uint8)

    def double(self, x, plus=0):
        self.difficulty += 1
        return 2 * x + plus + 100 * self.number


def make(kind=SyncVectorEnv, count=3, **options):
    envs = kind(
        [partial(Reports, n) for n in range(count)],
        autoreset_mode=AutoresetMode.DISABLED,
        **options,
    )
    return VectorAdapter(envs)


@pytest.mark.parametrize("kind", KINDS)
def test_each_step_holds_what_each_environment_reported(kind):
    env = make(kind)
    env.reset()
    assert [info["started"] for info in env.reset_infos] == [0, 1, 2]
    for step in (1, 2, 3):
        _, _, dones, infos = env.step(np.zeros(3, int))
        for n, info in enumerate(infos):
            assert (info["number"], info["_private"], info["name"]) == (n, step, f"env {n}")
            assert info["place"].tolist() == [n, n, n]
            assert info["more"] == {"steps": step}
            assert info["TimeLimit.truncated"] is False
            assert ("only" in info) == (n == 1)
            assert ("terminal_observation" in info) == (step == 3) == dones[n]
            assert info.get("terminal_observation", np.array([n, 3])).tolist() == [n, 3]
    env.close()


def test_the_infos_are_those_of_single_environments():
    ours, theirs = make(), DummyVecEnv([partial(Reports, n) for n in range(3)])
    assert np.array_equal(ours.reset(), theirs.reset())
    for _ in range(5):
        mine, others = ours.step(np.zeros(3, int))[3], theirs.step(np.zeros(3, int))[3]
        for info, expected in zip(mine, others, strict=True):
            assert info.keys() == expected.keys()
            for name in expected.keys() - {"terminal_observation"}:
                assert np.array_equal(info[name], expected[name])


def test_what_was_seen_stays_where_environments_write_over_it():
    env = make(copy=False)
    first = env.reset()
    second = env.step(np.zeros(3, int))[0]
    assert first[:, 1].tolist() == [0, 0, 0]
    env.step(np.zeros(3, int))
    assert second[:, 1].tolist() == [1, 1, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_methods_and_attributes_are_those_of_each_index(kind):
    env = make(kind)
    env.reset()
    assert env.env_method("double", 1, plus=3) == [5, 105, 205]
    assert env.env_method("double", 1, indices=[2, 0]) == [202, 2]
    assert env.get_attr("number", indices=[2, 1]) == [2, 1]
    assert env.get_attr("observation_space")[0].shape == (2,)  # of one, not of the batch
    env.set_attr("length", 9, indices=1)
    assert env.get_attr("length") == [3, 9, 3]
    env.set_attr("length", [7, 7])
    assert env.get_attr("length") == [[7, 7]] * 3
    assert not env.has_attr("colour")
    assert env.get_attr("num_envs", indices=[0]) == [3]  # of the vector environment itself
    env.step(np.zeros(3, int))  # asking for what is not there has ended nothing
    env.close()


def test_an_attribute_that_is_new_can_be_set_where_it_is_meant():
    env = make()
    env.set_attr("colour", "red", indices=[1])
    assert [hasattr(each, "colour") for each in env.env.envs] == [False, True, False]


def test_a_method_is_called_where_it_is_asked_for_alone():
    env = make()
    env.env_method("double", 1, indices=[1])
    assert env.get_attr("difficulty") == [0, 1, 0]


def test_wrappers_of_each_environment_are_found():
    envs = [lambda: Monitor(Reports(0)), lambda: TimeLimit(Reports(1), 5)]
    env = VectorAdapter(SyncVectorEnv(envs, autoreset_mode=AutoresetMode.DISABLED))
    assert env.env_is_wrapped(Monitor) == [True, False]
    assert env.env_is_wrapped(TimeLimit, indices=1) == [True]


@pytest.mark.parametrize("kind", KINDS)
def test_frames_are_tiled_as_videos_need_them(kind):
    env = VecMonitor(make(kind, 4))
    env.reset()
    assert env.render_mode == "rgb_array"
    assert env.unwrapped.metadata["render_fps"] == 7  # where VecVideoRecorder looks
    assert [int(image.max()) for image in env.get_images()] == [0, 1, 2, 3]
    frame = env.render()
    assert frame.shape == (8, 8, 3)
    assert frame[:4, :4].max() == 0
    assert frame[4:, 4:].min() == 3
    env.close()


@pytest.mark.parametrize("buffer", [HerReplayBuffer, ContrastiveReplayBuffer])
def test_hindsight_asks_an_environment_for_its_rewards(buffer):
    make = partial(gym.make, GRID, max_episode_steps=5)
    envs = SyncVectorEnv([lambda: GoalEnv(make())] * 2, autoreset_mode=AutoresetMode.DISABLED)
    model = build(
        "dqn", VectorAdapter(envs), PoseExtractor, features_dim=8, replay_buffer_class=buffer
    ).learn(40)
    assert model.replay_buffer.ep_length.any()
    assert set(np.unique(model.replay_buffer.sample(64).rewards)) <= {0.0, 1.0}


# -- environments that start anew by themselves ------------------------------------------------


def stock(mode):
    return gym.make_vec("CartPole-v1", 2, vectorization_mode="sync",
                        vector_kwargs={"autoreset_mode": mode})  # fmt: skip


def cart():
    return gym.make("CartPole-v1")


REFUSED = {
    "NextStep": lambda: stock(AutoresetMode.NEXT_STEP),
    "SameStep": lambda: stock(AutoresetMode.SAME_STEP),
    "NextStep, in processes": lambda: AsyncVectorEnv([cart]),
    "NextStep, batched": lambda: gym.make_vec(MAZE, num_envs=2),
    "TimeLimit": cart,
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_repair_that_is_named_works(name):
    env = REFUSED[name]()
    with pytest.raises(ConfigError, match=name.split(",")[0]) as caught:
        VectorAdapter(env)
    told = str(caught.value)
    calls = re.findall(r"gym\.make_vec\(\.\.\..*?\)(?= for )", told)
    assert len(calls) == 2
    for call in calls:
        id_ = "CartPole-v1" if "vectorization_mode" in call else MAZE
        made = eval(call.replace("...", f"{id_!r}, 2"), {"gym": gym})
        assert autoreset_mode(made) is AutoresetMode.DISABLED
        if id_ == "CartPole-v1":
            assert VectorAdapter(made).reset().shape == (2, 4)
        made.close()
    env.close()


def test_worlds_beside_each_other_keep_their_own_instructions():
    make = partial(gym.make, GRID, max_episode_steps=4)
    envs = [lambda: EmbedInstruction(make(), encode)] * 2
    env = VectorAdapter(SyncVectorEnv(envs, autoreset_mode=AutoresetMode.DISABLED))
    env.seed(0)
    env.reset()
    for _ in range(4):
        _, _, dones, infos = env.step(np.zeros(2, int))
    assert all(dones)
    assert all(info["TimeLimit.truncated"] and not info["is_success"] for info in infos)
