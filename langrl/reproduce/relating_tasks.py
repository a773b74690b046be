"""Related observations of two modalities to train on and to test with, and measures on them.

Axes: ``N`` pairs, ``X`` numbers in an observation.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from langrl.agents.relating import RelatingConfig
from langrl.data.digit_pairs import WRITTEN_SIZE, DigitPairs, draw_digit_pairs
from langrl.data.related_pairs import (
    CLAUSE_LEVELS,
    CROP_SIZE,
    KINDS,
    PAIR_LEVELS,
    WorldPairs,
    count_words,
    draw_kind_meaning,
    draw_world_pairs,
    learn_words,
)
from langrl.data.street_digits import STREET_IMAGE, STREET_SIZE, draw_street_digits
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
from langrl.models.vae.pairs import shared_information
from langrl.words import WordTokeniser

MODEL = {"latent": 16, "width": 128, "depth": 1}
"""Sizes of every model."""
TRAINING = RelatingConfig(gamma=3.0, with_positive=True, warm_up=0.25)
"""How every model is trained, but for what a ``Scale`` and ``LATENTS`` say."""
OWN_LATENTS: dict[str, Any] = {"proposal": "posterior", "negatives": 4}
LATENTS: dict[str, dict[str, Any]] = {"mvae": {}, "mmvae": {}, "jmvae": OWN_LATENTS}
"""Of the contrast: as published for jmvae, whose joint encoder alone learns from the likelihood."""
MEASURES = ("latent", "joint", "cross", "synergy")
SAMPLES, FEW_SAMPLES = 32, 8
"""Latents of an estimate of log p, and where many pairs are scored."""
_STREETS = 10_000  # images that their classifier is trained on
_GENERATED, _PRIOR = 2, 1000  # of each test observation and in all, for coherence
_NAMED = 1000  # training pairs that the linear probe is fitted on
_TEXTS = 4  # most texts of one kind whose words a classifier sees together


@dataclass(frozen=True)
class Scale:
    """How large trainings on digits are, and where; of grid worlds' pairs, only the steps count."""

    steps: int = 400
    batch_size: int = 64
    samples: int = 2
    channels: int = 8
    device: str = "cpu"

    def training(self, task: str) -> RelatingConfig:
        """Return how models of a task are trained, but for the contrast."""
        sizes = {"samples": self.samples, "batch_size": self.batch_size}
        changes = {"steps": self.steps} | (sizes if task == "digits" else {})
        return TRAINING.model_copy(update=changes)


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

    def to(self, device: str) -> "Pairs":
        """Return the pairs on a device."""
        moved = {name: value.to(device) for name, value in self.observations.items()}
        return Pairs(moved, self.labels.to(device))

    def with_partners(self, partners: Tensor) -> "Pairs":
        """Return the first modality beside others [N] of the second; the classes of the first."""
        second = list(self.observations)[1]
        exchanged = {second: self.observations[second][partners]}
        return Pairs(self.observations | exchanged, self.labels)

    def beside(self, others: "Pairs") -> "Pairs":
        """Return these pairs and others after them."""
        joined = {
            name: torch.cat([value, others.observations[name]])
            for name, value in self.observations.items()
        }
        return Pairs(joined, torch.cat([self.labels, others.labels]))


@dataclass(frozen=True, eq=False)
class Task:
    """Related pairs in three parts that share no source, and a classifier for each modality.

    ``words`` are those that texts are counts of, in the order of their numbers, from 2.
    """

    modalities: tuple[ModalityConfig, ...]
    train: Pairs
    apart: Pairs
    test: Pairs
    classifiers: Mapping[str, Classify]
    words: tuple[str, ...] = ()


def digits(seed: int, scale: Scale = Scale(), streets: int = 20) -> Task:
    """Return handwritten digits beside digits as on houses, 19,940 pairs to train on.

    Each handwritten digit is in as many pairs as there are ``streets``. Raises MissingExtraError if
    scikit-learn is not installed.
    """
    modalities = (
        ModalityConfig(name="written", size=WRITTEN_SIZE, likelihood="gaussian", scale=0.15),
        ModalityConfig(
            name="street", size=STREET_SIZE, likelihood="gaussian", scale=1.0,
            image=STREET_IMAGE, channels=scale.channels,
        ),
    )  # fmt: skip
    parts = draw_digit_pairs(seed, glyphs=streets, draw=draw_street_digits)
    train, apart, test = (_digit_pairs(part).to(scale.device) for part in parts)
    seen = torch.cat([part.observations["written"] for part in (train, apart)])
    written = train_classifier(seen, torch.cat([train.labels, apart.labels]), 10, seed)
    named = {"written": written, "street": street_classifier(scale.device)}
    return Task(modalities, train, apart, test, named)


def _digit_pairs(pairs: DigitPairs) -> Pairs:
    values = {"written": torch.from_numpy(pairs.written), "street": torch.from_numpy(pairs.glyphs)}
    return Pairs(values, torch.from_numpy(pairs.digits))


