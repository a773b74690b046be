import itertools
import math
import pickle
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from scipy import ndimage
from scipy.stats import chisquare

import langrl
from langrl.envs.grid.env import GridGoToEnv, GridGoToVectorEnv
from langrl.envs.grid.episodes import MODES, START_DISTANCE
from langrl.envs.grid.grammar import (
    COLOURS,
    EMPTY,
    LEVELS,
    TYPES,
    WALL,
    level_of,
    parse,
)
from langrl.envs.grid.meanings import draw_meaning
from langrl.envs.grid.rendering import render_rooms
from langrl.envs.grid.rooms import (
    AHEAD,
    DONE,
    FORWARD,
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
from langrl.envs.phrasing import PHRASINGS
from langrl.errors import (
    ConfigError,
    InstructionError,
    LangRLError,
    LayoutError,
    ShapeError,
    UnknownNameError,
)

EAST, SOUTH, WEST, NORTH = range(4)
LETTERS = {"D": "door", "K": "key", "B": "ball", "X": "box"}


def room_of(image):
    """A room from cells of two characters: ``##``, ``..``, or a colour and a kind, as in ``rK``.

    Colours are r(ed), g(reen), b(lue), p(urple) and y(ellow).
    """
    cells = [line.split() for line in image.strip().splitlines()]
    room = np.zeros((len(cells), len(cells[0]), 2), np.uint8)
    for (row, column), _ in np.ndenumerate(room[..., 0]):
        colour, letter = cells[row][column]
        if letter in LETTERS:
            number = next(COLOURS[name] for name in COLOURS if name[0] == colour)
            room[row, column] = TYPES[LETTERS[letter]], number
        else:
            room[row, column] = (WALL, COLOURS["grey"]) if letter == "#" else (EMPTY, 0)
    return room


ROOM = room_of(
    """
    ## ## ## ## ## ## ## ##
    ## .. .. .. .. .. rB ##
    ## .. .. .. .. .. .. ##
    ## .. .. .. .. .. .. ##
    ## rK .. .. .. .. .. ##
    ## .. .. .. .. .. .. ##
    ## bB .. .. .. .. gX ##
    ## ## ## ## ## ## ## ##
    """
)
START = (1, 1, EAST)
TO_THE_KEY = (RIGHT, FORWARD, FORWARD)
NICHE = room_of(
    """
    ## ## ## ## ## ## ## ##
    ## .. rB ## ## ## ## ##
    ## ## ## ## ## ## ## ##
    ## ## ## ## ## ## ## ##
    ## ## ## ## ## ## ## ##
    ## ## ## ## ## ## ## ##
    ## ## ## ## ## ## ## ##
    ## ## ## ## ## ## ## ##
    """
)


def begin(text, pose=START, room=ROOM, seed=0, **settings):
    """A single environment with everything chosen, and its first info."""
    env = GridGoToEnv(**settings)
    _, info = env.reset(seed=seed, options={"room": room, "pose": pose, "instruction": text})
    return env, info


def begin_many(count, text, pose=START, room=ROOM, seed=0, **settings):
    envs = GridGoToVectorEnv(count, **settings)
    _, infos = envs.reset(seed=seed, options={"room": room, "pose": pose, "instruction": text})
    return envs, infos


def pose_in(env_or_observation):
    return tuple(read_observation(env_or_observation[None])[1][0].tolist())


def objects_of(rooms):
    return rooms[..., 0] >= TYPES["door"]


def every_id(test):
    return pytest.mark.parametrize("name", langrl.GRID_IDS)(test)


def every_world(test):
    return pytest.mark.parametrize("world", GRID_WORLDS)(test)


# -- the API ---------------------------------------------------------------------------------


@every_id
def test_environment_passes_the_check_of_gymnasium(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(name).unwrapped
        check_env(env, skip_render_check=True)
    assert env.room.shape[0] == GRID_WORLDS[langrl.GRID_IDS[name]].size


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
        settings = {"levels": (level,), "phrasing": "held_out", "mode": "hidden_intent"}
        env = gymnasium.make("langrl/GridGoTo-v0", **settings).unwrapped
        check_env(env, skip_render_check=True)


def test_every_world_has_an_id():
    assert sorted(langrl.GRID_IDS.values()) == sorted(GRID_WORLDS)


def test_registering_again_changes_nothing():
    before = dict(gymnasium.registry)
    langrl.register_envs()
    assert gymnasium.registry == before


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


@every_world
def test_observations_and_actions_are_in_the_spaces(world):
    for env in (GridGoToEnv(world), GridGoToVectorEnv(3, world)):
        observation, _ = env.reset(seed=0)
        assert observation in env.observation_space
        env.action_space.seed(1)
        for _ in range(20):
            observation, reward, *ends, _ = env.step(env.action_space.sample())
            assert observation in env.observation_space
            if env.unwrapped.__class__ is GridGoToEnv:
                assert [type(value) for value in (reward, *ends)] == [float, bool, bool]
                if ends[0]:
                    env.reset()


def test_info_is_of_plain_numbers():
    _, info = begin("something red")
    kinds = {"is_success": bool, "ambiguity_bits": float, "shortest_steps": float}
    assert {name: type(value) for name, value in info.items()} == kinds
    _, info = begin("something red", mode="hidden_intent")
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
    env = make(levels=("relation", "negation"), mode="hidden_intent")
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
        ({"mode": "hidden"}, UnknownNameError, "mode named 'hidden'"),
    ],
)
def test_wrong_setting_is_refused_when_the_environment_is_made(settings, error, says, many):
    with pytest.raises(error, match=says):
        GridGoToVectorEnv(2, **settings) if many else GridGoToEnv(**settings)


