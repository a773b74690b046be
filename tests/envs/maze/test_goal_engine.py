import gymnasium as gym
import numpy as np
import pytest
from scipy.stats import chisquare, kstest

from langrl import MAZE_IDS
from langrl.envs.goal_engine import GoalEngine, KnowsShortest
from langrl.envs.maze.goal_engine import MazeGoalEngine
from langrl.envs.maze.layouts import LAYOUTS
from langrl.envs.wrappers.goals import GoalEnv
from langrl.errors import CheckpointError, ConfigError, UnknownNameError

every_layout = pytest.mark.parametrize("layout", LAYOUTS)
OUTCOMES = ("reward", "terminated", "truncated", "success")


def started(layout="fork", count=8, seed=0, **settings):
    engine = MazeGoalEngine(count, layout=layout, **settings)
    return engine, engine.reset(np.arange(count), seed * 10_000 + np.arange(count))


def parts(seen):
    return seen.observation, seen.achieved, seen.desired


def directions(generator, count):
    return generator.normal(size=(count, 2)).astype(np.float32)


def check_same(mine, others):
    for one, two in zip(parts(mine.seen), parts(others.seen), strict=True):
        np.testing.assert_array_equal(one, two)
    for name in OUTCOMES:
        np.testing.assert_array_equal(getattr(mine, name), getattr(others, name))


@every_layout
def test_starts_and_goals_are_uniform_over_the_free_area_in_different_cells(layout):
    engine, seen = started(layout, 6000)
    walls = engine.world.walls
    start, goal = (np.floor(values).astype(int) for values in (seen.observation, seen.desired))
    assert (start != goal).any(1).all()
    np.testing.assert_array_equal(seen.achieved, seen.observation)
    for cells in (start, goal):
        counts = np.zeros(walls.shape)
        np.add.at(counts, tuple(cells.T), 1)
        assert not counts[walls].any()
        assert chisquare(counts[~walls]).pvalue > 1e-3
    for values in (seen.observation, seen.desired):
        assert kstest((values % 1).ravel(), "uniform").pvalue > 1e-3
        assert engine.spaces.observation.contains(values[0])


def test_a_maze_of_two_cells_has_its_goal_in_the_other():
    _, seen = started("..", 50)
    np.testing.assert_array_equal(
        np.floor(seen.observation[:, 1]) + np.floor(seen.desired[:, 1]), np.ones(50)
    )


def test_an_episode_is_a_function_of_its_row_and_seed():
    _, seen = started(count=30, angle_noise=20.0)
    other = MazeGoalEngine(30, angle_noise=20.0)
    other.reset(np.arange(30), np.arange(30) + 777)
    for rows in (np.arange(0, 30, 3), np.setdiff1d(np.arange(30), np.arange(0, 30, 3))):
        again = other.reset(rows, rows)
    for mine, others in zip(parts(seen), parts(again), strict=True):
        np.testing.assert_array_equal(mine, others)
    assert len(np.unique(seen.observation, axis=0)) == 30


@pytest.mark.parametrize("name", MAZE_IDS)
def test_steps_are_those_of_the_single_environment_with_goals(name):
    engine, seen = started(MAZE_IDS[name], 4, seed=2)
    generator = np.random.default_rng(0)
    envs = [GoalEnv(gym.make(name)) for _ in range(4)]
    for n, env in enumerate(envs):
        options = {"position": seen.observation[n], "desired_goal": seen.desired[n]}
        env.reset(seed=0, options=options)
        assert env.observation_space["observation"] == engine.spaces.observation
        assert env.observation_space["desired_goal"] == engine.spaces.goal
        assert env.action_space == engine.spaces.action
    over = np.zeros(4, bool)
    for _ in range(100):
        actions = directions(generator, 4)
        stepped = engine.step(actions)
        for n in np.flatnonzero(~over):
            observation, reward, terminated, truncated, info = envs[n].step(actions[n])
            for part, values in zip(observation.values(), parts(stepped.seen), strict=True):
                np.testing.assert_array_equal(part, values[n])
                assert part.dtype == values.dtype
            outcomes = (reward, terminated, truncated, info["is_success"])
            assert outcomes == tuple(getattr(stepped, key)[n] for key in OUTCOMES)
        over |= stepped.terminated
    assert (stepped.truncated | over).all()


