"""Maze runs: from a config to trajectories, pairs of states and texts, critics and a learner."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from langrl.agents.contrastive import ContrastiveLearner
from langrl.checkpoint import digest
from langrl.data.maze.experts import maze_experts
from langrl.data.replay import TrajectoryReplay, geometric_futures
from langrl.data.state_text_pairs import StateTextPairs, maze_pairs
from langrl.data.trajectories import Trajectories, load_trajectories
from langrl.envs.maze.world import STEP_SIZE, StreetMaze
from langrl.errors import TrajectoryError
from langrl.grounding.stored import understood_document
from langrl.grounding.understanding import Sample, learn_understanding, sample_texts
from langrl.models.config import TextConfig
from langrl.models.critics.build import CriticsDescription, build_critics, word_table_of
from langrl.models.critics.maze import LanguageCritic
from langrl.models.encoders import PretrainedTextEncoder
from langrl.tasks.maze.agent import MazeAgentDescription, agent_maker
from langrl.tasks.maze.config import MazeRunConfig
from langrl.tasks.run import Run
from langrl.training.learner import OfflineReplay
from langrl.words import WordTokeniser, check_longest

_DENSITY_DRAWS = 200_000
_ASKED = 700  # states with texts, to which P(understood) is fitted
_LONGEST_TEXT = 24  # words; what is measured has up to 22


def build(config: MazeRunConfig, folder: Path) -> Run:
    """Build everything that a run trains. The same config gives the same bits.

    Raises:
        LayoutError, TrajectoryError, ConfigError: naming the field or file and the repair.
    """
    world = StreetMaze(config.world.layout)
    data_seed, pair_seed, torch_seed = np.random.SeedSequence(config.seed).spawn(3)
    trajectories = _trajectories(config, world, np.random.default_rng(data_seed))
    generator = np.random.default_rng(pair_seed)
    data = config.data
    pairs = maze_pairs(world, data.num_pairs, generator, data.kinds, paraphrases=data.paraphrases)
    device = torch.device(config.device)
    seed = int(torch_seed.generate_state(1, np.uint64)[0] >> 1)
    torch_generator = torch.Generator(device).manual_seed(seed)
    critics = _describe_critics(config, world, pairs)
    critic, language = build_critics(critics, seed)
    check_longest(language.text.limit, _LONGEST_TEXT, "texts about mazes")
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
        layout=world.layout.text,
        critics=critics,
        grounding=config.grounding,
        data=config.data.model_copy(update={"trajectories": None}),  # no file of ours is named
    )
    density = _goal_density(config, world, trajectories)
    return Run(
        config,
        learner,
        description,
        _digest(trajectories, pairs),
        agent=agent_maker(
            world, critic, language, config.grounding, density, config.device, config.data
        ),
        tensors={"goals": {"density": density}},
        compared=("layout", "critics"),
        further=partial(_understanding, language, _sample(world, config)),
    )


def _sample(world: StreetMaze, config: MazeRunConfig) -> Sample | None:
    """Draw texts of all the ways to ask that are for training, whatever the run is trained on."""
    generator = np.random.default_rng([config.seed, 5])
    pairs = maze_pairs(world, _ASKED, generator, config.data.kinds, paraphrases=0.5)
    return sample_texts(pairs.texts, config.seed)


def _understanding(language: LanguageCritic, sample: Sample | None) -> dict[str, Any]:
    """Fit P(understood) of the present weights; returns the document of it, if there is one."""
    language.understanding = learn_understanding(language, sample)
    return understood_document(language)


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
    try:
        trajectories.check_moves(STEP_SIZE)
    except TrajectoryError as error:
        raise TrajectoryError(f"{data.trajectories}: {error}") from error
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
        word_table=word_table_of(config.text),
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
    arrays = (trajectories.observations, trajectories.actions, trajectories.terminals)
    return digest(*arrays, pairs.states, pairs.text_index, json.dumps(pairs.texts).encode())
