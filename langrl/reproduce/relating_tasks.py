"""Related observations of two modalities to train on and to test with, and measures on them.

Axes: ``N`` pairs, ``X`` numbers in an observation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from langrl.agents.relating import RelatingConfig
from langrl.data.digit_pairs import GLYPH_SIZE, WRITTEN_SIZE, DigitPairs, draw_digit_pairs
from langrl.data.related_pairs import (
    CROP_SIZE,
    KINDS,
    WorldPairs,
    count_words,
    draw_world_pairs,
    learn_words,
)
from langrl.envs.grid.grammar import write
from langrl.evaluation.coherence import (
    Classify,
    cross_coherence,
    joint_coherence,
    latent_accuracy,
    synergy_coherence,
    train_classifier,
)
from langrl.evaluation.statistics import roc_auc
from langrl.grounding.generated import IMAGE, TEXT
from langrl.models.vae.config import ModalityConfig
from langrl.models.vae.model import MultimodalVAE

MODEL = {"latent": 10, "width": 128, "depth": 1}
TRAINING = RelatingConfig(steps=500, gamma=3.0, with_positive=True)
"""Sizes of every model, and how it is trained, but for the contrast and the steps."""
MEASURES = ("latent", "joint", "cross", "synergy")
_SAMPLES = 128  # latents of an estimate of log p
_NAMED = 1000  # training pairs that the linear probe is fitted on
_TEXTS = 4  # most texts of one kind whose words a classifier sees together


@dataclass(frozen=True, eq=False)
class Pairs:
    """Related pairs: observations by modality [N, X], and the class of each pair [N]."""

    observations: dict[str, Tensor]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Tensor | slice) -> "Pairs":
        """Return some of the pairs."""
        picked = {name: value[rows] for name, value in self.observations.items()}
        return Pairs(picked, self.labels[rows])

    def with_partners(self, partners: Tensor) -> dict[str, Tensor]:
        """Return observations of the first modality with those of others [N] of the second."""
        second = list(self.observations)[1]
        return self.observations | {second: self.observations[second][partners]}


@dataclass(frozen=True, eq=False)
class Task:
    """Related pairs in three parts that share no source, and a classifier for each modality."""

    modalities: tuple[ModalityConfig, ...]
    train: Pairs
    apart: Pairs
    test: Pairs
    classifiers: Mapping[str, Classify]


@lru_cache(maxsize=1)
def digits(seed: int) -> Task:
    """Return handwritten digits beside glyphs, 3,988 pairs to train on.

    Raises MissingExtraError if scikit-learn is not installed.
    """
    modalities = tuple(
        ModalityConfig(name=name, size=size, likelihood="gaussian", scale=0.3)
        for name, size in (("written", WRITTEN_SIZE), ("glyph", GLYPH_SIZE))
    )
    train, apart, test = map(_digit_pairs, draw_digit_pairs(seed))
    classifiers = {
        name: train_classifier(x, apart.labels, 10, seed) for name, x in apart.observations.items()
    }
    return Task(modalities, train, apart, test, classifiers)


def _digit_pairs(pairs: DigitPairs) -> Pairs:
    values = {"written": torch.from_numpy(pairs.written), "glyph": torch.from_numpy(pairs.glyphs)}
    return Pairs(values, torch.from_numpy(pairs.digits))


@lru_cache(maxsize=1)
def worlds(seed: int, train: int = 2000, others: int = 400) -> Task:
    """Return what is faced in grid worlds beside instructions that denote it.

    Training pairs name a colour, a type or both; those apart and for testing name both, so that
    the class of a text is the kind of object that it denotes.
    """
    generator = np.random.default_rng(seed)
    words = learn_words()
    parts = [
        draw_world_pairs(train, generator, words=words),
        *(draw_world_pairs(others, generator, levels=("full",), words=words) for _ in range(2)),
    ]
    train_part, apart, test = map(world_pairs, parts)
    modalities = world_modalities(len(words))
    kinds, shares = _word_shares(4 * others, generator)
    classifiers = {
        IMAGE: train_classifier(apart.observations[IMAGE], apart.labels, len(KINDS), seed),
        TEXT: train_classifier(shares, kinds, len(KINDS), seed),
    }
    return Task(modalities, train_part, apart, test, classifiers)


def world_modalities(words: int) -> tuple[ModalityConfig, ModalityConfig]:
    """Return what a model of crops and texts is made of, for texts of so many words."""
    return (
        ModalityConfig(name=IMAGE, size=CROP_SIZE, likelihood="gaussian", scale=0.2),
        ModalityConfig(name=TEXT, size=words, likelihood="categorical"),
    )


def world_pairs(pairs: WorldPairs) -> Pairs:
    """Return pairs of crops and texts as tensors, by modality."""
    values = {IMAGE: torch.from_numpy(pairs.crops), TEXT: torch.from_numpy(pairs.counts)}
    return Pairs(values, torch.from_numpy(pairs.kinds))


def _word_shares(count: int, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return kinds [N], and the shares of words [N, V] in one to four texts that denote each."""
    # Models generate shares of words that are those of several texts, mixed.
    words = learn_words()
    kinds = generator.permutation(np.arange(count) % len(KINDS))
    shares = []
    for kind in kinds:
        name, colour = KINDS[kind]
        meanings = [("thing", colour, name), ("thing", colour, None), ("thing", None, name)]
        rest = generator.integers(3, size=generator.integers(_TEXTS))
        texts = [write(meanings[n], generator, "seen") for n in (0, *rest)]
        total: NDArray[np.float32] = count_words(texts, words).sum(0)
        shares.append(total / total.sum())
    return torch.from_numpy(kinds.astype(np.int64)), torch.from_numpy(np.stack(shares))


