"""From a description of two critics to the modules; used in training and in loading alike."""

from collections.abc import Sequence

from pydantic import Field

from langrl.errors import CheckpointError
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
from langrl.models.word_front import distilled_words
from langrl.settings import Settings
from langrl.training.seeding import seeded


class LanguageDescription(Settings):
    """All that shapes a language critic, apart from its weights."""

    low: tuple[float, ...] = Field(description="lower bounds of a state")
    high: tuple[float, ...] = Field(description="upper bounds of a state")
    critic: CriticConfig
    text: TextConfig
    vocabulary: tuple[str, ...] = Field(description="compact text encoder: its words, in order")
    text_width: int | None = Field(description="named text model: numbers in its embedding")
    word_table: str | None = Field(
        None, description="sha256 of the word table that it was trained on; none before 0.3"
    )


class CriticsDescription(LanguageDescription):
    """All that shapes the two critics, apart from their weights."""

    action_size: int = Field(ge=1, description="numbers in an action")


def build_critics(description: CriticsDescription, seed: int) -> tuple[GoalCritic, LanguageCritic]:
    """Return f and h, initialised from a seed, with one goal encoder between them."""
    config, low, high = description.critic, description.low, description.high
    energy = ENERGIES[config.energy]
    with seeded(seed):
        goal = GoalEncoder(low, high, config)
        state_action = StateActionEncoder(low, high, description.action_size, config)
        return GoalCritic(state_action, goal, energy), _language(goal, description)


def build_language(description: LanguageDescription, seed: int) -> LanguageCritic:
    """Return h, initialised from a seed, with a goal encoder of its own."""
    with seeded(seed):
        goal = GoalEncoder(description.low, description.high, description.critic)
        return _language(goal, description)


def _language(goal: GoalEncoder, description: LanguageDescription) -> LanguageCritic:
    config, energy = description.critic, ENERGIES[description.critic.energy]
    encoder = build_text_encoder(
        description.text,
        description.vocabulary,
        config.embedding,
        description.text_width,
        description.word_table,
    )
    if isinstance(encoder, PretrainedTextEncoder):
        description = description.model_copy(update={"text_width": encoder.input_width})
    return LanguageCritic(goal, encoder, energy, description)


def word_table_of(config: TextConfig) -> str | None:
    """Return the digest of the table that a new text encoder learns on; None if on none."""
    if config.model != "compact" or config.words == "own":
        return None
    return distilled_words().digest


def build_text_encoder(
    config: TextConfig,
    vocabulary: Sequence[str],
    embedding: int,
    width: int | None = None,
    word_table: str | None = None,
) -> TextEncoder:
    """Return a text encoder.

    Args:
        config: sizes, and a model's name or "compact".
        vocabulary: words of the compact one, in order.
        embedding: numbers in a text's embeddings.
        width: of a named model's embedding, which the model gives itself by default.
        word_table: what ``word_table_of`` said when the compact one was made.

    Raises:
        CheckpointError: if this langrl carries another table of words than that one.
    """
    if config.model != "compact":
        return PretrainedTextEncoder(config.model, embedding, config, width=width)
    known = None if word_table is None else distilled_words()
    if known is not None and known.digest != word_table:
        raise CheckpointError(
            "the text encoder was trained on the word table of another langrl; install that"
            " version, or train it again"
        )
    return CompactTextEncoder(vocabulary, embedding, config, known)
