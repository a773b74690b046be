import gymnasium as gym
import numpy as np
import pytest
from grid_rooms_by_hand import every_world
from scipy.stats import chisquare

import langrl
from langrl.benchmark.minigrid_level import MinigridLevel
from langrl.envs.goal_engine import GoalEngine, KnowsShortest
from langrl.envs.goal_vector import GoalVector
from langrl.envs.grid.goal_engine import GridGoalEngine
from langrl.envs.grid.rooms import (
    DONE,
    FORWARD,
    GRID_WORLDS,
    RoomSpec,
    draw_keyed_rooms,
    is_free,
    is_sound,
    read_observation,
)
from langrl.envs.wrappers.goals import GoalEnv
from langrl.errors import CheckpointError, ConfigError, LayoutError, UnknownNameError

WORLDS = {world: name for name, world in langrl.GRID_IDS.items()}
SHARES = [0.2, 0.2, 0.55, 0.05]  # of actions, so that walks go far


def started(world="goto", count=8, seed=0, **settings):
    engine = GridGoalEngine(count, world=world, **settings)
    return engine, engine.reset(np.arange(count), seed * 1000 + np.arange(count))


def poses_in(seen):
    return read_observation(seen.observation)[1]


# -- episodes --------------------------------------------------------------------------------


@every_world
def test_an_episode_is_a_function_of_its_row_and_seed(world):
    _, seen = started(world, 40)
    other = GridGoalEngine(40, world=world)
    other.reset(np.arange(40), np.arange(40) + 777)
    for rows in (np.arange(0, 40, 3), np.setdiff1d(np.arange(40), np.arange(0, 40, 3))):
        again = other.reset(rows, rows)
    for mine, others in zip(parts(seen), parts(again), strict=True):
        np.testing.assert_array_equal(mine, others)
    assert len(np.unique(seen.observation[..., :2], axis=0)) == 40


def parts(seen):
    return seen.observation, seen.achieved, seen.desired


@every_world
def test_rooms_are_sound_and_starts_and_goals_are_on_free_cells(world):
    _, seen = started(world, 300)
    rooms = seen.observation[..., :2]
    assert is_sound(rooms).all()
    each = np.arange(300)
    for places in (poses_in(seen), seen.desired[:, :3].astype(int)):
        assert is_free(rooms)[each, places[:, 0], places[:, 1]].all()
        assert set(places[:, 2]) == {0, 1, 2, 3}
    np.testing.assert_array_equal(seen.achieved[:, :3], poses_in(seen))
    assert not seen.achieved[:, 3].any()
    assert (seen.desired[:, 3] == 1).all()


def test_starts_and_goals_are_uniform_over_free_cells_doorways_included():
    _, seen = started("rooms", 4000)
    free = is_free(seen.observation[..., :2])
    expected = (free / free.sum((1, 2), keepdims=True)).sum(0)
    for places in (poses_in(seen), seen.desired[:, :3].astype(int)):
        counts = np.zeros(free.shape[1:])
        np.add.at(counts, tuple(places[:, :2].T), 1)
        assert not counts[expected == 0].any()
        assert chisquare(counts[expected > 0], expected[expected > 0]).pvalue > 1e-3
        assert chisquare(np.bincount(places[:, 2])).pvalue > 1e-3


@every_world
def test_rooms_by_keys_are_as_those_of_a_generator(world):
    keys = np.arange(2000, dtype=np.uint64)
    rooms = draw_keyed_rooms(GRID_WORLDS[world], keys)
    fewest, most = GRID_WORLDS[world].objects
    things = (rooms[..., 0] > 4).sum((1, 2))
    assert set(things) == set(range(fewest, most + 1))
    few = draw_keyed_rooms(GRID_WORLDS[world], keys[5:9])  # these are tried many at once
    np.testing.assert_array_equal(few, rooms[5:9])


@pytest.mark.parametrize("most", [4, 5])
def test_world_that_leaves_no_room_is_refused(most):
    spec = RoomSpec(4, (most, most))
    with pytest.raises(LayoutError, match=f"size 4 with {most} objects; ask less"):
        draw_keyed_rooms(spec, np.arange(3, dtype=np.uint64))


# -- steps -----------------------------------------------------------------------------------


def walk_beside_minigrid(world, count, steps):
    """Compare steps of an engine with those of minigrid's own levels; return how many."""
    engine, seen = started(world, count, max_episode_steps=100)
    size, generator = GRID_WORLDS[world].size, np.random.default_rng(0)
    levels = [level_of(seen, n, size) for n in range(count)]
    ended = 0
    for step in range(steps):
        actions = generator.choice(4, count, p=SHARES)
        stepped = engine.step(actions)
        for n, level in enumerate(levels):
            _, _, said, _, _ = level.step(actions[n])
            np.testing.assert_array_equal(stepped.seen.observation[n], shown(level))
            goal = (*level.agent_pos[::-1], level.agent_dir, said)
            assert tuple(stepped.seen.achieved[n].tolist()) == goal
            assert stepped.terminated[n] == said
            assert stepped.success[n] == (said and goal == tuple(stepped.seen.desired[n].tolist()))
        rows = np.flatnonzero(stepped.terminated | stepped.truncated)
        ended += len(rows)
        seen = engine.reset(rows, rows + (step + 1) * 1000)
        for n in rows:
            levels[n] = level_of(seen, n, size)
    assert ended > count * steps / 25
    return count * steps


