import gymnasium as gym
import numpy as np
import pytest

from langrl.data.images.rendered_worlds import WorldImages
from langrl.errors import ConfigError


@pytest.fixture(scope="module")
def env():
    return gym.make("langrl/GridGoTo-v0").unwrapped


def test_every_text_is_compared_with_the_goals_of_every_episode(env):
    drawn = WorldImages(env, "grid").draw(6, 10, np.random.default_rng(0))
    assert drawn.images.shape == (60, 64, 64, 3)
    assert drawn.positives.shape == (len(drawn.texts), 60)
    assert len(set(drawn.texts)) == len(drawn.texts) > 1
    assert drawn.positives.any(1).all()
    assert not drawn.positives.all(1).any()
    # A text fits goals of other episodes than its own, too.
    assert (drawn.positives.reshape(len(drawn.texts), 6, 10).any(2).sum(1) > 1).any()


def test_positives_are_what_the_environment_says(env):
    generator = np.random.default_rng(3)
    drawn = WorldImages(env, "grid").draw(6, 8, np.random.default_rng(3))
    seeds = generator.integers(2**31, size=6).tolist()
    for number, seed in enumerate(seeds):
        env.reset(seed=seed)
        goals = env.sample_goals(8, generator)
        for row, text in zip(drawn.positives, drawn.texts, strict=True):
            mine = row[8 * number : 8 * number + 8]
            np.testing.assert_array_equal(mine, env.denotation(goals, text))
        images = np.stack([env.render_goal(goal) for goal in goals])
        np.testing.assert_array_equal(drawn.images[8 * number : 8 * number + 8], images)


def test_the_same_generator_draws_the_same(env):
    world = WorldImages(env, "grid")
    one, two, other = (world.draw(3, 4, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.texts == two.texts
    np.testing.assert_array_equal(one.images, two.images)
    assert one.texts != other.texts


def test_a_world_that_does_not_draw_its_goals_is_refused():
    maze = gym.make("langrl/StreetMaze-v0").unwrapped
    with pytest.raises(ConfigError, match=r"langrl/StreetMaze-v0 has no render_goal"):
        WorldImages(maze, "langrl/StreetMaze-v0")


def test_goals_that_fit_no_instruction_are_told(env):
    class Mute:
        def __getattr__(self, name):
            return getattr(env, name)

        def denotation(self, goals, text):
            return None

    with pytest.raises(ConfigError, match="hardly a sampled goal of mute fits"):
        WorldImages(Mute(), "mute").draw(2, 4, np.random.default_rng(0))


def test_denotations_that_are_scores_are_refused(env):
    class Scores:
        def __getattr__(self, name):
            return getattr(env, name)

        def denotation(self, goals, text):
            return np.full(len(goals), 0.1)

    with pytest.raises(ConfigError, match=r"of scores gives float64 \[4\] for 4 goals; let it"):
        WorldImages(Scores(), "scores").draw(2, 4, np.random.default_rng(0))
