import itertools
import math
import pickle
import warnings

import gymnasium
import numpy as np
import pytest
from grid_rooms_by_hand import (
    EAST,
    NORTH,
    ROOM,
    SOUTH,
    START,
    WEST,
    begin,
    begin_many,
    every_id,
    every_world,
    objects_of,
)
from gymnasium.utils.env_checker import check_env
from scipy.stats import chisquare

import langrl
from langrl.envs.grid.env import GridGoToEnv, GridGoToVectorEnv
from langrl.envs.grid.grammar import COLOURS, LEVELS, WALL, level_of, parse
from langrl.envs.grid.rendering import render_rooms
from langrl.envs.grid.rooms import (
    AHEAD,
    DONE,
    GRID_WORLDS,
    LEFT,
    RIGHT,
    best_actions,
    facing,
    is_free,
    list_poses,
    pose_distances,
    read_observation,
)
from langrl.envs.intents import MODES
from langrl.envs.phrasing import PHRASINGS
from langrl.errors import ConfigError, InstructionError, ShapeError, UnknownNameError

# -- the API -------------------------------------------------------------------------------------


@pytest.mark.slow
@every_id
def test_environment_with_images_passes_the_check_of_gymnasium(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(name, render_mode="rgb_array").unwrapped)


@pytest.mark.parametrize("level", LEVELS)
def test_environment_of_every_level_passes_the_check_of_gymnasium(level):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        settings = {"levels": (level,), "phrasing": "held_out", "mode": "hidden"}
        env = gymnasium.make("langrl/GridGoTo-v0", **settings).unwrapped
        check_env(env, skip_render_check=True)


def test_every_world_has_an_id():
    assert sorted(langrl.GRID_IDS.values()) == sorted(GRID_WORLDS)


