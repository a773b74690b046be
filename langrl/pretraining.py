"""Pre-training and fine-tuning of language-image models: from a config to a model's folder.

Names and files become objects here; everything below receives objects.
"""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from langrl.agents.language_image import LanguageImageLearner
from langrl.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from langrl.compose import CONFIG_FILE, check_empty, read_newest, take_up, write_config
from langrl.config import load_config
from langrl.data.augment import NO_WORDS, NearWords, TextWriter, find_near_words
from langrl.data.picture_folder import CaptionedPictures, read_folder
from langrl.data.pictures import PictureTexts, world_batch
from langrl.envs.grid_grammar import LEVELS, TYPES
from langrl.envs.grid_rooms import GRID_WORLDS
from langrl.errors import CheckpointError, ConfigError, DomainError
from langrl.experiment.colour_names import BASIC, colour_memberships
from langrl.experiment.logs import console, print_table, read_metrics, versions, write_results
from langrl.experiment.model_card import model_card
from langrl.experiment.picture_evaluation import (
    RoomSample,
    calibrate_on,
    evaluate_worlds,
    measure,
    sample_rooms,
    summarise,
)
from langrl.experiment.picture_figures import (
    auc_figure,
    grid_figure,
    read_png,
    reliability_figure,
)
from langrl.experiment.plots import curves_figure, save
from langrl.experiment.training import Training
from langrl.models.encoders import load_sentence_transformer
from langrl.models.language_image import (
    LanguageImageModel,
    TowersDescription,
    build_language_image_model,
    load_language_image_model,
)
from langrl.models.patch_init import whiten_patches
from langrl.models.sentence_pair import PairDescription, SentenceTransformerPair
from langrl.models.towers import CompactImageTower, CompactTextTower
from langrl.models.word_table import WordTable, distil_words
from langrl.pretrain_config import PretrainConfig

