"""Registered worlds keep to what Gymnasium and Stable-Baselines3 say, for long, in each mode."""

import warnings
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from tally import counted, tally

import langrl
from langrl.envs.wrappers.instructions import EmbedInstruction
from langrl.errors import LangRLError

IDS = [*langrl.MAZE_IDS, *langrl.GRID_IDS, *langrl.PARTIAL_IDS]
LIMIT = 15  # steps of an episode: many of them start anew
ROWS = 3  # of the vectors that are told what they refuse
REFUSED = [
    {"instruction": ["anything", "", "anything"]},
    {"instruction": ["row 1", "row 1"]},
    {"instruction": 3},
    {"colour": "red"},
    {"reset_mask": np.zeros(ROWS, bool)},
    {"reset_mask": np.ones(ROWS + 1, bool)},
]
OWN_MODES = [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED]  # of the worlds' own vectors


def first(infos):
    """Return the first row; what begins with _ says which rows of Gymnasium's vectors have it."""
    return {key: value[0] for key, value in infos.items() if not key.startswith("_")}


def check_same(one, many):
    (seen, *results, info), (seen_by_one, *results_of_one, info_of_one) = one, many
    np.testing.assert_array_equal(seen_by_one["observation"][0], seen["observation"])
    assert seen_by_one["instruction"] == (seen["instruction"],)
    assert [values[0] for values in results_of_one] == results
    np.testing.assert_equal(first(info_of_one), info)


def check_end_in_same_step(result, start, many):
    """The vector's step has the results of the last one, and shows the next start already."""
    seen, *results, info = result
    seen_by_one, *results_of_one, infos = many
    assert [values[0] for values in results_of_one] == results
    np.testing.assert_equal(first(infos.pop("final_info")), info)
    np.testing.assert_equal(infos.pop("final_obs")[0], seen)
    check_same(start, (seen_by_one, infos))


def start_both(mode, single, vector, action, result):
    """Start the next episode of both, as the mode has it, after the single world's last step."""
    if mode is AutoresetMode.DISABLED:
        check_same(result, vector.step(action))
        check_same(single.reset(), vector.reset(options={"reset_mask": np.ones(1, bool)}))
    elif mode is AutoresetMode.SAME_STEP:
        check_end_in_same_step(result, single.reset(), vector.step(action))
    else:
        check_same(result, vector.step(action))
        seen, rewards, ended, truncated, infos = vector.step(action)
        assert not np.any([ended, truncated, rewards])
        check_same(single.reset(), (seen, infos))


def compare(name, mode, steps):
    """Step both with the same actions, and start each episode anew as the mode has it."""
    make = partial(gym.make, name, max_episode_steps=LIMIT, disable_env_checker=True)
    single = make()
    if mode in OWN_MODES:
        vector = gym.make_vec(name, num_envs=1, autoreset_mode=mode, max_episode_steps=LIMIT)
    else:
        vector = gym.vector.SyncVectorEnv([make], autoreset_mode=mode)
    check_same(single.reset(seed=7), vector.reset(seed=7))
    single.action_space.seed(7)
    episodes = 1
    for _ in range(steps):
        action = single.action_space.sample()
        result = single.step(action)
        if result[2] or result[3]:
            episodes += 1
            start_both(mode, single, vector, np.array([action]), result)
        else:
            check_same(result, vector.step(np.array([action])))
    single.close()
    vector.close()
    return episodes


@pytest.mark.parametrize("mode", list(AutoresetMode), ids=lambda mode: mode.value)
@counted(40, 10_000)
def test_a_vector_of_one_goes_on_like_the_single_world(many, mode):
    with tally(f"12 vector and single, {many:,} steps each, {mode.value}") as check:
        for name in IDS:
            with check.case(name):
                assert compare(name, mode, many) > many // (LIMIT + 1)


def refuse_all(envs, check):
    """Ask for what is refused; that it is, is a case each."""
    for options in REFUSED:
        with check.case(f"{envs.spec.id}: {options}"):
            refusal = None
            try:
                envs.reset(seed=1, options=options)
            except LangRLError as error:
                refusal = error
            assert refusal is not None


@pytest.mark.parametrize("mode", OWN_MODES, ids=lambda mode: mode.value)
@counted(4, 200)
def test_refused_options_of_one_row_change_no_row(many, mode):
    """A vector that is told what it refuses before each step goes on like one that is not."""
    with tally(f"12 refused options of a row change no row, {mode.value}") as check:
        for name in IDS:
            told, other = (
                gym.make_vec(name, num_envs=ROWS, autoreset_mode=mode, max_episode_steps=LIMIT)
                for _ in range(2)
            )
            np.testing.assert_equal(told.reset(seed=5), other.reset(seed=5))
            told.action_space.seed(5)
            for _ in range(many):
                refuse_all(told, check)
                action = told.action_space.sample()
                result = told.step(action)
                np.testing.assert_equal(result, other.step(action))
                ended = result[2] | result[3]
                if mode is AutoresetMode.DISABLED and ended.any():
                    options = {"reset_mask": ended}
                    np.testing.assert_equal(
                        told.reset(options=dict(options)), other.reset(options=dict(options))
                    )


class Lengths:
    """Embeds a text as a few of its measures."""

    def encode_text(self, texts):
        return np.array([[len(text), text.count(" "), len(set(text))] for text in texts]) / 100


def test_every_world_passes_the_checkers():
    sb3 = pytest.importorskip("stable_baselines3.common.env_checker")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Stable-Baselines3 advises images of its own networks' size, and flat actions in [-1, 1].
        warnings.filterwarnings("ignore", "(?s).*(image|space|observation)", UserWarning)
        with tally("12 worlds that pass Gymnasium's checker") as check:
            for name in IDS:
                with check.case(name):
                    check_env(gym.make(name).unwrapped, skip_render_check=True)
        with tally("12 worlds that pass Stable-Baselines3's after EmbedInstruction") as check:
            for name in IDS:
                with check.case(name):
                    sb3.check_env(EmbedInstruction(gym.make(name), Lengths()))
