"""``langrl diagnose``: a model and pairs by name become embeddings, words, tables and images.

Axes: ``n`` pairs, ``M`` images, ``K`` texts.
"""

from dataclasses import asdict
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from langrl import GRID_IDS
from langrl.cli.folders import DIAGNOSES, clear_figures, new_folder
from langrl.data.images.folder import read_folder
from langrl.data.images.grid_scenes import ImageTexts, world_batch
from langrl.data.images.rendered_worlds import WorldImages, open_world
from langrl.envs.grid.grammar import write
from langrl.envs.grid.rooms import GRID_WORLDS
from langrl.errors import ConfigError, InstructionError, suggestion
from langrl.evaluation.diagnosis import COLUMNS, EmbeddedPairs, diagnose, findings, rows, shift_rows
from langrl.evaluation.embedding_files import read_embedding_pairs
from langrl.evaluation.layer_cones import Row, layer_cones
from langrl.models.language_image.model import LanguageImageModel, load_language_image_model
from langrl.models.language_image.sentence_pair import SentenceTransformerPair
from langrl.plots import modality_gap as gap_plots
from langrl.plots.base import save
from langrl.training.logs import console, print_table, write_results

_SIZE, _PRETRAINED_SIZE = 64, 224  # pixels of images from folders: compact tower, CLIP
_EPISODES, _GOALS = 100, 8  # of an environment, at most
_LAYERED = 200  # pairs whose layers are looked at
_LEAST = 4  # pairs
_TRIES = 20  # draws of rooms, for one in which every object differs from the others
_REPAIR = "give a folder of captioned images, a grid world or an environment id"


def run(
    model: str,
    pairs: str | None,
    out: Path | None,
    command: str,
    *,
    count: int,
    scale: float | None,
    seed: int,
) -> None:
    """Diagnose a model on pairs, or a file of paired embeddings; print, and write to ``out``.

    Args:
        model: "bundled", a folder or hub name of a language-image model, or a .npy file [2, n, D].
        pairs: where images with texts come from: a folder, a grid world or an environment id.
        out: folder of results.json and figures; a new one in runs/diagnose if not given.
        command: what the user typed, for the record.
        count: pairs at most.
        scale: inverse temperature that a .npy file's embeddings were trained with.
        seed: of the pairs that are drawn.

    Raises:
        ConfigError: if the model or the pairs cannot be had, or flags do not fit together.
    """
    layers: list[Row] = []
    if model.endswith(".npy"):
        if pairs is not None:
            raise ConfigError("--pairs: the .npy file holds pairs already; leave --pairs out")
        x, y = read_embedding_pairs(Path(model), "MODEL")
        kept = np.linspace(0, len(x) - 1, min(count, len(x))).round().astype(np.int64)
        embedded = EmbeddedPairs(x[kept], y[kept], ("x", "y"), scale)
    else:
        if scale is not None:
            raise ConfigError("--scale is for .npy files; a model knows its own, leave it out")
        if pairs is None:
            raise ConfigError(f"--pairs is missing; {_REPAIR}: {', '.join(GRID_WORLDS)}")
        _check_pairs(pairs)
        embedded, layers = _embed(load_language_image_model(model), pairs, count, seed)
    _report(embedded, layers, out, command, {"model": model, "pairs": pairs, "seed": seed})


def _report(
    pairs: EmbeddedPairs, layers: list[Row], out: Path | None, command: str, config: dict[str, Any]
) -> None:
    found = diagnose(pairs)
    sentences = findings(found)
    for line in sentences:
        console.print(f"* {line}")
    named = dict(zip(COLUMNS[1:3], found.names, strict=True))
    table = [{named.get(key, key): value for key, value in row.items()} for row in rows(found)]
    name = Path(config["model"]).name
    title = f"{name}: {found.pairs} pairs, {found.dimensions} dimensions"
    print_table(title, table, [named.get(column, column) for column in COLUMNS])
    if layers:
        print_table("cosines within a modality, by layer", layers, [*layers[0]])
    if out is None:
        out = new_folder(DIAGNOSES, f"{Path(name).stem} {config['pairs'] or ''}")
    clear_figures(out)
    results = write_results(
        out, command, config, table, findings=sentences, shifts=shift_rows(found), layers=layers,
        best_scale=asdict(found.best),
    )  # fmt: skip
    scale = found.best.scale if found.scale is None else found.scale
    figures = {
        "projection": gap_plots.projection_figure(pairs, title),
        "cosines": gap_plots.cosines_figure(pairs, title),
        "shifts": gap_plots.shifts_figure(pairs, scale, title),
    }
    if layers:
        figures["layers"] = gap_plots.layers_figure(layers, title)
    for stem, image in figures.items():
        save(image, out / "figures" / f"{stem}.png")
    console.print(f"results: {results}; figures: {out / 'figures'}")


