"""A vector of one world does what the single one does, over many episodes, in each mode."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from tally import counted, tally

import langrl

IDS = [*langrl.MAZE_IDS, *langrl.GRID_IDS, *langrl.PARTIAL_IDS]
MODES = (AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED)
LIMIT = 15  # steps of an episode: many of them start anew


def check_same(one, many):
    (seen, *results, info), (seen_by_one, *results_of_one, info_of_one) = one, many
    np.testing.assert_array_equal(seen_by_one["observation"][0], seen["observation"])
    assert seen_by_one["instruction"] == (seen["instruction"],)
    assert [values[0] for values in results_of_one] == results
    np.testing.assert_equal({key: value[0] for key, value in info_of_one.items()}, info)


def compare(name, mode, steps):
    """Step both with the same actions, and start each episode anew as the mode has it."""
    single = gym.make(name, max_episode_steps=LIMIT, disable_env_checker=True)
    vector = gym.make_vec(name, num_envs=1, autoreset_mode=mode, max_episode_steps=LIMIT)
    check_same(single.reset(seed=7), vector.reset(seed=7))
    single.action_space.seed(7)
    episodes = 1
    for _ in range(steps):
        action = single.action_space.sample()
        result = single.step(action)
        check_same(result, vector.step(np.array([action])))
        if result[2] or result[3]:
            episodes += 1
            if mode is AutoresetMode.DISABLED:
                check_same(single.reset(), vector.reset(options={"reset_mask": np.ones(1, bool)}))
                continue
            seen, rewards, ended, truncated, infos = vector.step(np.array([action]))
            assert not np.any([ended, truncated, rewards])
            check_same(single.reset(), (seen, infos))
    single.close()
    vector.close()
    return episodes


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
@counted(40, 2_000)
def test_a_vector_of_one_goes_on_like_the_single_world(many, mode):
    with tally(f"12 vector and single, {many:,} steps each, {mode.value}") as check:
        for name in IDS:
            with check.case(name):
                assert compare(name, mode, many) > many // (LIMIT + 1)
