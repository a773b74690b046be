"""``langrl reproduce joined-models``: find the text of a sound without pairs of texts and sounds.

A stored image-text model and an image-sound model, which is trained here without the other, are
joined over candidate images of rooms that neither saw. Baselines: the two models' embeddings
compared directly, and a model that was trained on as many pairs of sounds and texts.

Axes: ``B`` pairs in a batch, ``G`` groups of 18 sounds, one of each object, ``K`` = 18 texts that
describe them, ``M`` candidate images, ``D`` embedding size.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from langrl.data.grid.sounds import FREQUENCIES, draw_sound_images, draw_sounds
from langrl.envs.grid.grammar import COLOURS, TYPES, write
from langrl.envs.grid.rooms import GRID_WORLDS
from langrl.evaluation.statistics import gather, mean_and_sem
from langrl.functional.energies import cosine
from langrl.functional.losses import symmetric_info_nce
from langrl.functional.retrieval import recall_at_1
from langrl.grounding.joining import JoinedModels, Side
from langrl.models.blocks import mlp
from langrl.models.config import ImageTowerConfig
from langrl.models.critics.maze import PairCritic
from langrl.models.language_image.model import LanguageImageModel, load_language_image_model
from langrl.models.language_image.patch_init import whiten_patches
from langrl.models.language_image.towers import CompactImageTower
from langrl.plots.base import PATH, Bar, draw_bars, figure
from langrl.reproduce.arguments import JoinedModelsArguments
from langrl.reproduce.common import digest_of, run_parts, write_report
from langrl.training.logs import print_table
from langrl.training.optim import Batch, Optimiser, cosine_schedule
from langrl.training.seeding import seeded

WORLD = GRID_WORLDS["goto"]
KINDS = [(colour, name) for name in ("key", "ball", "box") for colour in COLOURS]  # K of them
FACED = np.array([[TYPES[name], COLOURS[colour]] for colour, name in KINDS], np.uint8)  # [K, 2]
COUNTS = (100, 1_000)  # candidates
GROUPS = 64
ROOMS, IMAGES = 16, 8  # of a batch, and of each room; B is their product
CHANCE = 1 / len(KINDS)
COLUMNS = ("method", "candidates", "recall", "sem", "chance")
IMAGE = ImageTowerConfig(channels=48, depth=2, queries=4)
_WIDTH, _RATE, _WARMUP, _INITIAL_SCALE = 128, 2e-3, 0.05, 5.0
_PHRASINGS = 20  # texts of each object that the model of pairs is trained on
_FEW_ROOMS = 4  # candidates of a room: few, so that a hundred see many rooms
_SOUNDS, _CANDIDATES, _QUERIES, _PAIRS, _TEXTS = range(5)  # purposes that keep seeds apart
Key = tuple[str, int | None]
Draw = Callable[[np.random.Generator], tuple[Tensor, Tensor]]


def reproduce(options: JoinedModelsArguments, command: str) -> None:
    """Train, join, and write the results; ConfigError if there is no such language-image model."""
    load_language_image_model(options.language)  # refused now, not after the training
    jobs = [(seed, options.steps, options.language) for seed in range(options.seeds)]
    measured = gather(
        run_parts(measure, jobs, options, "joined models", digest_of(options.language))
    )
    rows = [
        dict(zip(COLUMNS, (*key, *mean_and_sem(values), CHANCE), strict=True))
        for key, values in measured.items()
    ]
    title = f"recall@1 of the text of a sound among {len(KINDS)}, seeds: {options.seeds}"
    print_table(title, rows, COLUMNS)
    config = options.model_dump(include={"seeds", "steps", "language"})
    write_report(options.out, command, config, rows, {"joined-models": _figure(rows, title)})


def _figure(rows: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Return a bar for each row, with chance as a dotted line."""
    fig = figure(8, 3.8, title)
    ax = fig.subplots()
    bars = []
    for row in rows:
        count = "" if row["candidates"] is None else f"\nM = {row['candidates']:,}"
        group = row["method"].replace("_", "\n") + count
        bars.append(Bar(group, "", row["recall"], row["sem"], colour=PATH))
    draw_bars(ax, bars)
    ax.axhline(CHANCE, color="#444444", lw=1, ls=":")
    ax.annotate(" chance", (1, CHANCE), xycoords=("axes fraction", "data"), va="center")
    ax.set_ylabel(f"recall@1 among {len(KINDS)}")
    return fig


