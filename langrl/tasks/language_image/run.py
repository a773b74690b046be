"""Pre-training and fine-tuning of language-image models: from a config to a learner."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from langrl.agents.language_image import LanguageImageLearner
from langrl.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from langrl.data.images.augment import NO_WORDS, NearWords, find_near_words
from langrl.data.prefetch import Prefetcher
from langrl.envs.grid.grammar import TYPES
from langrl.errors import ConfigError
from langrl.models.encoders import load_sentence_transformer
from langrl.models.language_image.model import (
    LanguageImageModel,
    TowersDescription,
    build_language_image_model,
    load_language_image_model,
)
from langrl.models.language_image.patch_init import whiten_patches
from langrl.models.language_image.sentence_pair import PairDescription, SentenceTransformerPair
from langrl.models.language_image.towers import CompactImageTower, CompactTextTower
from langrl.models.language_image.word_table import WordTable, distil_words, with_coined_words
from langrl.tasks.language_image.colour_names import BASIC, agreed, colour_memberships
from langrl.tasks.language_image.config import LanguageImageRunConfig
from langrl.tasks.language_image.frequent_words import frequent_words
from langrl.tasks.language_image.named_words import with_named_words
from langrl.tasks.language_image.sources import GridSource, Source, image_source
from langrl.tasks.language_image.thesaurus import COLOURS, THINGS, Thesaurus
from langrl.tasks.run import Run

_TABLE = "word_table"


@dataclass(eq=False)
class LanguageImageRun(Run):
    """A run with the source of its images and texts."""

    source: Source | None = None

    def begin(self) -> None:
        """Start from what ``build`` has made of ``start``."""


def build(config: LanguageImageRunConfig, folder: Path) -> LanguageImageRun:
    """Build everything that a run trains; distilled words are kept in ``folder``.

    Raises:
        ConfigError, MissingExtraError: naming the field and the repair.
    """
    source = image_source(config)  # refused before a minute of distillation, not after
    model, near = _model_and_words(config, folder)
    if isinstance(source, GridSource):
        source = GridSource(config, near)
    source = source.for_reader(model.pair.limit)
    if config.start is None:
        assert isinstance(model.pair.image, CompactImageTower)
        generator = torch.Generator().manual_seed(config.seed)
        whiten_patches(model.pair.image, torch.from_numpy(source.draw(0).images), generator)
    learner = LanguageImageLearner(
        model.to(config.device),
        Prefetcher(source.draw, config.steps, config.workers),
        steps=config.steps,
        learning_rate=config.learning_rate,
        logistic_weight=config.logistic_weight,
        label_weight=config.label_weight,
        seed=config.seed,
        device=config.device,
    )
    return LanguageImageRun(
        config,
        learner,
        model.description,
        source.digest(),
        document="description",
        # What is in a text model's folder is compared by the references.
        compared=tuple(
            name for name in type(model.description).model_fields if name != "text_sha256"
        ),
        source=source,
    )


def _model_and_words(
    config: LanguageImageRunConfig, folder: Path
) -> tuple[LanguageImageModel, NearWords]:
    """Return the model that training starts from, and words that may replace others in texts."""
    if config.train == "words":
        return with_named_words(config)
    table = word_table(config, folder)
    near = NO_WORDS if table is None else find_near_words(table, BASIC)
    return start_model(config, table), near


def word_table(config: LanguageImageRunConfig, folder: Path) -> WordTable | None:
    """Return the distilled words, from ``folder`` if they are there; None if none are asked for."""
    needed = config.start is None and config.model.text.model == "compact"
    if config.words is None or not needed:
        return None
    stored_at = folder / _TABLE
    if stored_at.is_dir():
        stored = read_checkpoint(stored_at)
        tensors = stored.tensors["table"]
        words = tuple(stored.documents["words"])
        embeddings = tensors["embeddings"].float()
        return WordTable(
            words,
            tensors["rows"],
            embeddings,
            tensors["colours"],
            tensors.get("kinds", torch.zeros(len(words), 0)),  # none in tables of earlier runs
            stored.documents.get("coined", 0),
        )
    colours, in_kinds = colour_memberships(), None
    if config.thesaurus is not None:
        thesaurus = Thesaurus(Path(config.thesaurus))
        in_kinds = thesaurus.memberships(tuple(TYPES), THINGS)
        colours = agreed(colours, thesaurus.memberships(BASIC, COLOURS))
    further = frequent_words(config.frequent_words) if config.frequent_words else ()
    model = load_sentence_transformer(config.words)
    table = distil_words(
        model, config.table_width, colours, config.word_limit, tuple(TYPES), further, in_kinds
    )
    if config.coined_words:
        table = with_coined_words(table, config.coined_words, np.random.default_rng(config.seed))
    rounded = table.embeddings.half()  # near words are the same before and after a resume
    tensors = {
        "rows": table.rows, "embeddings": rounded, "colours": table.colours, "kinds": table.kinds
    }  # fmt: skip
    documents = {"words": list(table.words), "coined": table.coined}
    write_checkpoint(stored_at, Checkpoint(documents, {"table": tensors}))
    return replace(table, embeddings=rounded.float())


def start_model(config: LanguageImageRunConfig, table: WordTable | None) -> LanguageImageModel:
    """Return the model that training starts from.

    Raises:
        ConfigError: if there is no such model, or ``train`` does not go with it.
    """
    if config.start is None:
        description = TowersDescription(
            config=config.model,
            vocabulary=table.words if table else (),
            table_width=table.rows.shape[1] if table else 0,
        )
        model = build_language_image_model(description, config.seed)
        if table is not None:
            assert isinstance(model.pair.text, CompactTextTower)
            model.pair.text.set_table(table.rows)
        return model
    model = load_language_image_model(config.start)
    heads = config.train == "heads"
    if isinstance(model.pair, SentenceTransformerPair):
        name = model.pair.name
        pair = PairDescription(name=name, heads=heads, fine_tune=not heads)
        return build_language_image_model(pair, config.seed)
    if heads:
        raise ConfigError(
            f"train: heads needs a SentenceTransformer, and {config.start} is none; use train: all"
        )
    return model
