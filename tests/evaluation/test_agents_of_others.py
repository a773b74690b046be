"""What an agent or a policy of somebody else has to be, and the one line where it is not."""

from functools import partial

import gymnasium as gym
import numpy as np
import pytest
import torch

from langrl.agents.baselines import RandomAgent
from langrl.errors import ConfigError, LangRLError, ShapeError
from langrl.evaluation.comparison import compare
from langrl.evaluation.rollouts import run_episodes

MAZE, GRID = "langrl/StreetMaze-Slit-v0", "langrl/GridGoTo-v0"


def tasks(name=MAZE):
    return gym.make_vec(name, 3, max_episode_steps=2)


class Plain:
    """The least that an agent may be: no mask, no starts, no keep."""

    def __init__(self, answer):
        self.answer, self.generators = answer, []

    def reset(self, generator):
        self.generators.append(generator)

    def act(self, observations, instructions):
        assert isinstance(observations["observation"], np.ndarray)
        assert all(isinstance(text, str) for text in instructions)
        return self.answer(len(observations["observation"]))


# -- agents that can be evaluated -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        (MAZE, lambda count: np.ones((count, 2), np.float32)),
        (MAZE, lambda count: np.ones((count, 2), int)),
        (MAZE, lambda count: [[1.0, 0.0]] * count),
        (MAZE, lambda count: torch.ones(count, 2)),
        (GRID, lambda count: np.zeros(count, np.uint8)),
        (GRID, lambda count: [0] * count),
        (GRID, lambda count: torch.zeros(count, dtype=torch.int64)),
    ],
)
def test_the_least_agent_is_evaluated_and_its_actions_may_be_lists_or_tensors(name, answer):
    agent = Plain(answer)
    assert run_episodes(tasks(name), agent, seed=0).steps.tolist() == [2, 2, 2]
    (generator,) = agent.generators
    assert isinstance(generator, np.random.Generator)


# -- agents that cannot ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "answer", "says"),
    [
        (MAZE, lambda count: np.ones(2, np.float32), r"float32 \[2\] for 3 .* float32 \[3, 2\]"),
        (MAZE, lambda count: np.ones((1, 2)), r"float64 \[1, 2\] for 3 observations"),
        (MAZE, lambda count: np.ones((count, 3)), r"\[3, 3\] for 3 observations"),
        (MAZE, lambda count: None, r"object \[\] for 3 observations"),
        (MAZE, lambda count: [["a", "b"]] * count, r"\[3, 2\]; return a NumPy array"),
        (MAZE, lambda count: [[1.0], [1.0, 2.0], [0.0]], "a list that is no array"),
        (MAZE, lambda count: torch.ones(count, 2, requires_grad=True), "a Tensor that is no array"),
        (GRID, lambda count: np.zeros(count), r"float64 \[3\] .* actions are int64 \[3\]"),
        (GRID, lambda count: np.zeros((count, 1), int), r"int64 \[3, 1\]"),
        (GRID, lambda count: 0, r"int64 \[\]"),
    ],
)
def test_actions_that_are_none_are_refused_in_one_line(name, answer, says):
    with pytest.raises(ShapeError, match=says) as caught:
        run_episodes(tasks(name), Plain(answer), seed=0)
    assert "act of Plain gave" in str(caught.value)


def without(name):
    methods = {"reset": lambda self, generator: None, "act": lambda self, seen, texts: None}
    methods.pop(name)
    return type("Lacks", (), methods)()


class NeedsMask:
    def reset(self, generator, mask):
        pass

    def act(self, observations, instructions):
        pass


class ReadsOne:
    def reset(self, generator=None):
        pass

    def act(self, observations):
        pass


@pytest.mark.parametrize(
    ("agent", "says"),
    [
        (without("act"), "Lacks has no method act"),
        (without("reset"), "Lacks has no method reset"),
        (NeedsMask(), r"reset of NeedsMask cannot be called as reset\(generator\): .*'mask'"),
        (ReadsOne(), r"act of ReadsOne cannot be called as act\(observations, instructions\)"),
        (RandomAgent, r"got the class RandomAgent; make an agent of it: RandomAgent\(\.\.\.\)"),
        (lambda observations: 0, "function has no method reset"),
        (None, "NoneType has no method reset"),
    ],
)
def test_what_is_no_agent_is_refused_before_the_first_step(agent, says):
    with pytest.raises(ConfigError, match=says) as caught:
        run_episodes(tasks(), agent, seed=0)
    assert "an agent has reset(generator=None, mask=None) and act(" in str(caught.value)


class Called(torch.nn.Module):
    reset = act = lambda self, *_: None


@pytest.mark.parametrize(
    ("agents", "make_env", "says"),
    [
        ({"mine": RandomAgent()}, tasks, "'mine' is a RandomAgent; give a lambda"),
        ({"mine": Called()}, tasks, "'mine' is a Called"),
        ({"mine": RandomAgent}, tasks(), "'make_env' is a"),
        ([RandomAgent], tasks, "agents is a dict such as .*, got list"),
        ({"mine": RandomAgent}, lambda: gym.make(MAZE), "gym.make_vec gives, got TimeLimit"),
    ],
)
def test_an_instance_where_a_function_belongs_is_refused(agents, make_env, says):
    with pytest.raises(ConfigError, match=says):
        compare(agents, make_env, 0, "x")
    assert compare({"mine": RandomAgent}, tasks, 0, "x")["mine"].steps.tolist() == [2, 2, 2]


def test_messages_are_one_line():
    with pytest.raises(LangRLError) as caught:
        run_episodes(tasks(), partial(print), seed=0)
    assert "\n" not in str(caught.value)