def measure(seed: int, steps: int, language: str) -> dict[Key, float]:
    """Train both models of a seed and return recalls by (method, number of candidates).

    Normalised is with each text's ratio made 1 on average over the candidates, instead of over the
    reference images of the image-text model.
    """
    model = load_language_image_model(language)
    size = model.encode_text("a").shape[1]  # the same, so that embeddings can be compared at all
    sounds, texts = draw_queries(seed)
    images = draw_candidates(seed, max(COUNTS))
    critic = train_on_images(seed, steps, size)
    left, right = Side.from_critic(critic), Side.from_language_image(model)
    recalls: dict[Key, float] = {
        ("direct", None): _recall(JoinedModels(left, right, images[:1]).direct(sounds, texts))
    }
    sides = {"marginalised": right, "marginalised_normalised": replace(right, is_ratio=False)}
    for method, side in sides.items():
        for count in COUNTS:
            joined = JoinedModels(left, side, images[:count])
            recalls[method, count] = _recall(joined.log_ratio(sounds, texts).value)
    paired = train_on_pairs(seed, steps, model, size)
    with torch.no_grad():
        recalls["trained_on_pairs", None] = _recall(paired(sounds, model.encode_text(texts)))
    return recalls


def _recall(scores: Tensor) -> float:
    """Return recall@1 of scores [G * K, K] of sounds that are in the order of their texts."""
    return recall_at_1(scores.unflatten(0, (-1, len(KINDS)))).mean().item()


# -- data ------------------------------------------------------------------------------------


def _generator(seed: int, purpose: int) -> np.random.Generator:
    return np.random.default_rng([seed, purpose])


def draw_queries(seed: int) -> tuple[Tensor, list[str]]:
    """Return sounds [G * K, F] of each object in turn, and a text for each object, K of them."""
    generator = _generator(seed, _QUERIES)
    sounds = draw_sounds(np.tile(FACED, (GROUPS, 1)), generator)
    return torch.from_numpy(sounds), _describe(generator)


def _describe(generator: np.random.Generator) -> list[str]:
    return [write(("thing", *kind), generator, "seen") for kind in KINDS]


def draw_candidates(seed: int, count: int) -> NDArray[np.uint8]:
    """Return images of rooms of their own, half of which face an object [M, height, width, 3]."""
    rooms = math.ceil(count / _FEW_ROOMS)
    generator = _generator(seed, _CANDIDATES)
    return draw_sound_images(WORLD, rooms, _FEW_ROOMS, generator).images[:count]


# -- training --------------------------------------------------------------------------------


def train_on_images(seed: int, steps: int, size: int) -> PairCritic:
    """Train f(sound, image) with embeddings of a size on pairs without text."""

    def draw(generator: np.random.Generator) -> tuple[Tensor, Tensor]:
        pairs = draw_sound_images(WORLD, ROOMS, IMAGES, generator)
        return torch.from_numpy(pairs.sounds), torch.from_numpy(pairs.images)

    with seeded(seed):
        image = CompactImageTower(size, IMAGE)
        critic = PairCritic(_sound_tower(size), image, cosine)
    generator = _generator(seed, _SOUNDS)
    whiten_patches(image, draw(generator)[1], torch.Generator().manual_seed(seed))
    _train(critic, draw, steps, generator)
    return critic


def train_on_pairs(seed: int, steps: int, model: LanguageImageModel, size: int) -> PairCritic:
    """Train f(sound, text) on as many pairs: what joining does without.

    Its right side takes the frozen text tower's embeddings [K, D], and has a head of its own.
    """
    generator = _generator(seed, _TEXTS)
    written = [_describe(generator) for _ in range(_PHRASINGS)]
    texts = torch.stack([model.encode_text(each) for each in written])  # [phrasings, K, D]

    def draw(generator: np.random.Generator) -> tuple[Tensor, Tensor]:
        kinds = generator.integers(len(KINDS), size=ROOMS * IMAGES)
        sounds = draw_sounds(FACED[kinds], generator)
        phrasings = generator.integers(_PHRASINGS, size=len(kinds))
        return torch.from_numpy(sounds), texts[phrasings, kinds]

    with seeded(seed):
        critic = PairCritic(_sound_tower(size), mlp(size, _WIDTH, 1, size), cosine)
    _train(critic, draw, steps, _generator(seed, _PAIRS))
    return critic


def _sound_tower(size: int) -> nn.Module:
    # Normalised first: spectra share a level that says nothing but loudness.
    normal = nn.LayerNorm(FREQUENCIES, elementwise_affine=False)
    return nn.Sequential(normal, mlp(FREQUENCIES, _WIDTH, 2, size))


def _train(critic: PairCritic, draw: Draw, steps: int, generator: np.random.Generator) -> None:
    """Train by AdamW on symmetric InfoNCE: with forward or backward alone, f would be no ratio."""
    nn.init.constant_(critic.scale.log_scale, math.log(_INITIAL_SCALE))
    optimiser = Optimiser(
        dict(critic.named_parameters()),
        _RATE,
        cosine_schedule(steps, warmup=max(1, round(_WARMUP * steps))),
        clip=1.0,
        weight_decay=0.01,
        betas=(0.9, 0.98),
    )

    def loss(batch: Batch) -> tuple[Tensor, Batch]:
        return symmetric_info_nce(critic(batch["left"], batch["right"]))

    for _ in range(steps):
        left, right = draw(generator)
        optimiser.update({"left": left, "right": right}, loss)
        critic.scale.bound()
    critic.eval()
