"""Instructions in what Gymnasium does with spaces of text: other processes, flat arrays."""

import copy
from functools import partial

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from gymnasium.vector.utils import (
    create_empty_array,
    create_shared_memory,
    read_from_shared_memory,
    write_to_shared_memory,
)
from gymnasium.wrappers import FlattenObservation
from gymnasium.wrappers.utils import create_zero_array
from wrapped_environments import GRID, MAZE, equal, text_cart

from langrl.envs.wrappers.instructions import AddInstruction

TEXTS = ["go to row 3", "Gehe zur Tür", "去第三行", "אל השורה", "\U0001d538 🚪 é\tx", "x" * 1000]


def space_of(name=GRID):
    return gymnasium.make(name).observation_space["instruction"]


@pytest.mark.parametrize("name", [GRID, MAZE])
def test_worlds_in_processes_with_shared_memory_say_the_texts_of_worlds_in_one(name):
    one = gymnasium.make_vec(name, 2, vectorization_mode="async")
    two = gymnasium.make_vec(name, 2, vectorization_mode="sync")
    try:
        for options in (None, {"instruction": "Gehe zur Tür, 去第三行 🚪"}, None):
            here, there = one.reset(seed=3, options=options), two.reset(seed=3, options=options)
            assert equal(here, there)
            assert here[0] in one.observation_space
            if options is not None:
                assert here[0]["instruction"] == (options["instruction"],) * 2
        two.action_space.seed(0)
        for _ in range(20):
            actions = two.action_space.sample()
            assert equal(one.step(actions), two.step(actions))
    finally:
        one.close()


@pytest.mark.parametrize("copied", [True, False])
def test_added_instructions_come_through_shared_memory_at_each_reset(copied):
    make = partial(text_cart, TEXTS)
    one, two = AsyncVectorEnv([make] * 2, copy=copied), SyncVectorEnv([make] * 2)
    try:
        said = set()
        for seed in range(12):
            texts = one.reset(seed=seed)[0]["instruction"]
            assert tuple(texts) == two.reset(seed=seed)[0]["instruction"]
            assert texts[:1] == (texts[0],)
            said |= set(texts)
        assert len(said) > 3
    finally:
        one.close()


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_goes_into_shared_memory_and_out_of_it(text):
    space = space_of()
    memory = create_shared_memory(space, n=2)
    seen = read_from_shared_memory(space, memory, n=2)
    for told in (["x" * 50, text], [text, "go"]):
        for n, each in enumerate(told):
            write_to_shared_memory(space, n, each, memory)
        assert copy.deepcopy(seen) == tuple(told)


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_is_flattened_and_back(text):
    space = space_of()
    flat = spaces.flatten(space, text)
    assert flat in spaces.flatten_space(space)
    assert flat[: len(text)].tolist() == [ord(char) for char in text]
    assert spaces.unflatten(space, flat) == text
    assert spaces.flatdim(space) == len(flat) == 1000


def test_a_world_is_flattened_with_its_text():
    env = FlattenObservation(gymnasium.make(GRID))
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space
    space = env.unwrapped.observation_space
    text = gymnasium.make(GRID).reset(seed=0)[0]["instruction"]
    assert spaces.unflatten(space, observation)["instruction"] == text


def test_texts_that_gymnasium_makes_before_there_are_any_are_of_the_space():
    space = space_of()
    assert create_zero_array(space) in space
    assert all(text in space for text in create_empty_array(space, n=2))


def test_every_character_has_a_number_and_the_space_is_that_of_any_world():
    space = space_of()
    assert space.character_index("去") == ord("去")
    assert space.character_list[ord("é")] == "é"
    assert "🚪" in space.character_set
    assert "ab" not in space.character_set
    assert len(space.character_set) == 0x110000
    assert spaces.utils.is_space_dtype_shape_equiv(space, space_of(MAZE))
    text = AddInstruction(gymnasium.make("CartPole-v1"), ["go"]).observation_space["instruction"]
    assert text == space
    assert np.issubdtype(type(space.character_index("a")), np.integer)


def test_characters_are_a_sequence_with_an_end():
    characters = space_of().character_list
    assert characters[65] == "A"
    assert characters[65:68] == "ABC"
    assert characters[-1] == chr(len(characters) - 1)
    with pytest.raises(IndexError):
        characters[len(characters)]
