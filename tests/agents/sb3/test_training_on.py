"""Policies of goals that are loaded from a zip and trained on."""

from functools import partial

import gymnasium as gym
import pytest

from langrl.envs.wrappers.goals import GoalEnv
from langrl.errors import ConfigError

pytest.importorskip("stable_baselines3")

from sb3_policies import INSTRUCTED, MAZE, adapt, build
from stable_baselines3 import PPO, SAC, HerReplayBuffer
from stable_baselines3.common.vec_env import DummyVecEnv

from langrl.agents.sb3.callbacks import RefillReplay
from langrl.agents.sb3.extractors import FourierExtractor, InstructionExtractor
from langrl.agents.sb3.replay import ContrastiveReplayBuffer


def maze(limit=10):
    return GoalEnv(gym.make(MAZE, max_episode_steps=limit))


@pytest.fixture(params=[HerReplayBuffer, ContrastiveReplayBuffer, None])
def stored(request, tmp_path):
    """A zip of a policy that has trained for 30 steps, in two environments."""
    options = {} if request.param is None else {"replay_buffer_class": request.param}
    env = DummyVecEnv([partial(maze, 5)] * 2)
    build("sac", env, FourierExtractor, **options).learn(30).save(tmp_path / "policy")
    return tmp_path / "policy"


def test_a_loaded_policy_trains_on(stored):
    model = SAC.load(stored, env=DummyVecEnv([maze] * 2), device="cpu")
    updates = model._n_updates
    model.learn(40, callback=RefillReplay(), reset_num_timesteps=False)
    assert model.num_timesteps == 70  # filling counts as training
    # 12 steps are learning_starts; nothing can be relabelled before two episodes of 10 are over.
    relabels = isinstance(model.replay_buffer, HerReplayBuffer)
    assert model._n_updates == updates + (40 - (20 if relabels else 12)) // 2


def test_the_policy_acts_itself_while_the_replay_is_filled(stored, monkeypatch):
    model = SAC.load(stored, env=DummyVecEnv([maze] * 2), device="cpu")
    monkeypatch.setattr(model.action_space, "sample", None)  # random actions would fail
    model.learn(14, callback=RefillReplay(), reset_num_timesteps=False)
    assert model.num_timesteps == 44


@pytest.mark.filterwarnings("ignore:The last trajectory")
def test_what_there_is_to_draw_is_left_alone(stored, tmp_path):
    model = SAC.load(stored, env=DummyVecEnv([maze] * 2), device="cpu")
    model.learn(24, callback=RefillReplay(), reset_num_timesteps=False)
    model.save_replay_buffer(tmp_path / "replay")
    again = SAC.load(stored, env=DummyVecEnv([maze] * 2), device="cpu")
    again.load_replay_buffer(tmp_path / "replay")
    size, updates = again.replay_buffer.size(), again._n_updates
    again.learn(2, callback=RefillReplay(), reset_num_timesteps=False)
    assert again.replay_buffer.size() == size + 1
    assert again._n_updates == updates + 1


def test_new_policies_and_those_without_a_replay_are_left_alone():
    build("sac", maze(), FourierExtractor).learn(14, callback=RefillReplay())
    model = build("ppo", adapt(), InstructionExtractor, **INSTRUCTED).learn(48)
    model.learn(48, callback=RefillReplay(), reset_num_timesteps=False)
    assert isinstance(model, PPO)
    assert model.num_timesteps == 96


def test_episodes_that_do_not_end_are_refused(tmp_path):
    build("sac", maze(), FourierExtractor, replay_buffer_class=HerReplayBuffer).learn(20).save(
        tmp_path / "policy"
    )
    model = SAC.load(tmp_path / "policy", env=maze(1000), device="cpu", buffer_size=20)
    with pytest.raises(ConfigError, match="max_episode_steps"):
        model.learn(500, callback=RefillReplay(), reset_num_timesteps=False)