TASKS = {"digits": digits, "worlds": worlds}


def unrelated_partners(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Return for each pair [N] another one of another class, at random."""
    partners = torch.randperm(len(labels), generator=generator)
    for _ in range(1000):
        clash = labels[partners] == labels
        if not clash.any():
            break
        partners[clash] = torch.randint(len(labels), (int(clash.sum()),), generator=generator)
    return partners


def aligned_pmi(
    model: MultimodalVAE, observations: Mapping[str, Tensor], generator: torch.Generator
) -> Tensor:
    """Return the pointwise mutual information of each pair of observations, in nats [N]."""
    joint = model.log_marginal(observations, generator, _SAMPLES)
    alone = [
        model.log_marginal({name: value}, generator, _SAMPLES)
        for name, value in observations.items()
    ]
    return joint - sum(alone, torch.zeros(()))


def related_scores(
    model: MultimodalVAE, pairs: Pairs, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return the PMI of pairs [N], and of their first modality with partners of other classes."""
    partners = unrelated_partners(pairs.labels, generator)
    related = aligned_pmi(model, pairs.observations, generator)
    return related, aligned_pmi(model, pairs.with_partners(partners), generator)


def _related_auc(model: MultimodalVAE, pairs: Pairs, generator: torch.Generator) -> float:
    related, unrelated = related_scores(model, pairs, generator)
    scores = torch.cat([related, unrelated]).detach().numpy()
    return roc_auc(scores, np.arange(len(scores)) < len(related))


def measure(model: MultimodalVAE, task: Task, generator: torch.Generator) -> dict[str, float]:
    """Return the four measures, the parts of cross coherence, and the AUC of PMI, in [0, 1]."""
    probe = task.train.take(slice(_NAMED))
    test, labels, named = task.test.observations, task.test.labels, task.classifiers
    latents = latent_accuracy(model, probe.observations, probe.labels, test, labels)
    crosses = cross_coherence(model, named, test, labels, generator)
    return {
        "latent": sum(latents.values()) / len(latents),
        "joint": joint_coherence(model, named, generator),
        "cross": sum(crosses.values()) / len(crosses),
        "synergy": synergy_coherence(model, named, test, labels, generator),
        "auc": _related_auc(model, task.test, generator),
        **{f"latent of {name}": value for name, value in latents.items()},
        **crosses,
    }