def test_the_goals_cell_is_success_and_ends_the_episode():
    engine, seen = started("." * 9, 60)
    towards = np.zeros((60, 2), np.float32)
    towards[:, 1] = np.sign(seen.desired[:, 1] - seen.observation[:, 1])
    reached = np.zeros(60, bool)
    for _ in range(20):
        stepped = engine.step(towards)
        inside = np.floor(stepped.seen.achieved[:, 1]) == np.floor(seen.desired[:, 1])
        np.testing.assert_array_equal(stepped.success, inside)
        np.testing.assert_array_equal(stepped.terminated, inside)
        np.testing.assert_array_equal(stepped.reward, inside)
        reached |= inside
    assert reached.all()


def test_time_limit_counts_from_each_start_and_yields_to_the_goal():
    engine, seen = started("." * 9, 3, max_episode_steps=2)
    still = np.zeros((3, 2), np.float32)
    assert not engine.step(still).truncated.any()
    engine.reset(np.array([1]), np.array([5]))
    state = engine.state()
    state["positions"][2] = seen.desired[2]
    engine.load_state(state)
    stepped = engine.step(still)
    assert stepped.truncated.tolist() == [True, False, False]
    assert stepped.terminated.tolist() == [False, False, True]


@every_layout
def test_shortest_ways_are_those_of_the_maze_to_the_goals_cell(layout):
    engine, seen = started(layout, 40)
    masks = np.zeros((40, *engine.world.walls.shape), bool)
    masks[np.arange(40), *np.floor(seen.desired).astype(int).T] = True
    expected = engine.world.shortest_steps(seen.observation, masks)
    np.testing.assert_array_equal(engine.shortest_steps(), expected)
    assert (expected > 0).all()


def test_noise_turns_actions_by_its_angle_and_is_new_at_every_step():
    engine, _ = started(LAYOUTS["blank"], 4000, angle_noise=15.0)
    turned = []
    for _ in range(2):
        state = engine.state()
        state["positions"][:] = 5.5
        engine.load_state(state)
        moved = engine.step(np.tile(np.float32([[0, 1]]), (4000, 1))).seen.observation - 5.5
        np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 0.5, rtol=1e-5)
        turned.append(np.rad2deg(np.arctan2(moved[:, 0], moved[:, 1])))
    assert kstest(turned[0] / 15, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(turned)[0, 1]) < 0.06


@pytest.mark.parametrize("angle_noise", [0.0, 30.0])
def test_restored_in_the_middle_of_episodes_all_goes_on_alike(angle_noise):
    engine, _ = started(count=6, angle_noise=angle_noise)
    generator = np.random.default_rng(2)
    for _ in range(5):
        engine.step(directions(generator, 6))
    state = engine.state()
    other, _ = started(count=6, seed=3, angle_noise=angle_noise)
    seen = other.load_state(state)
    np.testing.assert_array_equal(seen.observation, state["positions"])
    for step in range(30):
        actions = directions(generator, 6)
        mine, others = engine.step(actions), other.step(actions)
        check_same(mine, others)
        rows = np.flatnonzero(mine.terminated | (np.arange(6) == step % 9))
        engine.reset(rows, rows + step)
        other.reset(rows, rows + step)


def test_returned_arrays_are_the_callers():
    engine, seen = started(count=4)
    actions = directions(np.random.default_rng(0), 4)
    stepped, state = engine.step(actions), engine.state()
    again = MazeGoalEngine(4)
    again.load_state(state)
    for values in (*parts(seen), *parts(stepped.seen), stepped.terminated, *state.values()):
        values[...] = 0
    assert stepped.success.shape == (4,)
    check_same(engine.step(actions), again.step(actions))


@pytest.mark.parametrize(
    ("layout", "count", "words"),
    [
        ("island", 4, r"walls is bool \[15, 15\] and not bool \[11, 11\]"),
        ("\n".join(["." * 15] * 15), 4, "of another maze"),
        ("fork", 5, "as many environments"),
    ],
)
def test_state_of_another_maze_is_refused(layout, count, words):
    state = started(count=4)[0].state()
    with pytest.raises(CheckpointError, match=words):
        started(layout, count)[0].load_state(state)


def test_arguments_that_mean_nothing_here_are_refused():
    with pytest.raises(ConfigError, match="no argument 'kinds'"):
        MazeGoalEngine(2, kinds=("row",))
    with pytest.raises(ConfigError, match="did you mean 'layout'"):
        MazeGoalEngine(2, layouts="fork")
    with pytest.raises(ConfigError, match="angle_noise is in degrees"):
        MazeGoalEngine(2, angle_noise=-1.0)
    with pytest.raises(UnknownNameError, match="no layout named"):
        MazeGoalEngine(2, layout="forks")


def test_it_is_an_engine():
    engine, _ = started()
    assert isinstance(engine, GoalEngine)
    assert isinstance(engine, KnowsShortest)
    assert engine.close() is None
