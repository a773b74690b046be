"""What every wrapper keeps to."""

import pickle
import warnings
from functools import partial

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from gymnasium.wrappers import TransformObservation
from wrapped_environments import (
    ENVS,
    GRID,
    IMAGED,
    IN_WORDS,
    MAZE,
    READS,
    TOKENISER,
    WRAP,
    cart,
    encode,
    equal,
    follow_cart,
    refused,
    small_maze,
    text_cart,
)

import langrl
from langrl.envs.maze.world import StreetMaze
from langrl.envs.wrappers.goals import GoalEnv
from langrl.envs.wrappers.instructions import AddInstruction, EmbedInstruction, TokenizeInstruction
from langrl.errors import ConfigError, InstructionError, ShapeError


@pytest.fixture(params=ENVS)
def name(request):
    return request.param


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_wrapped_environment_passes_the_check_of_gymnasium(name):
    check_env(ENVS[name]())


@pytest.mark.parametrize("name", sorted(ENVS.keys() - IN_WORDS))
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_wrapped_environment_without_text_passes_the_check_of_sb3(name):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    checker.check_env(ENVS[name]())


def test_steps_are_in_the_space_and_make_no_warning(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = ENVS[name]()
        observation, info = env.reset(seed=0)
        env.action_space.seed(0)
        for _ in range(20):
            assert observation in env.observation_space
            assert isinstance(info, dict)
            action = env.action_space.sample()
            observation, reward, terminated, truncated, info = env.step(action)
            assert (type(reward), type(terminated), type(truncated)) == (float, bool, bool)
            if terminated or truncated:
                observation, info = env.reset()


def test_same_seed_gives_the_same_episodes(name):
    one, two = ENVS[name](), ENVS[name]()
    two.reset(seed=9)  # what came before does not count
    two.step(two.action_space.sample())
    assert equal(one.reset(seed=3), two.reset(seed=3))
    one.action_space.seed(0)
    for _ in range(12):
        action = one.action_space.sample()
        here, there = one.step(action), two.step(action)
        assert equal(here, there)
        if here[2] or here[3]:
            assert equal(one.reset(), two.reset())


def test_episodes_differ_without_a_seed(name):
    if name in ("add to MiniGrid", "add to FrozenLake", "embed in MiniGrid"):
        pytest.skip("these worlds begin alike")
    one, two = ENVS[name](), ENVS[name]()
    assert not equal([one.reset()[0] for _ in range(4)], [two.reset()[0] for _ in range(4)])


@pytest.mark.parametrize("name", sorted(ENVS.keys() - IMAGED))
def test_a_pickled_copy_steps_the_same_way(name):
    env = ENVS[name]()
    env.reset(seed=0)
    copied = pickle.loads(pickle.dumps(env))
    env.action_space.seed(0)
    assert copied.observation_space == env.observation_space
    for _ in range(12):
        action = env.action_space.sample()
        here, there = env.step(action), copied.step(action)
        assert equal(here, there)
        if here[2] or here[3]:
            assert equal(env.reset(), copied.reset())


def test_the_spec_makes_another_one(name):
    env = ENVS[name]()
    another = env.spec.make()
    assert str(another) == str(env)
    assert equal(env.reset(seed=1), another.reset(seed=1))


def test_sync_vector_env_steps_each_as_by_itself(name):
    envs, singles = SyncVectorEnv([ENVS[name]] * 2), [ENVS[name]() for _ in range(2)]
    batch, _ = envs.reset(seed=[4, 5])
    rows = [env.reset(seed=seed)[0] for env, seed in zip(singles, (4, 5), strict=True)]
    assert batch in envs.observation_space
    for key in batch:
        assert equal(list(batch[key]), [row[key] for row in rows])
    envs.action_space.seed(0)
    actions = envs.action_space.sample()
    batch, rewards, terminated, _, _ = envs.step(actions)
    steps = [env.step(action) for env, action in zip(singles, actions, strict=True)]
    assert rewards.tolist() == [step[1] for step in steps]
    assert terminated.tolist() == [step[2] for step in steps]
    for key in batch:
        assert equal(list(batch[key]), [step[0][key] for step in steps])


@pytest.mark.parametrize(
    "name",
    ["add to cart", "embed in a cart", "goals in a maze", "images of a cart", "follow in a cart"],
)
def test_async_vector_env_steps_as_the_sync_one(name):
    one = AsyncVectorEnv([ENVS[name]] * 2, shared_memory=name not in IN_WORDS)
    two = SyncVectorEnv([ENVS[name]] * 2)
    try:
        assert equal(one.reset(seed=1)[0], two.reset(seed=1)[0])
        two.action_space.seed(0)
        for _ in range(3):
            actions = two.action_space.sample()
            assert equal(one.step(actions)[:4], two.step(actions)[:4])
    finally:
        one.close()


def test_functions_that_write_instructions_reach_other_processes():
    envs = AsyncVectorEnv(
        [lambda: AddInstruction(cart(), lambda seen, generator: "go left")] * 2,
        shared_memory=False,
    )
    try:
        assert envs.reset(seed=0)[0]["instruction"] == ("go left", "go left")
        assert envs.observation_space.sample()["instruction"] == ("go left", "go left")
    finally:
        envs.close()


@pytest.mark.parametrize("name", sorted(ENVS.keys() - IN_WORDS))
def test_dummy_vec_env_of_sb3_steps_as_the_environment(name):
    vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
    envs, env = vec_env.DummyVecEnv([ENVS[name]]), ENVS[name]()
    envs.seed(2)
    assert equal({k: v[0] for k, v in envs.reset().items()}, env.reset(seed=2)[0])
    env.action_space.seed(0)
    action = env.action_space.sample()
    batch, rewards, dones, _ = envs.step(np.array([action]))
    single = env.step(action)
    assert rewards[0] == np.float32(single[1])
    assert dones[0] == (single[2] or single[3])
    if not dones[0]:
        assert equal({k: v[0] for k, v in batch.items()}, single[0])


def check_subprocesses(makers, method):
    vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
    one, two = vec_env.SubprocVecEnv(makers, start_method=method), vec_env.DummyVecEnv(makers)
    try:
        one.seed(0)
        two.seed(0)
        assert equal(one.reset(), two.reset())
        two.action_space.seed(0)
        for _ in range(3):
            actions = np.array([two.action_space.sample() for _ in makers])
            assert equal(one.step(actions)[:3], two.step(actions)[:3])
        if "desired_goal" in two.observation_space.spaces and hasattr(two.envs[0], "step_cost"):
            goals = one.reset()["desired_goal"]
            (rewards,) = one.env_method("compute_reward", goals, goals, [{}], indices=[0])
            assert rewards.tolist() == [1 - two.envs[0].step_cost] * len(makers)
    finally:
        one.close()


@pytest.mark.parametrize(
    "name", ["embed in a grid world", "goals in a maze", "images of a cart", "follow in a maze"]
)
def test_subproc_vec_env_of_sb3_steps_as_the_dummy_one(name):
    check_subprocesses([ENVS[name]] * 2, "fork")


@pytest.mark.slow
def test_a_wrapped_environment_is_sent_to_a_process_that_starts_from_nothing():
    check_subprocesses([partial(_goal_env, GRID)], "forkserver")


def _goal_env(name):
    langrl.register_envs()  # in a new process, too
    return GoalEnv(gymnasium.make(name))


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("wrapper", WRAP)
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: "CartPole-v1", "that gymnasium.make made; got CartPole-v1"),
        (lambda: None, "got NoneType"),
        (lambda: StreetMaze, "got <class 'langrl.envs.maze.world.StreetMaze'>"),
        (
            lambda: SyncVectorEnv([text_cart]),
            "vector environment.*langrl.envs.wrappers.vector",
        ),
        (
            lambda: gymnasium.make_vec(MAZE),
            "vector environment.*langrl.envs.wrappers.vector",
        ),
    ],
)
def test_what_is_no_single_environment_is_refused(wrapper, make, says):
    refused(lambda: WRAP[wrapper](make()), ConfigError, f"{wrapper} wraps an env.*{says}")


