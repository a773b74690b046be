"""From a description of two critics to the modules; used in training and in loading alike."""

from collections.abc import Sequence

from pydantic import Field

from langrl.functional.energies import ENERGIES
from langrl.models.config import CriticConfig, TextConfig
from langrl.models.critics.maze import GoalCritic, LanguageCritic
from langrl.models.encoders import (
    CompactTextEncoder,
    GoalEncoder,
    PretrainedTextEncoder,
    StateActionEncoder,
    TextEncoder,
)
from langrl.settings import Settings
from langrl.training.seeding import seeded


class CriticsDescription(Settings):
    """All that shapes the two critics, apart from their weights."""

    low: tuple[float, ...] = Field(description="lower bounds of a state")
    high: tuple[float, ...] = Field(description="upper bounds of a state")
    action_size: int = Field(ge=1, description="numbers in an action")
    critic: CriticConfig
    text: TextConfig
    vocabulary: tuple[str, ...] = Field(description="compact text encoder: its words, in order")
    text_width: int | None = Field(description="named text model: numbers in its embedding")


def build_critics(description: CriticsDescription, seed: int) -> tuple[GoalCritic, LanguageCritic]:
    """Return f and h, initialised from a seed, with one goal encoder between them."""
    config, low, high = description.critic, description.low, description.high
    energy = ENERGIES[config.energy]
    with seeded(seed):
        goal = GoalEncoder(low, high, config)
        state_action = StateActionEncoder(low, high, description.action_size, config)
        encoder = build_text_encoder(
            description.text, description.vocabulary, config.embedding, description.text_width
        )
        return GoalCritic(state_action, goal, energy), LanguageCritic(goal, encoder, energy)


def build_text_encoder(
    config: TextConfig, vocabulary: Sequence[str], embedding: int, width: int | None = None
) -> TextEncoder:
    """Return a text encoder.

    The compact one knows the words of a vocabulary, in order; ``width`` is that of a named model's
    embedding, which the model gives itself by default.
    """
    if config.model == "compact":
        return CompactTextEncoder(vocabulary, embedding, config)
    return PretrainedTextEncoder(config.model, embedding, config, width=width)
