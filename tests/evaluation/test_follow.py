"""Policies in environments of one's own: a random baseline, goals reached, episodes left out."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv

from langrl.envs.goals import BoxGoals
from langrl.envs.wrappers.goals import GoalEnv
from langrl.envs.wrappers.instructions import AddInstruction
from langrl.errors import ConfigError
from langrl.evaluation.rollouts import follow, run_episodes
from langrl.grounding.candidates import ListedCandidates
from langrl.grounding.instruction_to_goal import InstructionToGoal

TEXTS = ["go left", "go right"]
ENDS = np.float32([[-1], [1]])  # the candidates: both ends of the line


class Line(gym.Env):
    """A place on a line from -1 to 1, starting at 0; an action moves it by up to 0.25."""

    observation_space = spaces.Box(-1, 1, (1,))
    action_space = spaces.Box(-0.25, 0.25, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at, self.clock = np.zeros(1, np.float32), 0
        return self.at.copy(), {}

    def step(self, action):
        self.at = np.clip(self.at + action, -1, 1).astype(np.float32)
        self.clock += 1
        return self.at.copy(), 0.0, False, self.clock >= 10, {}


class Understands:
    """A language side that knows which end a text means, or takes it for the other one."""

    def __init__(self, sign=1):
        self.sign = sign

    def embed_goals(self, observations, goals):
        return goals

    def encode_text(self, texts):
        return torch.tensor([[[self.sign * (1.0 if "right" in text else -1.0)]] for text in texts])

    def score(self, goals, texts):
        return 20 * goals @ texts.squeeze(-2).mT


class Walks:
    def __init__(self, speed=1.0):
        self.speed = speed

    def predict(self, observation, *, deterministic=False):
        gap = observation["desired_goal"] - observation["observation"]
        return self.speed * np.clip(gap, -0.25, 0.25), None


def denotes(goals, text):
    return goals[:, 0] >= 0.9 if "right" in text else goals[:, 0] <= -0.9


def goals():
    return BoxGoals([-1], [1], tolerance=0.1)


def task(sign=1):
    env = AddInstruction(Line(), TEXTS, goals(), denotes)
    return InstructionToGoal(env, Understands(sign), "max_goal", ListedCandidates(ENDS))


class Satisfied(gym.Wrapper):
    """Says that episodes whose seed is even have nothing left to do."""

    def reset(self, *, seed=None, options=None):
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, info | {"started_satisfied": seed is not None and seed % 2 == 0}


# -- success, and success in goals -----------------------------------------------------------------


def test_a_policy_that_walks_to_goals_that_are_right_succeeds_in_both():
    found = follow(Walks(), task, 6, seed=0)
    assert found.success.all()
    assert found.goal_success.all()
    assert (found.steps == 4).all()


def test_a_misread_instruction_shows_as_goals_reached_without_success():
    found = follow(Walks(), lambda: task(sign=-1), 6, seed=0)
    assert found.goal_success.all()
    assert not found.success.any()


def test_a_policy_that_cannot_walk_shows_as_goals_that_are_missed():
    found = follow(Walks(speed=0.1), task, 6, seed=0)
    assert not found.goal_success.any()
    assert not found.success.any()


def test_success_in_given_goals_is_that_of_goal_env():
    def given():
        return GoalEnv(Line(), goals())

    assert follow(Walks(), given, 6, seed=0).success.all()
    found = follow(Walks(speed=0.0), given, 20, seed=0)
    assert found.success.mean() < 0.5
    assert found.goal_success is None  # no instruction became a goal


# -- the random baseline ---------------------------------------------------------------------------


def test_random_actions_are_drawn_anew_and_by_the_seed():
    first, second = (follow("random", task, 20, seed=3) for _ in range(2))
    assert np.array_equal(first.steps, second.steps)
    assert np.array_equal(first.goal_success, second.goal_success)
    assert first.success.mean() < 0.5 < follow(Walks(), task, 20, seed=3).success.mean()


@pytest.mark.parametrize(
    "space", [spaces.Discrete(3, start=1), spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(2)]
)
def test_random_actions_are_of_any_space_and_differ(space):
    taken = []

    class Records(Line):
        action_space = space

        def step(self, action):
            assert self.action_space.contains(action)
            taken.append(np.array(action).tolist())
            return *super().step(0.0)[:4], {"is_success": False}

    assert follow("random", Records, 4, seed=0).steps.tolist() == [10] * 4
    assert len({str(action) for action in taken}) > 1


def test_the_random_baseline_leaves_the_environments_own_draws_alone():
    class Draws(Line):
        def reset(self, *, seed=None, options=None):
            start = super().reset(seed=seed)
            drawn.append(self.action_space.sample().tolist())
            return start

    drawn = []
    Draws.action_space = spaces.Box(-0.25, 0.25, (1,), seed=7)
    follow("random", lambda: AddInstruction(Draws(), TEXTS, goals(), denotes), 2, seed=0)
    untouched = spaces.Box(-0.25, 0.25, (1,), seed=7)
    assert drawn == [untouched.sample().tolist() for _ in range(2)]


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ("randomly", "is 'random'; got randomly"),
        (None, "got NoneType"),
        (Walks, "got <class"),
        (lambda seen: seen, "got function"),
    ],
)
def test_what_is_no_policy_is_refused(policy, says):
    with pytest.raises(ConfigError, match=f"a policy has predict.*{says}"):
        follow(policy, task, 2, seed=0)


# -- episodes that start where the instruction is satisfied ----------------------------------------


def test_episodes_with_nothing_left_to_do_are_left_out_and_counted():
    found = follow(Walks(), lambda: Satisfied(task()), 5, seed=0)
    assert found.started_satisfied == 3
    for values in (found.success, found.steps, found.ambiguity_bits, found.goal_success):
        assert len(values) == 2
    assert follow(Walks(), task, 5, seed=0).started_satisfied == 0


def test_where_there_is_nothing_to_do_in_any_episode_it_is_said():
    with pytest.raises(ConfigError, match="each of the 1 episodes starts where its instruction is"):
        follow(Walks(), lambda: Satisfied(task()), 1, seed=0)
    with pytest.raises(ConfigError, match="episodes is how many there are, at least 1, got 0"):
        follow(Walks(), task, 0, seed=0)


def test_run_episodes_leaves_them_out_as_well():
    class Told(gym.Wrapper):
        def reset(self, *, seed=None, options=None):
            observation, info = self.env.reset(seed=seed, options=options)
            return observation, info | {"shortest_steps": 4.0, "ambiguity_bits": 0.0}

    class Right:
        def reset(self, generator=None):
            pass

        def act(self, observations, instructions):
            side = [0.25 if "right" in text else -0.25 for text in instructions]
            return np.float32(side)[:, None]

    def make():
        return Satisfied(Told(AddInstruction(Line(), TEXTS, goals(), denotes)))

    found = run_episodes(SyncVectorEnv([make] * 5), Right(), seed=0)
    assert found.started_satisfied == 3
    assert found.success.tolist() == [True, True]
    assert found.steps.tolist() == [4, 4]
    assert len(found.instructions) == len(found.paths) == len(found.spl) == 2