MODEL_FOLDER = "model"
_TABLE = "word_table"
_PLAIN = ("full", "colour", "type")  # levels of the first steps
# The harder ones more often.
_VARIED = (*LEVELS, "negation", "negation", "disjunction", "relation", "relation", "relation")
_HARDEST = {"paraphrases": 0.8, "near_words": 1.0, "typos": 0.4, "idle": 0.8}
_CELLS = 64  # of a room of usual size; batches of larger rooms have fewer of them
_MEASURED, _CALIBRATED = 1, 2  # numbers that keep seeds apart; 0 is of training
_COLUMNS = (
    "phrasing", "texts", "auc", "auc_levels", "auc_words", "recall_text_to_picture",
    "recall_picture_to_text", "nll", "ece",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Pretraining:
    """A pre-training run in the making."""

    config: PretrainConfig
    learner: LanguageImageLearner
    words: NearWords
    parts: list[CaptionedPictures] | None

    @property
    def data_sha256(self) -> str:
        """Digest of the captioned images; of worlds, whose pictures come from the seed, of none."""
        digest = hashlib.sha256()
        for part in self.parts or []:
            digest.update(np.ascontiguousarray(part.pictures).tobytes())
            digest.update(json.dumps(part.texts).encode() + part.positives.tobytes())
        return digest.hexdigest()

    def check(self, checkpoint: Checkpoint, path: Path) -> None:
        """Raise CheckpointError unless a checkpoint is of such a model."""
        mine = self.learner.model.description.model_dump(mode="json")
        if checkpoint.documents["description"] != mine:
            raise CheckpointError(f"{path} is of a model of another shape than {CONFIG_FILE} names")

    def snapshot(self) -> Checkpoint:
        """Return a checkpoint of the present state, from which training goes on bit for bit."""
        description = self.learner.model.description.model_dump(mode="json")
        state = {
            "step": self.learner.step,
            "threads": self.config.threads,
            "versions": versions(),
            "data_sha256": self.data_sha256,
        }
        return Checkpoint({"description": description, "state": state}, self.learner.state())


def pretrain(config: PretrainConfig, out: Path, command: str) -> list[dict[str, Any]]:
    """Train a language-image model in a new run folder; its model is in ``out/model``.

    Returns:
        The rows of ``results.json``.

    Raises:
        ConfigError: if ``out`` holds something, or a name, folder or image cannot be used.
        MissingExtraError: if a SentenceTransformer is needed and not installed.
        NonFiniteError: if training diverges.
    """
    check_empty(out)
    run = build_pretraining(config, out)
    write_config(out, config)
    return _finish(run, out, command)


def resume(out: Path, command: str) -> list[dict[str, Any]]:
    """Go on with a run from its newest checkpoint, to the bits of an uninterrupted one.

    Raises:
        CheckpointError: if there is no sound checkpoint, or it is not of the config beside it.
        ConfigError: if ``config.yaml`` is missing or wrong.
    """
    path, checkpoint = read_newest(out)
    run = build_pretraining(load_config(str(out / CONFIG_FILE), PretrainConfig), out)
    take_up(run, checkpoint, path)
    return _finish(run, out, command)


# -- building --------------------------------------------------------------------------------


def build_pretraining(config: PretrainConfig, out: Path) -> Pretraining:
    """Build everything that a run trains; distilled words are kept in ``out``.

    Raises:
        ConfigError, MissingExtraError: naming the field and the repair.
    """
    if config.device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device {config.device!r} is not available here; use 'cpu'")
    torch.set_num_threads(config.threads)
    torch.set_flush_denormal(True)  # subnormal numbers are many times slower
    parts = None
    if config.folder is not None:
        pictures = read_folder(Path(config.folder), config.picture_size)
        parts = pictures.split(config.held_out, np.random.default_rng([config.seed, _CALIBRATED]))
    table = word_table(config, out)
    words = find_near_words(table, BASIC) if table else NO_WORDS
    draw = (
        _draw_from_worlds(config, words) if parts is None else _draw_from_folder(config, parts[0])
    )
    model = start_model(config, table)
    if config.start is None:
        assert isinstance(model.pair.image, CompactImageTower)
        generator = torch.Generator().manual_seed(config.seed)
        whiten_patches(model.pair.image, torch.from_numpy(draw(0).pictures), generator)
    learner = LanguageImageLearner(
        model.to(config.device),
        draw,
        steps=config.steps,
        learning_rate=config.learning_rate,
        logistic_weight=config.logistic_weight,
        device=config.device,
    )
    return Pretraining(config, learner, words, parts)


def word_table(config: PretrainConfig, out: Path) -> WordTable | None:
    """Return the distilled words, from ``out`` if they are there; None if none are asked for."""
    needed = config.start is None and config.model.text.model == "compact"
    if config.words is None or not needed:
        return None
    folder = out / _TABLE
    if folder.is_dir():
        stored = read_checkpoint(folder)
        tensors = stored.tensors["table"]
        words = tuple(stored.documents["words"])
        embeddings = tensors["embeddings"].float()
        return WordTable(words, tensors["rows"], embeddings, tensors["colours"])
    model = load_sentence_transformer(config.words)
    table = distil_words(
        model, config.table_width, colour_memberships(), config.word_limit, tuple(TYPES)
    )
    rounded = table.embeddings.half()  # near words are the same before and after a resume
    tensors = {"rows": table.rows, "embeddings": rounded, "colours": table.colours}
    write_checkpoint(folder, Checkpoint({"words": list(table.words)}, {"table": tensors}))
    return WordTable(table.words, table.rows, rounded.float(), table.colours)


def start_model(config: PretrainConfig, table: WordTable | None) -> LanguageImageModel:
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


def _draw_from_worlds(config: PretrainConfig, words: NearWords) -> Callable[[int], PictureTexts]:
    texts = config.texts
    plain = TextWriter(NO_WORDS, 0.0, 0.0, 0.0, 0.0)
    varied = text_writer(config, words)
    until = texts.plain_until * config.steps

    def draw(step: int) -> PictureTexts:
        # A seed for each step: a resumed run draws what it would have drawn.
        generator = np.random.default_rng([config.seed, 0, step])
        spec = GRID_WORLDS[config.worlds[step % len(config.worlds)]]
        return world_batch(
            spec,
            (plain if step < until else varied).write,
            generator,
            rooms=max(1, config.rooms_per_batch * _CELLS // spec.size**2),
            pictures=config.pictures_per_room,
            texts=config.texts_per_room,
            levels=_PLAIN if step < until else _VARIED,
        )

    return draw


def text_writer(config: PretrainConfig, words: NearWords) -> TextWriter:
    """Return what writes the training texts, once they vary."""
    texts = config.texts
    rates = (texts.paraphrases, texts.near_words, texts.typos, texts.idle_words, texts.asides)
    return TextWriter(words, *rates)


def _draw_from_folder(
    config: PretrainConfig, pictures: CaptionedPictures
) -> Callable[[int], PictureTexts]:
    def draw(step: int) -> PictureTexts:
        return pictures.draw(config.pairs_per_batch, np.random.default_rng([config.seed, 0, step]))

    return draw


# -- finishing -------------------------------------------------------------------------------


def _finish(run: Pretraining, out: Path, command: str) -> list[dict[str, Any]]:
    config = run.config
    training = Training(run.learner, config.steps, out, config.logging, run.snapshot)
    seconds = training.run("pretrain")
    start = time.perf_counter()
    folder = out / MODEL_FOLDER
    # What is measured is what is stored: rounded to half precision, and read back.
    run.learner.model.save(folder, "", {}, half=True)
    model = load_language_image_model(folder, config.device)
    try:
        calibrate_on(model, _calibration_samples(run))
    except DomainError as error:  # after a few steps only, or on captions that say nothing
        console.print(f"the model is stored uncalibrated: {error}")
    samples = _shown_samples(run)
    if run.parts is None:
        rows = evaluate_worlds(
            model, config.worlds, config.evaluation_rooms, config.seed + _MEASURED
        )
    else:
        rows = [summarise(measure(model, samples), "captions")]
    for row in rows:
        row["train_seconds"] = round(seconds, 1)
    numbers = {"command": command, "versions": versions(), "rows": rows}
    model.save(folder, model_card(config, rows, command), numbers, half=True)
    seconds_after = round(time.perf_counter() - start, 1)
    write_results(
        out, command, config.model_dump(mode="json"), rows, evaluation_seconds=seconds_after
    )
    _draw_figures(model, rows, samples, out)
    print_table("on rooms and texts not seen in training", rows, _COLUMNS)
    return rows


def _calibration_samples(run: Pretraining) -> list[RoomSample]:
    """Return pairs of rooms that are neither trained on nor measured, with the hardest texts.

    They stand for what users will say: on texts as in training, the model is surer than it is
    right about words that it has not been trained on.
    """
    config = run.config
    if run.parts is not None:
        return [_as_sample(run.parts[1])]
    generator = np.random.default_rng([config.seed, _CALIBRATED])
    writer = TextWriter(run.words, **_HARDEST)
    return sample_rooms(
        config.worlds, max(2, config.evaluation_rooms // 2), writer.write, generator
    )


def _shown_samples(run: Pretraining) -> list[RoomSample]:
    """Return what is pictured, and for a folder measured."""
    if run.parts is not None:
        return [_as_sample(run.parts[2])]
    generator = np.random.default_rng([run.config.seed, _MEASURED, _CALIBRATED])
    write = text_writer(run.config, run.words).write
    return sample_rooms(run.config.worlds, 1, write, generator)


def _as_sample(part: CaptionedPictures) -> RoomSample:
    levels = ["caption"] * len(part.texts)
    return RoomSample("folder", part.pictures, part.texts, levels, part.positives.T)


def _draw_figures(
    model: LanguageImageModel, rows: list[dict[str, Any]], samples: list[RoomSample], out: Path
) -> None:
    from torch.utils.tensorboard import SummaryWriter

    board = SummaryWriter(str(out / "tensorboard"))
    figures = {
        "curves": curves_figure(read_metrics(out / "metrics.jsonl"), "training"),
        "reliability": reliability_figure(rows, "P(match) in rooms not seen in training"),
        "auc": auc_figure(rows, "ROC AUC in rooms not seen in training"),
    }
    for sample in samples if model.calibrated else []:
        title = f"{sample.world}: best text and P(match)"
        figures[f"pictures-{sample.world}"] = grid_figure(model, sample, title)
    try:
        for name, drawn in figures.items():
            path = save(drawn, out / "figures" / f"{name}.png")
            board.add_image(name, read_png(path), run_step(out), dataformats="HWC")
    finally:
        board.close()


def run_step(out: Path) -> int:
    """Return the last step that a run has recorded."""
    records = read_metrics(out / "metrics.jsonl")
    return int(records[-1]["step"]) if records else 0
