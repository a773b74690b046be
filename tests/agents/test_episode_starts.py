"""Agents with a memory in loops over many episodes: what a loop must say, and what is warned of."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch

from langrl.agents.episode_batch import EpisodeBatch
from langrl.agents.goal_policy import GoalPolicy
from langrl.agents.grounded import GroundedAgent
from langrl.envs.autoreset import EpisodeStarts
from langrl.envs.grid.goals import PoseGoals
from langrl.envs.grid.rooms import GRID_WORLDS, draw_rooms, observe
from langrl.errors import ShapeError
from langrl.grounding.candidates import ReachablePoses, SampledCandidates
from langrl.grounding.chooser import GoalChooser
from langrl.grounding.strategies import GROUNDINGS
from langrl.tasks.maze.agent import directions

SMALL = ".....\n.###.\n.....\n###..\n....."


class LastPlace:
    """A language side that prefers the goals that come last."""

    def embed_goals(self, observations, goals):
        return goals.float()

    def encode_text(self, texts):
        return torch.zeros(len(texts), 1, 1)

    def score(self, goals, texts):
        return torch.arange(goals.shape[-2]).float().expand(goals.shape[:-1]).unsqueeze(-1)


class GoesNowhere:
    def predict(self, observation, *, deterministic=False):
        return observation["desired_goal"].copy(), None


@pytest.fixture
def agent(world, make_critics):
    candidates = SampledCandidates(world.sample_states, 40)
    strategy = GROUNDINGS["sampled_goal"]
    return GroundedAgent(*make_critics(), strategy, candidates, actions=directions(8))


@pytest.fixture
def started(monkeypatch):
    """The number of episodes that agents have started."""
    found = [0]
    plain = EpisodeBatch.reset

    def counting(self, rows, observations):
        found[0] += len(rows)
        plain(self, rows, observations)

    monkeypatch.setattr(EpisodeBatch, "reset", counting)
    return found


def loop(agent, mode, steps=40, said=True):
    """The loop of the README; returns how many episodes there were."""
    envs = gym.make_vec(
        "langrl/StreetMaze-v0", 4, layout=SMALL, autoreset_mode=mode, max_episode_steps=7
    )
    observation, _ = envs.reset(seed=0)
    agent.reset(np.random.default_rng(0))
    starts, episodes = EpisodeStarts(envs), 0
    for _ in range(steps):
        episodes += int(starts.mask.sum())
        actions = agent.act(observation, starts=starts.mask if said else None)
        observation, _, terminated, truncated, _ = envs.step(actions)
        starts.step(terminated, truncated)
        if mode == "Disabled" and (over := terminated | truncated).any():
            observation, _ = envs.reset(options={"reset_mask": over})
    return episodes


@pytest.mark.parametrize("mode", ["NextStep", "Disabled"])
def test_every_episode_of_the_readmes_loop_starts_with_a_memory_of_its_own(agent, mode, started):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        episodes = loop(agent, mode)
    assert started[0] == episodes > 20


def test_a_loop_that_forgets_to_say_what_starts_is_warned(agent, started):
    with pytest.warns(
        UserWarning, match=r"starts= \(langrl.envs.autoreset.EpisodeStarts\)"
    ) as seen:
        assert loop(agent, "NextStep", said=False) > 20
    assert started[0] == 4
    assert seen[0].filename == __file__  # the line that calls ``act``


def test_a_text_that_the_caller_gives_may_change_within_an_episode(agent):
    state = {"observation": np.float32([[0.5, 0.5], [2.2, 3.1]])}
    own = state | {"instruction": ("row 0", "row 2")}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        agent.act(state, "go to row 0")
        agent.act(state, "column 4")
        agent.act(own)
        agent.act(own, "column 4")
        assert agent.act(own).shape == (2, 2)


def test_starts_of_another_shape_or_dtype_are_refused(agent):
    state = {"observation": np.float32([[0.5, 0.5], [2.2, 3.1]]), "instruction": ("row 0",) * 2}
    for starts, got in (([True], r"\[1\] of bool"), ([0, 1], r"\[2\] of int64")):
        with pytest.raises(ShapeError, match=rf"a mask is bool \[2\].*got {got}"):
            agent.act(state, starts=np.array(starts))
    single = {"observation": np.float32([0.5, 0.5]), "instruction": "row 0"}
    assert agent.act(single, starts=True).shape == (2,)


def test_an_equal_text_in_a_new_room_gets_a_goal_of_that_room():
    chooser = GoalChooser(LastPlace(), "max_goal", ReachablePoses(said_done=True))
    agent = GoalPolicy(GoesNowhere(), chooser, PoseGoals(8), axes=3)
    rooms = draw_rooms(GRID_WORLDS["goto"], 4, np.random.default_rng(0))
    poses = np.tile([1, 1, 0], (4, 1))
    seen = observe(rooms, poses)
    first = agent.act({"observation": seen[:2], "instruction": ("find a key",) * 2})
    turned = observe(rooms, poses + np.array([0, 0, 1]))
    same = agent.act({"observation": turned[:2], "instruction": ("find a key",) * 2})
    assert np.array_equal(same, first)
    agent._chooser.language.score = lambda goals, texts: -LastPlace().score(goals, texts)
    mixed = np.stack([turned[0], seen[2]])
    third = agent.act({"observation": mixed, "instruction": ("find a key",) * 2})
    assert np.array_equal(third[0], first[0])
    assert not np.array_equal(third[1], first[1])
