import dataclasses
from collections import Counter

import numpy as np
import pytest

from langrl.agents.baselines import RandomAgent
from langrl.benchmark.drawing import (
    choose_intended,
    level_of,
    spread_choices,
    write_readable,
)
from langrl.benchmark.tasks import WORLDS, BenchmarkTask, draw_tasks, make_tasks_env
from langrl.envs.grid.grammar import denoted, has_known_words, parse
from langrl.envs.grid.rooms import is_free
from langrl.envs.maze.grammar import MOST_WORDS
from langrl.envs.phrasing import TASK_PHRASINGS
from langrl.errors import ConfigError, UnknownNameError
from langrl.evaluation.rollouts import run_episodes
from langrl.tasks.grid.baselines import GridPlanner
from langrl.words import split_words

PAIRS = 12
NAMES = ["street-fork", "grid-goto", "grid-relations"]
TASKS = {name: draw_tasks(name, PAIRS, seed=3) for name in NAMES}


@pytest.fixture(params=NAMES)
def tasks(request):
    return TASKS[request.param]


def ambiguous(tasks):
    return [task for task in tasks if not task.twin]


def masks(tasks):
    return np.stack([task.denoted_mask for task in tasks])


# -- what is drawn -----------------------------------------------------------------------------


def test_each_ambiguous_task_has_a_twin_that_denotes_what_is_meant(tasks):
    assert len(tasks) == 2 * PAIRS
    for task, twin in zip(tasks[::2], tasks[1::2], strict=True):
        assert (task.twin, twin.twin, task.pair) == (False, True, twin.pair)
        assert (task.start, task.room, task.seed, task.mode) == (
            twin.start, twin.room, twin.seed, twin.mode,
        )  # fmt: skip
        assert twin.denoted == (task.intended,) == (twin.intended,)
        assert task.intended in task.denoted
        assert twin.bits == 0 < task.bits
        assert twin.phrasing == task.phrasing
    assert len({task.name for task in tasks}) == len(tasks)


def test_levels_and_phrasings_have_equal_shares_in_every_beginning(tasks):
    levels = WORLDS[tasks[0].world].levels
    for count in range(1, PAIRS + 1):
        first = ambiguous(tasks)[:count]
        by_level = Counter(task.level for task in first)
        assert max(by_level.values()) - min(by_level[level] for level in levels) <= 1
    whole = Counter((task.level, task.phrasing) for task in ambiguous(tasks))
    assert len(whole) == 3 * len(levels)
    assert max(whole.values()) - min(whole.values()) <= 1
    assert {task.phrasing for task in tasks} == set(TASK_PHRASINGS)


def test_a_text_denotes_what_the_task_says(tasks):
    world = WORLDS[tasks[0].world]
    for task in tasks:
        if task.room is None:
            found = world.maze.cell_mask(task.instruction)
        else:
            found = denoted(parse(task.instruction), task.room_array)
        np.testing.assert_array_equal(found, task.denoted_mask)
        assert len(split_words(task.instruction)) <= MOST_WORDS


def test_noisy_texts_have_slips_of_spelling():
    tasks = TASKS["grid-goto"]
    known = {name: [] for name in TASK_PHRASINGS}
    for task in tasks:
        known[task.phrasing].append(has_known_words(task.instruction))
    assert not any(known["noisy"])
    assert all(known["seen"])


def test_starts_are_free_and_satisfy_nothing(tasks):
    for task in tasks:
        row, column = (int(each) for each in task.start[:2])
        if task.room is None:
            assert not WORLDS[task.world].maze.walls[row, column]
            assert not task.denoted_mask[row, column]
        else:
            assert is_free(task.room_array)[row, column]
        assert np.isfinite(task.shortest_steps)
        assert 0 < task.shortest_steps < 100


def test_modes_share_everything_but_the_shortest_way():
    hidden, either = TASKS["grid-goto"], draw_tasks("grid-goto", PAIRS, 3, "any")
    for one, other in zip(hidden, either, strict=True):
        assert other.shortest_steps <= one.shortest_steps
        assert other.name == one.name.replace("hidden", "any")
        same = dataclasses.replace(
            other, mode="hidden", name=one.name, shortest_steps=one.shortest_steps
        )
        assert same == one


