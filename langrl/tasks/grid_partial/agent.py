"""The agent that sees a part of a grid world, as a description and weights."""

from functools import lru_cache, partial
from pathlib import Path
from typing import Literal

from pydantic import Field

from langrl.checkpoint import Checkpoint, fill
from langrl.envs.grid.rooms import ACTIONS, GRID_WORLDS
from langrl.envs.maze.world import StreetMaze
from langrl.functional.energies import ENERGIES
from langrl.grounding.candidates import ListedCandidates
from langrl.grounding.config import GridPartialGroundingConfig
from langrl.models.config import RecurrentCriticConfig
from langrl.models.cpc import CPC, CpcDescription
from langrl.models.critics.recurrent import RecurrentCritic
from langrl.models.language_image.language import ImageLanguage
from langrl.models.language_image.model import load_language_image_model
from langrl.settings import Settings
from langrl.tasks.grid.agent import for_level, maker_with
from langrl.tasks.grid.kinds import object_kinds, padding_for, render_kinds
from langrl.tasks.loading import AgentMaker, read_description, refuse_layout
from langrl.training.seeding import seeded


class GridPartialAgentDescription(Settings):
    """All that makes up an agent that sees a part of a grid world, apart from its weights."""

    kind: Literal["grid-partial"] = "grid-partial"
    level: str | None = Field(None, description="the level of MiniGrid that it acts in, if in one")
    world: str = Field(description="the grid world whose kinds of object are goals")
    history: CpcDescription
    memory: bool = Field(description="whether it remembers")
    critic: RecurrentCriticConfig
    language: str = Field(description="language-image model: 'bundled', a name or a folder")
    grounding: GridPartialGroundingConfig

    @property
    def doors(self) -> bool:
        """Whether doors are goals; in levels they may be."""
        return self.level is not None or GRID_WORLDS[self.world].rooms > 1


def build_recurrent_critic(description: GridPartialAgentDescription, seed: int) -> RecurrentCritic:
    """Return f(h, a, g), initialised from a seed."""
    with seeded(seed):
        return RecurrentCritic(
            CPC(description.history),
            description.memory,
            len(ACTIONS),
            ENERGIES[description.critic.energy],
            description.critic,
        )


@lru_cache(maxsize=4)  # agents share what they have embedded
def language_for_kind(source: str, device: str) -> ImageLanguage:
    """Return the language side on a model: 'bundled', a hub name or a folder."""
    return ImageLanguage(load_language_image_model(source, device), render_kinds, padding_for)


def agent_maker(
    critic: RecurrentCritic,
    doors: bool,
    language: str,
    grounding: GridPartialGroundingConfig,
    device: str = "cpu",
) -> AgentMaker:
    """Return what makes agents on a trained critic f(h, a, g); see ``maker_with``.

    ``doors`` says whether doors are goals; ``language`` is 'bundled', a hub name or a folder.
    """
    candidates = ListedCandidates(object_kinds(doors))
    side = partial(language_for_kind, language, device)
    return maker_with(critic, side, candidates, grounding, device)


def load(
    checkpoint: Checkpoint, path: Path, *, device: str = "cpu", world: StreetMaze | None = None
) -> AgentMaker:
    """Return what makes the agents of a checkpoint; errors are as ``load_agent``'s."""
    refuse_layout(world)
    description = read_description(GridPartialAgentDescription, checkpoint, path)
    critic = build_recurrent_critic(description, seed=0)
    fill(dict(critic.named_parameters()), checkpoint.tensors["weights"])
    make = agent_maker(
        critic.to(device), description.doors, description.language, description.grounding, device
    )
    return for_level(make, description.level)
