"""Composition for street mazes: from a run config to worlds, data, critics, learners, agents."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from langrl.agents.contrastive import ContrastiveLearner
from langrl.agents.grounded import GroundedAgent
from langrl.checkpoint import Checkpoint
from langrl.data.maze.experts import maze_experts
from langrl.data.replay import TrajectoryReplay, geometric_futures
from langrl.data.state_text_pairs import StateTextPairs, maze_pairs
from langrl.data.trajectories import Trajectories, load_trajectories
from langrl.envs.maze.layouts import LAYOUTS
from langrl.envs.maze.world import StreetMaze
from langrl.errors import TrajectoryError
from langrl.models.config import TextConfig
from langrl.models.critics.build import CriticsDescription, build_critics
from langrl.models.encoders import PretrainedTextEncoder
from langrl.settings import with_changes
from langrl.tasks.maze.agent import MazeAgentDescription, check_same_maze, compose_maze_agent
from langrl.tasks.maze.config import MazeRunConfig, MazeWorldConfig
from langrl.training.learner import OfflineReplay
from langrl.training.loop import run_state
from langrl.words import WordTokeniser

_DENSITY_DRAWS = 200_000


@dataclass(frozen=True, eq=False)
class MazeRun:
    """A run in the making: its world, its learner, and how to describe them."""

    config: MazeRunConfig
    world: StreetMaze
    learner: ContrastiveLearner
    description: MazeAgentDescription
    density: Tensor
    data_sha256: str

    def snapshot(self) -> Checkpoint:
        """Return a checkpoint of the present state, from which training goes on bit for bit."""
        documents = {
            "agent": self.description.model_dump(mode="json"),
            "state": run_state(self.learner, self.config.threads, self.data_sha256),
        }
        return Checkpoint(documents, self.learner.state() | {"goals": {"density": self.density}})

    def check(self, checkpoint: Checkpoint, path: Path) -> None:
        """Raise CheckpointError unless a checkpoint is of this maze."""
        stored = MazeAgentDescription.model_validate(checkpoint.documents["agent"])
        check_same_maze(StreetMaze(stored.layout), self.world, path)

    def agent(self, **grounding: Any) -> GroundedAgent:
        """Return an agent on the learner's own critics; fields of ``GroundingConfig`` change it."""
        config = with_changes(self.config.grounding, grounding, "grounding")
        learner = self.learner
        return compose_maze_agent(
            self.world, learner.critic, learner.language, config, self.density, self.config.device
        )


def resolve_layout(config: MazeRunConfig) -> MazeRunConfig:
    """Return the config with a layout file replaced by its map, so that the run is portable."""
    world = StreetMaze(config.world.layout)
    name = config.world.layout if config.world.layout in LAYOUTS else world.layout.text
    return config.model_copy(update={"world": MazeWorldConfig(layout=name)})


def build_maze_run(config: MazeRunConfig) -> MazeRun:
    """Build everything that a run trains. The same config gives the same bits.

    Raises:
        LayoutError, TrajectoryError: naming the field or file and the repair.
    """
    world = StreetMaze(config.world.layout)
    data_seed, pair_seed, torch_seed = np.random.SeedSequence(config.seed).spawn(3)
    trajectories = _trajectories(config, world, np.random.default_rng(data_seed))
    generator = np.random.default_rng(pair_seed)
    pairs = maze_pairs(world, config.data.num_pairs, generator, config.data.kinds)
    device = torch.device(config.device)
    seed = int(torch_seed.generate_state(1, np.uint64)[0] >> 1)
    torch_generator = torch.Generator(device).manual_seed(seed)
    critics = _describe_critics(config, world, pairs)
    critic, language = build_critics(critics, seed)
    cells = torch.from_numpy(_cells(world, trajectories.observations))
    replay = TrajectoryReplay(
        trajectories,
        discount=config.data.discount,
        tail=config.data.tail,
        action_negatives=config.data.action_negatives,
        count=config.data.num_action_negatives,
        cells=cells,
        device=device,
    )
    experience = OfflineReplay(replay.sample, config.learner.batch_size, torch_generator)
    learner = ContrastiveLearner(
        critic.to(device), language.to(device), experience, pairs, config.learner, torch_generator
    )
    description = MazeAgentDescription(
        layout=world.layout.text, critics=critics, grounding=config.grounding
    )
    density = _goal_density(config, world, trajectories)
    return MazeRun(config, world, learner, description, density, _digest(trajectories, pairs))


def _trajectories(
    config: MazeRunConfig, world: StreetMaze, generator: np.random.Generator
) -> Trajectories:
    data = config.data
    if data.trajectories is None:
        return maze_experts(world.layout, data.num_trajectories, generator, data.angle_noise)
    trajectories = load_trajectories(Path(data.trajectories), state_size=2, action_size=2)
    free = world.inside(trajectories.observations, ~world.walls)
    if not free.all():
        first = int((~free).argmax())
        position = trajectories.observations[first].tolist()
        raise TrajectoryError(
            f"{data.trajectories}: observations[{first}] = {position} is in a wall of the layout or"
            " outside it; give positions (row, column) in the maze that they come from"
        )
    return trajectories


def _describe_critics(
    config: MazeRunConfig, world: StreetMaze, pairs: StateTextPairs
) -> CriticsDescription:
    compact = config.text.model == "compact"
    return CriticsDescription(
        low=(0.0, 0.0),
        high=tuple(float(size) for size in world.walls.shape),
        action_size=2,
        critic=config.critic,
        text=config.text,
        vocabulary=WordTokeniser.learn(pairs.texts).vocabulary if compact else (),
        text_width=None if compact else text_width(config.text),
    )


def text_width(config: TextConfig) -> int:
    """Return how many numbers a named text model's embedding has."""
    return PretrainedTextEncoder(config.model, 1, config).input_width


def _cells(world: StreetMaze, positions: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    rows, columns = np.floor(positions).astype(int).T
    return world.layout.cell_index[rows, columns]


def _goal_density(config: MazeRunConfig, world: StreetMaze, trajectories: Trajectories) -> Tensor:
    """Return how often each cell holds a relabelled goal [R, C]; each free cell at least once."""
    generator = torch.Generator().manual_seed(config.seed)
    transitions = torch.from_numpy(trajectories.transitions)
    index = transitions[torch.randint(len(transitions), (_DENSITY_DRAWS,), generator=generator)]
    ends = torch.from_numpy(trajectories.ends)[index]
    data = config.data
    future = geometric_futures(index, ends, data.discount, data.tail, generator).numpy()
    cells = _cells(world, trajectories.observations[future])
    counts = 1 + np.bincount(cells, minlength=len(world.layout.free_cells))
    density = np.zeros(world.walls.shape)
    density[~world.walls] = counts / counts.sum()
    return torch.from_numpy(density).float()


def _digest(trajectories: Trajectories, pairs: StateTextPairs) -> str:
    digest = hashlib.sha256()
    for array in (
        trajectories.observations, trajectories.actions, trajectories.terminals, pairs.states,
        pairs.text_index,
    ):  # fmt: skip
        digest.update(np.ascontiguousarray(array).tobytes())
    digest.update(json.dumps(pairs.texts).encode())
    return digest.hexdigest()
