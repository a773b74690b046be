"""``langrl diagnose``: a model and pairs by name become embeddings, words, tables and images.

Runs that trained an agent are for ``langrl.cli.diagnose_run``.

Axes: ``n`` pairs, ``M`` images, ``K`` texts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from langrl import GRID_IDS
from langrl.cli import diagnose_run
from langrl.cli.folders import DIAGNOSES, clear_figures, new_folder
from langrl.data.images.folder import read_folder
from langrl.data.images.grid_scenes import ImageTexts, world_batch
from langrl.data.images.rendered_worlds import WorldImages, open_world
from langrl.envs.grid.grammar import write
from langrl.envs.grid.rooms import GRID_WORLDS
from langrl.errors import ConfigError, InstructionError, suggestion
from langrl.evaluation.diagnosis import (
    COLUMNS,
    EmbeddedPairs,
    diagnose,
    findings,
    findings_apart,
    measure,
    rows,
    rows_apart,
    shift_rows,
)
from langrl.evaluation.embedding_files import read_modalities
from langrl.evaluation.layer_cones import Row, layer_cones
from langrl.models.language_image.model import LanguageImageModel, load_language_image_model
from langrl.models.language_image.sentence_pair import SentenceTransformerPair
from langrl.plots import modality_gap as gap_plots
from langrl.plots.base import save
from langrl.settings import CONFIG_FILE
from langrl.tasks.registry import load_run_config, run_of, tasks_of
from langrl.training.logs import console, print_table, write_results

_SIZE, _PRETRAINED_SIZE = 64, 224  # pixels of images from folders: compact tower, CLIP
_EPISODES, _GOALS = 100, 8  # of an environment, at most
_LAYERED = 200  # pairs whose layers are looked at
_LEAST = 4  # pairs
_FILES = (".npy", ".npz")  # of embeddings
_TRIES = 20  # draws of rooms, for one in which every object differs from the others
_REPAIR = "give a folder of captioned images, a grid world or an environment id"


def run(
    model: str,
    other: str | None,
    pairs: str | None,
    data: Path | None,
    out: Path | None,
    command: str,
    *,
    names: tuple[str, str] | None,
    count: int,
    scale: float | None,
    seed: int,
) -> None:
    """Diagnose a model on pairs, or files of paired embeddings; print, and write to ``out``.

    Args:
        model: "bundled", a folder or hub name of a language-image model, a file of embeddings, or
            the folder of a run that trained an agent.
        other: a second file of embeddings, as ``read_modalities`` takes them.
        pairs: where images with texts come from: a folder, a grid world or an environment id.
        data: trajectories to measure the critic of a run on.
        out: folder of results.json and figures; a new one in runs/diagnose if not given.
        command: what the user typed, for the record.
        names: of the two modalities in files of embeddings; those in the files by default.
        count: pairs at most.
        scale: inverse temperature that embeddings from files were trained with.
        seed: of the pairs that are drawn.

    Raises:
        ConfigError: if the model or the pairs cannot be had, or flags do not fit together.
    """
    if _trains_an_agent(Path(model)):
        for flag, given in (("OTHER", other), ("--names", names), ("--pairs", pairs),
                            ("--scale", scale)):  # fmt: skip
            if given is not None:
                raise ConfigError(f"{flag} is not for a run that trained an agent; leave it out")
        diagnose_run.run(Path(model), data, out, command, count=count, seed=seed)
        return
    if data is not None:
        raise ConfigError("--data is for a run that trained an agent; leave it out")
    layers: list[Row] = []
    files = [Path(name) for name in (model, other) if name is not None]
    if other is not None or files[0].suffix in _FILES:
        if pairs is not None:
            raise ConfigError("--pairs: the files hold pairs already; leave --pairs out")
        embedded = _read(files, names, count, scale)
    else:
        if scale is not None or names is not None:
            flag = "--names" if scale is None else "--scale"
            raise ConfigError(f"{flag} is for .npy files and .npz files; leave it out for a model")
        if pairs is None:
            raise ConfigError(f"--pairs is missing; {_REPAIR}: {', '.join(GRID_WORLDS)}")
        _check_pairs(pairs)
        embedded, layers = _embed(load_language_image_model(model), pairs, count, seed)
    name = " ".join(path.name for path in files)
    config = {"model": model, "other": other, "pairs": pairs, "seed": seed}
    _report(embedded, layers, name, out, command, config)


def _trains_an_agent(folder: Path) -> bool:
    """Whether this is the folder of a run of ``langrl train``, or a checkpoint in one."""
    owner = run_of(folder) if folder.is_dir() else None
    if owner is None:
        return False
    return load_run_config(str(owner / CONFIG_FILE)).task in tasks_of("train")


def _read(
    files: Sequence[Path], names: tuple[str, str] | None, count: int, scale: float | None
) -> EmbeddedPairs:
    """Return ``count`` of the pairs in files, evenly spaced."""
    if len(files) > 1 and any(path.suffix != ".npy" for path in files):
        raise ConfigError(
            f"MODEL {' '.join(map(str, files))}: give one model, or two .npy files of embeddings"
        )
    found = read_modalities(files, "MODEL")
    called = tuple(found) if names is None else names
    first, second = called
    if set(called) == set(found):
        found = {name: found[name] for name in called}
    elif any(name in found and name != own for name, own in zip(called, found, strict=True)):
        raise ConfigError(
            f"--names {first} {second}: the arrays are {' and '.join(found)}; give these names in"
            " either order, or new ones in this order"
        )
    if first == second or {"", "measure", "both"} & {first, second}:
        raise ConfigError(
            f"--names {first} {second}: give the modalities two names, other than 'measure' and"
            " 'both', which head the table"
        )
    x, y = found.values()
    kept = np.linspace(0, len(x) - 1, min(count, len(x))).round().astype(np.int64)
    pairs = EmbeddedPairs(x[kept], y[kept], (first, second), scale)
    if scale is not None and not pairs.comparable:
        raise ConfigError(
            f"--scale: embeddings of {x.shape[1]} and {y.shape[1]} numbers have no common"
            " temperature; leave it out"
        )
    return pairs


@dataclass(frozen=True)
class _Report:
    """What is shown of a diagnosis."""

    size: str
    sentences: list[str]
    table: list[Row]
    figures: Mapping[str, Callable[[str], Figure]]
    extra: dict[str, Any]


def _together(pairs: EmbeddedPairs, layers: list[Row]) -> _Report:
    """Diagnose modalities that one cosine compares."""
    found = diagnose(pairs)
    scale = found.best.scale if found.scale is None else found.scale
    figures = {
        "projection": partial(gap_plots.projection_figure, pairs),
        "cosines": partial(gap_plots.cosines_figure, pairs),
        "shifts": partial(gap_plots.shifts_figure, pairs, scale),
    }
    if layers:
        figures["layers"] = partial(gap_plots.layers_figure, layers)
    extra = {"shifts": shift_rows(found), "layers": layers, "best_scale": asdict(found.best)}
    size = f"{found.pairs} pairs, {found.dimensions} dimensions"
    return _Report(size, findings(found), _named(rows(found), pairs), figures, extra)


def _apart(pairs: EmbeddedPairs) -> _Report:
    """Diagnose modalities of different sizes, each on its own."""
    first, second = measure(pairs.names[0], pairs.x), measure(pairs.names[1], pairs.y)
    size = f"{len(pairs.x)} pairs, {first.dimensions} and {second.dimensions} dimensions"
    table = _named(rows_apart(first, second), pairs)
    for row in table:
        del row[COLUMNS[3]]  # nothing joins them
    figures = {"cosines": partial(gap_plots.cosines_figure, pairs)}
    return _Report(size, findings_apart((first, second), len(pairs.x)), table, figures, {})


def _named(table: list[Row], pairs: EmbeddedPairs) -> list[Row]:
    """Return the rows with the modalities' names as columns."""
    named = dict(zip(COLUMNS[1:3], pairs.names, strict=True))
    return [{named.get(key, key): value for key, value in row.items()} for row in table]


def _report(
    pairs: EmbeddedPairs,
    layers: list[Row],
    name: str,
    out: Path | None,
    command: str,
    config: dict[str, Any],
) -> None:
    report = _together(pairs, layers) if pairs.comparable else _apart(pairs)
    for line in report.sentences:
        console.print(f"* {line}")
    title = f"{name}: {report.size}"
    print_table(title, report.table, [*report.table[0]])
    if layers:
        print_table("cosines within a modality, by layer", layers, [*layers[0]])
    if out is None:
        out = new_folder(DIAGNOSES, f"{Path(name).stem} {config['pairs'] or ''}")
    clear_figures(out)
    results = write_results(
        out, command, config, report.table, findings=report.sentences, **report.extra
    )
    for stem, draw in report.figures.items():
        save(draw(title), out / "figures" / f"{stem}.png")
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
