import numpy as np
import pytest

from langrl.envs.minigrid_levels.env import MiniGridLevelEnv
from langrl.envs.minigrid_levels.goals import reachable_poses
from langrl.envs.minigrid_levels.places import cells_in, split_place
from langrl.envs.minigrid_levels.reading import DONE, PICKUP, TOGGLE
from langrl.envs.minigrid_levels.tasks import Task, read_task, task_of, write_task

RED_BALL = ("thing", "red", "ball")


@pytest.mark.parametrize(
    ("text", "rest", "place"),
    [
        ("pick up the ball on your left", "pick up the ball ", "left"),
        ("go to a key In  front of YOU, please", "go to a key , please", "front"),
        ("go to the ball", "go to the ball", None),
        ("go to what is behind you on your left", "go to what is behind you on your left", None),
    ],
)
def test_one_place_is_split_from_a_text(text, rest, place):
    assert split_place(text) == (rest, place)


def test_places_are_seen_from_the_start():
    start = np.zeros((5, 7, 3), np.uint8)
    start[..., 0] = 2
    start[1:4, 1:6, 0] = 1
    start[2, 3] = (1, 0, 2)  # looks south
    rows, columns = cells_in("front", start)[1:4, 1:6].nonzero()
    assert set(rows) == {2}
    assert len(columns) == 5
    assert cells_in("left", start)[1:4, 1:6].any(0).tolist() == [False] * 3 + [True] * 2
    assert cells_in("right", start)[1:4, 1:6].any(0).tolist() == [True] * 2 + [False] * 3
    start[1:4, 4, 0] = 2  # a wall: what is behind it is in another room
    assert not cells_in("left", start)[:, 5:].any()


def test_places_denote_what_the_level_counts():
    env = MiniGridLevelEnv("BabyAI-OpenDoorLoc-v0")
    named = read = 0
    for seed in range(12):
        env.reset(seed=seed)
        task = task_of(env._level)
        goals = np.insert(reachable_poses(env.layout), 3, TOGGLE, 1)
        text = write_task(task, np.random.default_rng(seed), "held_out")
        ours = env.denotation(goals, text)
        theirs = env.denotation(goals, str(env._level.mission))
        assert ours is None or np.array_equal(ours, theirs)  # it may have a typo
        assert theirs.any()
        read += read_task(text) == task
        named += task.place is not None
    assert named > 8
    assert read > 9


@pytest.mark.parametrize("phrasing", ["seen", "held_out"])
@pytest.mark.parametrize("act", [DONE, PICKUP])
def test_what_is_written_with_a_place_is_read_back(phrasing, act):
    generator = np.random.default_rng(0)
    for place in ("left", "right", "front", "behind"):
        task = Task((act,), RED_BALL, place)
        read = [read_task(write_task(task, generator, phrasing)) for _ in range(6)]
        assert read.count(task) >= 5  # a held-out text may have a typo