def level_of(seen, row, size):
    """A level of minigrid with the room and the agent that an engine shows."""
    level = MinigridLevel(iter([seen.observation[row, ..., :2]]), size, max_steps=1000)
    level.reset()
    place, column, level.agent_dir = poses_in(seen)[row].tolist()
    level.agent_pos = (column, place)
    return level


def shown(level):
    """What a level of minigrid has in its cells, with the agent as grid worlds show it."""
    cells = level.grid.encode().transpose(1, 0, 2)  # [H, W, 3]
    assert not cells[..., 2].any()  # doors are open
    cells[level.agent_pos[1], level.agent_pos[0], 2] = level.agent_dir + 1
    return cells


@every_world
def test_steps_are_those_of_minigrid(world):
    assert walk_beside_minigrid(world, 4, 50) == 200


@pytest.mark.slow
@every_world
def test_a_hundred_thousand_steps_are_those_of_minigrid(world):
    assert walk_beside_minigrid(world, 50, 2000) == 100_000


@every_world
def test_steps_are_those_of_the_single_environment_with_goals(world):
    engine, seen = started(world, 3, seed=4)
    envs = [GoalEnv(gym.make(WORLDS[world])) for _ in range(3)]
    generator = np.random.default_rng(1)
    for n, env in enumerate(envs):
        options = {"room": seen.observation[n, ..., :2], "pose": poses_in(seen)[n]}
        observation, _ = env.reset(seed=0, options=options | {"desired_goal": seen.desired[n]})
        assert env.observation_space["observation"] == engine.spaces.observation
        assert env.observation_space["desired_goal"] == engine.spaces.goal
        assert env.action_space == engine.spaces.action
        check_same(observation, seen, n)
    for step in range(100):
        actions = generator.integers(3, size=3)
        if step == 60:
            actions[0] = DONE  # which ends an episode
        stepped = engine.step(actions)
        for n, env in enumerate(envs):
            if n == 0 and step > 60:
                continue
            observation, reward, terminated, truncated, info = env.step(actions[n])
            check_same(observation, stepped.seen, n)
            assert reward == stepped.reward[n]
            assert terminated == stepped.terminated[n]
            assert truncated == stepped.truncated[n]
            assert info["is_success"] == stepped.success[n]
    assert stepped.truncated[1:].all()  # at 100 steps


def check_same(observation, seen, row):
    names = ("observation", "achieved_goal", "desired_goal")
    for name, values in zip(names, parts(seen), strict=True):
        np.testing.assert_array_equal(observation[name], values[row])
        assert observation[name].dtype == values.dtype


def test_done_at_the_goal_is_success_and_elsewhere_it_is_not():
    engine, seen = started(count=200)
    state = engine.state()
    row, column, direction = seen.desired[:, :3].astype(int).T
    state["cells"], state["turns"] = row * 8 + column, direction
    state["turns"][100:] = (direction[100:] + 1) % 4  # the right cell, the wrong way round
    engine.load_state(state)
    stepped = engine.step(np.full(200, DONE))
    assert stepped.terminated.all()
    assert not stepped.truncated.any()
    np.testing.assert_array_equal(stepped.success, np.arange(200) < 100)
    np.testing.assert_array_equal(stepped.reward, stepped.success)


def test_being_at_the_goal_is_not_enough():
    engine, seen = started(count=50)
    state = engine.state()
    row, column, direction = seen.desired[:, :3].astype(int).T
    state["cells"], state["turns"] = row * 8 + column, (direction + 1) % 4
    engine.load_state(state)
    stepped = engine.step(np.zeros(50, np.int64))  # turn left to the goal's direction
    np.testing.assert_array_equal(stepped.seen.achieved[:, :3], seen.desired[:, :3])
    assert not (stepped.success | stepped.terminated).any()


def test_time_limit_counts_from_each_start_and_yields_to_done():
    engine, _ = started(count=3, max_episode_steps=4)
    ends = []
    for step in range(6):
        actions = np.array([FORWARD, FORWARD, DONE if step == 3 else FORWARD])
        stepped = engine.step(actions)
        ends.append((stepped.truncated.tolist(), stepped.terminated.tolist()))
        if step == 1:
            engine.reset(np.array([1]), np.array([9]))
        if step == 3:
            engine.reset(np.array([0, 2]), np.array([9, 9]))
    none = [False] * 3
    assert ends[:3] == [(none, none)] * 3
    assert ends[3] == ([True, False, False], [False, False, True])
    assert ends[4] == (none, none)
    assert ends[5] == ([False, True, False], none)


