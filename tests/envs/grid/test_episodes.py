import itertools
import pickle

import gymnasium
import numpy as np
import pytest
from grid_rooms_by_hand import (
    EAST,
    NICHE,
    NORTH,
    ROOM,
    SOUTH,
    START,
    TO_THE_KEY,
    WEST,
    begin,
    begin_many,
    every_id,
    every_world,
    pose_in,
)
from scipy import ndimage
from scipy.stats import chisquare

from langrl.envs.grid.env import GridGoToEnv, GridGoToVectorEnv
from langrl.envs.grid.episodes import START_DISTANCE
from langrl.envs.grid.grammar import COLOURS, LEVELS, TYPES, WALL
from langrl.envs.grid.meanings import draw_meaning
from langrl.envs.grid.rooms import (
    DONE,
    FORWARD,
    LEFT,
    RIGHT,
    facing,
    is_free,
    list_poses,
    pose_distances,
    read_observation,
)
from langrl.envs.intents import MODES
from langrl.envs.phrasing import PHRASINGS
from langrl.errors import InstructionError

# -- episodes ------------------------------------------------------------------------------------


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


def test_done_in_the_last_step_ends_at_the_limit_too():
    envs, _ = begin_many(2, "the key", (3, 1, SOUTH), max_episode_steps=1)
    _, rewards, terminations, truncations, _ = envs.step(np.array([DONE, LEFT]))
    assert (rewards.tolist(), terminations.tolist(), truncations.tolist()) == (
        [1, 0],
        [True, False],
        [True, True],
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
    for env in (GridGoToEnv(mode="hidden"), GridGoToVectorEnv(2, mode="hidden")):
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
    envs, infos = begin_many(2, "the key", room=room, mode="hidden")
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


# -- starts, layouts, seeds ----------------------------------------------------------------------


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
    def rooms(levels, phrasing="seen", mode="any"):
        envs = GridGoToVectorEnv(10, world, levels, phrasing, mode)
        return envs.reset(seed=4)[0]["observation"][..., :2]

    def fits(room, level):
        try:
            draw_meaning(room, np.random.default_rng(0), (level,))
        except InstructionError:
            return False
        return True

    layouts = rooms(("any",))  # which fits everywhere
    np.testing.assert_array_equal(rooms(("any",), "held_out", "hidden"), layouts)
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


def test_tasks_of_unfinished_episodes_do_not_depend_on_the_actions():
    def reset_twice(action):
        envs = GridGoToVectorEnv(3)
        envs.reset(seed=0)
        for _ in range(10):
            envs.step(np.full(3, action))
        return envs.reset()

    np.testing.assert_equal(reset_twice(LEFT), reset_twice(FORWARD))


def test_drawn_rooms_hang_together_in_every_episode():
    envs = GridGoToVectorEnv(20, "rooms", max_episode_steps=1)
    observations, _ = envs.reset(seed=0)
    seen = [observations["observation"]]
    seen += [envs.step(np.full(20, LEFT))[0]["observation"] for _ in range(4)]
    for observation in np.concatenate(seen):
        assert ndimage.label(is_free(observation[..., :2]))[1] == 1


# -- single and vector ---------------------------------------------------------------------------


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
