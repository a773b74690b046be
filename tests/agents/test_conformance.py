"""What every agent promises: it neither keeps nor writes its caller's arrays."""

import sys
from collections import Counter

import gymnasium as gym
import numpy as np
import pytest
import torch

from langrl.agents.baselines import RandomAgent
from langrl.agents.cloning import ClonedPolicy, CloningAgent
from langrl.agents.goal_policy import GoalPolicy, InstructionPolicy
from langrl.agents.grounded import GroundedAgent
from langrl.envs.grid.rooms import ACTIONS, GRID_WORLDS, draw_rooms, is_free, list_poses, observe
from langrl.envs.grid.views import egocentric_views
from langrl.envs.maze.goals import MazeGoals
from langrl.envs.wrappers.text_features import EmbeddedText
from langrl.errors import ShapeError
from langrl.grounding.candidates import SampledCandidates
from langrl.grounding.chooser import GoalChooser
from langrl.grounding.config import GridGroundingConfig
from langrl.grounding.instruction_to_goal import InstructionToGoal
from langrl.grounding.strategies import GROUNDINGS
from langrl.models.config import CpcConfig, GridCriticConfig, RecurrentCriticConfig
from langrl.models.cpc import CpcDescription
from langrl.models.language_image.language import ImageLanguage
from langrl.protocols import Agent, check_instruction
from langrl.tasks.grid import agent as grid_agent
from langrl.tasks.grid.agent import build_grid_critic
from langrl.tasks.grid.baselines import (
    AXES,
    GridPlanner,
    any_object,
    denoted_objects,
    random_actions,
)
from langrl.tasks.grid_partial import agent as partial_agent
from langrl.tasks.grid_partial.agent import (
    GridPartialAgentDescription,
    build_recurrent_critic,
)
from langrl.tasks.maze.agent import directions
from langrl.tasks.maze.baselines import OracleAgent

MAZE_TEXTS = ("go to row 0", "column 4", "the bottom half", "row 2 or column 0")
GRID_TEXTS = ("go to the red ball", "find a key", "anything but blue", "dance")
STEPS = 4
SIZES = GridCriticConfig(embedding=8, channels=8, depth=1, width=16)


class ReturnsItsInput:
    """A policy whose action is the array that it was given."""

    def __init__(self, name):
        self.name = name

    def predict(self, observation, *, deterministic=False):
        return observation[self.name], None


@pytest.fixture
def make_maze_agent(world, make_critics):
    def make(name):
        candidates = SampledCandidates(world.sample_states, 40)
        critic, language = make_critics()
        if name in GROUNDINGS:
            strategy = GROUNDINGS[name]
            return GroundedAgent(critic, language, strategy, candidates, actions=directions(8))
        if name == "goal policy":
            chooser = GoalChooser(language, "sampled_goal", candidates)
            policy = ReturnsItsInput("desired_goal")
            return GoalPolicy(policy, chooser, MazeGoals(world), axes=1)
        if name == "instruction policy":
            feature = EmbeddedText(lambda texts: np.array([[len(t), 1.0] for t in texts]))
            return InstructionPolicy(ReturnsItsInput("observation"), feature, axes=1)
        return OracleAgent(world) if name == "oracle" else RandomAgent()

    return make


@pytest.fixture
def make_grid_agent(tiny_language):
    def make(name):
        config = GridGroundingConfig(strategy="sampled_goal")
        if name == "grounded":
            return grid_agent.agent_maker(build_grid_critic(SIZES, 0), str(tiny_language), config)()
        if name == "partial":
            history = CpcConfig(embedding=8, context=8, horizon=2, width=16, depth=1)
            description = GridPartialAgentDescription(
                world="goto",
                history=CpcDescription(observation=(7, 7, 3), actions=4, config=history),
                memory=True,
                critic=RecurrentCriticConfig(embedding=8, width=16, depth=1),
                language=str(tiny_language),
                grounding=config,
            )
            critic = build_recurrent_critic(description, 0)
            return partial_agent.agent_maker(critic, False, str(tiny_language), config)()
        if name == "cloning":
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                policy = ClonedPolicy(2, len(ACTIONS), SIZES)
            encode = lambda texts: torch.tensor([[len(t), 1.0] for t in texts])  # noqa: E731
            return CloningAgent(policy, encode, temperature=1.0)
        if name == "random":
            return RandomAgent(random_actions, AXES)
        return GridPlanner(any_object if name == "nearest object" else denoted_objects)

    return make


def grid_observations(partial):
    """Return what four agents see in four steps, each in one room [T, 4, ...]."""
    rooms = draw_rooms(GRID_WORLDS["goto"], 4, np.random.default_rng(0))
    steps = [np.array([list_poses(is_free(r[None])[0])[3 * t] for r in rooms]) for t in range(4)]
    return np.stack([(egocentric_views if partial else observe)(rooms, at) for at in steps])


def maze_observations(world):
    generator = np.random.default_rng(0)
    return np.stack([world.sample_states(4, generator) for _ in range(STEPS)])


MAZE_AGENTS = (*GROUNDINGS, "goal policy", "instruction policy", "oracle", "random")
GRID_AGENTS = ("grounded", "partial", "cloning", "nearest object", "denoted object", "random")
AGENTS = [("maze", name) for name in MAZE_AGENTS] + [("grid", name) for name in GRID_AGENTS]


