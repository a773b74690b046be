"""Composition: from a run config to worlds, data, critics, learners and agents.

Names and files become objects here and in the command line; everything below receives objects.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorEnv
from torch import Tensor

from langrl.agents.contrastive import ContrastiveLearner
from langrl.agents.grounded import GroundedAgent
from langrl.agents.saved import AgentDescription, change_grounding, check_same_maze, compose_agent
from langrl.checkpoint import Checkpoint, find_checkpoint, read_checkpoint
from langrl.config import RunConfig, WorldConfig, dump_config, load_config
from langrl.data.experts import maze_experts
from langrl.data.pairs import StateTextPairs, maze_pairs
from langrl.data.replay import TrajectoryReplay, geometric_futures
from langrl.data.trajectories import Trajectories, load_trajectories
from langrl.envs.grammar import Phrasing
from langrl.envs.layouts import LAYOUTS
from langrl.envs.maze_world import StreetMaze
from langrl.errors import CheckpointError, ConfigError, TrajectoryError
from langrl.experiment.config import EvaluationConfig
from langrl.experiment.logs import console, versions
from langrl.experiment.training import Training
from langrl.models.build import CriticsDescription, build_critics
from langrl.models.config import TextConfig
from langrl.models.encoders import CompactTextEncoder, PretrainedTextEncoder

_DENSITY_DRAWS = 200_000
CONFIG_FILE = "config.yaml"


@dataclass(frozen=True, eq=False)
class Run:
    """A run in the making: its world, its learner, and how to describe them."""

    config: RunConfig
    world: StreetMaze
    learner: ContrastiveLearner
    description: AgentDescription
    density: Tensor
    data_sha256: str

    def snapshot(self) -> Checkpoint:
        """Return a checkpoint of the present state, from which training goes on bit for bit."""
        documents = {
            "agent": self.description.model_dump(mode="json"),
            "state": {
                "step": self.learner.step,
                "threads": self.config.threads,
                "versions": versions(),
                "data_sha256": self.data_sha256,
            },
        }
        return Checkpoint(documents, self.learner.state() | {"goals": {"density": self.density}})

    def agent(self, **grounding: Any) -> GroundedAgent:
        """Return an agent on the learner's own critics; fields of ``GroundingConfig`` change it."""
        config = change_grounding(self.config.grounding, grounding)
        learner = self.learner
        return compose_agent(
            self.world, learner.critic, learner.language, config, self.density, self.config.device
        )


def resolve_layout(config: RunConfig) -> RunConfig:
    """Return the config with a layout file replaced by its map, so that the run is portable."""
    world = StreetMaze(config.world.layout)
    name = config.world.layout if config.world.layout in LAYOUTS else world.layout.text
    return config.model_copy(update={"world": WorldConfig(layout=name)})


def build_run(config: RunConfig) -> Run:
    """Build everything that a run trains. The same config gives the same bits.

    Raises:
        LayoutError, TrajectoryError, ConfigError: naming the field or file and the repair.
    """
    if config.device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device {config.device!r} is not available here; use 'cpu'")
    torch.set_num_threads(config.threads)
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
    learner = ContrastiveLearner(
        critic.to(device), language.to(device), replay, pairs, config.learner, torch_generator
    )
    description = AgentDescription(
        layout=world.layout.text, critics=critics, grounding=config.grounding
    )
    density = _goal_density(config, world, trajectories)
    return Run(config, world, learner, description, density, _digest(trajectories, pairs))


def _trajectories(
    config: RunConfig, world: StreetMaze, generator: np.random.Generator
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
    config: RunConfig, world: StreetMaze, pairs: StateTextPairs
) -> CriticsDescription:
    compact = config.text.model == "compact"
    return CriticsDescription(
        low=(0.0, 0.0),
        high=tuple(float(size) for size in world.walls.shape),
        action_size=2,
        critic=config.critic,
        text=config.text,
        vocabulary=CompactTextEncoder.learn_vocabulary(pairs.texts) if compact else (),
        text_width=None if compact else text_width(config.text),
    )


def text_width(config: TextConfig) -> int:
    """Return how many numbers a named text model's embedding has."""
    return PretrainedTextEncoder(config.model, 1, config).input_width


def _cells(world: StreetMaze, positions: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    rows, columns = np.floor(positions).astype(int).T
    return world.layout.cell_index[rows, columns]


def _goal_density(config: RunConfig, world: StreetMaze, trajectories: Trajectories) -> Tensor:
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


def train_run(config: RunConfig, folder: Path, label: str) -> tuple[Run, float]:
    """Train a new run in ``folder`` and return it with the seconds of training.

    Raises:
        ConfigError: if the folder holds something already; what ``build_run`` raises, too.
    """
    config = resolve_layout(config)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(
            f"{folder} is not empty; choose another --out, or go on with --resume {folder}"
        )
    run = build_run(config)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).write_text(dump_config(config))
    return run, _train(run, folder, label)


def resume_run(folder: Path, label: str) -> tuple[Run, float]:
    """Go on with a run from its newest checkpoint, to the bits of an uninterrupted one.

    Raises:
        CheckpointError: if there is no sound checkpoint, or it is not of the config beside it.
        ConfigError: if ``config.yaml`` is missing or wrong.
    """
    path = find_checkpoint(folder)
    if path.parent.parent != folder:
        raise CheckpointError(f"{folder} is no run folder; give the one that has {CONFIG_FILE}")
    checkpoint = read_checkpoint(path)
    run = build_run(load_config(str(folder / CONFIG_FILE)))
    try:
        stored = AgentDescription.model_validate(checkpoint.documents["agent"])
        check_same_maze(StreetMaze(stored.layout), run.world, path)
        if checkpoint.documents["state"]["data_sha256"] != run.data_sha256:
            raise CheckpointError(
                f"{path} was trained on other data than {folder / CONFIG_FILE} gives now;"
                " put the trajectory file and the config back as they were"
            )
        if checkpoint.documents["state"]["versions"] != versions():
            console.print("this run was begun with other versions; its last bits may differ")
        run.learner.load_state(checkpoint.tensors)
    except (KeyError, ValueError, RuntimeError) as error:
        if isinstance(error, CheckpointError):
            raise
        detail = str(error).splitlines()[0]
        raise CheckpointError(f"{path} does not fit {folder / CONFIG_FILE}: {detail}") from error
    return run, _train(run, folder, label)


def _train(run: Run, folder: Path, label: str) -> float:
    config = run.config
    return Training(run.learner, config.learner.steps, folder, config.logging, run.snapshot).run(
        label
    )


def make_tasks(
    world: StreetMaze,
    config: EvaluationConfig,
    kinds: tuple[str, ...] = ("row", "column"),
    phrasing: Phrasing = "seen",
    episodes: int | None = None,
) -> VectorEnv[Any, Any, Any]:
    """Return the vector environment that agents are evaluated in."""
    return gym.make_vec(
        "langrl/StreetMaze-v0",
        num_envs=episodes or config.episodes,
        layout=world.layout,
        kinds=kinds,
        phrasing=phrasing,
        angle_noise=config.angle_noise,
    )