@pytest.mark.parametrize("settings", [{"num_envs": 0}, {"max_episode_steps": 0}])
def test_vector_environment_of_nothing_is_refused(settings):
    with pytest.raises(ConfigError, match="at least 1"):
        GridGoToVectorEnv(**settings)


# -- what is reported ------------------------------------------------------------------------


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
    env = GridGoToEnv(mode="hidden_intent")
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


# -- episodes --------------------------------------------------------------------------------


def test_done_in_front_of_a_denoted_object_is_success():
    env, _ = begin("the key")
    for action in TO_THE_KEY:
        _, reward, terminated, truncated, info = env.step(action)
        assert (reward, terminated, truncated, info["is_success"]) == (0, False, False, False)
    observation, reward, terminated, truncated, info = env.step(DONE)
    assert (reward, terminated, truncated, info["is_success"]) == (1, True, False, True)
    assert pose_in(observation["observation"]) == (3, 1, SOUTH)


@pytest.mark.parametrize(
    "pose",
    [
        START,
        (3, 1, WEST),  # beside the key, facing a wall
        (2, 1, SOUTH),  # two cells away
        (6, 2, WEST),  # a ball that is not meant
        (6, 5, EAST),
    ],
)
def test_done_elsewhere_is_failure(pose):
    env, _ = begin("the key", pose)
    _, reward, terminated, truncated, info = env.step(DONE)
    assert (reward, terminated, truncated, info["is_success"]) == (0, True, False, False)
    envs, _ = begin_many(2, "the key", pose)
    _, rewards, terminations, truncations, infos = envs.step(np.full(2, DONE))
    assert terminations.all()
    assert not np.concatenate([rewards, truncations, infos["is_success"]]).any()


def test_bumping_into_a_denoted_object_is_nothing():
    env, _ = begin("the key", (3, 1, SOUTH))
    for _ in range(3):
        observation, reward, terminated, _, info = env.step(FORWARD)
        assert (reward, terminated, info["is_success"]) == (0, False, False)
        assert pose_in(observation["observation"]) == (3, 1, SOUTH)


