"""P(understood) of a stored language-image model: fitted anew, without training it.

Models of earlier versions have none; this gives them one.
"""

from pathlib import Path

from langrl.checkpoint import MANIFEST, add_document
from langrl.errors import ConfigError
from langrl.evaluation.image_text import measure_understood
from langrl.grounding.understanding import learn_understanding
from langrl.models.language_image.model import load_language_image_model, stored_folder
from langrl.models.understanding import UNDERSTOOD, p_understood
from langrl.tasks.language_image.config import LanguageImageRunConfig
from langrl.tasks.language_image.sources import image_source


def fit_stored(source: str, config: LanguageImageRunConfig) -> tuple[Path, dict[str, float]]:
    """Fit P(understood) of a stored model to texts of a config, and store it beside the model.

    Args:
        source: "bundled", a model's folder, or the run folder with it.
        config: says which images and texts there are.

    Returns:
        The model's folder, and ROC AUC and calibration error on texts of another seed.

    Raises:
        ConfigError: if it is no stored model, its folder cannot be written, or the config has too
            few texts.
    """
    folder = stored_folder(source)
    if not (folder / MANIFEST).is_file():
        raise ConfigError(
            f"--calibrate {source}: no model that langrl has stored; give 'bundled', a run folder"
            " of `langrl pretrain`, or the model's folder"
        )
    model = load_language_image_model(source, config.device)
    other = config.model_copy(update={"seed": (config.seed + 1) % 2**32})
    drawn, measured = (
        image_source(each).for_reader(model.pair.limit).understood_sample()
        for each in (config, other)
    )
    fit = learn_understanding(model, drawn)
    if fit is None or measured is None:
        raise ConfigError(
            "there are too few texts that mean something to fit P(understood) to; give the --config"
            " that the model was trained by"
        )
    model.understanding = fit
    try:
        add_document(folder, UNDERSTOOD, fit.model_dump(mode="json"))
    except OSError as error:
        raise ConfigError(f"cannot write {folder} ({error}); copy the model elsewhere") from error
    meant, meaningless = (p_understood(model, texts) for texts in measured)
    assert meant is not None
    assert meaningless is not None
    return folder, measure_understood(meant, meaningless)
