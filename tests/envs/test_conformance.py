"""What every registered world keeps to, single and vector."""

import copy
import pickle
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import langrl
from langrl.errors import InstructionError, LangRLError, ShapeError

GRIDS = {**langrl.GRID_IDS, **langrl.PARTIAL_IDS}
IDS = [*langrl.MAZE_IDS, *GRIDS]
COUNT = 4
FITTING = {True: "go to row 0", False: "go to anything"}  # in every maze, and in every grid world
REFUSED = {
    "an unknown option": {"colour": "red"},
    "no text": {"instruction": 5},
    "an empty text": {"instruction": ""},
    "a text with a null": {"instruction": "row 0\x00"},
}


def is_maze(name):
    return name in langrl.MAZE_IDS


def make(name, single=False, **settings):
    if single:
        return gymnasium.make(name).unwrapped
    return gymnasium.make_vec(name, num_envs=COUNT, **settings)


def stay(env):
    """An action, or one for each row, that ends no episode."""
    return np.zeros(env.action_space.shape, env.action_space.dtype)


def bad_action(env):
    """An action that is none."""
    return np.full(2, np.nan, np.float32) if env.action_space.shape[-1:] == (2,) else 9


def refuse(env, options, error=LangRLError, seed=None):
    with pytest.raises(error) as refusal:
        env.reset(seed=seed, options=options)
    assert "\n" not in str(refusal.value)


def state_of(env):
    """A copy of all that is kept between steps: episodes, clocks and generators."""
    kept = {**vars(env._episodes), "generator": env._np_random, "seed": env._np_random_seed}
    kept |= vars(env._autoreset) if hasattr(env, "_autoreset") else {}
    return {
        name: value.bit_generator.state if name in ("generator", "stream") else value
        for name, value in copy.deepcopy(kept).items()
        if name != "world"  # a maze's keeps masks for later
    }


def assert_unchanged(env, before):
    np.testing.assert_equal(state_of(env), before)


every_world = pytest.mark.parametrize("name", IDS)
single_or_vector = pytest.mark.parametrize("single", [True, False], ids=["single", "vector"])


# -- Gymnasium ---------------------------------------------------------------------------------


