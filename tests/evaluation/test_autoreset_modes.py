"""Evaluation gives the same results however a vector environment starts episodes anew."""

from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from langrl.agents.baselines import RandomAgent
from langrl.envs.autoreset import EpisodeStarts, autoreset_mode, undo_same_step
from langrl.envs.maze.world import StreetMaze
from langrl.envs.wrappers.goals import GoalEnv
from langrl.errors import ConfigError, InstructionError
from langrl.evaluation.comparison import compare
from langrl.evaluation.rollouts import follow, run_episodes
from langrl.tasks.grid.baselines import GridPlanner, denoted_objects
from langrl.tasks.maze.baselines import OracleAgent

MODES = tuple(AutoresetMode)
MAZE, GRID = "langrl/StreetMaze-Slit-v0", "langrl/GridGoTo-v0"
ORACLES = {
    MAZE: lambda: OracleAgent(StreetMaze("slit")),
    GRID: lambda: GridPlanner(denoted_objects),
}


def singles(name, mode, count=5, **settings):
    """Single environments side by side, which Gymnasium starts anew."""
    options = {"autoreset_mode": mode, **settings}
    return gym.make_vec(name, count, vectorization_mode="sync", vector_kwargs=options)


class Counter(gym.Env):
    """Counts to a number; what is observed is the count, and the last one is the success."""

    observation_space = spaces.Dict(
        {"observation": spaces.Box(0, 100, (1,)), "instruction": spaces.Text(100)}
    )
    action_space = spaces.Discrete(2)

    def __init__(self, last):
        self.last = last

    def observe(self):
        seen = np.float32([self.count])
        return {"observation": seen, "instruction": f"count to {self.last}"}

    def reset(self, *, seed=None, options=None):
        self.count = 0
        return self.observe(), {"shortest_steps": self.last, "ambiguity_bits": 0.0}

    def step(self, action):
        self.count += 1
        over = self.count == self.last
        return self.observe(), 0.0, over, False, {"is_success": np.bool_(over)}


class Waits:
    def reset(self, generator=None, mask=None):
        pass

    def act(self, observations, instructions=None):
        return np.zeros(len(observations["observation"]), int)


# -- run_episodes, compare, follow ---------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", [MAZE, GRID])
def test_an_oracle_succeeds_in_every_mode_on_the_same_tasks(name, mode):
    make = partial(singles, name, mode)
    episodes = run_episodes(make(), ORACLES[name](), seed=3)
    expected = run_episodes(singles(name, AutoresetMode.NEXT_STEP), ORACLES[name](), seed=3)
    assert episodes.success.all()
    assert episodes.instructions == expected.instructions
    assert np.array_equal(episodes.steps, expected.steps)
    for path, other in zip(episodes.paths, expected.paths, strict=True):
        assert np.array_equal(path, other)
    assert compare({"oracle": ORACLES[name]}, make, 3, "x")["oracle"].spl.mean() == 1.0


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
def test_worlds_of_langrl_give_the_same_episodes_in_both_of_their_modes(mode):
    envs = gym.make_vec(MAZE, 5, autoreset_mode=mode, angle_noise=20)
    episodes = run_episodes(envs, ORACLES[MAZE](), seed=3)
    expected = run_episodes(gym.make_vec(MAZE, 5, angle_noise=20), ORACLES[MAZE](), seed=3)
    assert episodes.success.all()
    assert np.array_equal(episodes.steps, expected.steps)


@pytest.mark.parametrize("copies", [True, False])
@pytest.mark.parametrize("mode", MODES)
def test_paths_end_with_the_last_observation_of_the_episode(mode, copies):
    makers = [partial(Counter, last) for last in (1, 4, 2)]
    envs = SyncVectorEnv(makers, autoreset_mode=mode, copy=copies)
    episodes = run_episodes(envs, Waits(), seed=0)
    assert episodes.success.tolist() == [True] * 3
    assert [path[:, 0].tolist() for path in episodes.paths] == [[0, 1], [0, 1, 2, 3, 4], [0, 1, 2]]


def test_modes_that_are_not_said_and_other_things_than_vector_environments_are_refused():
    class Silent(SyncVectorEnv):
        metadata = {}

    envs = Silent([partial(Counter, 2)])
    envs.metadata = {}
    with pytest.raises(ConfigError, match=r"autoreset_mode'\] of Silent is None.*SAME_STEP"):
        run_episodes(envs, Waits(), seed=0)
    envs.metadata = {"autoreset_mode": "NextStep"}
    assert autoreset_mode(envs) is AutoresetMode.NEXT_STEP
    with pytest.raises(ConfigError, match=r"gym\.make_vec gives, got (TimeLimit|OrderEnforcing)"):
        run_episodes(gym.make(MAZE), ORACLES[MAZE](), seed=0)
    with pytest.raises(ConfigError, match="a vector environment was made"):
        follow("random", partial(gym.make_vec, MAZE, 2), 2, seed=0)


