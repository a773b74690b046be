"""Goals of worlds read one observation at a time, as wrappers do at every step."""

import gymnasium
import numpy as np
import pytest
from wrapped_environments import GRID, MAZE, small_maze

from langrl.envs.grid.goals import PoseGoals
from langrl.envs.grid.rooms import DONE
from langrl.envs.maze.goals import MazeGoals
from langrl.envs.wrappers.goals import GoalEnv
from langrl.errors import ShapeError


@pytest.mark.parametrize("name", [GRID, MAZE])
def test_one_observation_is_read_as_a_batch_of_one(name):
    env = gymnasium.make(name)
    goals = env.unwrapped.goals
    env.action_space.seed(0)
    seen, _ = env.reset(seed=0)
    first = goals.achieved_one(seen["observation"])
    assert np.array_equal(first, goals.achieved(seen["observation"][None])[0])
    for _ in range(30):
        action = env.action_space.sample()
        seen, *_, terminated, truncated, _ = env.step(action)
        one = goals.achieved_one(seen["observation"], action)
        batch = goals.achieved(seen["observation"][None], np.asarray(action)[None])[0]
        assert np.array_equal(one, batch)
        assert (one.dtype, one.shape) == (goals.space.dtype, goals.space.shape)
        assert one in goals.space
        if terminated or truncated:
            env.reset()


def test_every_pose_of_a_room_is_read():
    goals = PoseGoals(4)
    for row, column, turn in np.ndindex(4, 4, 4):
        seen = np.zeros((4, 4, 3), np.uint8)
        seen[..., :2] = 2
        seen[row, column, 2] = turn + 1
        for action in (None, 0, DONE, np.int64(DONE)):
            expected = [row, column, turn, action == DONE]
            assert goals.achieved_one(seen, action).tolist() == expected
            assert goals.achieved_one(seen.astype(int), action).tolist() == expected


def test_what_is_read_is_the_callers_own():
    goals = PoseGoals(4)
    seen = np.zeros((4, 4, 3), np.uint8)
    seen[1, 2, 2] = 3
    goals.achieved_one(seen)[:] = 9
    assert goals.achieved_one(seen).tolist() == [1, 2, 2, 0]
    position = np.float32([0.5, 1.5])
    small_maze().unwrapped.goals.achieved_one(position)[:] = 9
    assert position.tolist() == [0.5, 1.5]


@pytest.mark.parametrize("agents", [[], [(0, 0, 5)], [(0, 0, 1), (1, 1, 1)]])
def test_a_room_without_exactly_one_agent_is_refused(agents):
    seen = np.zeros((4, 4, 3), np.uint8)
    for row, column, turn in agents:
        seen[row, column, 2] = turn
    with pytest.raises(ShapeError, match="shows the agent in one cell"):
        PoseGoals(4).achieved_one(seen)


class Mirrored(MazeGoals):
    """Goals of a maze that change what is achieved, and nothing else."""

    def achieved(self, observations, actions=None):
        return super().achieved(observations)[:, ::-1]


def test_a_subclass_is_asked_for_what_it_changes():
    env = small_maze()
    env = GoalEnv(env, Mirrored(env.unwrapped.world))
    observation, _ = env.reset(seed=0, options={"position": (0.5, 3.5)})
    assert observation["achieved_goal"].tolist() == [3.5, 0.5]
    observation, *_ = env.step(np.float32([0, 1]))
    assert observation["achieved_goal"].tolist() == [4.0, 0.5]


@pytest.mark.parametrize("goal", [(0.2, 3.9), (0.0, 3.0), (-0.1, 3.5), (0.5, 4.0)])
def test_cells_are_the_same_for_one_goal_and_for_many(goal):
    goals = small_maze().unwrapped.goals
    here, there = np.float32([0.5, 3.5]), np.float32(goal)
    one, many = goals.reached(here, there), goals.reached(here[None], there[None])
    assert bool(one) is bool(many[0]) is (goal in [(0.2, 3.9), (0.0, 3.0)])
