"""How well a language-image model distinguishes goals: ranking, retrieval, calibration.

Everything is measured in rooms that training never saw, among images of one room: every pose
that faces an object, and as many that face none.

Axes: ``M`` images of a room, ``K`` texts about it, ``N`` pairs, ``D`` embedding size.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from langrl.data.images.grid_scenes import satisfies
from langrl.data.word_sets import WrittenText, denoted_objects
from langrl.envs.grid.grammar import CANONICAL, LEVELS, level_of, synonyms_in, write
from langrl.envs.grid.meanings import draw_meaning
from langrl.envs.grid.rendering import render_rooms
from langrl.envs.grid.rooms import GRID_WORLDS, ahead, draw_rooms, facing, is_free, is_object
from langrl.envs.grid.templates import words_of
from langrl.envs.phrasing import PHRASINGS, Meaning
from langrl.errors import InstructionError
from langrl.evaluation.statistics import roc_auc
from langrl.models.language_image.model import LanguageImageModel

BINS = 15
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RoomSample:
    """One room's images, K texts about it with their levels, and which of them fit."""

    world: str
    images: NDArray[np.uint8]  # [M, height, width, 3]
    texts: list[str]
    levels: list[str]
    matches: NDArray[np.bool_]  # [M, K]


Write = Callable[[Meaning, np.random.Generator], str]


def sample_rooms(
    worlds: Sequence[str], rooms: int, write_text: Write, generator: np.random.Generator
) -> list[RoomSample]:
    """Draw so many rooms of each world, with a text of every level that the room allows."""
    samples = []
    for world in worlds:
        for room in draw_rooms(GRID_WORLDS[world], rooms, generator):
            poses = _poses(room, generator)
            meanings = [m for level in LEVELS if (m := try_meaning(room, level, generator))]
            number = np.zeros(len(poses), np.int64)
            samples.append(
                RoomSample(
                    world,
                    render_rooms(np.repeat(room[None], len(poses), 0), poses),
                    [write_text(meaning, generator) for meaning in meanings],
                    [level_of(meaning) for meaning in meanings],
                    satisfies(meanings, room[None], number, poses).T,
                )
            )
    return samples


def sample_written(
    worlds: Sequence[str],
    rooms: int,
    written: Sequence[WrittenText],
    generator: np.random.Generator,
) -> list[RoomSample]:
    """Draw so many rooms of each world, with those of the texts that denote some objects there.

    A text whose objects are none of a room's, or all of them, is left out there. Texts that denote
    nothing anywhere (no denotation) are in every room, and match no image.
    """
    samples = []
    for world in worlds:
        for room in draw_rooms(GRID_WORLDS[world], rooms, generator):
            poses = _poses(room, generator)
            masks = [_faced(each.denotation, room, poses) for each in written]
            fitting = [
                n
                for n, (each, mask) in enumerate(zip(written, masks, strict=True))
                if each.denotation is None or 0 < mask.sum() < len(poses) // 2
            ]
            samples.append(
                RoomSample(
                    world,
                    render_rooms(np.repeat(room[None], len(poses), 0), poses),
                    [written[n].text for n in fitting],
                    [written[n].group for n in fitting],
                    np.stack([masks[n] for n in fitting], 1),
                )
            )
    return samples


def _faced(
    denotation: Mapping[str, Any] | None, room: NDArray[np.uint8], poses: NDArray[np.int64]
) -> NDArray[np.bool_]:
    if denotation is None:
        return np.zeros(len(poses), bool)
    faced: NDArray[np.bool_] = denoted_objects(denotation, room[None])[0][ahead(poses)]
    return faced


def _poses(room: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.int64]:
    free = is_free(room[None])
    faces = facing(is_object(room[None]), free)[0]
    facing_poses = np.argwhere(faces)
    others = np.argwhere(free[0][:, :, None] & ~faces)
    picked = generator.permutation(len(others))[: len(facing_poses)]
    return np.concatenate([facing_poses, others[picked]])


def try_meaning(
    room: NDArray[np.uint8], level: str, generator: np.random.Generator
) -> Meaning | None:
    """Return a meaning of a level in a room [H, W, 2]; None where the room has none."""
    try:
        return draw_meaning(room, generator, [level])
    except InstructionError:
        return None


# -- measuring -----------------------------------------------------------------------------


@dataclass(eq=False)
class Measured:
    """Measures of the texts of one phrasing.

    Args:
        auc: of each text, with its level and its words of colour or type.
        probabilities: P(match) of each room's pairs, each [M, K]; none if not calibrated.
        matches: of each room's pairs, bool [M, K].
        text_hits: whether each text's best image fits it.
        image_hits: whether each image's best text fits it, where any does.
    """

    auc: list[tuple[float, str, tuple[str, ...]]] = field(default_factory=list)
    probabilities: list[Floats] = field(default_factory=list)
    matches: list[NDArray[np.bool_]] = field(default_factory=list)
    text_hits: list[float] = field(default_factory=list)
    image_hits: list[float] = field(default_factory=list)


