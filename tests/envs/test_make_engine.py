import gymnasium as gym
import numpy as np
import pytest

from langrl.envs.goal_vector import make_engine
from langrl.envs.goal_words import find_words
from langrl.envs.goal_worlds import make_goal_env
from langrl.envs.instructed_goals import InstructedGoals
from langrl.errors import ConfigError, UnknownNameError

NAME = "langrl/StreetMaze-Blank-v0"


def test_rows_start_anew_only_when_they_are_told_to():
    engine = make_engine(NAME, 2, "sync", max_episode_steps=3)
    first = engine.reset(np.arange(2), np.array([1, 2])).observation
    moved = [engine.step(np.tile([1.0, 0.0], (2, 1))) for _ in range(3)]
    assert moved[-1].truncated.all()
    again = engine.reset(np.array([1]), np.array([2])).observation
    np.testing.assert_array_equal(again[1], first[1])
    np.testing.assert_array_equal(again[0], moved[-1].seen.observation[0])
    engine.close()


def test_a_goal_world_follows_instructions_in_its_own_words():
    words = find_words(make_goal_env(NAME), np.zeros((1, 2)))
    env = InstructedGoals(make_engine(NAME, 3, "sync"), words)
    seen, info = env.reset(seed=0, options={"instruction": "go to row 9"})
    rows = np.floor(seen["observation"][:, 0])
    np.testing.assert_array_equal(info["shortest_steps"], 2 * (9 - rows))
    np.testing.assert_allclose(info["ambiguity_bits"], np.log2(10))
    _, reward, _, _, info = env.step(np.tile([1.0, 0.0], (3, 1)))
    np.testing.assert_array_equal(reward, info["is_success"])
    env.close()


def test_worlds_whose_rows_start_anew_by_themselves_are_refused():
    with pytest.raises(UnknownNameError):
        make_engine("langrl/StreetMaze-Frok-v0")
    name = "OnlyBatched-v0"
    gym.register(name, vector_entry_point=lambda **options: None, max_episode_steps=5)
    try:
        with pytest.raises(ConfigError, match="rows start anew by themselves; register a single"):
            make_engine(name)
    finally:
        del gym.registry[name]
