import gymnasium as gym
import numpy as np
import pytest
from scipy.stats import chisquare

from langrl.agents.baselines import RandomAgent
from langrl.envs.maze.grammar import KINDS
from langrl.envs.maze.layouts import LAYOUTS
from langrl.protocols import Agent
from langrl.tasks.maze.baselines import OracleAgent


def seeded(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", ["oracle", "random"])
def test_baselines_are_agents(name, world):
    agent = OracleAgent(world) if name == "oracle" else RandomAgent()
    assert isinstance(agent, Agent)
    agent.reset(seeded())
    agent.reset(seeded(), np.array([True, False]))
    one = agent.act({"observation": np.array([0.5, 0.5]), "instruction": "row 4"})
    two = agent.act({"observation": np.full((2, 2), 0.5), "instruction": ("row 4", "row 2")})
    assert one.shape == (2,)
    assert two.shape == (2, 2)
    assert one.dtype == two.dtype == np.float32


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_oracle_follows_every_kind_of_instruction_by_a_shortest_path(layout, kind):
    count = 8
    envs = gym.make_vec("langrl/StreetMaze-v0", num_envs=count, layout=layout, kinds=(kind,))
    agent = OracleAgent(envs.unwrapped.world)
    observations, info = envs.reset(seed=1)
    shortest, taken = info["shortest_steps"], np.full(count, np.nan)
    for step in range(1, 101):
        observations, _, done, _, _ = envs.step(agent.act(observations))
        taken[np.isnan(taken) & done] = step
        if not np.isnan(taken).any():
            break
    assert not np.isnan(taken).any()
    assert (taken <= shortest + 3).all()  # the way to the first cell's edge, and a corner or two


def test_the_oracle_heads_for_the_nearest_of_the_denoted_cells(world):
    # .....   from (2, 0), row 0 is two cells away and row 4 is ten
    # .###.
    # .....
    # ###..
    # .....
    at = {"observation": np.array([2.5, 0.5]), "instruction": "row 4 or row 0"}
    assert OracleAgent(world).act(at).tolist() == [-1, 0]


def test_the_oracle_follows_the_callers_instruction(world):
    at = {"observation": np.array([2.5, 0.5]), "instruction": "row 0"}
    assert OracleAgent(world).act(at, "column 4").tolist() == [0, 1]


def test_the_oracle_stays_put_on_a_text_that_it_cannot_read(world):
    states = np.array([[2.5, 0.5], [2.5, 0.5]])
    agent = OracleAgent(world)
    actions = agent.act({"observation": states, "instruction": ("sing me a song", "row 0")})
    assert actions.tolist() == [[0, 0], [-1, 0]]


def test_random_directions_are_uniform():
    agent = RandomAgent()
    agent.reset(seeded())
    actions = agent.act({"observation": np.ones((4000, 2)), "instruction": "row 3"})
    assert np.linalg.norm(actions, axis=1) == pytest.approx(np.ones(4000), abs=1e-6)
    angles = np.arctan2(actions[:, 0], actions[:, 1])
    counts, _ = np.histogram(angles, bins=16, range=(-np.pi, np.pi))
    assert chisquare(counts).pvalue > 1e-3


def test_random_walks_are_reproducible_and_go_on_over_resets():
    observation = {"observation": np.ones((3, 2)), "instruction": "row 3"}
    agent, other = RandomAgent(), RandomAgent()
    agent.reset(seeded(4))
    other.reset(seeded(4))
    first = agent.act(observation)
    assert np.array_equal(first, other.act(observation))
    agent.reset()
    second = agent.act(observation)
    assert not np.array_equal(first, second)
    assert np.array_equal(second, other.act(observation))