def test_environments_that_do_not_report_what_is_needed_are_named():
    class NoSuccess(Counter):
        def step(self, action):
            return *super().step(action)[:4], {}

    class NoShortest(Counter):
        def reset(self, *, seed=None, options=None):
            return super().reset()[0], {}

    with pytest.raises(ConfigError, match=r"info\['is_success'\]; give AddInstruction"):
        run_episodes(SyncVectorEnv([partial(NoSuccess, 2)]), Waits(), seed=0)
    with pytest.raises(ConfigError, match=r"info\['shortest_steps'\]; let reset report"):
        run_episodes(SyncVectorEnv([partial(NoShortest, 2)]), Waits(), seed=0)
    with pytest.raises(InstructionError, match="run_episodes reads instructions in words"):
        run_episodes(gym.make_vec("CartPole-v1", 2), Waits(), seed=0)


def test_a_policy_of_goals_is_measured_in_goals_that_are_given():
    class Straight:
        def predict(self, observation, *, deterministic=False):
            return observation["desired_goal"] - observation["observation"], None

    def task():
        return GoalEnv(gym.make("langrl/StreetMaze-Blank-v0"))

    assert follow(Straight(), task, 10, seed=0).success.all()
    assert follow("random", task, 10, seed=0).success.mean() < 0.5


# -- what SAME_STEP hides -----------------------------------------------------------------------


def test_what_a_step_led_to_is_found_again_behind_the_next_episode():
    envs = SyncVectorEnv(
        [partial(Counter, last) for last in (1, 3)], autoreset_mode=AutoresetMode.SAME_STEP
    )
    envs.reset()
    observation, _, terminated, truncated, info = envs.step(np.array([0, 0]))
    over = terminated | truncated
    assert observation["observation"][:, 0].tolist() == [0, 1]  # the first is of the next episode
    ended, known = undo_same_step(observation, info, over)
    assert ended["observation"][:, 0].tolist() == [1, 1]
    assert ended["instruction"] == ("count to 1", "count to 3")
    assert known["is_success"].tolist() == [True, False]
    assert observation["observation"][:, 0].tolist() == [0, 1]  # the caller's stays as it was


def test_what_a_last_step_reported_is_whole_and_marked():
    final = {"cost": np.array([0.5, 0.0]), "_cost": np.array([True, False])}
    final |= {"word": np.array(["longer", ""]), "_word": np.array([True, False])}
    info = {"cost": np.array([0, 3]), "_cost": np.array([False, True])}
    info |= {"word": np.array(["a", "b"]), "more": np.array([1, 2]), "_more": np.ones(2, bool)}
    info |= {"final_obs": np.array([np.ones(1), None], object), "final_info": final}
    _, known = undo_same_step(np.zeros((2, 1)), info, np.array([True, False]))
    assert known["cost"].tolist() == [0.5, 3]
    assert known["_cost"].tolist() == [True, True]
    assert known["word"].tolist() == ["longer", "b"]
    assert info["_cost"].tolist() == [False, True]  # the caller's stays as it was
    assert known["more"].tolist() == [1, 2]


# -- which observations are first ones ------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_first_observations_are_found_in_every_mode(mode):
    envs = SyncVectorEnv([partial(Counter, last) for last in (1, 3)], autoreset_mode=mode)
    observation, _ = envs.reset()
    starts, firsts = EpisodeStarts(envs), 0
    for _ in range(8):
        assert starts.mask.tolist() == (observation["observation"][:, 0] == 0).tolist()
        firsts += int(starts.mask.sum())
        observation, _, terminated, truncated, _ = envs.step(np.array([0, 0]))
        starts.step(terminated, truncated)
        if mode is AutoresetMode.DISABLED and (over := terminated | truncated).any():
            observation, _ = envs.reset(options={"reset_mask": over})
    assert firsts == {AutoresetMode.NEXT_STEP: 4 + 2}.get(mode, 8 + 3)


def test_random_agents_meet_the_same_tasks_in_every_mode():
    episodes = [run_episodes(singles(MAZE, mode), RandomAgent(), seed=5) for mode in MODES]
    assert len({found.instructions for found in episodes}) == 1
    assert len({tuple(found.steps) for found in episodes}) == 1