def test_every_pose_ends_as_its_denotation_says():
    poses = list_poses(is_free(ROOM))
    text = "a ball or a box"
    envs, _ = begin_many(len(poses), text, poses)
    _, rewards, _, _, infos = envs.step(np.full(len(poses), DONE))
    expected = begin(text)[0].denotation(poses, text)
    assert 0 < expected.sum() < len(poses)
    np.testing.assert_array_equal(rewards, expected)
    np.testing.assert_array_equal(infos["is_success"], expected)


def test_doorway_can_be_denoted_and_walked_through():
    room = ROOM.copy()
    room[3, 1:7] = (WALL, COLOURS["grey"])
    room[3, 2] = TYPES["door"], COLOURS["yellow"]
    env, info = begin("the yellow door", (1, 2, SOUTH), room)
    assert info["shortest_steps"] == 2
    for action, pose in (
        (FORWARD, (2, 2, SOUTH)),
        (FORWARD, (3, 2, SOUTH)),
        (FORWARD, (4, 2, SOUTH)),
    ):
        observation = env.step(action)[0]["observation"]
        assert pose_in(observation) == pose
        np.testing.assert_array_equal(observation[..., :2], room)
    env.step(LEFT), env.step(LEFT)
    assert env.step(DONE)[1] == 1


@every_id
def test_made_environment_is_truncated_after_100_steps(name):
    env = gymnasium.make(name)
    env.reset(seed=0)
    ends = [env.step(LEFT)[2:4] for _ in range(100)]
    assert ends == [(False, False)] * 99 + [(False, True)]


def test_vector_environment_truncates_after_100_steps():
    envs = GridGoToVectorEnv(2)
    envs.reset(seed=0)
    for step in range(1, 101):
        _, rewards, terminations, truncations, _ = envs.step(np.array([LEFT, RIGHT]))
        assert not np.concatenate([rewards, terminations]).any()
        assert truncations.all() == truncations.any() == (step == 100)


def test_done_in_the_last_step_is_no_truncation():
    envs, _ = begin_many(2, "the key", (3, 1, SOUTH), max_episode_steps=1)
    _, rewards, terminations, truncations, _ = envs.step(np.array([DONE, LEFT]))
    assert (rewards.tolist(), terminations.tolist(), truncations.tolist()) == (
        [1, 0],
        [True, False],
        [False, True],
    )


def test_step_after_the_end_starts_a_new_episode_and_ignores_its_action():
    def episodes(last_action):
        envs, _ = begin_many(2, "the key", (3, 1, SOUTH))
        first = envs.step(np.array([DONE, LEFT]))
        return first, envs.step(np.array([last_action, LEFT])), envs

    (observations, rewards, terminations, truncations, infos), second, envs = episodes(LEFT)
    np.testing.assert_array_equal(observations["observation"][0, ..., :2], ROOM)
    np.testing.assert_array_equal(rewards, [1, 0])
    np.testing.assert_array_equal(terminations, [True, False])
    np.testing.assert_array_equal(infos["is_success"], [True, False])
    assert not truncations.any()
    observations, rewards, terminations, truncations, infos = second
    assert not np.concatenate([rewards, terminations, truncations, infos["is_success"]]).any()
    assert not np.array_equal(observations["observation"][0, ..., :2], ROOM)
    np.testing.assert_array_equal(observations["observation"][1, ..., :2], ROOM)
    assert pose_in(observations["observation"][1]) == (3, 1, NORTH)
    assert observations["instruction"][1] == "the key"
    assert infos["shortest_steps"][0] > START_DISTANCE
    for other_action in (RIGHT, FORWARD, DONE):
        np.testing.assert_equal(episodes(other_action)[1], second)
    moved = envs.step(np.array([LEFT, LEFT]))[0]["observation"]  # the new episode goes on
    before, now = pose_in(observations["observation"][0]), pose_in(moved[0])
    assert now == (*before[:2], (before[2] - 1) % 4)


def test_first_step_of_a_new_episode_counts_from_zero():
    envs = GridGoToVectorEnv(1, max_episode_steps=3)
    envs.reset(seed=0)
    ends = [bool(envs.step(np.array([LEFT]))[3][0]) for _ in range(11)]
    assert ends == [False, False, True, False] * 2 + [False, False, True]


