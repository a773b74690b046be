"""Maze agents: how they are described, composed and restored from a checkpoint."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from langrl.agents.grounded import GroundedAgent
from langrl.agents.waypoints import Composition, candidates_of, composed
from langrl.checkpoint import Checkpoint, fill
from langrl.data.config import DataConfig
from langrl.envs.maze.layouts import parse_layout
from langrl.envs.maze.world import StreetMaze
from langrl.errors import CheckpointError, LayoutError
from langrl.grounding.candidates import Candidates, CellWeights, SampledCandidates
from langrl.grounding.config import GroundingConfig, WaypointConfig
from langrl.grounding.strategies import GROUNDINGS
from langrl.grounding.successor import SuccessorDistance
from langrl.grounding.waypoints import KnownGraphs, WaypointGraph, draw_waypoints
from langrl.models.critics.build import CriticsDescription, build_critics
from langrl.models.critics.maze import GoalCritic, LanguageCritic, named_weights
from langrl.models.understanding import read_understanding
from langrl.settings import Settings, with_changes
from langrl.tasks.loading import AgentMaker, read_description
from langrl.tasks.maze.held_out import trusted_distance

_STATES = 5000  # of the free area, of which waypoints are drawn


class MazeAgentDescription(Settings):
    """All that makes up a maze agent, apart from its weights and its goal density."""

    layout: str = Field(description="the maze as an ASCII map")
    critics: CriticsDescription
    grounding: GroundingConfig
    data: DataConfig = Field(
        DataConfig(), description="how futures were drawn, for trajectories to measure distances on"
    )


def directions(count: int) -> NDArray[np.float32]:
    """Return evenly spaced unit vectors [count, 2]."""
    angles = np.arange(count) * 2 * np.pi / count
    return np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)


def agent_maker(
    world: StreetMaze,
    critic: GoalCritic,
    language: LanguageCritic,
    grounding: GroundingConfig,
    density: Tensor,
    device: torch.device | str = "cpu",
    data: DataConfig | None = None,
) -> AgentMaker:
    """Return what makes agents on trained critics.

    Args:
        world: the maze the critics were trained in.
        critic: f(s, a, g).
        language: h(g, l).
        grounding: strategy, candidates and directions; the maker takes changes to its fields.
        density: the data's density of goals over cells [R, C], for ``weighting: data``.
        device: where the critics are.
        data: how futures were drawn, to measure how far the critic is believed; by default as
            ``DataConfig`` says.
    """

    @cache  # the same object for agents that draw alike, so that they can share what they draw
    def candidates(count: int, weighting: str) -> SampledCandidates:
        weights = CellWeights(density.double().numpy()) if weighting == "data" else None
        return SampledCandidates(world.sample_states, count, weights)

    graphs = KnownGraphs()

    def join(config: WaypointConfig, count: int, weighting: str) -> WaypointGraph:
        generator = np.random.default_rng(0)
        states = world.sample_states(max(_STATES, config.waypoints), generator)
        draw, how = draw_waypoints, config.waypoint_draw
        drawn = draw(states, states, config.waypoints, how, generator=generator)
        if weighting == "data":
            weights = drawn.log_weights + CellWeights(density.double().numpy())(drawn.states)
            drawn = replace(drawn, log_weights=weights)
        distance = SuccessorDistance([critic], directions(count), device)
        known = config.cutoff is not None
        trusted = None if known else trusted_distance(world, data or DataConfig(), distance)
        return WaypointGraph(distance, drawn, config, trusted)

    def make(**changes: object) -> GroundedAgent:
        config = with_changes(grounding, changes, "grounding")
        strategy = GROUNDINGS[config.strategy]
        goals: Candidates = candidates(config.candidates, config.weighting)
        waypoints: Composition | None = None
        if config.waypoints and config.strategy != "direct":
            graph = graphs.get(config, critic, join, config.directions, config.weighting)
            waypoints = composed(graph, config.composition, strategy)
            goals = candidates_of(graph)
        return GroundedAgent(
            critic,
            language,
            strategy,
            goals,
            actions=directions(config.directions),
            device=device,
            waypoints=waypoints,
        )

    return make


def load(
    checkpoint: Checkpoint, path: Path, *, device: str = "cpu", world: StreetMaze | None = None
) -> AgentMaker:
    """Return what makes the agents of a checkpoint; errors are as ``load_agent``'s.

    Args:
        checkpoint: of a maze run.
        path: where it was read, for messages.
        device: where to put the weights.
        world: the maze that the agents are to act in.
    """
    description = read_description(MazeAgentDescription, checkpoint, path)
    # Parsed as a map and nothing else: a shared checkpoint must not name files of ours.
    try:
        home = StreetMaze(parse_layout(description.layout, "its layout"))
    except LayoutError as error:
        raise CheckpointError(str(error)) from error
    critic, language = build_critics(description.critics, seed=0)
    fill(named_weights(critic, language), checkpoint.tensors["weights"])
    language.understanding = read_understanding(checkpoint.documents, path)
    density = _check_density(checkpoint.tensors["goals"]["density"], home)
    if world is not None:
        check_same_maze(home, world, path)
    models = critic.to(device), language.to(device)
    return agent_maker(home, *models, description.grounding, density, device, description.data)


def _check_density(density: Tensor, world: StreetMaze) -> Tensor:
    if (
        density.shape != world.walls.shape
        or not (density[~torch.from_numpy(world.walls)] > 0).all()
    ):
        raise CheckpointError("its density of goals does not fit its layout; copy it again")
    return density


def check_same_maze(trained: StreetMaze, asked: StreetMaze, path: Path) -> None:
    """Raise CheckpointError unless both mazes have the same walls."""
    if trained.layout != asked.layout:
        sizes = ["x".join(map(str, maze.walls.shape)) for maze in (trained, asked)]
        raise CheckpointError(
            f"{path} was trained in another maze ({sizes[0]}) than the one asked for"
            f" ({sizes[1]}); train one there, or leave the layout out"
        )