@every_world
def test_environment_passes_the_check_of_gymnasium(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(make(name, single=True), skip_render_check=True)


def test_registering_again_changes_nothing():
    before = dict(gymnasium.registry)
    langrl.register_envs()
    assert gymnasium.registry == before
    assert set(IDS) <= set(before)


@every_world
def test_make_vec_makes_a_vector_environment_that_starts_anew_at_the_next_step(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        envs = make(name)
        observations, infos = envs.reset(seed=0)
    assert envs.num_envs == COUNT
    assert envs.max_episode_steps == gymnasium.spec(name).max_episode_steps == 100
    assert envs.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert len(observations["instruction"]) == COUNT
    assert all(values.shape == (COUNT,) for values in infos.values())


@single_or_vector
@every_world
def test_observations_are_in_the_space_and_outcomes_of_the_right_type(name, single):
    env = make(name, single)
    observation, _ = env.reset(seed=0)
    env.action_space.seed(1)
    for _ in range(20):
        assert observation in env.observation_space
        observation, reward, ended, truncated, info = env.step(env.action_space.sample())
        if single:
            assert [type(value) for value in (reward, ended, truncated)] == [float, bool, bool]
            assert {type(value) for value in info.values()} == {bool, float}
            if ended:
                observation, _ = env.reset()
        else:
            assert [value.dtype for value in (reward, ended, truncated)] == [float, bool, bool]


@single_or_vector
@every_world
def test_same_seed_gives_the_same_tasks(name, single):
    def tasks(seed):
        env = make(name, single)
        first = env.reset(seed=seed)
        env.step(stay(env))
        return [first, env.reset(), env.reset(seed=seed)]

    once, again, other = tasks(7), tasks(7), tasks(8)
    np.testing.assert_equal(once, again)
    np.testing.assert_equal(once[0], once[2])
    for different in (once[1], other[0]):
        assert pickle.dumps(different[0]) != pickle.dumps(once[0][0])


@every_world
def test_vector_of_one_equals_the_single_environment(name):
    single, vector = make(name, single=True), gymnasium.make_vec(name, num_envs=1)
    (observation, info), (observations, infos) = single.reset(seed=3), vector.reset(seed=3)
    single.action_space.seed(0)
    for _ in range(30):
        np.testing.assert_array_equal(observations["observation"][0], observation["observation"])
        assert observations["instruction"] == (observation["instruction"],)
        np.testing.assert_equal({key: value[0] for key, value in infos.items()}, info)
        action = single.action_space.sample()
        observations, *batch, infos = vector.step(np.array([action]))
        observation, *rest, info = single.step(action)
        assert [values[0] for values in batch] == rest
        if rest[1]:
            break


# -- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize("options", REFUSED.values(), ids=REFUSED)
@single_or_vector
@every_world
def test_a_refused_option_is_named_and_changes_nothing(name, single, options):
    env = make(name, single)
    env.reset(seed=0)
    env.step(stay(env))
    before = state_of(env)
    refuse(env, options, InstructionError)
    refuse(env, options, InstructionError, seed=5)  # a refused seed is not taken either
    assert_unchanged(env, before)


@single_or_vector
@every_world
def test_an_unknown_option_is_refused_by_name(name, single):
    env = make(name, single)
    own = "'position', 'noise_seed'" if is_maze(name) else "'room', 'pose'"
    known = f"'instruction', {own} or 'intended'"
    with pytest.raises(InstructionError, match=f"no reset option 'colour'; use {known}"):
        env.reset(seed=0, options={"colour": "red"})


@pytest.mark.parametrize("bad", ["", 3, "x" * 1001, None], ids=["empty", "int", "long", "none"])
@pytest.mark.parametrize("place", [0, COUNT - 1])
@every_world
def test_one_bad_text_among_several_rows_starts_no_row(name, place, bad):
    texts = [FITTING[is_maze(name)]] * COUNT
    texts[place] = bad
    envs = make(name)
    envs.reset(seed=0)
    envs.step(stay(envs))
    before = state_of(envs)
    refuse(envs, {"instruction": texts}, InstructionError)
    assert_unchanged(envs, before)
    mask = np.arange(COUNT) % 2 == 0
    refuse(envs, {"instruction": texts, "reset_mask": mask}, InstructionError)
    assert_unchanged(envs, before)


@every_world
def test_one_text_that_denotes_nothing_among_several_rows_starts_no_row(name):
    place, texts = 2, [FITTING[is_maze(name)]] * COUNT
    nowhere = "row 99" if is_maze(name) else "the red ball that is also the blue key"
    texts[place] = nowhere
    envs = make(name)
    envs.reset(seed=0)
    envs.step(stay(envs))
    before = state_of(envs)
    refuse(envs, {"instruction": texts}, InstructionError)
    refuse(envs, {"instruction": texts}, InstructionError, seed=5)
    assert_unchanged(envs, before)
    fitting = FITTING[is_maze(name)]
    observations, _ = envs.reset(options={"instruction": [fitting] * COUNT})
    assert observations["instruction"] == (fitting,) * COUNT


@every_world
def test_one_bad_start_among_several_rows_starts_no_row(name):
    envs = make(name)
    envs.reset(seed=0)
    if is_maze(name):
        options = {"position": np.where(np.arange(COUNT)[:, None] == 2, -1.0, np.zeros(2))}
    else:
        poses = envs.poses
        poses[2] = 0  # in a wall
        options = {"room": envs.rooms[0], "pose": poses}
    before = state_of(envs)
    refuse(envs, options)
    assert_unchanged(envs, before)


@every_world
def test_too_few_texts_start_no_row(name):
    envs = make(name)
    envs.reset(seed=0)
    before = state_of(envs)
    refuse(envs, {"instruction": [FITTING[is_maze(name)]] * (COUNT - 1)}, ShapeError)
    assert_unchanged(envs, before)


@every_world
def test_a_refused_first_reset_leaves_an_environment_that_was_not_reset(name):
    for env in (make(name), make(name, single=True)):
        refuse(env, {"instruction": ""})
        with pytest.raises(gymnasium.error.ResetNeeded):
            env.step(stay(env))


@single_or_vector
@every_world
def test_a_refused_action_changes_nothing(name, single):
    env = make(name, single)
    env.reset(seed=0)
    env.step(stay(env))
    before = state_of(env)
    for wrong in (bad_action(env), np.zeros((7, 7, 7))):
        actions = wrong
        if not single and np.ndim(wrong) < 3:
            actions = stay(env)
            actions[2] = wrong
        with pytest.raises(LangRLError):
            env.step(actions)
        assert_unchanged(env, before)


# -- rows that start anew ----------------------------------------------------------------------


@every_world
def test_the_action_of_a_row_that_starts_anew_is_ignored(name):
    def two_steps(last):
        envs = make(name, max_episode_steps=1)
        envs.reset(seed=0)
        *_, truncated, _ = envs.step(stay(envs))
        assert truncated.all()
        actions = stay(envs)
        actions[1] = last
        return envs.step(actions)

    other = np.array([1.0, 0.0], np.float32) if is_maze(name) else 3
    expected = two_steps(stay(make(name))[1])
    for action in (other, bad_action(make(name))):
        np.testing.assert_equal(two_steps(action), expected)


@every_world
def test_only_the_actions_of_rows_that_start_anew_are_ignored(name):
    envs = make(name, max_episode_steps=2)
    envs.reset(seed=0)
    envs.step(stay(envs))
    envs.reset(options={"reset_mask": np.array([True, False, False, False])})
    *_, truncated, _ = envs.step(stay(envs))
    assert truncated.tolist() == [False, True, True, True]  # row 0 is a step behind
    before = state_of(envs)
    actions = stay(envs)
    actions[0] = bad_action(envs)
    with pytest.raises(LangRLError):
        envs.step(actions)
    assert_unchanged(envs, before)
    actions = stay(envs)
    actions[1:] = bad_action(envs)
    *_, truncated, _ = envs.step(actions)
    assert truncated.tolist() == [True, False, False, False]
    with pytest.raises(ShapeError):
        envs.step(np.zeros((COUNT + 1, *envs.single_action_space.shape)))