def test_a_seed_fixes_the_tasks(tasks):
    name = tasks[0].world
    assert draw_tasks(name, PAIRS, seed=3) == tasks
    assert draw_tasks(name, PAIRS, seed=4) != tasks


def test_what_is_meant_is_as_often_near_as_far():
    tasks = ambiguous(draw_tasks("street-blank", 200, seed=0))
    places = []
    for task in tasks:
        maze = WORLDS["street-blank"].maze
        index = maze.layout.cell_index
        start = index[int(task.start[0]), int(task.start[1])]
        away = maze.layout.distances[start, index[tuple(np.array(task.denoted).T)]]
        here = task.shortest_steps / 2
        places.append(((away < here).sum() + (away <= here).sum() - 1) / 2 / (len(away) - 1))
    assert np.mean(places) == pytest.approx(0.5, abs=0.03)


def test_json_gives_a_task_back(tasks):
    for task in tasks[:4]:
        again = BenchmarkTask.load(task.dump())
        assert again == task
        assert hash(again) == hash(task)
        assert "\n" not in task.dump()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": "x"}', "null"])
def test_what_is_no_task_is_refused(text):
    with pytest.raises(ConfigError, match="no benchmark task"):
        BenchmarkTask.load(text)


def test_unknown_names_and_no_pairs_are_refused():
    with pytest.raises(UnknownNameError, match="did you mean 'street-fork'"):
        draw_tasks("street-fort", 2, 0)
    with pytest.raises(UnknownNameError, match="now called 'any'"):
        draw_tasks("street-fork", 2, 0, "disjunctive")
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        draw_tasks("street-fork", 0, 0)


# -- drawing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "level"), [(1, 0), (2, 1), (3, 2), (5, 2), (6, 3), (11, 3), (12, 4), (80, 4)]
)
def test_levels_are_bits_rounded_up_to_four(count, level):
    assert level_of(count) == level


def test_choices_are_spread_evenly():
    choices = list(spread_choices(20, np.random.default_rng(0)))
    for count in range(2, 21):
        assert np.ptp(np.histogram(choices[:count], 2, (0, 1))[0]) <= 2
    assert 0 <= min(choices) < max(choices) < 1


def test_choices_go_from_the_nearest_to_the_farthest():
    generator = np.random.default_rng(0)
    steps = np.array([5.0, 1.0, 3.0])
    assert [choose_intended(steps, each, generator) for each in (0.0, 0.4, 0.99)] == [1, 2, 0]
    ties = Counter(choose_intended(np.ones(2), 0.0, generator) for _ in range(400))
    assert 150 < ties[0] < 250


class Mumbler:
    """Writes what nobody reads."""

    def write(self, meaning, generator, phrasing):
        return "mumble"

    def parse(self, text):
        return None


def test_a_meaning_that_no_text_says_is_refused():
    with pytest.raises(ConfigError, match="no readable text"):
        write_readable(
            Mumbler(), ("row", 1), lambda meaning: np.ones((2, 2), bool), "seen",
            np.random.default_rng(0),
        )  # fmt: skip


# -- environments ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["any", "hidden"])
def test_the_environment_starts_the_tasks(tasks, mode):
    tasks = draw_tasks(tasks[0].world, PAIRS, 3, mode)
    envs = make_tasks_env(tasks)
    observation, info = envs.reset(seed=0)
    assert observation["instruction"] == tuple(task.instruction for task in tasks)
    np.testing.assert_allclose(info["ambiguity_bits"], [task.bits for task in tasks])
    if mode == "any":
        np.testing.assert_allclose(info["shortest_steps"], [t.shortest_steps for t in tasks])
    episodes = envs.unwrapped._episodes
    np.testing.assert_array_equal(episodes.denoted, masks(tasks))
    meant = [tuple(np.argwhere(each)[0].tolist()) for each in episodes.intended]
    assert meant == [task.intended for task in tasks]


