from functools import partial

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from langrl.envs.wrappers import instructions as wrappers
from langrl.envs.wrappers import vector as vector_wrappers
from langrl.envs.wrappers.instructions import AddInstruction
from langrl.errors import ConfigError, InstructionError, LangRLError, ShapeError
from langrl.words import WordTokeniser

MAZE, GRID = "langrl/StreetMaze-Fork-v0", "langrl/GridGoTo-v0"
WORLDS = [MAZE, GRID]
TEXTS = ["go left", "go right now", "stay"]
TOKENISER = WordTokeniser.learn(["go to row 3 or column 4", "the red ball", *TEXTS])


def encode(texts):
    """A cheap encoder: lengths, letters and a constant [K, 3]."""
    return np.array([[len(text), text.count("o"), 1] for text in texts], np.float32)


class Encoder:
    """Counts how often each text is encoded."""

    def __init__(self):
        self.texts = []

    def encode_text(self, texts):
        self.texts += texts
        return encode(texts)


SORTS = {
    "embed": ("EmbedInstruction", encode),
    "tokenise": ("TokenizeInstruction", TOKENISER),
}


def wrap(module, sort, env):
    name, part = SORTS[sort]
    return getattr(module, name)(env, part)


def cart():
    return AddInstruction(gymnasium.make("CartPole-v1", max_episode_steps=4), TEXTS)


def actions_for(envs, generator):
    envs.action_space.seed(int(generator.integers(2**31)))
    return envs.action_space.sample()


@pytest.fixture(params=SORTS)
def sort(request):
    return request.param


# -- as single wrappers ----------------------------------------------------------------------


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("mode", ["NextStep", "Disabled"])
def test_wrapped_worlds_agree_with_the_single_wrapper(world, mode, sort):
    generator = np.random.default_rng(0)
    settings = {"num_envs": 3, "autoreset_mode": mode, "max_episode_steps": 5}
    bare = gymnasium.make_vec(world, **settings)
    envs = wrap(vector_wrappers, sort, gymnasium.make_vec(world, **settings))
    single = wrap(wrappers, sort, gymnasium.make(world))
    seen, _ = bare.reset(seed=0)
    got, _ = envs.reset(seed=0)
    for _ in range(8):
        assert got in envs.observation_space
        for n in range(3):
            row = {"observation": seen["observation"][n], "instruction": seen["instruction"][n]}
            expected = single.observation(row)
            assert expected in envs.single_observation_space
            assert np.array_equal(got["observation"][n], expected["observation"])
            assert np.array_equal(got["instruction"][n], expected["instruction"])
        actions = actions_for(bare, generator)
        seen, *rest, _ = bare.step(actions)
        got, *others, _ = envs.step(actions)
        assert all(np.array_equal(a, b) for a, b in zip(rest, others, strict=True))
        over = rest[1] | rest[2]
        if mode == "Disabled" and over.any():
            seen, _ = bare.reset(options={"reset_mask": over})
            got, _ = envs.reset(options={"reset_mask": over})


@pytest.mark.parametrize("world", WORLDS)
def test_spaces_are_those_of_the_single_wrapper(world, sort):
    envs = wrap(vector_wrappers, sort, gymnasium.make_vec(world, num_envs=2))
    single = wrap(wrappers, sort, gymnasium.make(world))
    assert envs.single_observation_space == single.observation_space
    batched = gymnasium.vector.utils.batch_space(single.observation_space, 2)
    assert envs.observation_space == batched
    assert envs.single_action_space == single.action_space
    assert envs.num_envs == 2
    assert envs.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP


@pytest.mark.parametrize(
    "vectorise",
    [SyncVectorEnv, partial(AsyncVectorEnv, shared_memory=False)],
    ids=["sync", "async"],
)
def test_environments_of_gymnasium_agree_with_those_that_are_wrapped_first(vectorise, sort):
    outside = wrap(vector_wrappers, sort, vectorise([cart] * 2))
    inside = SyncVectorEnv([lambda: wrap(wrappers, sort, cart())] * 2)
    try:
        one, _ = outside.reset(seed=0)
        two, _ = inside.reset(seed=0)
        assert outside.single_observation_space == inside.single_observation_space
        for step in range(8):
            assert one in outside.observation_space
            assert np.array_equal(one["observation"], two["observation"])
            assert np.array_equal(one["instruction"], two["instruction"])
            actions = np.array([step % 2, 0])
            one, *_ = outside.step(actions)
            two, *_ = inside.step(actions)
    finally:
        outside.close()
        inside.close()


