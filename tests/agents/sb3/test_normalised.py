"""Observations that ``VecNormalize`` has changed, and that stand for something as they were."""

import re

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from langrl.envs.wrappers.instructions import AddInstruction, TokenizeInstruction
from langrl.errors import ShapeError
from langrl.words import WordTokeniser

pytest.importorskip("stable_baselines3")

from sb3_policies import CENTRED, INSTRUCTED, build
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from langrl.agents.sb3.extractors import (
    FourierExtractor,
    GoalEncoderExtractor,
    InstructionExtractor,
    PoseExtractor,
)

TEXTS = ["point up", "point down"]


class Codes(gym.Env):
    """Views whose numbers are codes, in a space that Stable-Baselines3 takes for no image."""

    observation_space = spaces.Box(0, 11, (7, 7, 3), np.int64)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.np_random.integers(12, size=(7, 7, 3)), {}

    def step(self, action):
        return self.np_random.integers(12, size=(7, 7, 3)), 0.0, False, False, {}


def told_pendulum():
    words = WordTokeniser.learn(TEXTS)
    env = AddInstruction(gym.make("Pendulum-v1", max_episode_steps=4), TEXTS)
    return TokenizeInstruction(env, words, 4)


def coded():
    return TokenizeInstruction(AddInstruction(Codes(), TEXTS), WordTokeniser.learn(TEXTS), 4)


def learn(make, extractor, algorithm="ppo", features=None, **normalised):
    env = VecNormalize(DummyVecEnv([make]), **normalised)
    return build(algorithm, env, extractor, **(features or {})).learn(16)


def refused(keys, *arguments, **options):
    """Check that a policy is refused with a repair, and that the repair works."""
    with pytest.raises(ShapeError, match="norm_obs_keys=") as caught:
        learn(*arguments, **options)
    named = re.search(r"norm_obs_keys=\[(.*?)\]", str(caught.value))
    assert re.findall(r"'(\w+)'", named[1]) == keys
    learn(*arguments, **options, norm_obs_keys=keys)


def test_tokens_are_refused_and_vectors_beside_them_are_not():
    refused(["observation"], told_pendulum, InstructionExtractor, features=INSTRUCTED)


def test_texts_differ_where_the_repair_is_followed():
    env = VecNormalize(DummyVecEnv([told_pendulum] * 8), norm_obs_keys=["observation"])
    env.seed(0)
    texts = env.reset()["instruction"]
    assert len({tuple(text) for text in texts}) == 2
    assert set(texts.ravel()) <= set(range(8))


@pytest.mark.parametrize("algorithm", ["ppo", "dqn"])
def test_codes_are_refused_whatever_their_space(algorithm):
    features = {**INSTRUCTED, "codes": 12}
    refused([], coded, InstructionExtractor, algorithm, features)


def test_rooms_are_refused_and_normalize_images_is_not_blamed(worlds):
    for extractor, env, features in (
        (InstructionExtractor, "grid embedded", CENTRED),
        (PoseExtractor, "grid goals", {"features_dim": 8}),
    ):
        refused([], worlds[env], extractor, features=features)
        with pytest.raises(ShapeError) as caught:
            learn(worlds[env], extractor, features=features)
        assert "normalize_images" not in str(caught.value)


@pytest.mark.parametrize("part", ["achieved_goal", "desired_goal"])
def test_poses_are_refused_beside_a_room_that_is_left(worlds, part):
    with pytest.raises(ShapeError, match=rf"'{part}' is whole numbers 0 to 7"):
        learn(worlds["grid goals"], PoseExtractor, features={"features_dim": 8},
              norm_obs_keys=[part])  # fmt: skip


@pytest.mark.parametrize("algorithm", ["ppo", "sac"])
def test_positions_are_refused(worlds, algorithm):
    refused([], worlds["maze goals"], FourierExtractor, algorithm)


def test_positions_and_rooms_of_trained_encoders_are_refused(worlds, maze_agent, grid_agent):
    for env, agent in (("maze goals", maze_agent), ("grid goals", grid_agent)):
        refused([], worlds[env], GoalEncoderExtractor, features={"agent": str(agent)})


def test_embedded_instructions_may_be_normalised(worlds):
    model = learn(worlds["maze embedded"], InstructionExtractor, features=INSTRUCTED)
    assert model.num_timesteps > 0
