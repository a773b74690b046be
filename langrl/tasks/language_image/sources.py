"""Where the images and texts of a pre-training run come from: grid worlds, any worlds, a folder.

Each source draws the batch of a step, and samples that are kept apart: to calibrate on, to measure
on and to show. A seed for each step: a resumed run draws what it would have drawn.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.checkpoint import digest
from langrl.data.images.augment import NO_WORDS, NearWords, TextWriter
from langrl.data.images.composed_texts import compose
from langrl.data.images.folder import CaptionedImages, check_captions, read_folder
from langrl.data.images.grid_scenes import ImageTexts, world_batch
from langrl.data.images.rendered_worlds import WorldImages, open_world
from langrl.data.word_sets import Denotation
from langrl.envs.grid.grammar import LEVELS
from langrl.envs.grid.rooms import GRID_WORLDS, draw_rooms, is_object
from langrl.envs.phrasing import Meaning
from langrl.errors import InstructionError
from langrl.evaluation.image_text import (
    RoomSample,
    evaluate_worlds,
    measure,
    sample_rooms,
    summarise,
    try_meaning,
)
from langrl.grounding.understanding import Sample, sample_texts
from langrl.models.language_image.model import LanguageImageModel
from langrl.protocols import Integers
from langrl.tasks.language_image.config import LanguageImageRunConfig
from langrl.words import TextLimit, check_longest

_PLAIN = ("full", "colour", "type")  # levels of the first steps
# The harder ones more often.
_VARIED = (*LEVELS, "negation", "negation", "disjunction", "relation", "relation", "relation")
_MEANT, _ROOMS = 700, 40  # texts that P(understood) is fitted to; rooms of each world for them
_LONGEST_TEXT = 40  # words; what is measured has up to 33
_CELLS = 64  # of a room of usual size; batches of larger rooms have fewer of them
_TRAINED, _MEASURED, _CALIBRATED, _UNDERSTOOD = 0, 1, 2, 3  # numbers that keep seeds apart
Rows = list[dict[str, Any]]


class Source(Protocol):
    """Draws images with texts."""

    def for_reader(self, limit: TextLimit) -> Self:
        """Return the source for a model that reads texts up to a limit.

        Raises:
            ConfigError, InstructionError: if there are longer texts.
        """
        ...

    def draw(self, step: int) -> ImageTexts:
        """Return the batch of a step."""
        ...

    def calibration_samples(self) -> list[RoomSample]:
        """Return pairs that are neither trained on nor measured."""
        ...

    def shown_samples(self) -> list[RoomSample]:
        """Return what is drawn, of what was not trained on."""
        ...

    def understood_sample(self) -> Sample | None:
        """Return texts that P(understood) is fitted to, none of which is measured."""
        ...

    def measure(self, model: LanguageImageModel) -> Rows:
        """Return rows of results on what was not trained on."""
        ...

    def digest(self) -> str:
        """Return a sha256 of what is read from files; of nothing, where all comes from seeds."""
        ...


def image_source(config: LanguageImageRunConfig) -> Source:
    """Return the source that a config names; grid worlds without near words.

    Raises:
        ConfigError: if a folder, an image or an environment cannot be used.
    """
    if config.folder is not None:
        images = read_folder(Path(config.folder), config.image_size)
        generator = np.random.default_rng([config.seed, _CALIBRATED])
        return FolderSource(config, tuple(images.split(config.held_out, generator)))
    if config.environments:
        return WorldSource(config, tuple(open_world(name) for name in config.environments))
    return GridSource(config)


@dataclass(frozen=True, eq=False)
class GridSource:
    """Rooms of grid worlds, with the exact mask of what fits what, and texts that vary."""

    config: LanguageImageRunConfig
    words: NearWords = NO_WORDS
    limit: TextLimit | None = None

    def for_reader(self, limit: TextLimit) -> Self:
        """Return the source with a limit, beyond which texts are drawn again."""
        check_longest(limit, _LONGEST_TEXT, "texts about grid worlds")
        return replace(self, limit=limit)

    def _write(self, writer: TextWriter, meaning: Meaning, generator: Generator) -> str:
        """Return a text that is not too long; idle words and remarks make few of them longer."""
        while not self._is_short(text := writer.write(meaning, generator)):
            pass
        return text

    def draw(self, step: int) -> ImageTexts:
        """Return the batch of a step; the first ones have simple texts."""
        config = self.config
        generator = np.random.default_rng([config.seed, _TRAINED, step])
        spec = GRID_WORLDS[config.worlds[step % len(config.worlds)]]
        plain = step < config.texts.plain_until * config.steps
        writer = TextWriter(NO_WORDS, 0.0, 0.0, 0.0, 0.0) if plain else self._writer()
        return world_batch(
            spec,
            partial(self._write, writer),
            generator,
            rooms=max(1, config.rooms_per_batch * _CELLS // spec.size**2),
            images=config.images_per_room,
            texts=config.texts_per_room,
            levels=_PLAIN if plain else _VARIED,
            labels=config.label_weight > 0,
            compose=partial(self._compose, writer) if config.texts.composed and not plain else None,
            composed=config.texts.composed,
        )

    def _compose(
        self, writer: TextWriter, room: NDArray[np.uint8], cell: Integers, generator: Generator
    ) -> tuple[str, Denotation] | None:
        """Return a composed text that is not too long, varied, and what it denotes."""
        while found := compose(room, cell, generator):
            text = writer.vary(found[0], generator)
            if self._is_short(text):
                return text, found[1]
        return None

    def _is_short(self, text: str) -> bool:
        try:
            if self.limit is not None:
                self.limit(text)
        except InstructionError:
            return False
        return True

    def _writer(self) -> TextWriter:
        texts = self.config.texts
        return TextWriter(
            self.words,
            texts.paraphrases,
            texts.near_words,
            texts.typos,
            texts.idle_words,
            texts.asides,
            texts.lost_words,
        )

    def calibration_samples(self) -> list[RoomSample]:
        """Return pairs of other rooms, in templates and near words that are never trained on.

        They stand for what users will say: on texts as in training, the model is surer than it is
        right about words that it has not been trained on.
        """
        config = self.config
        generator = np.random.default_rng([config.seed, _CALIBRATED])
        rooms = max(2, config.evaluation_rooms // 2)
        write = partial(self._write, self._reserved_writer())
        return sample_rooms(config.worlds, rooms, write, generator)

    def _reserved_writer(self) -> TextWriter:
        return replace(self._writer(), paraphrases=1.0, near_words=1.0, lost=0.0, reserved=True)

    def understood_sample(self) -> Sample | None:
        """Return texts of training and reserved ones, by turns, of rooms that are drawn anew.

        As many as in training are composed.
        """
        config = self.config
        generator = np.random.default_rng([config.seed, _UNDERSTOOD])
        rooms = [draw_rooms(GRID_WORLDS[name], _ROOMS, generator) for name in config.worlds]
        writers, texts = (self._writer(), self._reserved_writer()), []
        for n in range(_MEANT):
            drawn = rooms[n % len(rooms)]
            meaning = None
            while meaning is None:
                room = drawn[int(generator.integers(len(drawn)))]
                meaning = try_meaning(room, LEVELS[int(generator.integers(len(LEVELS)))], generator)
            writer = writers[n // len(rooms) % 2]
            if config.texts.composed and generator.random() < config.texts.composed:
                cells = np.argwhere(is_object(room))
                cell = cells[int(generator.integers(len(cells)))]
                if composed := self._compose(writer, room, cell, generator):
                    texts.append(composed[0])
                    continue
            texts.append(self._write(writer, meaning, generator))
        return sample_texts(texts, config.seed, varied=False)

    def shown_samples(self) -> list[RoomSample]:
        """Return a room of each world."""
        generator = np.random.default_rng([self.config.seed, _MEASURED, _CALIBRATED])
        write = partial(self._write, self._writer())
        return sample_rooms(self.config.worlds, 1, write, generator)

    def measure(self, model: LanguageImageModel) -> Rows:
        """Return a row for each phrasing, in rooms that were not trained on."""
        config = self.config
        seed = config.seed + _MEASURED
        return evaluate_worlds(model, config.worlds, config.evaluation_rooms, seed)

    def digest(self) -> str:
        """Return the digest of nothing."""
        return digest()


@dataclass(frozen=True, eq=False)
class WorldSource:
    """Goals and instructions of environments, by turns."""

    config: LanguageImageRunConfig
    worlds: tuple[WorldImages, ...]

    def for_reader(self, limit: TextLimit) -> Self:
        """Return the source itself; what is measured and calibrated on is checked beforehand."""
        for sample in (*self.shown_samples(), *self.calibration_samples()):
            for text in sample.texts:
                limit(text)
        return self

    def draw(self, step: int) -> ImageTexts:
        """Return the batch of a step."""
        config = self.config
        generator = np.random.default_rng([config.seed, _TRAINED, step])
        world = self.worlds[step % len(self.worlds)]
        return world.draw(config.rooms_per_batch, config.images_per_room, generator)

    def calibration_samples(self) -> list[RoomSample]:
        """Return pairs of other episodes."""
        return self._samples(_CALIBRATED)

    def shown_samples(self) -> list[RoomSample]:
        """Return what is measured."""
        return self._measured

    def understood_sample(self) -> Sample | None:
        """Return instructions of other episodes, varied."""
        texts = [text for sample in self.calibration_samples() for text in sample.texts]
        return sample_texts(texts, self.config.seed)

    @cached_property
    def _measured(self) -> list[RoomSample]:
        return self._samples(_MEASURED)

    def _samples(self, part: int) -> list[RoomSample]:
        config = self.config
        generator = np.random.default_rng([config.seed, part])
        drawn = [
            (world.name, world.draw(config.evaluation_rooms, config.images_per_room, generator))
            for world in self.worlds
        ]
        return [_as_sample(name.replace("/", "-"), part) for name, part in drawn]

    def measure(self, model: LanguageImageModel) -> Rows:
        """Return one row, over all environments."""
        return [summarise(measure(model, self.shown_samples()), "instructions")]

    def digest(self) -> str:
        """Return the digest of the environments' ids."""
        return digest(json.dumps(self.config.environments).encode())