@every_id
def test_make_vec_uses_the_vector_environment(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        envs = gymnasium.make_vec(name, num_envs=3)
        observations, _ = envs.reset(seed=0)
    assert isinstance(envs, GridGoToVectorEnv)
    assert envs.max_episode_steps == 100
    assert observations["observation"].shape[1] == GRID_WORLDS[langrl.GRID_IDS[name]].size
    assert observations in envs.observation_space
    assert envs.metadata["autoreset_mode"] is gymnasium.vector.AutoresetMode.NEXT_STEP


def test_info_is_of_plain_numbers():
    _, info = begin("something red")
    kinds = {"is_success": bool, "ambiguity_bits": float, "shortest_steps": float}
    assert {name: type(value) for name, value in info.items()} == kinds
    _, info = begin("something red", mode="hidden")
    assert type(info.pop("intended_success")) is bool
    assert set(info) == set(kinds)


def test_gymnasium_can_vectorise_the_single_environment_too():
    envs = gymnasium.make_vec("langrl/GridGoTo-v0", num_envs=2, vectorization_mode="sync")
    options = {"room": ROOM, "pose": (3, 1, SOUTH), "instruction": "the key"}
    envs.reset(seed=0, options=options)
    observations, rewards, terminations, *_ = envs.step(np.array([DONE, LEFT]))
    np.testing.assert_array_equal(rewards, [1, 0])
    np.testing.assert_array_equal(terminations, [True, False])
    assert observations["instruction"] == ("the key", "the key")
    envs.close()


def test_gymnasium_can_run_it_in_processes_of_their_own():
    makers = [lambda: gymnasium.make("langrl/GridGoTo-v0")] * 2
    envs = gymnasium.vector.AsyncVectorEnv(makers, shared_memory=False)
    try:
        observations, _ = envs.reset(seed=[0, 1])
        for n, seed in enumerate((0, 1)):
            single, _ = GridGoToEnv().reset(seed=seed)
            np.testing.assert_array_equal(observations["observation"][n], single["observation"])
            assert observations["instruction"][n] == single["instruction"]
        options = {"room": ROOM, "pose": (3, 1, SOUTH), "instruction": "the key"}
        envs.reset(options=options)
        assert envs.step(np.array([DONE, LEFT]))[1].tolist() == [1, 0]
    finally:
        envs.close()


@pytest.mark.parametrize("make", [GridGoToEnv, lambda **settings: GridGoToVectorEnv(2, **settings)])
def test_environments_and_spaces_can_be_pickled(make):
    env = make(levels=("relation", "negation"), mode="hidden")
    env.reset(seed=3)
    copy = pickle.loads(pickle.dumps(env))
    actions = np.random.default_rng(0).integers(3, size=(20, *env.action_space.shape))
    for action in actions:
        np.testing.assert_equal(copy.step(action), env.step(action))
    np.testing.assert_equal(copy.reset(), env.reset())
    space = env.observation_space
    other = pickle.loads(pickle.dumps(space))
    assert other == space
    for one in (space, other):
        one.seed(5)
    np.testing.assert_equal(other.sample(), space.sample())


@pytest.mark.parametrize("phrasing", PHRASINGS)
def test_instruction_space_samples_what_it_contains(phrasing):
    env = GridGoToEnv("crowded", ("negation", "full"), phrasing)
    space = env.observation_space["instruction"]
    space.seed(0)
    samples = [space.sample() for _ in range(20)]
    assert all(text in space for text in samples)
    if phrasing == "seen":  # all of them can be read
        assert {level_of(parse(text)) for text in samples} == {"negation", "full"}
    space.seed(0)
    assert [space.sample() for _ in range(20)] == samples
    assert "" not in space
    assert 3 not in space
    assert "https://example.org" in space


@pytest.mark.parametrize("level", LEVELS)
def test_instructions_are_of_the_levels_asked_for(level):
    observations, infos = GridGoToVectorEnv(20, "relations", (level,)).reset(seed=0)
    assert {level_of(parse(text)) for text in observations["instruction"]} == {level}
    assert np.isfinite(infos["ambiguity_bits"]).all()


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"world": "gotoo"}, UnknownNameError, "did you mean 'goto'"),
        ({"levels": ("ful",)}, UnknownNameError, "did you mean 'full'"),
        ({"levels": ()}, InstructionError, "choose of full, colour"),
        ({"levels": "full"}, InstructionError, "levels is a tuple"),
        ({"phrasing": "sen"}, UnknownNameError, "did you mean 'seen'"),
        ({"mode": "hiden"}, UnknownNameError, "did you mean 'hidden'"),
        ({"mode": "hidden_intent"}, UnknownNameError, "'hidden_intent' is now called 'hidden'"),
        ({"mode": "disjunctive"}, UnknownNameError, "'disjunctive' is now called 'any'"),
    ],
)
def test_wrong_setting_is_refused_when_the_environment_is_made(settings, error, says, many):
    with pytest.raises(error, match=says):
        GridGoToVectorEnv(2, **settings) if many else GridGoToEnv(**settings)


@pytest.mark.parametrize("settings", [{"num_envs": 0}, {"max_episode_steps": 0}])
def test_vector_environment_of_nothing_is_refused(settings):
    with pytest.raises(ConfigError, match="at least 1"):
        GridGoToVectorEnv(**settings)


# -- what is reported ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "objects", "steps"),
    [
        ("the red ball", 1, 4 + 1),  # along the wall, and done
        ("the key", 1, 3 + 1),  # turn, two forward, done
        ("something red", 2, 3 + 1),
        ("the blue ball", 1, 8 + 1),  # to (6, 2), facing west
        ("a ball", 2, 4 + 1),
        ("the green box", 1, 11 + 1),  # 9 forward and 2 turns
        ("something that is not red", 2, 8 + 1),
        ("a red ball or a box", 2, 4 + 1),
        ("anything", 4, 3 + 1),
    ],
)
def test_ambiguity_and_shortest_way_of_hand_worked_instructions(text, objects, steps):
    _, info = begin(text)
    assert info["ambiguity_bits"] == pytest.approx(math.log2(objects))
    assert info["shortest_steps"] == steps
    assert info["is_success"] is False
    _, infos = begin_many(2, text)
    np.testing.assert_allclose(infos["ambiguity_bits"], math.log2(objects))
    np.testing.assert_array_equal(infos["shortest_steps"], [steps, steps])