def test_returned_arrays_are_the_callers():
    engine, seen = started(count=4)
    stepped = engine.step(np.zeros(4, np.int64))
    kept = [np.array(values) for values in (*parts(seen), *parts(stepped.seen))]
    state = engine.state()
    before = {name: values.copy() for name, values in state.items()}
    engine.step(np.full(4, FORWARD))
    engine.reset(np.arange(4), np.arange(4) + 50)
    for values, copy in zip((*parts(seen), *parts(stepped.seen)), kept, strict=True):
        np.testing.assert_array_equal(values, copy)
        values[:] = 0
    for name, values in state.items():
        np.testing.assert_array_equal(values, before[name])
    assert engine.step(np.zeros(4, np.int64)).seen.observation.any()


@every_world
def test_shortest_way_leads_to_the_goal_in_as_many_steps(world):
    engine, _ = started(world, 30, max_episode_steps=200)
    left = engine.shortest_steps()
    for step in range(int(left.max())):
        before = engine.state()
        tried = []
        for action in range(3):
            engine.load_state(before)
            engine.step(np.full(30, action))
            tried.append(engine.shortest_steps())
        best = np.argmin(tried, 0)
        now = left - step
        walking = now > 1
        np.testing.assert_array_equal(np.min(tried, 0)[walking], now[walking] - 1)
        engine.load_state(before)
        stepped = engine.step(np.where(walking, best, DONE))
        np.testing.assert_array_equal(stepped.success[now >= 1], now[now >= 1] == 1)


# -- state -----------------------------------------------------------------------------------


@every_world
def test_restored_in_the_middle_of_episodes_all_goes_on_alike(world):
    engine, _ = started(world, 6)
    generator = np.random.default_rng(2)
    for _ in range(5):
        engine.step(generator.integers(3, size=6))
    state = engine.state()
    other, _ = started(world, 6, seed=3)
    other.step(np.full(6, DONE))
    shown_now = other.load_state(state)
    np.testing.assert_array_equal(shown_now.desired, engine.step(np.zeros(6, int)).seen.desired)
    engine.load_state(state)
    for step in range(12):
        actions = generator.integers(4, size=6)
        mine, others = engine.step(actions), other.step(actions)
        for one, two in zip(parts(mine.seen), parts(others.seen), strict=True):
            np.testing.assert_array_equal(one, two)
        for name in ("reward", "terminated", "truncated", "success"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(others, name))
        rows = np.flatnonzero(mine.terminated | mine.truncated)
        engine.reset(rows, rows + step)
        other.reset(rows, rows + step)


@pytest.mark.parametrize(
    ("world", "count", "words"),
    [
        ("crowded", 4, "of the world 'goto' and not 'crowded'; make the engine with world='goto'"),
        ("rooms", 4, "state's rooms is uint8"),
        ("goto", 5, "as many environments"),
    ],
)
def test_state_of_other_worlds_is_refused(world, count, words):
    state = started(count=4)[0].state()
    other, before = started(world, count)
    with pytest.raises(CheckpointError, match=words):
        other.load_state(state)
    after = other.load_state(other.state())
    for one, two in zip(parts(before), parts(after), strict=True):
        np.testing.assert_array_equal(one, two)


def test_state_that_lacks_an_array_is_refused():
    engine, _ = started()
    state = engine.state()
    del state["goals"]
    with pytest.raises(CheckpointError, match="and not cells, elapsed, goals, rooms"):
        engine.load_state(state)


def test_arguments_that_mean_nothing_here_are_refused():
    with pytest.raises(ConfigError, match="no argument 'view'"):
        GridGoalEngine(2, world="goto", view=7)
    with pytest.raises(ConfigError, match="did you mean 'world'"):
        GridGoalEngine(2, worlds="goto")
    with pytest.raises(UnknownNameError, match="grid world"):
        GridGoalEngine(2, world="gotoo")


def test_it_is_an_engine():
    engine, _ = started()
    assert isinstance(engine, GoalEngine)
    assert isinstance(engine, KnowsShortest)
    assert engine.close() is None


def test_batches_of_goal_worlds_step_it_and_resume_in_it():
    vector, other = (GoalVector(WORLDS["goto"], 5, seed=seed) for seed in (1, 2))
    generator = np.random.default_rng(0)
    vector.reset()
    for _ in range(7):
        vector.step(generator.integers(4, size=5))
    other.load_state(vector.state())
    for _ in range(20):
        actions = generator.integers(4, size=5)
        mine, others = vector.step(actions), other.step(actions)
        for one, two in zip(parts(mine.seen), parts(others.seen), strict=True):
            np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(mine.started, actions == DONE)
        np.testing.assert_array_equal(mine.final_achieved[:, 3], actions == DONE)