def test_what_starts_anew_is_the_same_task_again(tasks):
    envs = make_tasks_env(tasks)
    first, _ = envs.reset(seed=0)
    envs.action_space.seed(0)
    for _ in range(5):
        _, _, ended, _, _ = envs.step(envs.action_space.sample())
        if ended.any():
            envs.reset(options={"reset_mask": ended})
    mask = np.zeros(len(tasks), bool)
    mask[-1] = True
    again, _ = envs.reset(options={"reset_mask": mask})
    np.testing.assert_array_equal(again["observation"][-1], first["observation"][-1])
    assert again["instruction"] == first["instruction"]


def test_a_maze_task_has_the_same_noise_whoever_is_beside_it():
    tasks, paths = TASKS["street-fork"], []
    for some, row in ((tasks, 7), (tasks[7:8], 0)):
        envs = make_tasks_env(some)
        envs.reset(seed=row)
        right = np.tile(np.array([0, 1], np.float32), (len(some), 1))
        paths.append(envs.step(right)[0]["observation"][row])
    np.testing.assert_array_equal(*paths)


def planner_of(tasks):
    """A planner that goes to what the tasks denote, those that are left of them."""
    left = {"masks": masks(tasks)}
    planner = GridPlanner(lambda rooms, texts: left["masks"])
    planner.keep = lambda mask: left.update(masks=left["masks"][mask])
    return planner


def test_a_planner_that_knows_succeeds_at_every_task_by_the_shortest_way():
    tasks = draw_tasks("grid-goto", PAIRS, 3, "any")
    episodes = run_episodes(make_tasks_env(tasks), planner_of(tasks), seed=0)
    assert episodes.success.all()
    np.testing.assert_array_equal(episodes.steps, [task.shortest_steps for task in tasks])


def test_nobody_who_guesses_is_right_more_often_than_one_in_n():
    tasks = ambiguous(draw_tasks("grid-goto", 60, 5, "hidden"))
    envs = make_tasks_env(tasks)
    observation, _ = envs.reset(seed=0)
    planner, running = planner_of(tasks), np.ones(len(tasks), bool)
    right = np.zeros(len(tasks), bool)
    while running.any():
        observation, _, ended, _, info = envs.step(planner.act(observation))
        right |= running & info["intended_success"]
        running &= ~ended
        if ended.any():
            envs.reset(options={"reset_mask": ended})
    ceiling = np.mean([1 / len(task.denoted) for task in tasks])
    assert right.mean() == pytest.approx(ceiling, abs=0.08)


def test_agents_that_do_not_plan_run_in_it():
    episodes = run_episodes(make_tasks_env(TASKS["street-fork"]), RandomAgent(), seed=0)
    assert len(episodes.success) == 2 * PAIRS


def test_a_price_lets_agents_ask():
    tasks = TASKS["grid-goto"]
    envs = make_tasks_env(tasks, price=0.1)
    observation, info = envs.reset(seed=0)
    asks, left = np.full(len(tasks), 1), info["intents"]
    for question in range(1, 5):
        action = {"action": np.zeros(len(tasks), int), "ask": question * asks}
        observation, rewards, _, _, info = envs.step(action)
        np.testing.assert_allclose(rewards, -0.1)
        assert (info["intents"] <= left).all()
        left = info["intents"]
    for task, answers, count in zip(tasks, observation["answers"], left, strict=True):
        labels = envs.questions.labels(np.array(task.denoted), task.room_array)
        own = envs.questions.labels(np.array([task.intended]), task.room_array)[:, 0]
        np.testing.assert_array_equal(answers, own)
        assert count == (labels == own[:, None]).all(0).sum()


@pytest.mark.parametrize(
    ("tasks", "says"),
    [
        ([], "there are no tasks"),
        (TASKS["street-fork"][:1] + TASKS["grid-goto"][:1], "have one world"),
        (TASKS["street-fork"][:1] + draw_tasks("street-fork", 1, 0, "any"), "have one mode"),
    ],
)
def test_tasks_that_do_not_go_together_are_refused(tasks, says):
    with pytest.raises(ConfigError, match=says):
        make_tasks_env(tasks)