def test_start_that_faces_what_is_denoted_needs_only_to_say_so():
    env, info = begin("the red ball", (1, 5, EAST))
    assert info["shortest_steps"] == 1
    assert env.step(DONE)[1] == 1


def test_unknown_text_has_no_ambiguity_and_no_success():
    env, info = begin("dance", (3, 1, SOUTH))
    assert math.isnan(info["ambiguity_bits"])
    assert math.isnan(info["shortest_steps"])
    observation, reward, terminated, truncated, info = env.step(DONE)
    assert (reward, terminated, truncated, info["is_success"]) == (0, True, False, False)
    assert observation["instruction"] == "dance"


def test_unknown_text_after_a_known_one_has_no_success_either():
    env = GridGoToEnv(mode="hidden")
    for text, success in (("the key", True), ("dance", False)):
        env.reset(options={"room": ROOM, "pose": (3, 1, SOUTH), "instruction": text})
        _, reward, _, _, info = env.step(DONE)
        assert (reward == 1) is info["is_success"] is info["intended_success"] is success


@every_world
def test_reported_shortest_way_can_be_walked_and_no_shorter_one(world):
    count = 20
    envs = GridGoToVectorEnv(count, world, LEVELS)
    observations, infos = envs.reset(seed=2)
    rooms, poses = read_observation(observations["observation"])
    free = is_free(rooms)
    denoted = np.zeros(free.shape, bool)
    for n, text in enumerate(observations["instruction"]):
        single = GridGoToEnv(world)
        single.reset(options={"room": rooms[n], "pose": poses[n], "instruction": text})
        listed = list_poses(free[n])
        good = single.denotation(listed, text)
        denoted[n][tuple((listed[:, :2] + AHEAD[listed[:, 2]])[good].T)] = True
    np.testing.assert_allclose(infos["ambiguity_bits"], np.log2(denoted.sum((1, 2))))
    distances = pose_distances(free, facing(denoted, free))
    last, running = infos["shortest_steps"], np.ones(count, bool)
    for step in range(1, int(last.max()) + 1):
        actions, _ = best_actions(free, distances, poses)
        observations, rewards, terminations, _, _ = envs.step(actions)
        ended = running & terminations
        np.testing.assert_array_equal(np.flatnonzero(ended), np.flatnonzero(last == step))
        assert rewards[ended].all()
        running &= ~terminations
        now = read_observation(observations["observation"])[1]
        poses[running] = now[running]
        denoted[~running] = False
    assert not running.any()


# -- hidden intent -------------------------------------------------------------------------------


def test_every_denoted_object_is_meant_equally_often():
    count, faced = 300, {(3, 1, SOUTH): "key", (1, 5, EAST): "ball", (6, 5, EAST): "box"}
    text = "something red or a box"
    meant = []
    for pose in faced:  # the same seed: the same intentions
        envs, infos = begin_many(count, text, pose, mode="hidden")
        assert not infos["intended_success"].any()
        _, rewards, terminations, _, infos = envs.step(np.full(count, DONE))
        assert infos["is_success"].all()
        assert terminations.all()
        np.testing.assert_array_equal(rewards, infos["intended_success"])
        meant.append(infos["intended_success"])
    np.testing.assert_array_equal(np.sum(meant, 0), np.ones(count))
    assert chisquare(np.sum(meant, 1)).pvalue > 1e-3