def test_reset_in_the_middle_of_an_episode_starts_the_clock_anew():
    envs = GridGoToVectorEnv(1, max_episode_steps=3)
    for steps in (2, 3, 3):  # the second reset finds an episode under way, the third an ended one
        envs.reset(seed=0)
        ends = [bool(envs.step(np.array([LEFT]))[3][0]) for _ in range(steps)]
        assert ends == [False, False, True][:steps]


def test_observations_and_infos_are_not_changed_by_later_steps():
    for env in (GridGoToEnv(mode="hidden_intent"), GridGoToVectorEnv(2, mode="hidden_intent")):
        kept = [env.reset(seed=1)]
        copies = [pickle.loads(pickle.dumps(kept[0]))]
        for action in np.random.default_rng(0).integers(3, size=(120, *env.action_space.shape)):
            kept.append(env.step(action))
            copies.append(pickle.loads(pickle.dumps(kept[-1])))
        for one, other in zip(kept, copies, strict=True):
            np.testing.assert_equal(one, other)


def test_changing_what_was_returned_changes_nothing():
    room = ROOM.copy()
    env, _ = begin("the key", room=room)
    envs, infos = begin_many(2, "the key", room=room, mode="hidden_intent")
    room[:] = 0
    env.room[:] = 0
    env.step(RIGHT)[0]["observation"][:] = 0
    envs.step(np.array([RIGHT, LEFT]))[0]["observation"][:] = 0
    for values in infos.values():
        values[:] = 9
    observation = env.step(FORWARD)[0]["observation"]
    assert pose_in(observation) == (2, 1, SOUTH)
    np.testing.assert_array_equal(observation[..., :2], ROOM)
    observations, *_, infos = envs.step(np.array([FORWARD, LEFT]))
    np.testing.assert_array_equal(observations["observation"][0], observation)
    np.testing.assert_array_equal(infos["shortest_steps"], [4, 4])


# -- hidden intent ---------------------------------------------------------------------------


def test_every_denoted_object_is_meant_equally_often():
    count, faced = 300, {(3, 1, SOUTH): "key", (1, 5, EAST): "ball", (6, 5, EAST): "box"}
    text = "something red or a box"
    meant = []
    for pose in faced:  # the same seed: the same intentions
        envs, infos = begin_many(count, text, pose, mode="hidden_intent")
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
        env, info = begin("something red", pose, seed=seed, mode="hidden_intent")
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
    envs, _ = begin_many(50, "something red", (6, 2, WEST), mode="hidden_intent")
    *_, infos = envs.step(np.full(50, DONE))
    assert not infos["is_success"].any()
    assert not infos["intended_success"].any()


def test_the_only_denoted_object_is_meant():
    envs, _ = begin_many(20, "the key", (3, 1, SOUTH), mode="hidden_intent")
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


# -- denotation ------------------------------------------------------------------------------


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


# -- starts, layouts, seeds ------------------------------------------------------------------


@every_world
@pytest.mark.parametrize("levels", [("any",), LEVELS], ids=str)
def test_starts_are_some_moves_away_from_what_is_denoted(world, levels):
    _, infos = GridGoToVectorEnv(100, world, levels).reset(seed=0)
    assert START_DISTANCE == 3
    assert (infos["shortest_steps"] >= 3 + 1).all()


def test_start_is_as_far_as_it_can_be_where_three_moves_are_not_possible():
    envs = GridGoToVectorEnv(10)
    observations, infos = envs.reset(seed=0, options={"room": NICHE, "instruction": "anything"})
    assert {pose_in(seen) for seen in observations["observation"]} == {(1, 1, WEST)}
    np.testing.assert_array_equal(infos["shortest_steps"], np.full(10, 2 + 1))


