"""A named text model as the text tower of a trained image tower: ``train: words``.

The image tower stays as it is, and so do its embeddings of images: a head is trained that brings
the text model's embeddings, which are frozen, to where texts belong among them.
"""

import numpy as np
import torch
from torch.nn import functional

from langrl.data.images.augment import NO_WORDS, NearWords, find_near_words
from langrl.envs.grid.grammar import TYPES
from langrl.errors import ConfigError
from langrl.models.language_image.model import (
    LanguageImageModel,
    TowersDescription,
    build_language_image_model,
    load_language_image_model,
)
from langrl.models.language_image.towers import CompactTextTower, TowerPair
from langrl.models.language_image.word_table import WordTable
from langrl.models.word_front import rows_of
from langrl.tasks.language_image.colour_names import BASIC, colour_memberships
from langrl.tasks.language_image.config import LanguageImageRunConfig


def with_named_words(config: LanguageImageRunConfig) -> tuple[LanguageImageModel, NearWords]:
    """Return a model of a trained image tower and a new head on a named text model.

    Args:
        config: with ``start`` and ``words``.

    Returns:
        The model, and words that may replace others in training texts, by the word table of the
        model that it starts from; none where that has no table.

    Raises:
        ConfigError: if the start has no image tower of its own, or there is no such text model.
        MissingExtraError: if sentence-transformers is not installed.
    """
    assert config.start is not None
    start = load_language_image_model(config.start)
    if not isinstance(start.pair, TowerPair) or not isinstance(
        start.description, TowersDescription
    ):
        raise ConfigError(
            f"train: words keeps an image tower, and {config.start} is a SentenceTransformer, which"
            " has none of its own; start from 'bundled' or another model of langrl"
        )
    text = config.model.text.model_copy(update={"model": config.words})
    sizes = start.description.config.model_copy(update={"text": text})
    model = build_language_image_model(TowersDescription(config=sizes), config.seed)
    assert isinstance(model.pair, TowerPair)
    model.pair.image.load_state_dict(start.pair.image.state_dict())
    model.pair.image.requires_grad_(False)
    model.scale.load_state_dict(start.scale.state_dict())
    return model, near_words_of(start.pair.text)


def near_words_of(tower: object) -> NearWords:
    """Return which words may replace others, by the word table of a compact text tower."""
    # Memberships in colours and kinds come last in a row, and are no part of an embedding.
    memberships = len(BASIC) + len(TYPES)
    if not isinstance(tower, CompactTextTower) or tower.table.shape[1] <= memberships:
        return NO_WORDS
    known = colour_memberships()
    nothing = np.zeros(len(BASIC))
    colours = np.stack([known.get(word, nothing) for word in tower.vocabulary])
    numbers = torch.arange(len(tower.vocabulary))
    rows = rows_of(tower.table.cpu(), tower.table_scale.cpu(), numbers, torch.zeros(()))
    unit = functional.normalize(rows[:, :-memberships], dim=1)
    kinds = torch.zeros(len(rows), 0)
    table = WordTable(tower.vocabulary, rows, unit, torch.from_numpy(colours), kinds)
    return find_near_words(table, BASIC)