def test_single_environment_means_one_object_too():
    rewards = []
    for seed, pose in itertools.product(range(40), ((3, 1, SOUTH), (1, 5, EAST))):
        env, info = begin("something red", pose, seed=seed, mode="hidden")
        assert info["intended_success"] is False
        _, reward, terminated, _, info = env.step(DONE)
        assert terminated
        assert info["is_success"]
        assert info["intended_success"] is (reward == 1)
        rewards.append(reward)
    key, ball = np.array(rewards).reshape(-1, 2).T
    np.testing.assert_array_equal(key + ball, np.ones(40))
    assert 8 < key.sum() < 32


def test_what_is_not_denoted_is_never_meant():
    envs, _ = begin_many(50, "something red", (6, 2, WEST), mode="hidden")
    *_, infos = envs.step(np.full(50, DONE))
    assert not infos["is_success"].any()
    assert not infos["intended_success"].any()


def test_the_only_denoted_object_is_meant():
    envs, _ = begin_many(20, "the key", (3, 1, SOUTH), mode="hidden")
    assert envs.step(np.full(20, DONE))[1].all()


def test_hidden_intent_changes_rewards_only():
    for seed in range(3):
        one, other = (GridGoToVectorEnv(5, "crowded", mode=mode) for mode in MODES)
        (first, _), (second, _) = one.reset(seed=seed), other.reset(seed=seed)
        np.testing.assert_equal(first, second)
        for action in np.random.default_rng(seed).integers(4, size=(10, 5)):
            first, second = one.step(action), other.step(action)
            np.testing.assert_equal(first[0], second[0])
            np.testing.assert_array_equal(first[4]["is_success"], second[4]["is_success"])
            assert (second[1] <= first[1]).all()


# -- denotation ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("the key", {(4, 1)}),
        ("something red", {(4, 1), (1, 6)}),
        ("a red ball or a box", {(1, 6), (6, 6)}),
        ("something that is not red", {(6, 1), (6, 6)}),
        ("the purple key", set()),
    ],
)
def test_denotation_is_that_of_every_pose_by_itself(text, cells):
    env, _ = begin("anything")
    poses = list_poses(is_free(ROOM))
    expected = [tuple(cell) in cells for cell in poses[:, :2] + AHEAD[poses[:, 2]]]
    found = env.denotation(poses, text)
    assert found.dtype == bool
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal([env.denotation(pose[None], text)[0] for pose in poses], expected)
    np.testing.assert_array_equal(env.denotation(poses.astype(np.float32), text), expected)
    np.testing.assert_array_equal(env.denotation(poses.tolist(), text), expected)


def test_denotation_of_text_beyond_the_grammar_is_none():
    env, _ = begin("anything")
    assert env.denotation(list_poses(is_free(ROOM)), "dance") is None


def test_denotation_follows_the_room():
    env = GridGoToEnv()
    for seed in range(3):
        env.reset(seed=seed)
        poses = list_poses(is_free(env.room))
        faced = objects_of(env.room)[tuple((poses[:, :2] + AHEAD[poses[:, 2]]).T)]
        np.testing.assert_array_equal(env.denotation(poses, "anything"), faced)


@pytest.mark.parametrize("text", ["", 5, b"the key", "a\x00b"])
def test_denotation_of_unusable_text_is_refused(text):
    env, _ = begin("anything")
    with pytest.raises(InstructionError):
        env.denotation([START], text)


WRONG_GOALS = [
    (START, "got"),
    ([[1, 1]], r"got \[1, 2\]"),
    ([[[1, 1, 0]]], r"got \[1, 1, 3\]"),
    ([[1.5, 1, 0]], "whole numbers"),
    ([[np.nan, 1, 0]], "whole numbers"),
    ([START, [0, 1, 0]], r"pose \[0, 1, 0\] is outside"),
    ([START, [1, 7, 0]], "outside"),
    ([START, [1, -1, 0]], "outside"),
    ([START, [1, 1, 4]], r"pose \[1, 1, 4\]"),
    ([START, [1, 1, -1]], r"pose \[1, 1, -1\]"),
]