def measure(model: LanguageImageModel, samples: Sequence[RoomSample]) -> Measured:
    """Score every room's images against its texts; probabilities need a calibrated model."""
    measured = Measured()
    for sample in samples:
        images, texts = model.encode_image(sample.images), model.encode_text(sample.texts)
        with torch.no_grad():
            logits = model.logits(images, texts).double().cpu().numpy()  # [M, K]
            if model.calibrated:
                measured.probabilities.append(model.match_probability(images, texts).cpu().numpy())
        matches = sample.matches
        for k, (text, level) in enumerate(zip(sample.texts, sample.levels, strict=True)):
            area = roc_auc(logits[:, k], matches[:, k])
            measured.auc.append((area, level, content_words(text)))
            measured.text_hits.append(float(matches[logits[:, k].argmax(), k]))
        described = matches.any(1)
        best = logits.argmax(1)
        measured.image_hits += matches[np.arange(len(matches)), best][described].tolist()
        measured.matches.append(matches)
    return measured


def content_words(text: str) -> tuple[str, ...]:
    """Return a text's held-out synonyms, or where there are none its colours and types."""
    canonical = tuple(word for word in dict.fromkeys(words_of(text)) if word in CANONICAL)
    return synonyms_in(text) or canonical


def reliability(
    probabilities: Floats, matches: NDArray[np.bool_], weights: Floats | None = None
) -> list[dict[str, float]]:
    """Return, for each of 15 equal bins that is not empty, its mean probability and match rate.

    Pairs [N] may have ``weights``, of which some are above 0 in every bin that is not empty.
    """

    def mean(values: Any, here: Any) -> float:
        return float(np.average(values[here], weights=None if weights is None else weights[here]))

    everywhere = np.ones(len(matches), bool)
    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    return [
        {
            "bin": float(number / BINS),
            "probability": mean(probabilities, here),
            "rate": mean(matches, here),
            "share": mean(here, everywhere),
        }
        for number in range(BINS)
        if (here := bins == number).any()
    ]


def calibration_error(bins: Sequence[dict[str, float]]) -> float:
    """Return the expected calibration error of ``reliability``'s bins."""
    return sum(row["share"] * abs(row["probability"] - row["rate"]) for row in bins)


def measure_understood(meant: Sequence[float], meaningless: Sequence[float]) -> dict[str, float]:
    """Return ROC AUC and calibration error of P(understood), both sorts of texts counting alike.

    Args:
        meant: of texts that mean something.
        meaningless: of texts that do not.
    """
    probabilities = np.array([*meant, *meaningless])
    matches = np.arange(len(probabilities)) < len(meant)
    weights = np.where(matches, 1 / len(meant), 1 / len(meaningless))
    error = calibration_error(reliability(probabilities, matches, weights))
    return {"auc": roc_auc(probabilities, matches), "ece": error}


def summarise(measured: Measured, phrasing: str) -> dict[str, Any]:
    """Return one row of results: means over levels, over words, and over both kinds of groups."""
    auc = measured.auc
    levels = {level: _finite_mean([a for a, of, _ in auc if of == level]) for level in LEVELS}
    spoken = sorted({word for _, _, words in auc for word in words})
    words = {word: _finite_mean([a for a, _, named in auc if word in named]) for word in spoken}
    bins, nll = [], float("nan")
    if measured.probabilities:
        probabilities = np.concatenate([p.ravel() for p in measured.probabilities]).astype(float)
        matches = np.concatenate([m.ravel() for m in measured.matches])
        bins = reliability(probabilities, matches)
        inside = np.clip(probabilities, 1e-12, 1 - 1e-12)
        nll = float(-np.where(matches, np.log(inside), np.log1p(-inside)).mean())
    groups = [value for value in (*levels.values(), *words.values()) if value == value]
    everything = [area for area, _, _ in auc]  # of captions, which have no groups
    return {
        "phrasing": phrasing,
        "texts": len(auc),
        "auc": _finite_mean(groups or everything),
        "auc_levels": _finite_mean(list(levels.values())),
        "auc_words": _finite_mean(list(words.values())),
        "recall_text_to_image": float(np.mean(measured.text_hits)),
        "recall_image_to_text": float(np.mean(measured.image_hits)),
        "nll": nll,
        "ece": calibration_error(bins) if bins else float("nan"),
        "levels": levels,
        "words": words,
        "reliability": bins,
    }


def _finite_mean(values: Sequence[float]) -> float:
    """Return the mean without NaNs, which mark what could not be measured."""
    measured = [value for value in values if value == value]
    return float(np.mean(measured)) if measured else float("nan")


def evaluate_worlds(
    model: LanguageImageModel, worlds: Sequence[str], rooms: int, seed: int
) -> list[dict[str, Any]]:
    """Return a row of results for each phrasing, from rooms of a seed of their own."""
    rows = []
    for number, phrasing in enumerate(PHRASINGS):
        generator = np.random.default_rng([seed, number])
        samples = sample_rooms(worlds, rooms, partial(write, phrasing=phrasing), generator)
        rows.append(summarise(measure(model, samples), phrasing))
    return rows


def calibrate_on(model: LanguageImageModel, samples: Sequence[RoomSample]) -> None:
    """Fit P(match) on images and texts of the same room in place, and keep reference images.

    The samples are of rooms and texts that are not reported on.
    """
    images = torch.cat([model.encode_image(s.images) for s in samples])
    texts = torch.cat([model.encode_text(s.texts) for s in samples])
    blocks = [torch.from_numpy(sample.matches) for sample in samples]
    # Across rooms it is not known what matches.
    known = torch.block_diag(*(torch.ones_like(block) for block in blocks))
    model.calibrate(images, texts, torch.block_diag(*blocks), known)