def test_starts_are_uniform_over_the_poses_that_are_far_enough():
    envs = GridGoToVectorEnv(1500)
    observations, _ = envs.reset(seed=0, options={"room": ROOM, "instruction": "the key"})
    free, cells = is_free(ROOM)[None], np.zeros((1, 8, 8), bool)
    cells[0, 4, 1] = True
    allowed = pose_distances(free, facing(cells, free))[0]
    counts = np.zeros(allowed.shape, int)
    np.add.at(counts, tuple(read_observation(observations["observation"])[1].T), 1)
    far = (allowed >= 3) & free[0, ..., None]
    assert not counts[~far].any()
    assert chisquare(counts[far]).pvalue > 1e-3


def test_starts_with_an_unknown_text_are_anywhere():
    envs = GridGoToVectorEnv(2000)
    observations, _ = envs.reset(seed=0, options={"room": ROOM, "instruction": "dance"})
    poses = read_observation(observations["observation"])[1]
    assert len(np.unique(poses, axis=0)) == 4 * is_free(ROOM).sum()


@every_world
def test_layouts_are_the_same_whatever_is_asked_for(world):
    def rooms(levels, phrasing="seen", mode="disjunctive"):
        envs = GridGoToVectorEnv(10, world, levels, phrasing, mode)
        return envs.reset(seed=4)[0]["observation"][..., :2]

    def fits(room, level):
        try:
            draw_meaning(room, np.random.default_rng(0), (level,))
        except InstructionError:
            return False
        return True

    layouts = rooms(("any",))  # which fits everywhere
    np.testing.assert_array_equal(rooms(("any",), "held_out", "hidden_intent"), layouts)
    for level, phrasing in itertools.product(LEVELS, PHRASINGS):
        found = rooms((level,), phrasing)
        kept = [np.array_equal(*pair) for pair in zip(found, layouts, strict=True)]
        assert kept == [fits(room, level) for room in layouts]
        assert all(fits(room, level) for room in found)


def test_layouts_of_later_episodes_are_the_same_too():
    def rooms(level, phrasing):
        env = GridGoToEnv("goto", (level,), phrasing)
        layouts = [env.reset(seed=5)[0]["observation"]]
        for _ in range(5):
            env.step(DONE)
            layouts.append(env.reset()[0]["observation"])
        return np.stack(layouts)[..., :2]

    np.testing.assert_array_equal(rooms("any", "seen"), rooms("disjunction", "held_out"))


@pytest.mark.parametrize("make", [GridGoToEnv, lambda: GridGoToVectorEnv(4)])
def test_same_seed_gives_the_same_tasks(make):
    def tasks(seed):
        env = make()
        first = env.reset(seed=seed)
        env.step(np.full(env.action_space.shape, LEFT))
        return [first, env.reset(), env.reset(seed=seed)]

    once, again, other = tasks(7), tasks(7), tasks(8)
    np.testing.assert_equal(once, again)
    np.testing.assert_equal(once[0], once[2])
    for different in (once[1], other[0]):
        assert not np.array_equal(once[0][0]["observation"], different[0]["observation"])


def test_tasks_of_unfinished_episodes_do_not_depend_on_the_actions():
    def reset_twice(action):
        envs = GridGoToVectorEnv(3)
        envs.reset(seed=0)
        for _ in range(10):
            envs.step(np.full(3, action))
        return envs.reset()

    np.testing.assert_equal(reset_twice(LEFT), reset_twice(FORWARD))


# -- single and vector -----------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@every_world
def test_single_and_vector_environment_are_equal_with_the_same_seed(world, mode):
    for seed in range(3):
        single, vector = GridGoToEnv(world, mode=mode), GridGoToVectorEnv(1, world, mode=mode)
        observation, info = single.reset(seed=seed)
        observations, infos = vector.reset(seed=seed)
        over = False
        for action in np.random.default_rng(seed).choice(4, 40, p=[0.2, 0.2, 0.5, 0.1]):
            np.testing.assert_array_equal(
                observations["observation"][0], observation["observation"]
            )
            assert observations["instruction"] == (observation["instruction"],)
            np.testing.assert_equal({name: value[0] for name, value in infos.items()}, info)
            observations, *batch, infos = vector.step(np.array([action]))
            if over:
                (observation, info), rest = single.reset(), [0.0, False, False]
            else:
                observation, *rest, info = single.step(action)
            over = rest[1]
            assert [values[0] for values in batch] == rest


