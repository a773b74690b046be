import numpy as np
import pytest
from stand_in_maze import StandInMaze

from langrl.data.recordings.pointmaze import (
    RECIPES,
    Expert,
    Recipe,
    make_env,
    record_episode,
)

NAVIGATE, STITCH = Recipe("medium", "navigate", 10, 400), Recipe("medium", "stitch", 10, 400)


def record(recipe, seed=0):
    env = StandInMaze()
    episode = record_episode(env, Expert(env), recipe, np.random.default_rng(seed))
    return env, episode


def test_the_published_sizes():
    assert {recipe.episodes * recipe.states for recipe in RECIPES.values()} == {
        1_001_000,
        1_000_500,
        1_005_000,
    }
    assert len(RECIPES) == 6


def test_the_next_cell_is_the_first_of_equally_near_ones_and_a_goal_is_its_own():
    expert = Expert(StandInMaze())
    cells = [tuple(cell) for cell in expert.layout.free_cells.tolist()]
    number = {cell: n for n, cell in enumerate(cells)}

    def following(start, goal):
        return cells[expert.next_cells[number[goal], number[start]]]

    assert following((3, 1), (1, 3)) == (2, 1)  # up before right, both of them four steps away
    assert following((1, 3), (3, 1)) == (1, 2)  # left before down
    assert following((3, 4), (3, 1)) == (3, 3)
    assert following((3, 2), (3, 2)) == (3, 2)


def test_goals_to_navigate_to_are_in_no_straight_corridor():
    expert = Expert(StandInMaze())
    corners = {tuple(cell) for cell in expert.layout.free_cells[expert.vertices].tolist()}
    assert corners == {(1, 1), (1, 3), (1, 4), (3, 1), (3, 3), (3, 4)}
    generator = np.random.default_rng(0)
    drawn = {expert.draw_goal(NAVIGATE, 0, generator) for _ in range(100)}
    assert drawn == set(expert.vertices.tolist())


def test_goals_to_stitch_are_four_cells_away_and_the_start_where_there_are_none():
    expert = Expert(StandInMaze())
    generator = np.random.default_rng(0)
    for start in range(len(expert.centres)):
        far = np.flatnonzero(expert.layout.distances[start] == 4)
        drawn = {expert.draw_goal(STITCH, start, generator) for _ in range(60)}
        assert drawn == (set(far.tolist()) or {start})


def test_starts_and_goals_are_off_the_centres_by_up_to_a_quarter_of_a_cell():
    expert = Expert(StandInMaze())
    generator = np.random.default_rng(0)
    away = np.array([expert.near(3, generator) - expert.centres[3] for _ in range(500)])
    assert 0.95 < np.abs(away).max() <= 1
    assert np.abs(away.mean(0)).max() < 0.1


def test_an_episode_is_what_was_seen_and_done():
    env, episode = record(NAVIGATE)
    assert episode.observations.shape == episode.actions.shape == (400, 2)
    assert episode.observations.dtype == episode.actions.dtype == np.float32
    assert np.array_equal(episode.observations[0], env.starts[0].astype(np.float32))
    assert np.abs(episode.actions).max() == 1
    moves, led = np.diff(episode.observations, axis=0), 0.2 * episode.actions[:-1]
    free = np.abs(moves).max(1) > 0  # not stopped by a wall
    np.testing.assert_allclose(moves[free], led[free], atol=1e-5)
    assert free.mean() > 0.9


def test_to_navigate_is_to_go_on_with_a_new_goal_and_to_stitch_is_to_stay():
    env, episode = record(NAVIGATE)
    assert episode.goals == len(env.goals) - 1 > 2
    env, episode = record(STITCH)
    assert len(env.goals) == episode.goals == 1
    goal = Expert(env).cell(env.goals[0])
    near = np.linalg.norm(episode.observations[-50:] - Expert(env).centres[goal], axis=1)
    assert near.max() < 1  # it stays at the centre of the goal's cell


def test_actions_point_to_the_next_centre_with_noise_of_half():
    env, episode = record(Recipe("medium", "stitch", 1, 4000))
    expert = Expert(env)
    goal = expert.cell(env.goals[0])
    cells = [expert.cell(position) for position in episode.observations]
    away = expert.centres[expert.next_cells[goal, cells]] - episode.observations
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    inside = np.abs(episode.actions) < 1  # not clipped
    level = inside & (np.abs(away) < 0.1)
    noise = (episode.actions - away)[level]
    assert 0.38 < noise.std() < 0.5  # clipping at two standard deviations leaves 0.44
    assert abs(noise.mean()) < 0.08


def test_the_seed_decides_an_episode():
    first, again, other = (record(NAVIGATE, seed)[1] for seed in (0, 0, 1))
    assert np.array_equal(first.observations, again.observations)
    assert np.array_equal(first.actions, again.actions)
    assert not np.array_equal(first.observations, other.observations)


@pytest.mark.parametrize("maze", ["medium", "large", "giant"])
def test_in_ogbench_the_expert_goes_where_ogbench_says(maze):
    pytest.importorskip("ogbench", reason='needs "langrl[ogbench]"')
    env = make_env(Recipe(maze, "navigate", 1, 50))
    expert = Expert(env)
    generator = np.random.default_rng(0)
    for goal, start in generator.integers(len(expert.centres), size=(100, 2)):
        target, _ = env.get_oracle_subgoal(expert.centres[start], expert.centres[goal])
        assert np.array_equal(target, expert.centres[expert.next_cells[goal, start]])
    episode = record_episode(env, expert, Recipe(maze, "navigate", 1, 200), generator)
    free = np.linalg.norm(np.diff(episode.observations, axis=0) - 0.2 * episode.actions[:-1])
    assert np.isfinite(free)
    assert all(expert.cell(position) >= 0 for position in episode.observations)