@pytest.mark.parametrize("wrapper", READS)
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (cart, r"put AddInstruction of langrl.envs.wrappers.instructions around it first"),
        (lambda: gymnasium.make("MiniGrid-Empty-5x5-v0"), "put MissionInstruction of langrl"),
        (lambda: EmbedInstruction(text_cart(), encode), "numbers already: leave one of the"),
        (lambda: TokenizeInstruction(text_cart(), TOKENISER), "numbers already"),
        (lambda: GoalEnv(small_maze()), "goals in their place: put the wrapper around the"),
        (follow_cart, "goals in their place"),
    ],
)
def test_an_environment_without_words_is_refused(wrapper, make, says):
    refused(lambda: WRAP[wrapper](make()), InstructionError, f"{wrapper} reads.*{says}")


def nested_cart(instruction=False):
    """Observations nested deeper than Stable-Baselines3 takes."""
    env = cart(render_mode="rgb_array")
    inner = spaces.Dict({"cart": env.observation_space})
    if not instruction:
        return TransformObservation(env, lambda seen: {"cart": seen}, inner)
    space = spaces.Dict({"observation": inner, "instruction": spaces.Text(100)})
    wrap = partial(_nest, "go left")
    return TransformObservation(env, wrap, space)


def _nest(text, seen):
    return {"observation": {"cart": seen}, "instruction": text}


@pytest.mark.parametrize("wrapper", WRAP)
def test_nested_observations_are_refused(wrapper):
    refused(
        lambda: WRAP[wrapper](nested_cart(wrapper in READS)),
        ShapeError,
        f"{wrapper} puts the observation into a Dict.*no Dict inside.*FlattenObservation.*Filter"
        "Observation.*TransformObservation",
    )


@pytest.mark.parametrize("wrapper", ["AddInstruction", "GoalEnv", "RenderedGoals"])
@pytest.mark.parametrize(
    "space",
    [spaces.Tuple([spaces.Discrete(2)]), spaces.Text(9), spaces.Sequence(spaces.Discrete(2))],
)
def test_observations_that_are_no_arrays_are_refused(wrapper, space):
    env = TransformObservation(cart(render_mode="rgb_array"), lambda seen: seen, space)
    name = type(space).__name__
    refused(lambda: WRAP[wrapper](env), ShapeError, f"no {name} inside a Dict")