@lru_cache(maxsize=1)
def street_classifier(device: str) -> Classify:
    """Return a classifier of digits as on houses, trained on images of its own; the same always."""
    generator = np.random.default_rng(0)
    shown = generator.integers(10, size=_STREETS)
    images = torch.from_numpy(draw_street_digits(shown, generator))
    labels = torch.from_numpy(shown).to(device)
    return train_classifier(images.to(device), labels, 10, 0, STREET_IMAGE)


def worlds(
    seed: int,
    scale: Scale = Scale(),
    train: int = 2000,
    others: int = 400,
    levels: Sequence[str] = PAIR_LEVELS,
) -> Task:
    """Return what is faced in grid worlds beside instructions that denote it, on the CPU.

    Training pairs are of the levels given. Those apart and for testing name a colour and a type, in
    one clause or (where there are clauses) in two, so that the class of a text is the kind of
    object that it denotes.
    """
    generator = np.random.default_rng(seed)
    words = learn_words(levels=levels)
    named = tuple(level for level in ("full", "conjunction") if level in levels)
    parts = [
        draw_world_pairs(train, generator, levels=levels, words=words),
        *(draw_world_pairs(others, generator, levels=named, words=words) for _ in range(2)),
    ]
    train_part, apart, test = map(world_pairs, parts)
    modalities = world_modalities(len(words))
    kinds, shares = _word_shares(4 * others, generator, levels, words)
    classifiers = {
        IMAGE: train_classifier(apart.observations[IMAGE], apart.labels, len(KINDS), seed),
        TEXT: train_classifier(shares, kinds, len(KINDS), seed),
    }
    return Task(modalities, train_part, apart, test, classifiers, words.vocabulary)


def clauses(seed: int, scale: Scale = Scale(), train: int = 2000, others: int = 400) -> Task:
    """Return ``worlds`` with exceptions, alternatives and conditions among the texts."""
    return worlds(seed, scale, train, others, (*PAIR_LEVELS, *CLAUSE_LEVELS))


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


def _word_shares(
    count: int, generator: np.random.Generator, levels: Sequence[str], words: WordTokeniser
) -> tuple[Tensor, Tensor]:
    """Return kinds [N], and the shares of words [N, V] in one to four texts that denote each."""
    # Models generate shares of words that are those of several texts, mixed.
    kinds = generator.permutation(np.arange(count) % len(KINDS))
    shares = []
    for kind in kinds:
        rest = generator.integers(len(levels), size=generator.integers(_TEXTS))
        told = ["full", *(levels[n] for n in rest)]
        texts = [
            write(draw_kind_meaning(kind, level, generator), generator, "seen") for level in told
        ]
        total: NDArray[np.float32] = count_words(texts, words).sum(0)
        shares.append(total / total.sum())
    return torch.from_numpy(kinds.astype(np.int64)), torch.from_numpy(np.stack(shares))


TASKS: dict[str, Callable[[int, Scale], Task]] = {
    name: lru_cache(maxsize=1)(task)
    for name, task in (("digits", digits), ("worlds", worlds), ("clauses", clauses))
}
"""Of a seed and a scale, by name; each keeps what it drew last."""


def unrelated_partners(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Return for each pair [N] another one of another class, at random."""
    where = labels.device
    partners = torch.randperm(len(labels), generator=generator, device=where)
    for _ in range(1000):
        clash = labels[partners] == labels
        if not clash.any():
            break
        count = (int(clash.sum()),)
        partners[clash] = torch.randint(len(labels), count, generator=generator, device=where)
    return partners


def related_scores(
    model: MultimodalVAE, pairs: Pairs, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return the PMI of pairs [N], and of their first modality with partners of other classes."""
    unrelated = pairs.with_partners(unrelated_partners(pairs.labels, generator)).observations
    related = shared_information(model, pairs.observations, generator, SAMPLES)
    return related, shared_information(model, unrelated, generator, SAMPLES)


def _related_auc(model: MultimodalVAE, pairs: Pairs, generator: torch.Generator) -> float:
    related, unrelated = related_scores(model, pairs, generator)
    scores = torch.cat([related, unrelated]).cpu().numpy()
    return roc_auc(scores, np.arange(len(scores)) < len(related))


def _right(task: Task, name: str) -> float:
    """Return how often a classifier is right about test observations."""
    given = task.classifiers[name](task.test.observations[name])
    return (given == task.test.labels).float().mean().item()


def measure(model: MultimodalVAE, task: Task, generator: torch.Generator) -> dict[str, float]:
    """Return the four measures, the parts of cross coherence, and the AUC of PMI, in [0, 1]."""
    probe = task.train.take(slice(_NAMED))
    test, labels, named = task.test.observations, task.test.labels, task.classifiers
    latents = latent_accuracy(model, probe.observations, probe.labels, test, labels)
    crosses = cross_coherence(model, named, test, labels, generator, _GENERATED)
    return {
        "latent": sum(latents.values()) / len(latents),
        "joint": joint_coherence(model, named, generator, _PRIOR),
        "cross": sum(crosses.values()) / len(crosses),
        "synergy": synergy_coherence(model, named, test, labels, generator, _GENERATED),
        "auc": _related_auc(model, task.test, generator),
        **{f"latent of {name}": value for name, value in latents.items()},
        **crosses,
        **{f"classifier of {name}": _right(task, name) for name in named},
    }