def test_each_text_is_encoded_once():
    encoder = Encoder()
    envs = vector_wrappers.EmbedInstruction(SyncVectorEnv([cart] * 6), encoder)
    for seed in range(5):
        observations, _ = envs.reset(seed=seed)
        for _ in range(6):
            envs.step(np.zeros(6, int))
    assert observations["instruction"].shape == (6, 3)
    assert set(TEXTS) <= set(encoder.texts)
    assert len(encoder.texts) == len(set(encoder.texts))


def test_what_one_has_of_a_step_is_not_changed_by_the_next(sort):
    envs = wrap(vector_wrappers, sort, gymnasium.make_vec(GRID, num_envs=2))
    first, _ = envs.reset(seed=0)
    kept = first["instruction"].copy()
    first["instruction"][:] = 0
    second, *_ = envs.step(np.zeros(2, int))
    assert np.array_equal(second["instruction"], kept)
    assert first["instruction"].tolist() == np.zeros_like(kept).tolist()


def test_options_reach_the_worlds(sort):
    envs = wrap(vector_wrappers, sort, gymnasium.make_vec(MAZE, num_envs=2))
    texts = ["row 1", "column 4"]
    observations, _ = envs.reset(seed=0, options={"instruction": texts})
    single = wrap(wrappers, sort, gymnasium.make(MAZE))
    for n, text in enumerate(texts):
        row, _ = single.reset(seed=0, options={"instruction": text})
        assert np.array_equal(observations["instruction"][n], row["instruction"])


# -- errors ----------------------------------------------------------------------------------


def bare_vector():
    return SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * 2)


def same_step():
    return SyncVectorEnv([cart] * 2, autoreset_mode=AutoresetMode.SAME_STEP)


def nested():
    env = gymnasium.make("CartPole-v1")
    inner = gymnasium.spaces.Dict({"cart": env.observation_space})
    space = gymnasium.spaces.Dict(
        {"observation": inner, "instruction": gymnasium.spaces.Text(1000)}
    )
    told = gymnasium.wrappers.TransformObservation(
        env, lambda seen: {"observation": {"cart": seen}, "instruction": "go"}, space
    )
    return SyncVectorEnv([lambda: told])


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (bare_vector, InstructionError, "wrappers.instructions around each environment first"),
        (cart, ConfigError, "this is a single one: use langrl.envs.wrappers.instructions."),
        (lambda: MAZE, ConfigError, "vector environment of gymnasium.make_vec; got langrl/Street"),
        (lambda: None, ConfigError, "got NoneType"),
        (lambda: [cart()], ConfigError, "got list"),
        (same_step, ConfigError, 'autoreset_mode="NextStep" or "Disabled"'),
        (nested, ShapeError, "FlattenObservation"),
    ],
)
def test_environments_that_cannot_be_wrapped_are_refused(make, error, says, sort):
    env = make()
    with pytest.raises(error, match=says) as caught:
        wrap(vector_wrappers, sort, env)
    assert isinstance(caught.value, LangRLError)
    assert SORTS[sort][0] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_instructions_that_are_numbers_are_refused(sort):
    once = wrap(vector_wrappers, sort, gymnasium.make_vec(MAZE, num_envs=2))
    with pytest.raises(InstructionError, match="numbers already: leave one of the wrappers out"):
        wrap(vector_wrappers, sort, once)


def test_an_encoder_of_changing_width_is_refused():
    def grow(texts):
        return np.zeros((1, len(texts[0])))

    envs = vector_wrappers.EmbedInstruction(gymnasium.make_vec(MAZE, num_envs=2), grow)
    with pytest.raises(ShapeError, match=r"gave 5 numbers, and 14 before.*EmbedInstruction"):
        envs.reset(seed=0, options={"instruction": "row 1"})