@every_world
def test_rows_of_the_vector_environment_are_single_ones_with_the_same_options(world):
    generator = np.random.default_rng(0)
    envs = GridGoToVectorEnv(6, world, LEVELS)
    observations, _ = envs.reset(seed=1)
    room = observations["observation"][0, ..., :2]
    poses = generator.choice(list_poses(is_free(room)), 6)
    texts = ["anything", "dance", "Everything!", *[observations["instruction"][0]] * 3]
    observations, infos = envs.reset(options={"room": room, "pose": poses, "instruction": texts})
    singles = [GridGoToEnv(world, LEVELS) for _ in range(6)]
    for n, single in enumerate(singles):
        options = {"room": room, "pose": poses[n], "instruction": texts[n]}
        observation, info = single.reset(options=options)
        np.testing.assert_array_equal(observation["observation"], observations["observation"][n])
        assert observation["instruction"] == observations["instruction"][n] == texts[n]
        np.testing.assert_equal({name: infos[name][n] for name in infos}, info)
    running = np.ones(6, bool)
    for actions in generator.choice(4, (30, 6), p=[0.2, 0.2, 0.55, 0.05]):
        observations, *batch, infos = envs.step(actions)
        for n in np.flatnonzero(running):
            observation, *rest, info = singles[n].step(actions[n])
            np.testing.assert_array_equal(
                observation["observation"], observations["observation"][n]
            )
            assert [values[n] for values in batch] == rest
            np.testing.assert_equal({name: infos[name][n] for name in infos}, info)
        running &= ~batch[1]


# -- options ---------------------------------------------------------------------------------


def test_reset_takes_the_room_the_pose_and_the_instruction():
    env = GridGoToEnv()
    options = {"room": ROOM, "pose": (2, 3, NORTH), "instruction": "Go to the KEY, please!"}
    observation, _ = env.reset(seed=0, options=options)
    np.testing.assert_array_equal(observation["observation"][..., :2], ROOM)
    np.testing.assert_array_equal(env.room, ROOM)
    assert pose_in(observation["observation"]) == (2, 3, NORTH)
    assert observation["instruction"] == "Go to the KEY, please!"
    observation, _ = env.reset()  # the options are for that episode only
    assert not np.array_equal(env.room, ROOM)
    assert observation["instruction"] != "Go to the KEY, please!"


def test_room_alone_gets_an_instruction_that_fits():
    envs = GridGoToVectorEnv(30, levels=("full", "colour"))
    observations, infos = envs.reset(seed=0, options={"room": ROOM.tolist()})
    np.testing.assert_array_equal(
        observations["observation"][..., :2], np.tile(ROOM, (30, 1, 1, 1))
    )
    assert {level_of(parse(text)) for text in observations["instruction"]} == {"full", "colour"}
    assert (infos["ambiguity_bits"] <= 1).all()  # there are two red objects
    assert (infos["shortest_steps"] >= 3 + 1).all()


def test_instruction_alone_gets_a_room_where_it_denotes_something():
    envs = GridGoToVectorEnv(50)
    observations, infos = envs.reset(seed=0, options={"instruction": "the purple key"})
    is_key = (observations["observation"][..., :2] == (TYPES["key"], COLOURS["purple"])).all(-1)
    assert is_key.any((1, 2)).all()
    np.testing.assert_allclose(infos["ambiguity_bits"], np.log2(is_key.sum((1, 2))))


def test_instruction_that_fits_no_room_of_the_world_is_refused():
    with pytest.raises(InstructionError, match="door' denotes nothing"):
        GridGoToEnv("goto").reset(seed=0, options={"instruction": "the red door"})


def test_room_where_no_instruction_fits_is_refused():
    with pytest.raises(InstructionError, match="add 'any' to the levels"):
        GridGoToEnv(levels=("relation",)).reset(seed=0, options={"room": NICHE})


