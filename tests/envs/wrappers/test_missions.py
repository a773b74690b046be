import gymnasium as gym
import minigrid  # noqa: F401  registers its levels
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from minigrid.wrappers import FullyObsWrapper, ImgObsWrapper

from langrl.envs.wrappers.instructions import (
    AddInstruction,
    EmbedInstruction,
    TokenizeInstruction,
)
from langrl.envs.wrappers.missions import MissionInstruction
from langrl.errors import ConfigError, InstructionError, ShapeError
from langrl.evaluation.rollouts import follow
from langrl.words import WordTokeniser

LEVELS = ("BabyAI-GoToLocal-v0", "MiniGrid-DoorKey-5x5-v0", "MiniGrid-LavaGapS5-v0")
WORDS = ["go to the a red green blue purple yellow grey ball box key"]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("name", LEVELS)
def test_levels_of_all_types_pass_the_checker(name, full):
    check_env(MissionInstruction(gym.make(name).unwrapped, full), skip_render_check=True)


def test_the_mission_is_the_instruction_and_the_picture_langrls():
    env = MissionInstruction(FullyObsWrapper(gym.make("BabyAI-GoToLocal-v0")), full=True)
    seen, info = env.reset(seed=2)
    level = env.unwrapped
    assert seen["instruction"] == level.mission
    assert info["is_success"] is False
    row, column = np.argwhere(seen["observation"][..., 2] > 0)[0]
    assert (column, row) == tuple(level.agent_pos)
    assert seen["observation"][row, column].tolist() == [1, 0, level.agent_dir + 1]


def test_success_is_a_reward_of_the_level():
    env = MissionInstruction(gym.make("BabyAI-GoToLocal-v0"))
    found, rewarded = [], []
    for seed in range(20):
        env.reset(seed=seed)
        env.action_space.seed(seed)
        over = False
        while not over:
            _, reward, terminated, truncated, info = env.step(env.action_space.sample())
            over = terminated or truncated
        found.append(info["is_success"])
        rewarded.append(reward > 0)
    assert found == rewarded
    assert 0 < sum(found) < 20


def test_a_policy_is_followed_by_the_rewards_of_an_environment_without_success():
    tokeniser = WordTokeniser.learn(WORDS)

    def rewarded():
        return ImgObsWrapper(gym.make("BabyAI-GoToLocal-v0"))

    def told():
        return TokenizeInstruction(MissionInstruction(gym.make("BabyAI-GoToLocal-v0")), tokeniser)

    with pytest.raises(ConfigError, match="success=lambda reward, info: reward > 0"):
        follow("random", rewarded, 2, seed=0)
    by_reward = follow("random", rewarded, 25, seed=0, success=lambda reward, info: reward > 0)
    by_info = follow("random", told, 25, seed=0)
    assert by_reward.success.tolist() == by_info.success.tolist()
    assert by_reward.success.any()


def test_errors_lead_from_a_level_to_its_mission_and_not_in_a_circle():
    level = gym.make("BabyAI-GoToLocal-v0")
    with pytest.raises(InstructionError, match="put MissionInstruction of"):
        EmbedInstruction(level, lambda texts: np.zeros((len(texts), 2)))
    with pytest.raises(ShapeError, match=r"put langrl\.envs\.wrappers\.missions\.Mission"):
        AddInstruction(level, ["go to a ball"])
    with pytest.raises(ShapeError, match="in the place of ImgObsWrapper"):
        MissionInstruction(ImgObsWrapper(level))
    with pytest.raises(ShapeError, match="is none; give texts with"):
        MissionInstruction(gym.make("CartPole-v1"))
    with pytest.raises(InstructionError, match="has no mission"):
        MissionInstruction(gym.make("MiniGrid-Playground-v0")).reset(seed=0)


def test_a_policy_of_stable_baselines3_learns_from_missions():
    sb3 = pytest.importorskip("stable_baselines3")
    from langrl.agents.sb3.extractors import InstructionExtractor

    tokeniser = WordTokeniser.learn(WORDS)
    env = TokenizeInstruction(
        MissionInstruction(gym.make("BabyAI-GoToLocal-v0"), full=True), tokeniser
    )
    policy = sb3.PPO(
        "MultiInputPolicy",
        env,
        n_steps=16,
        batch_size=16,
        n_epochs=1,
        policy_kwargs={
            "features_extractor_class": InstructionExtractor,
            "features_extractor_kwargs": {"centre_on_agent": True, "features_dim": 16},
            "normalize_images": False,
        },
    )
    policy.learn(16)
    assert follow(policy, lambda: env, 1, seed=0).steps[0] > 0
