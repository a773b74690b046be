"""What a language-image model is evaluated on: images and texts that it was not trained on.

The model of a finished run is stored here too: it is calibrated on pairs of their own, and its card
has the numbers that are measured.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from langrl.checkpoint import MODEL_FOLDER
from langrl.errors import DomainError
from langrl.evaluation.image_text import RoomSample, calibrate_on
from langrl.grounding.understanding import learn_understanding
from langrl.models.language_image.model import LanguageImageModel, load_language_image_model
from langrl.plots.base import to_image
from langrl.plots.image_text import auc_figure, grid_figure, reliability_figure
from langrl.tasks.language_image.config import LanguageImageRunConfig
from langrl.tasks.language_image.model_card import model_card
from langrl.tasks.language_image.run import LanguageImageRun
from langrl.tasks.suite import Report, Row, training_figure
from langrl.training.logs import read_metrics, versions

_COLUMNS = (
    "phrasing", "texts", "auc", "auc_levels", "auc_words", "recall_text_to_image",
    "recall_image_to_text", "nll", "ece",
)  # fmt: skip


class LanguageImageSuite:
    """Stores and measures the model of a run; see ``Suite``."""

    def report(self, run: LanguageImageRun, folder: Path, command: str, seconds: float) -> Report:
        """Calibrate, measure and store the model in ``folder/model``; see ``Suite.report``."""
        start = time.perf_counter()
        config, source, place = run.config, run.source, folder / MODEL_FOLDER
        assert source is not None
        # What is measured is what is stored: rounded to half precision, and read back.
        run.learner.model.save(place, "", {}, half=True)
        model = load_language_image_model(place, config.device)
        notes = [f"model: {place}"]
        try:
            calibrate_on(model, source.calibration_samples())
        except DomainError as error:  # after a few steps only, or on captions that say nothing
            notes.append(f"the model is stored uncalibrated: {error}")
        model.understanding = learn_understanding(model, source.understood_sample())
        if model.understanding is None:
            notes.append("P(understood) is not fitted: there are too few texts")
        rows = source.measure(model)
        for row in rows:
            row["train_seconds"] = round(seconds, 1)
        numbers = {"command": command, "versions": versions(), "rows": rows}
        model.save(place, model_card(config, rows, command), numbers, half=True)
        results = {"evaluation_seconds": round(time.perf_counter() - start, 1)}
        title = "on rooms and texts not seen in training"

        def draw() -> dict[str, Figure]:
            return _figures(model, rows, source.shown_samples(), folder)

        return Report(title, rows, _COLUMNS, draw, results=results, notes=notes)


def of(config: LanguageImageRunConfig) -> LanguageImageSuite:
    """Return the suite of a run."""
    return LanguageImageSuite()


def _figures(
    model: LanguageImageModel, rows: list[Row], samples: Sequence[RoomSample], folder: Path
) -> dict[str, Figure]:
    figures = {
        "curves": training_figure(folder),
        "reliability": reliability_figure(rows, "P(match) in rooms not seen in training"),
        "auc": auc_figure(rows, "ROC AUC in rooms not seen in training"),
    }
    for sample in samples if model.calibrated else ():
        title = f"{sample.world}: best text and P(match)"
        figures[f"images-{sample.world}"] = grid_figure(model, sample, title)
    _add_to_tensorboard(figures, folder)
    return figures


def _add_to_tensorboard(figures: dict[str, Figure], folder: Path) -> None:
    """Write the figures to TensorBoard, at the last step that the run has recorded."""
    from torch.utils.tensorboard import SummaryWriter

    records = read_metrics(folder / "metrics.jsonl")
    step = int(records[-1]["step"]) if records else 0
    board = SummaryWriter(str(folder / "tensorboard"))
    try:
        for name, figure in figures.items():
            board.add_image(name, to_image(figure), step, dataformats="HWC")
    finally:
        board.close()