@pytest.fixture(params=AGENTS, ids=" ".join)
def case(request, world, make_maze_agent, make_grid_agent):
    """Return how to make an agent, its observations [T, 4, ...] and texts."""
    family, name = request.param
    if family == "maze":
        return lambda: make_maze_agent(name), maze_observations(world), MAZE_TEXTS
    return lambda: make_grid_agent(name), grid_observations(name == "partial"), GRID_TEXTS


def follow(agent, observations, texts, overwrite):
    """Return the actions of some steps, in which the second and third episode start anew."""
    agent.reset(np.random.default_rng(3))
    taken, overwritten = [], []
    for step, seen in enumerate(observations):
        given = seen.copy()
        agent.reset(mask=np.array([False, step == 1, step == 2, False]))
        actions = agent.act({"observation": given, "instruction": texts})
        assert np.array_equal(given, seen), "acting wrote the caller's array"
        taken.append(actions.copy())
        if overwrite:
            given[...] = 0
            actions[...] = 0
            overwritten += [given, actions]
    assert not any(array.any() for array in overwritten), "acting wrote an array of earlier"
    return np.stack(taken)


def test_agents_are_not_changed_by_what_callers_write_to_their_arrays(case):
    make, observations, texts = case
    agent, twin = make(), make()
    assert isinstance(agent, Agent)
    expected = follow(twin, observations, texts, overwrite=False)
    assert np.array_equal(follow(agent, observations, texts, overwrite=True), expected)


def test_every_agent_refuses_a_batch_of_nobody(case):
    make, observations, _ = case
    with pytest.raises(ShapeError, match="at least one observation"):
        make().act({"observation": observations[0][:0], "instruction": ()})


@pytest.mark.parametrize("name", ["nearest_goal", "goal policy"])
def test_a_mask_of_another_size_is_refused(make_maze_agent, world, name):
    agent = make_maze_agent(name)
    agent.act({"observation": maze_observations(world)[0], "instruction": MAZE_TEXTS})
    for change in (agent.keep, lambda mask: agent.reset(mask=mask)):
        with pytest.raises(ShapeError, match=r"a mask is bool \[4\].*got \[3\]"):
            change(np.ones(3, bool))


def test_agents_that_are_made_when_float64_is_the_default_act(case, float64):
    make, observations, texts = case
    agent = make()
    taken = follow(agent, observations, texts, overwrite=False)
    assert np.isfinite(taken).all()
    assert taken.shape[:2] == (STEPS, 4)
    if isinstance(agent, GroundedAgent):
        assert {weight.dtype for weight in agent.critic.parameters()} == {torch.float64}


def test_agents_act_alike_when_float64_becomes_the_default_later(case):
    make, observations, texts = case
    agent, twin = make(), make()
    expected = follow(twin, observations, texts, overwrite=False)
    torch.set_default_dtype(torch.float64)
    try:
        assert np.array_equal(follow(agent, observations, texts, overwrite=False), expected)
    finally:
        torch.set_default_dtype(torch.float32)


# -- first observations of episodes --------------------------------------------------------------


def test_starts_do_what_a_reset_of_those_rows_does(case):
    make, observations, texts = case
    agent, twin = make(), make()
    for each in (agent, twin):
        each.reset(np.random.default_rng(3))
    for step, seen in enumerate(observations):
        batch = {"observation": seen, "instruction": texts}
        starts = np.array([False, step == 1, step == 2, step == 2])
        twin.reset(mask=starts)
        assert np.array_equal(agent.act(batch, starts=starts), twin.act(batch))


# -- checks of texts ---------------------------------------------------------------------------


@pytest.fixture
def checks(monkeypatch):
    """Count how often each text is checked, wherever in langrl that happens."""
    counts = Counter()

    def counting(text):
        counts[text] += 1
        return check_instruction(text)

    for name, module in list(sys.modules.items()):
        if name.startswith("langrl.") and hasattr(module, "check_instruction"):
            monkeypatch.setattr(module, "check_instruction", counting)
    return counts


def test_a_new_text_is_checked_at_the_edge_and_by_its_encoder_and_then_at_the_edge(
    make_maze_agent, make_grid_agent, world, checks
):
    maze = {"observation": maze_observations(world)[0], "instruction": MAZE_TEXTS}
    grid = {"observation": grid_observations(False)[0], "instruction": GRID_TEXTS}
    cases = [(make_maze_agent("nearest_goal"), maze), (make_maze_agent("goal policy"), maze)]
    for agent, batch in [*cases, (make_grid_agent("grounded"), grid)]:
        agent.reset(np.random.default_rng(0))
        if isinstance(getattr(agent, "language", None), ImageLanguage):
            agent.language._texts.clear()  # it keeps those that it has read for all agents
        for expected in (2, 1):
            checks.clear()
            agent.act(batch)
            assert checks == dict.fromkeys(batch["instruction"], expected)
        checks.clear()
        agent.posterior({"observation": batch["observation"][0]}, "a text of its own")
        assert checks == {"a text of its own": 2}


def test_a_wrapper_that_chooses_goals_adds_two_checks_to_those_of_its_environment(
    world, make_critics, checks
):
    env = gym.make("langrl/StreetMaze-v0", layout=world.layout.text, disable_env_checker=True)
    options = {"instruction": "go to row 2"}
    env.reset(seed=0, options=options)
    alone = checks.pop("go to row 2")
    candidates = SampledCandidates(world.sample_states, 10)
    chosen = InstructionToGoal(env, make_critics()[1], "max_goal", candidates, MazeGoals(world))
    checks.clear()
    chosen.reset(seed=0, options=options)
    assert checks["go to row 2"] == alone + 2