@dataclass(frozen=True, eq=False)
class FolderSource:
    """Captioned images: a part to train on, one to calibrate on, one to measure on."""

    config: LanguageImageRunConfig
    parts: Sequence[CaptionedImages]

    def for_reader(self, limit: TextLimit) -> Self:
        """Return the source itself; ConfigError names the line of a caption that is too long."""
        assert self.config.folder is not None
        check_captions(Path(self.config.folder), limit)
        return self

    def draw(self, step: int) -> ImageTexts:
        """Return the batch of a step."""
        generator = np.random.default_rng([self.config.seed, _TRAINED, step])
        return self.parts[0].draw(self.config.pairs_per_batch, generator)

    def calibration_samples(self) -> list[RoomSample]:
        """Return the second part."""
        return [_as_sample("folder", self.parts[1])]

    def understood_sample(self) -> Sample | None:
        """Return captions of the first part, varied."""
        return sample_texts(self.parts[0].texts, self.config.seed)

    def shown_samples(self) -> list[RoomSample]:
        """Return the third part, which is measured."""
        return [_as_sample("folder", self.parts[2])]

    def measure(self, model: LanguageImageModel) -> Rows:
        """Return one row."""
        return [summarise(measure(model, self.shown_samples()), "captions")]

    def digest(self) -> str:
        """Return the digest of all images and captions."""
        return digest(
            *(
                data
                for part in self.parts
                for data in (part.images, json.dumps(part.texts).encode(), part.positives)
            )
        )


def _as_sample(name: str, part: CaptionedImages | ImageTexts) -> RoomSample:
    levels = ["caption"] * len(part.texts)
    return RoomSample(name, part.images, list(part.texts), levels, part.positives.T)
