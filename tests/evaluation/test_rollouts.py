from typing import ClassVar

import gymnasium as gym
import numpy as np
import pytest

from langrl.agents.baselines import RandomAgent
from langrl.envs.maze.world import StreetMaze
from langrl.evaluation.comparison import compare, summarise
from langrl.evaluation.rollouts import Episodes, run_episodes
from langrl.tasks.maze.baselines import OracleAgent


def tasks(count=12, **kwargs):
    return gym.make_vec("langrl/StreetMaze-Slit-v0", num_envs=count, **kwargs)


def oracle():
    return OracleAgent(StreetMaze("slit"))


def test_spl_is_success_times_shortest_over_longer():
    episodes = Episodes(
        instructions=("a",) * 4,
        success=np.array([True, True, False, False]),
        steps=np.array([10, 4, 100, 100]),
        shortest_steps=np.array([5.0, 5.0, 5.0, np.nan]),
        ambiguity_bits=np.zeros(4),
        paths=[],
    )
    np.testing.assert_array_equal(episodes.spl, [0.5, 1.0, 0.0, np.nan])


def test_paths_are_as_long_as_their_episodes_and_end_where_the_instruction_says():
    env = tasks()
    episodes = run_episodes(env, oracle(), seed=3)
    assert episodes.success.all()
    for path, steps, text in zip(
        episodes.paths, episodes.steps, episodes.instructions, strict=True
    ):
        assert path.shape == (steps + 1, 2)
        inside = env.unwrapped.denotation(path, text)
        assert inside[-1]
        assert not inside[:-1].any()


def test_agents_meet_the_same_starts_and_instructions():
    first = run_episodes(tasks(angle_noise=20), oracle(), seed=4)
    second = run_episodes(tasks(angle_noise=20), RandomAgent(), seed=4)
    assert first.instructions == second.instructions
    for one, other in zip(first.paths, second.paths, strict=True):
        np.testing.assert_array_equal(one[0], other[0])


def test_the_same_seed_gives_the_same_episodes():
    first, second = (run_episodes(tasks(angle_noise=20), RandomAgent(), seed=5) for _ in range(2))
    np.testing.assert_array_equal(first.steps, second.steps)
    np.testing.assert_array_equal(first.paths[0], second.paths[0])


def test_an_episode_that_never_succeeds_lasts_as_long_as_it_may():
    class Still(RandomAgent):
        def act(self, observations, instructions=None):
            return np.zeros((len(observations["observation"]), 2), np.float32)

    episodes = run_episodes(tasks(), Still(), seed=0)
    assert not episodes.success.any()
    assert (episodes.steps == 100).all()


def test_an_instruction_of_unknown_denotation_has_no_score():
    results = compare({"oracle": oracle}, tasks, 0, "x", {"instruction": "sing a song"})
    summary = summarise(results["oracle"])
    assert summary["episodes"] == 0
    assert summary["success"] is None


def test_a_comparison_ranks_the_oracle_above_chance():
    results = compare({"oracle": oracle, "random": RandomAgent}, tasks, 0, "x")
    summaries = {name: summarise(episodes) for name, episodes in results.items()}
    assert summaries["oracle"]["success"] == 1.0
    assert summaries["oracle"]["spl"] > 0.8
    assert summaries["random"]["spl"] < 0.5
    assert summaries["oracle"]["success_sem"] == pytest.approx(0.0)


def test_finished_episodes_are_taken_out_of_the_agents_hands_without_a_difference():
    class Keeping(OracleAgent):
        sizes: ClassVar[list[int]] = []

        def keep(self, mask):
            assert mask.any()
            assert not mask.all()

        def act(self, observations, instructions=None):
            self.sizes.append(len(observations["observation"]))
            return super().act(observations, instructions)

    plain = run_episodes(tasks(angle_noise=20), oracle(), seed=6)
    kept = run_episodes(tasks(angle_noise=20), Keeping(StreetMaze("slit")), seed=6)
    assert Keeping.sizes[-1] < Keeping.sizes[0] == 12
    for one, other in zip(plain.paths, kept.paths, strict=True):
        np.testing.assert_array_equal(one, other)
