"""The language side of agents that were trained without words: learned, stored and loaded.

Axes: ``M`` goals, ``G`` numbers in a goal.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field, ValidationError

from langrl.checkpoint import MANIFEST, Checkpoint, digest, fill, no_larger_than, read_checkpoint
from langrl.data.maze.texts import MazeTextWriter
from langrl.envs.goal_words import GoalWords
from langrl.envs.maze.cells import CellFrame
from langrl.envs.maze.grammar import KINDS
from langrl.envs.regions import RegionFrame
from langrl.errors import CheckpointError, GroundingError, LangRLError, ShapeError
from langrl.grounding.config import WordsConfig
from langrl.grounding.language_critic import learn_language
from langrl.grounding.stored import describe_language, understood_document, write_folder
from langrl.models.critics.build import LanguageDescription, build_language
from langrl.models.critics.maze import LanguageCritic
from langrl.models.understanding import read_understanding
from langrl.protocols import Array
from langrl.settings import Settings, describe_invalid

_DOCUMENT, _WEIGHTS = "words", "language"
_FILES = {MANIFEST, f"{_DOCUMENT}.json", f"{_WEIGHTS}.safetensors"}
_DEFAULT = WordsConfig()


class CellsDescription(Settings):
    """A ``CellFrame`` as plain values."""

    kind: Literal["cells"] = "cells"
    rows: tuple[str, ...]
    columns: tuple[int, int]
    scale: tuple[float, float]
    offset: tuple[float, float]
    steps_per_cell: float | None


class RegionsDescription(Settings):
    """A ``RegionFrame`` as plain values."""

    kind: Literal["regions"] = "regions"
    axes: tuple[str | None, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


WordsDescription = Annotated[CellsDescription | RegionsDescription, Field(discriminator="kind")]


class LanguageSideDescription(Settings):
    """What ``store_words`` writes, apart from weights."""

    words: WordsDescription
    language: LanguageDescription
    learned_from: str = Field(description="digest of goals, settings and seed")


def describe_words(words: GoalWords) -> CellsDescription | RegionsDescription:
    """Return words as plain values, from which ``build_words`` makes them again.

    Raises:
        GroundingError: if the frame is of a class of the caller's own.
    """
    for kind, description in ((CellFrame, CellsDescription), (RegionFrame, RegionsDescription)):
        if type(words.frame) is kind:
            return description.model_validate(asdict(words.frame))
    raise GroundingError(
        f"{type(words.frame).__name__} is a frame of your own, which is not stored; make the words"
        " anew where they are used"
    )


def build_words(description: CellsDescription | RegionsDescription) -> GoalWords:
    """Return words from their description; raises LangRLError if they cannot be any."""
    values = description.model_dump(exclude={"kind"})
    frame = CellFrame if isinstance(description, CellsDescription) else RegionFrame
    return GoalWords(frame(**values))


def learn_words(
    goals: Array, words: GoalWords, config: WordsConfig = _DEFAULT, seed: int = 0
) -> LanguageCritic:
    """Learn h(g, l) for goals that an agent has achieved; the agent itself is not trained.

    Args:
        goals: some that were achieved [M, G], distributed as candidates will be.
        words: texts that are true of them.
        config: how much is learned.
        seed: of pairs, weights and batches.

    Returns:
        The language side, in evaluation mode, on the CPU.

    Raises:
        ShapeError: if there are no goals.
        LangRLError: see ``GoalWords.draw_texts`` and ``learn_language``.
    """
    goals = np.asarray(goals, np.float32)
    if goals.ndim != 2 or not len(goals):
        raise ShapeError(f"words are learned from goals [M, G], got {list(goals.shape)}")
    generator = np.random.default_rng([seed, 1])
    drawn = goals[generator.integers(len(goals), size=config.pairs)]
    texts = words.draw_texts(drawn, generator, config.kinds or None)
    if config.paraphrases and isinstance(words.frame, CellFrame):
        _paraphrase(texts, drawn, words.frame, config, generator)
    return learn_language(
        drawn,
        texts,
        steps=config.steps,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        text=config.text,
        seed=seed,
    )


def _paraphrase(
    texts: list[str],
    goals: Array,
    frame: CellFrame,
    config: WordsConfig,
    generator: np.random.Generator,
) -> None:
    """Replace a share of the texts of goals [P, G] by those of ``MazeTextWriter``."""
    writer = MazeTextWriter(frame.grammar, config.kinds or KINDS)
    chosen = np.flatnonzero(generator.random(len(texts)) < config.paraphrases)
    for n, cell in zip(chosen.tolist(), frame.cells(goals[chosen]).tolist(), strict=True):
        texts[n], _ = writer.draw(tuple(cell), generator)


def store_words(
    folder: Path, words: GoalWords, language: LanguageCritic, learned_from: str = ""
) -> None:
    """Write words and language side to a folder, whole or not at all.

    Args:
        folder: where; an earlier one that is there is replaced.
        words: what texts denote.
        language: what ``learn_words`` returned.
        learned_from: a digest of what it was learned from, for ``learned_words``.

    Raises:
        GroundingError: if the frame or the language side is of another class.
        ConfigError: if the folder holds something else, or cannot be written.
    """
    description = LanguageSideDescription(
        words=describe_words(words),
        language=describe_language(language),
        learned_from=learned_from,
    )
    documents = {_DOCUMENT: description.model_dump(mode="json")} | understood_document(language)
    weights = {name: value.detach() for name, value in language.named_parameters()}
    write_folder(Path(folder), Checkpoint(documents, {_WEIGHTS: weights}), _FILES)


def load_words(
    folder: Path, device: str | torch.device = "cpu"
) -> tuple[GoalWords, LanguageCritic, str]:
    """Return what ``store_words`` was given; no environment is needed.

    Raises:
        CheckpointError: if it is missing, incomplete, damaged or something else.
    """
    checkpoint = read_checkpoint(Path(folder))
    try:
        description = LanguageSideDescription.model_validate(checkpoint.documents[_DOCUMENT])
        words = build_words(description.words)
        with no_larger_than(checkpoint.tensors[_WEIGHTS]):
            language = build_language(description.language, seed=0)
        fill(dict(language.named_parameters()), checkpoint.tensors[_WEIGHTS])
        language.understanding = read_understanding(checkpoint.documents, folder)
    except KeyError as error:
        raise CheckpointError(f"{folder} holds no words: it lacks {error}") from error
    except ValidationError as error:
        problem = describe_invalid(error, LanguageSideDescription)
        raise CheckpointError(f"{folder}/{_DOCUMENT}.json: {problem}; store it again") from error
    except LangRLError as error:
        raise CheckpointError(f"{folder}: {error}") from error
    return words, language.to(device).eval(), description.learned_from


def learned_words(
    folder: Path | None,
    goals: Array,
    words: GoalWords,
    config: WordsConfig = _DEFAULT,
    seed: int = 0,
) -> LanguageCritic:
    """Return the language side that a folder holds, if it was learned alike; else learn it.

    Args:
        folder: where it is looked for, and stored once it is learned; None: it is not stored.
        goals: some that were achieved [M, G].
        words: texts that are true of them.
        config: how much is learned.
        seed: of everything that is drawn.

    Raises:
        LangRLError: see ``learn_words`` and ``store_words``.
    """
    described = describe_words(words).model_dump_json() + config.model_dump_json()
    source = digest(np.asarray(goals, np.float32), f"{described} {seed}".encode())
    if folder is not None and (Path(folder) / MANIFEST).is_file():
        _, language, learned_from = load_words(folder)
        if learned_from == source:
            return language
    language = learn_words(goals, words, config, seed)
    if folder is not None:
        store_words(folder, words, language, source)
    return language