# -- models ----------------------------------------------------------------------------------


@torch.no_grad()
def _embed(
    model: LanguageImageModel, pairs: str, count: int, seed: int
) -> tuple[EmbeddedPairs, list[Row]]:
    """Return the embeddings of pairs, and the cones of every layer."""
    size = _PRETRAINED_SIZE if isinstance(model.pair, SentenceTransformerPair) else _SIZE
    images, texts, matches = _draw(pairs, count, size, np.random.default_rng(seed))
    scale = float(model.scale.log_scale.exp())
    names = ("images", "texts")
    embedded = EmbeddedPairs(
        model.encode_image(images), model.encode_text(texts), names, scale, matches
    )
    layers = []
    for name, embed, inputs in (
        ("images", model.encode_image, images[:_LAYERED]),
        ("texts", model.encode_text, texts[:_LAYERED]),
    ):
        found = layer_cones(model.pair, embed, inputs, alone=name == "texts")
        layers += [{"modality": name} | row for row in found]
    return embedded, layers


# -- pairs -----------------------------------------------------------------------------------


def _is_folder(pairs: str) -> bool:
    return pairs not in GRID_WORLDS and Path(pairs).is_dir()  # ./goto is a folder, goto a world


def _check_pairs(pairs: str) -> None:
    """Raise ConfigError, before a model is loaded, if pairs cannot be what they are called."""
    known = {*GRID_WORLDS, *GRID_IDS, *gym.registry}
    if not _is_folder(pairs) and pairs not in known:
        near = get_close_matches(pairs, sorted(known), n=1)
        raise ConfigError(
            f"--pairs {pairs}: no folder, grid world or environment id of this name;"
            f" {suggestion(pairs, near or GRID_WORLDS)}, or {_REPAIR}"
        )


def _draw(
    pairs: str, count: int, size: int, generator: np.random.Generator
) -> tuple[NDArray[np.uint8], list[str], torch.Tensor]:
    """Return up to n images, as many texts, and which fit, bool [n, n]."""
    if _is_folder(pairs):
        folder = read_folder(Path(pairs), size)
        images, texts, positives = folder.images, folder.texts, folder.positives
    elif pairs in GRID_WORLDS or pairs in GRID_IDS:
        drawn = _draw_rooms(GRID_IDS.get(pairs, pairs), count, generator)
        images, texts, positives = drawn.images, drawn.texts, drawn.positives
    else:
        world = _open(pairs)
        try:
            batch = world.draw(min(count, _EPISODES), _GOALS, generator)
        except ConfigError as error:
            raise ConfigError(f"--pairs: {str(error).removeprefix('environments: ')}") from error
        images, texts, positives = batch.images, batch.texts, batch.positives
    chosen = one_to_one(positives, texts, count, generator)
    if len(chosen) < _LEAST:
        raise ConfigError(
            f"--pairs {pairs}: {len(chosen)} pairs of different images and texts; give"
            f" {_LEAST} or more"
        )
    columns, rows_ = chosen.T
    matches = torch.from_numpy(positives[np.ix_(rows_, columns)].T)  # [n, n], images by texts
    return images[columns], [texts[k] for k in rows_], matches


def _draw_rooms(world: str, count: int, generator: np.random.Generator) -> ImageTexts:
    """Draw images of rooms of their own, facing an object, with its colour and type as text."""
    say = partial(write, phrasing="seen")
    for _ in range(_TRIES):
        try:
            # More rooms than pairs, since some texts come twice; one word would fit most images.
            return world_batch(
                GRID_WORLDS[world], say, generator,
                rooms=2 * count, images=1, texts=1, levels=("full",),
            )  # fmt: skip
        except InstructionError:  # in some room all objects are alike
            continue
    raise ConfigError(f"--pairs {world}: all objects of its rooms are alike; name another world")


def _open(name: str) -> WorldImages:
    try:
        return open_world(name)
    except ConfigError as error:
        raise ConfigError(f"--pairs: {str(error).removeprefix('environments: ')}") from error


def one_to_one(
    positives: NDArray[np.bool_], texts: list[str], count: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Pair images with texts that fit, no image and no text twice; int64 [n, 2].

    Args:
        positives: whether a text fits an image, bool [K, M].
        texts: K of them; equal ones count as one.
        count: pairs at most.
        generator: the only source of randomness.
    """
    chosen: list[tuple[int, int]] = []
    used: set[str] = set()
    for image in generator.permutation(positives.shape[1]):
        if len(chosen) == count:
            break
        fitting = generator.permutation(np.flatnonzero(positives[:, image]))
        new = next((k for k in fitting if texts[k] not in used), None)
        if new is not None:
            used.add(texts[new])
            chosen.append((int(image), int(new)))
    return np.array(chosen, np.int64).reshape(-1, 2)
