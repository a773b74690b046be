"""Levels that nobody chose: each works, or is refused by its name with the reason."""

import re

import gymnasium as gym
import minigrid  # noqa: F401  registers its levels
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from langrl.envs.minigrid_levels.env import MiniGridLevelEnv
from langrl.envs.minigrid_levels.reading import ACTIONS
from langrl.envs.wrappers.instructions import TokenizeInstruction
from langrl.envs.wrappers.missions import MissionInstruction
from langrl.errors import ConfigError
from langrl.words import WordTokeniser

NAMED_ELSEWHERE = re.compile(
    r"BabyAI-(GoTo(Obj|Local|RedBall|RedBallGrey|Open|ObjMazeOpen|ImpUnlock)?|Pickup(Loc|Dist)?"
    r"|OpenDoor(Loc)?|OpenTwoDoors|UnlockLocal|PutNextLocal)-v0|MiniGrid-(Fetch|GoToDoor|Empty).*"
)
REFUSED = re.compile(
    r"has (\w+) cells; langrl's grid worlds have|has no mission, so that|does not start"
)
TOKENISER = WordTokeniser.learn(["go to the red ball, pick up a key and open the green door"])
LEVELS = sorted(
    name
    for name in gym.registry
    if name.startswith(("BabyAI-", "MiniGrid-")) and not NAMED_ELSEWHERE.fullmatch(name)
)
DRAWN = np.random.default_rng(19).choice(LEVELS, 20, replace=False).tolist()


def made(name, view=None):
    """Return the environment of a level, or the message that refuses it."""
    try:
        return MiniGridLevelEnv(name, view)
    except ConfigError as error:
        return str(error)


@pytest.mark.parametrize("name", DRAWN)
def test_a_level_works_or_is_refused_by_name_with_the_reason(name):
    env = made(name)
    if isinstance(env, str):
        assert env.startswith(name)
        assert REFUSED.search(env)
        return
    observation, info = env.reset(seed=1)
    assert env.observation_space.contains(observation)
    assert observation["instruction"].strip()
    denoted = env.denoted_cells
    assert (denoted is None) == np.isnan(info["ambiguity_bits"])
    generator = np.random.default_rng(0)
    for _ in range(20):
        observation, reward, terminated, truncated, info = env.step(
            int(generator.integers(len(ACTIONS)))
        )
        assert info["is_success"] == (reward > 0)
        if terminated or truncated:
            env.reset()
    seen, _ = made(name, view=7).reset(seed=1)
    assert seen["observation"].shape == (7, 7, 3)


@pytest.mark.parametrize("name", DRAWN)
def test_gymnasiums_checker_passes_or_the_level_has_no_mission(name):
    refusal = made(name)
    if isinstance(refusal, str) and re.search("has no mission|does not start", refusal):
        return  # its own reset fails, or there is nothing to wrap
    check_env(MissionInstruction(gym.make(name).unwrapped, full=True), skip_render_check=True)


@pytest.mark.parametrize("name", DRAWN[:6])
def test_stable_baselines3s_checker_passes_with_words_as_numbers(name):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    env = MissionInstruction(gym.make(name).unwrapped)
    checker.check_env(TokenizeInstruction(env, TOKENISER), warn=False)
