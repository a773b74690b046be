"""How well texts are understood: which goals a language side ranks first, and how sure it is.

Axes: ``K`` texts, ``M`` goals of a world, ``D`` embedding size.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from langrl.evaluation.image_text import (
    RoomSample,
    calibration_error,
    content_words,
    measure_understood,
    reliability,
)
from langrl.evaluation.statistics import group_rows, roc_auc
from langrl.grounding.chooser import information_bits
from langrl.models.critics.maze import LanguageCritic
from langrl.models.language_image.model import LanguageImageModel
from langrl.models.understanding import p_understood
from langrl.protocols import Mask

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class ScoredText:
    """What a language side makes of a text, in one world.

    Args:
        level: type of instruction, or what is hard about the text.
        words: colours and types that it names, or their held-out synonyms.
        auc: ROC AUC of its goals, those that match above those that do not; nan without either.
        bits: information about the goal; see ``Posterior.information_bits``.
        understood: P(understood) of the text; None where the language side does not know it.
        probabilities: P(match) of each goal [M]; None where the language side has none.
        matches: which goals match [M].
    """

    level: str
    words: tuple[str, ...]
    auc: float
    bits: float
    probabilities: NDArray[np.float64] | None
    matches: Mask
    understood: float | None = None


@torch.no_grad()
def score_cells(
    language: LanguageCritic, goals: Tensor, texts: Sequence[str], levels: Sequence[str],
    matches: Mask,
) -> list[ScoredText]:  # fmt: skip
    """Score texts K of a world of numbers by goals [M, G], of which ``matches`` [K, M] fit."""
    embedded = language.embed_goals(goals, goals)
    scores = language.score(embedded, language.encode_text(texts)).T.double().cpu().numpy()
    understood = _understood(language, texts)
    return [
        ScoredText(
            level, (), roc_auc(score, fits), float(information_bits(_normal(score))), None, fits, p
        )
        for level, score, fits, p in zip(levels, scores, matches, understood, strict=True)
    ]


@torch.no_grad()
def score_rooms(model: LanguageImageModel, samples: Iterable[RoomSample]) -> list[ScoredText]:
    """Score the texts of each room by its images."""
    scored = []
    for sample in samples:
        images, texts = model.encode_image(sample.images), model.encode_text(sample.texts)
        scores = model.score(images, texts).double().cpu().numpy()  # [M, K]
        understood = _understood(model, sample.texts)
        likely = None
        if model.calibrated:
            likely = model.match_probability(images, texts).double().cpu().numpy()
        for k, (text, level) in enumerate(zip(sample.texts, sample.levels, strict=True)):
            scored.append(
                ScoredText(
                    level,
                    content_words(text),
                    roc_auc(scores[:, k], sample.matches[:, k]),
                    float(information_bits(_normal(scores[:, k]))),
                    None if likely is None else likely[:, k],
                    sample.matches[:, k],
                    understood[k],
                )
            )
    return scored


def _understood(language: Any, texts: Sequence[str]) -> list[float | None]:
    found = p_understood(language, texts)
    return [None] * len(texts) if found is None else [*found]


def _normal(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp(scores - scores.max())
    normal: NDArray[np.float64] = raised / raised.sum()
    return normal


def summarise_levels(scored: Sequence[ScoredText]) -> list[Row]:
    """Return a row for each level: texts, mean ROC AUC, calibration error, mean information."""
    levelled = [{"level": each.level, "text": each} for each in scored]
    return [
        {"level": level} | _summary([row["text"] for row in rows])
        for (level,), rows in group_rows(levelled, ["level"]).items()
    ]


def _summary(scored: Sequence[ScoredText]) -> Row:
    areas = [each.auc for each in scored if each.auc == each.auc]
    likely = [each for each in scored if each.probabilities is not None]
    error = None
    if likely:
        probabilities = np.concatenate([each.probabilities for each in likely])
        matches = np.concatenate([each.matches for each in likely])
        error = calibration_error(reliability(probabilities, matches))
    return {
        "texts": len(scored),
        "auc": float(np.mean(areas)) if areas else None,
        "ece": error,
        "information_bits": float(np.mean([each.bits for each in scored])),
    }


def summarise_words(scored: Sequence[ScoredText]) -> list[Row]:
    """Return a row for each colour, type or held-out synonym: texts and mean ROC AUC."""
    named = [
        {"word": word, "auc": each.auc}
        for each in scored
        if each.auc == each.auc
        for word in each.words
    ]
    return [
        {"word": word, "texts": len(rows), "auc": float(np.mean([row["auc"] for row in rows]))}
        for (word,), rows in sorted(group_rows(named, ["word"]).items())
    ]


def summarise_understood(meant: Sequence[ScoredText], meaningless: Sequence[ScoredText]) -> Row:
    """Return how well texts that mean something are told from those that do not.

    ``auc`` is the chance that one has more information, ``p_auc`` that its P(understood) is
    higher, and ``p_ece`` the calibration error of that, None where it is not known.
    """
    bits = np.array([each.bits for each in (*meant, *meaningless)])
    row: Row = {"auc": roc_auc(bits, np.arange(len(bits)) < len(meant))}
    told, untold = (_known(texts) for texts in (meant, meaningless))
    found = measure_understood(told, untold) if told and untold else {"auc": None, "ece": None}
    return row | {"p_auc": found["auc"], "p_ece": found["ece"]}


def _known(texts: Sequence[ScoredText]) -> list[float]:
    return [each.understood for each in texts if each.understood is not None]
