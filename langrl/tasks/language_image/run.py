"""Pre-training and fine-tuning of language-image models: from a config to a model's folder.

Names and files become objects here; everything below receives objects.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from langrl.agents.language_image import LanguageImageLearner
from langrl.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from langrl.data.images.augment import find_near_words
from langrl.data.prefetch import Prefetcher
from langrl.envs.grid.grammar import TYPES
from langrl.errors import CheckpointError, ConfigError, DomainError
from langrl.evaluation.image_text import RoomSample, calibrate_on
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
from langrl.models.language_image.word_table import WordTable, distil_words
from langrl.plots.base import curves_figure, save
from langrl.plots.image_text import auc_figure, grid_figure, read_png, reliability_figure
from langrl.tasks.language_image.colour_names import BASIC, colour_memberships
from langrl.tasks.language_image.config import LanguageImageRunConfig
from langrl.tasks.language_image.frequent_words import frequent_words
from langrl.tasks.language_image.model_card import model_card
from langrl.tasks.language_image.sources import GridSource, Source, image_source
from langrl.tasks.presets import load_config
from langrl.training.jobs import flushed_subnormals
from langrl.training.logs import console, print_table, read_metrics, versions, write_results
from langrl.training.loop import Training, run_state
from langrl.training.run_folder import (
    CONFIG_FILE,
    check_empty,
    read_newest,
    take_up,
    use_device,
    write_config,
)

MODEL_FOLDER = "model"
_TABLE = "word_table"
_COLUMNS = (
    "phrasing", "texts", "auc", "auc_levels", "auc_words", "recall_text_to_image",
    "recall_image_to_text", "nll", "ece",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class LanguageImageRun:
    """A pre-training run in the making."""

    config: LanguageImageRunConfig
    learner: LanguageImageLearner
    source: Source

    @property
    def data_sha256(self) -> str:
        """Digest of the captioned images, if they are read from files."""
        return self.source.digest()

    def check(self, checkpoint: Checkpoint, path: Path) -> None:
        """Raise CheckpointError unless a checkpoint is of such a model."""
        mine = self.learner.model.description.model_dump(mode="json")
        if checkpoint.documents["description"] != mine:
            raise CheckpointError(f"{path} is of a model of another shape than {CONFIG_FILE} names")

    def snapshot(self) -> Checkpoint:
        """Return a checkpoint of the present state, from which training goes on bit for bit."""
        description = self.learner.model.description.model_dump(mode="json")
        state = run_state(self.learner, self.config.threads, self.data_sha256)
        return Checkpoint({"description": description, "state": state}, self.learner.state())


@flushed_subnormals()
def pretrain(config: LanguageImageRunConfig, out: Path, command: str) -> list[dict[str, Any]]:
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


@flushed_subnormals()
def resume(out: Path, command: str) -> list[dict[str, Any]]:
    """Go on with a run from its newest checkpoint, to the bits of an uninterrupted one.

    Raises:
        CheckpointError: if there is no sound checkpoint, or it is not of the config beside it.
        ConfigError: if ``config.yaml`` is missing or wrong.
    """
    path, checkpoint = read_newest(out)
    run = build_pretraining(load_config(str(out / CONFIG_FILE), LanguageImageRunConfig), out)
    take_up(run, checkpoint, path)
    return _finish(run, out, command)


# -- building --------------------------------------------------------------------------------


def build_pretraining(config: LanguageImageRunConfig, out: Path) -> LanguageImageRun:
    """Build everything that a run trains; distilled words are kept in ``out``.

    Raises:
        ConfigError, MissingExtraError: naming the field and the repair.
    """
    use_device(config.device, config.threads)
    source = image_source(config)  # refused before a minute of distillation, not after
    table = word_table(config, out)
    if isinstance(source, GridSource) and table is not None:
        source = GridSource(config, find_near_words(table, BASIC))
    model = start_model(config, table)
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
    return LanguageImageRun(config, learner, source)


def word_table(config: LanguageImageRunConfig, out: Path) -> WordTable | None:
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
    further = frequent_words(config.frequent_words) if config.frequent_words else ()
    table = distil_words(
        model, config.table_width, colour_memberships(), config.word_limit, tuple(TYPES), further
    )
    rounded = table.embeddings.half()  # near words are the same before and after a resume
    tensors = {"rows": table.rows, "embeddings": rounded, "colours": table.colours}
    write_checkpoint(folder, Checkpoint({"words": list(table.words)}, {"table": tensors}))
    return WordTable(table.words, table.rows, rounded.float(), table.colours)


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


# -- finishing -------------------------------------------------------------------------------


def _finish(run: LanguageImageRun, out: Path, command: str) -> list[dict[str, Any]]:
    config = run.config
    training = Training(run.learner, config.steps, out, config.logging, run.snapshot)
    seconds = training.run("pretrain")
    start = time.perf_counter()
    folder = out / MODEL_FOLDER
    # What is measured is what is stored: rounded to half precision, and read back.
    run.learner.model.save(folder, "", {}, half=True)
    model = load_language_image_model(folder, config.device)
    try:
        calibrate_on(model, run.source.calibration_samples())
    except DomainError as error:  # after a few steps only, or on captions that say nothing
        console.print(f"the model is stored uncalibrated: {error}")
    rows = run.source.measure(model)
    for row in rows:
        row["train_seconds"] = round(seconds, 1)
    numbers = {"command": command, "versions": versions(), "rows": rows}
    model.save(folder, model_card(config, rows, command), numbers, half=True)
    seconds_after = round(time.perf_counter() - start, 1)
    write_results(
        out, command, config.model_dump(mode="json"), rows, evaluation_seconds=seconds_after
    )
    _draw_figures(model, rows, run.source.shown_samples(), out)
    print_table("on rooms and texts not seen in training", rows, _COLUMNS)
    return rows


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
        figures[f"images-{sample.world}"] = grid_figure(model, sample, title)
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
