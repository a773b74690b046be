"""Agents and environments that several tests of Stable-Baselines3 policies share."""

from functools import partial

import gymnasium as gym
import pytest
import torch

from langrl.checkpoint import Checkpoint, write_checkpoint
from langrl.envs.wrappers.goals import GoalEnv
from langrl.envs.wrappers.instructions import EmbedInstruction, TokenizeInstruction
from langrl.grounding.candidates import ReachablePoses
from langrl.grounding.config import GroundingConfig
from langrl.grounding.instruction_to_goal import InstructionToGoal
from langrl.models.critics.maze import named_weights
from langrl.tasks.grid.agent import image_language
from langrl.tasks.maze.agent import MazeAgentDescription


@pytest.fixture(scope="session")
def grid_agent(tiny_language, tmp_path_factory):
    """The folder of an agent of grid worlds that has learned nothing."""
    from sb3_policies import write_grid_agent  # needs Stable-Baselines3

    return write_grid_agent(tmp_path_factory.mktemp("grid") / "agent", tiny_language)


@pytest.fixture(scope="session")
def maze_agent(world, description, make_critics, tmp_path_factory):
    """The folder of an agent of the small maze that has learned nothing."""
    agent = MazeAgentDescription(
        layout=world.layout.text,
        critics=description,
        grounding=GroundingConfig(candidates=50, directions=8, weighting="none"),
    )
    tensors = {name: p.detach().clone() for name, p in named_weights(*make_critics(3)).items()}
    density = torch.from_numpy(~world.walls / (~world.walls).sum()).float()
    folder = tmp_path_factory.mktemp("maze") / "agent"
    documents = {"agent": agent.model_dump(mode="json")}
    write_checkpoint(
        folder, Checkpoint(documents, {"weights": tensors, "goals": {"density": density}})
    )
    return folder


@pytest.fixture(scope="session")
def worlds(world, tiny_language):
    """What makes environments, by name; mazes are the small one."""
    from sb3_policies import GRID, MAZE, WORDS, adapt, encode  # needs Stable-Baselines3

    maze = partial(gym.make, MAZE, layout=world.layout.text)
    grid = partial(gym.make, GRID, max_episode_steps=10)

    def told():
        language = image_language(str(tiny_language), "cpu")
        return InstructionToGoal(grid(), language, "max_goal", ReachablePoses(said_done=True))

    return {
        "maze goals": lambda: GoalEnv(maze(max_episode_steps=10), step_cost=1.0),
        "grid goals": lambda: GoalEnv(grid()),
        "grid told": told,
        "maze embedded": lambda: EmbedInstruction(maze(), encode),
        "grid embedded": lambda: EmbedInstruction(grid(), encode),
        "maze tokens": lambda: TokenizeInstruction(maze(), WORDS, 20),
        "grid tokens": lambda: TokenizeInstruction(grid(), WORDS, 20),
        "maze batched": lambda: adapt(MAZE, 2, layout=world.layout.text),
        "grid batched": lambda: adapt(GRID, 2),
    }