def test_vector_reset_takes_one_option_for_all_or_one_for_each():
    envs = GridGoToVectorEnv(2)
    poses = [(3, 1, NORTH), (1, 1, EAST)]
    options = {"room": ROOM, "pose": poses, "instruction": ("the key", "the box")}
    observations, infos = envs.reset(options=options)
    assert [pose_in(seen) for seen in observations["observation"]] == poses
    assert observations["instruction"] == ("the key", "the box")
    np.testing.assert_array_equal(infos["shortest_steps"], [2 + 1, 11 + 1])
    options = {"room": ROOM, "pose": START, "instruction": np.array(["the key", "the box"])}
    observations, infos = envs.reset(options=options)
    assert [pose_in(seen) for seen in observations["observation"]] == [START, START]
    np.testing.assert_array_equal(infos["shortest_steps"], [3 + 1, 11 + 1])


def changed(*cells, size=8):
    """The hand-made room with other numbers in some cells."""
    room = ROOM[:size].astype(np.int64)
    for row, column, kind in cells:
        room[row, column] = kind
    return room


GREY = COLOURS["grey"]
WALLED_OFF = changed((1, 2, (WALL, GREY)), (2, 1, (WALL, GREY)))
WRONG_OPTIONS = [
    ({"level": "full"}, InstructionError, "no reset option 'level'"),
    ({"instruction": ""}, InstructionError, "is empty"),
    ({"instruction": 5}, InstructionError, "int"),
    ({"instruction": b"the key"}, InstructionError, "bytes"),
    ({"instruction": "a\x00b"}, InstructionError, r"U\+0000"),
    ({"instruction": ["the key"] * 3}, ShapeError, "instructions, got 3"),
    ({"room": ROOM, "instruction": "the purple key"}, InstructionError, "denotes nothing"),
    ({"pose": START}, LayoutError, "needs the option 'room'"),
    ({"room": ROOM, "pose": (4, 1, EAST)}, LayoutError, "in a wall or on an object"),
    ({"room": WALLED_OFF, "pose": START}, LayoutError, "hang together"),
    ({"room": ROOM, "pose": (0, 1, EAST)}, ShapeError, "outside the walls"),
    ({"room": ROOM, "pose": (1, 1, 4)}, ShapeError, r"\[1, 1, 4\]"),
    ({"room": ROOM, "pose": (1.5, 1, 0)}, ShapeError, "whole numbers"),
    ({"room": ROOM, "pose": (np.nan, 1, 0)}, ShapeError, "whole numbers"),
    ({"room": ROOM[:7]}, LayoutError, r"\[8, 8, 2\] \(type, colour\), got \[7, 8, 2\]"),
    ({"room": ROOM[..., 0]}, LayoutError, r"got \[8, 8\]"),
    ({"room": "goto"}, LayoutError, r"got \[\]"),
    ({"room": changed((0, 3, (EMPTY, 0)))}, LayoutError, "walls all around"),
    ({"room": changed((0, 3, (TYPES["door"], 0)))}, LayoutError, "walls all around"),
    ({"room": changed((3, 3, (3, 0)))}, LayoutError, "no type or colour"),
    ({"room": changed((3, 3, (EMPTY, 6)))}, LayoutError, "no type or colour"),
    ({"room": changed((3, 3, (-1, 0)))}, LayoutError, "no type or colour"),
    ({"room": changed((3, 3, (257, 0)))}, LayoutError, "no type or colour"),
    ({"room": np.full((8, 8, 2), np.nan)}, LayoutError, "no type or colour"),
    ({"room": np.full((8, 8, 2), (WALL, GREY))}, LayoutError, "free cells"),
]
UNCLEAR = [
    ({"room": ROOM, "pose": (1, 2)}, "pose"),
    ({"room": ROOM, "pose": 1}, "pose"),  # not (1, 1, 1)
    ({"room": ROOM, "pose": [START] * 3}, "pose"),
    ({"room": ROOM, "pose": "here"}, "pose"),
    ({"room": ROOM, "pose": (np.inf, 1, 0)}, "whole numbers"),
    ({"room": [[1], [1, 2]]}, "room"),
]


