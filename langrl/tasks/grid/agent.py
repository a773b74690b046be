"""The agent of grid worlds as a description and weights: how it is composed and restored."""

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from langrl.agents.grounded import GroundedAgent
from langrl.checkpoint import Checkpoint, fill
from langrl.envs.grid.rendering import render_rooms
from langrl.envs.grid.rooms import ACTIONS
from langrl.envs.maze.world import StreetMaze
from langrl.functional.energies import ENERGIES
from langrl.grounding.candidates import Candidates, ReachablePoses
from langrl.grounding.config import GridGroundingConfig, GridPartialGroundingConfig
from langrl.grounding.strategies import GROUNDINGS
from langrl.models.config import GridCriticConfig
from langrl.models.critics.grid import GridCritic
from langrl.models.language_image.language import ImageLanguage
from langrl.models.language_image.model import load_language_image_model
from langrl.models.protocols import Critic
from langrl.settings import Settings, with_changes
from langrl.tasks.loading import AgentMaker, read_description, refuse_layout
from langrl.training.seeding import seeded


class GridAgentDescription(Settings):
    """All that makes up an agent of grid worlds, apart from its weights."""

    kind: Literal["grid"] = "grid"
    level: str | None = Field(None, description="the level of MiniGrid that it acts in, if in one")
    critic: GridCriticConfig
    language: str = Field(description="language-image model: 'bundled', a name or a folder")
    grounding: GridGroundingConfig


def build_grid_critic(config: GridCriticConfig, seed: int) -> GridCritic:
    """Return f(s, a, g), initialised from a seed."""
    with seeded(seed):
        return GridCritic(len(ACTIONS), ENERGIES[config.energy], config)


def render_goals(observation: NDArray[Any], goals: NDArray[Any]) -> NDArray[np.uint8]:
    """Draw poses [M, 3 or 4] in the room of an observation [H, W, 3]; uint8 [M, height, ...]."""
    rooms = np.broadcast_to(observation[..., :2], (len(goals), *observation.shape[:2], 2))
    return render_rooms(rooms, goals)


def room_of(observation: NDArray[Any]) -> NDArray[Any]:
    """Return what of an observation [H, W, 3] decides the images of goals: the room."""
    return observation[..., :2]


@lru_cache(maxsize=4)  # agents share what they have embedded
def image_language(source: str, device: str) -> ImageLanguage:
    """Return the language side on a model: 'bundled', a hub name or a folder."""
    model = load_language_image_model(source, device)
    return ImageLanguage(model, render_goals, room_of)


def agent_maker(
    critic: GridCritic, language: str, grounding: GridGroundingConfig, device: str = "cpu"
) -> AgentMaker:
    """Return what makes agents on a trained critic f(s, a, g); see ``maker_with``.

    ``language`` is 'bundled', a hub name or a folder.
    """
    side = partial(image_language, language, device)
    return maker_with(critic, side, ReachablePoses(), grounding, device)


def maker_with(
    critic: Critic,
    language: Callable[[], ImageLanguage],
    candidates: Candidates,
    grounding: GridPartialGroundingConfig,
    device: str,
) -> AgentMaker:
    """Return what makes agents of grid worlds.

    Args:
        critic: a trained one.
        language: returns the language side; called when an agent is made.
        candidates: draws candidate goals.
        grounding: strategy and temperature; the maker takes changes to its fields.
        device: where the critic is.
    """

    def make(**changes: object) -> GroundedAgent:
        config = with_changes(grounding, changes, "grounding")
        options = config.model_dump(exclude={"strategy"})
        return GroundedAgent(
            critic,
            language(),
            GROUNDINGS[config.strategy],
            candidates,
            actions=np.arange(len(ACTIONS)),
            device=device,
            **options,
        )

    return make


def load(
    checkpoint: Checkpoint, path: Path, *, device: str = "cpu", world: StreetMaze | None = None
) -> AgentMaker:
    """Return what makes the agents of a checkpoint; errors are as ``load_agent``'s."""
    refuse_layout(world)
    description = read_description(GridAgentDescription, checkpoint, path)
    critic = build_grid_critic(description.critic, seed=0)
    fill(dict(critic.named_parameters()), checkpoint.tensors["weights"])
    make = agent_maker(critic.to(device), description.language, description.grounding, device)
    return for_level(make, description.level)


def for_level(make: AgentMaker, level: str | None) -> AgentMaker:
    """Return what makes the same agents for a level of MiniGrid, if there is one."""
    if level is None:
        return make
    from langrl.tasks.grid.levels import in_levels  # minigrid takes half a second

    return in_levels(make)