@pytest.mark.parametrize(("goals", "says"), WRONG_GOALS, ids=str)
def test_denotation_of_goals_that_are_no_poses_is_refused(goals, says):
    env, _ = begin("anything")
    with pytest.raises(ShapeError, match=says):
        env.denotation(goals, "the key")


def test_denotation_of_no_goals_is_empty():
    env, _ = begin("anything")
    assert env.denotation(np.zeros((0, 3)), "the key").shape == (0,)


def test_goal_where_nobody_can_stand_satisfies_nothing():
    env, _ = begin("anything")  # (5, 1) is free; in this room it is not
    room = ROOM.copy()
    room[5, 1] = (WALL, COLOURS["grey"])
    env.reset(options={"room": room, "pose": START, "instruction": "anything"})
    # in a wall facing the key, and on the key facing an object that is denoted
    assert not env.denotation([(5, 1, NORTH)], "the key").any()


# -- a random policy -----------------------------------------------------------------------------


def success_of_a_random_policy(world, levels, each, count=50):
    envs = GridGoToVectorEnv(count, world, levels)
    envs.reset(seed=0)
    generator = np.random.default_rng(0)
    episodes, successes = np.zeros(count, int), 0
    while (episodes < each).any():  # the same number of every row, or short ones would count more
        _, _, terminations, truncations, infos = envs.step(generator.integers(4, size=count))
        ended = terminations | truncations
        successes += infos["is_success"][ended & (episodes < each)].sum()
        episodes += ended
    return successes / (count * each)


@every_world
def test_random_policy_hardly_ever_succeeds(world):
    assert success_of_a_random_policy(world, ("any",), 2) <= 0.15  # the easiest
    assert success_of_a_random_policy(world, LEVELS, 2) <= 0.15


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS)
@every_world
def test_random_policy_hardly_ever_succeeds_at_any_level(world, level):
    assert success_of_a_random_policy(world, (level,), 8) <= 0.15


# -- images --------------------------------------------------------------------------------------


def test_image_of_a_goal_has_the_agent_there():
    env, _ = begin("the key")
    for goal in ((3, 1, SOUTH), [6, 2, WEST], np.array([1, 5, EAST])):
        image = env.render_goal(goal)
        assert image.shape == (64, 64, 3)
        assert image.dtype == np.uint8
        expected = render_rooms(ROOM[None], np.array([goal]))[0]
        np.testing.assert_array_equal(image, expected)
        here = np.argwhere((image != env.render_goal((1, 1, EAST))).any(-1)) // 8
        assert {tuple(cell) for cell in here.tolist()} == {tuple(goal[:2]), (1, 1)}


@pytest.mark.parametrize("goal", [(1, 1), (0, 1, 0), (1, 7, 0), (1, 1, 4), (1.5, 1, 0), [START], 5])
def test_image_of_a_goal_that_is_no_pose_is_refused(goal):
    env, _ = begin("the key")
    with pytest.raises(ShapeError, match="pose"):
        env.render_goal(goal)


def test_rendered_image_is_that_of_the_room_and_the_agent(monkeypatch):
    asked = []

    def small(rooms, poses, pixels):
        asked.append(pixels)
        return render_rooms(rooms, poses, 8)

    monkeypatch.setattr("langrl.envs.grid.env.render_rooms", small)
    env, _ = begin("the key", render_mode="rgb_array")
    env.step(RIGHT)
    np.testing.assert_array_equal(env.render(), render_rooms(ROOM[None], np.array([[1, 1, 1]]))[0])
    assert asked == [32]


@pytest.mark.slow
def test_rendered_image_has_32_pixels_a_cell():
    env, _ = begin("the key", render_mode="rgb_array")
    assert env.render().shape == (8 * 32, 8 * 32, 3)


def test_rendering_without_a_mode_warns_and_returns_nothing():
    env, _ = begin("the key")
    with pytest.warns(UserWarning, match="render_mode"):
        assert env.render() is None