@pytest.mark.parametrize("count", [None, 2])
@pytest.mark.parametrize(("options", "error", "says"), WRONG_OPTIONS)
def test_wrong_reset_option_is_refused(options, error, says, count):
    env = GridGoToEnv() if count is None else GridGoToVectorEnv(count)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(error, match=says) as refusal:
            env.reset(seed=0, options=options)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("count", [None, 2])
@pytest.mark.parametrize(("options", "says"), UNCLEAR)
def test_wrong_reset_option_is_refused_in_our_words(options, says, count):
    env = GridGoToEnv() if count is None else GridGoToVectorEnv(count)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(LangRLError, match=says):
            env.reset(seed=0, options=options)


def test_refused_reset_leaves_the_agent_where_it_can_stand():
    for seed in range(20):
        env, _ = begin("the key", (6, 4, EAST), seed=seed)
        with pytest.raises(InstructionError):
            env.reset(options={"room": NICHE, "instruction": "the purple door"})
        row, column, _ = pose_in(env.step(LEFT)[0]["observation"])
        assert is_free(env.room)[row, column]


# -- actions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "action", [-1, 4, 255, 1.0, np.float32(2), True, "left", None, [0], [0, 1]]
)
def test_action_that_is_none_is_refused(action):
    env, _ = begin("the key")
    with pytest.raises(ShapeError, match="left, right, forward, done") as refusal:
        env.step(action)
    assert "\n" not in str(refusal.value)
    assert pose_in(env.step(RIGHT)[0]["observation"]) == (1, 1, SOUTH)  # nothing has happened


@pytest.mark.parametrize(
    "actions", [0, [0], [0, 1, 2, 3], [[0, 1, 2]], [0, 1, 4], [0, -1, 1], [0.0, 1.0, 2.0]], ids=str
)
def test_actions_of_another_shape_or_range_are_refused(actions):
    envs, _ = begin_many(3, "the key")
    with pytest.raises(ShapeError, match="left, right, forward, done"):
        envs.step(np.array(actions))
    assert pose_in(envs.step(np.full(3, RIGHT))[0]["observation"][0]) == (1, 1, SOUTH)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64])
def test_actions_may_be_of_any_whole_number_type(dtype):
    env, _ = begin("the key")
    envs, _ = begin_many(4, "the key")
    for action in TO_THE_KEY:
        env.step(dtype(action))
    assert env.step(dtype(DONE))[1] == 1
    observations, *_ = envs.step(np.arange(4, dtype=dtype))
    poses = [pose_in(seen) for seen in observations["observation"]]
    assert poses == [(1, 1, NORTH), (1, 1, SOUTH), (1, 2, EAST), (1, 1, EAST)]


@pytest.mark.parametrize("env", [GridGoToEnv(), gymnasium.make("langrl/GridGoTo-v0")], ids=str)
def test_step_before_reset_is_refused(env):
    with pytest.raises(gymnasium.error.ResetNeeded, match="reset"):
        env.step(LEFT)


def test_step_of_many_before_reset_is_refused():
    with pytest.raises(gymnasium.error.ResetNeeded, match="reset"):
        GridGoToVectorEnv(2).step(np.full(2, LEFT))


# -- a random policy -------------------------------------------------------------------------


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


# -- images --------------------------------------------------------------------------------


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


def test_drawn_rooms_hang_together_in_every_episode():
    envs = GridGoToVectorEnv(20, "rooms", max_episode_steps=1)
    observations, _ = envs.reset(seed=0)
    seen = [observations["observation"]]
    seen += [envs.step(np.full(20, LEFT))[0]["observation"] for _ in range(4)]
    for observation in np.concatenate(seen):
        assert ndimage.label(is_free(observation[..., :2]))[1] == 1
