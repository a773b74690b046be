"""Makes published data sets anew, in parts, so that an interrupted command goes on.

Axes: ``E`` episodes, ``T`` states.
"""

import io
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from langrl.checkpoint import write_atomically
from langrl.data.recordings.pointmaze import (
    RECIPES,
    VALIDATION,
    Expert,
    Recipe,
    make_env,
    record_episode,
)
from langrl.errors import ConfigError, check_extra, lookup
from langrl.protocols import Array
from langrl.training.cells import run_jobs

_PART_STATES = 25_000  # of the episodes that are made and stored together: some seconds
_SHARES = ("train", "val")  # the number of a share is part of an episode's seed


@dataclass(frozen=True)
class Made:
    """A file that was made: where, its trajectories and states, and goals reached in each."""

    path: Path
    trajectories: int
    states: int
    goals: float


@dataclass(frozen=True)
class _Part:
    """Episodes of one share that are made together, and the file that they are kept in."""

    share: str
    first: int
    episodes: int
    path: Path


def validation_file(out: Path) -> Path:
    """Return the file of the validation episodes that belongs to a data set, as OGBench has it."""
    return out.with_name(f"{out.stem}-val{out.suffix}")


def make_recording(
    name: str, out: Path, *, episodes: int | None = None, seed: int = 0, workers: int | None = None
) -> list[Made]:
    """Make a published data set, and its validation episodes in a second file, in OGBench's layout.

    The same distribution as the published files, not the same bits. Every episode has a seed of
    its own: the files depend on neither the number of processes nor interruptions, and a smaller
    set has the first episodes of a larger one. Parts are kept in a hidden folder beside ``out``
    until all are made; calling again goes on with them.

    Args:
        name: of ``RECIPES``.
        out: an .npz file; the other one is called after it, with ``-val``.
        episodes: for training, the published number by default; a tenth as many for validation.
        seed: of all episodes.
        workers: processes, one per core if None.

    Raises:
        UnknownNameError: if there is no such data set.
        ConfigError: if ``out`` is no .npz file or there is such a file.
        MissingExtraError: if ogbench is not installed.
    """
    recipe = check_request(name, out)
    folder = out.with_name(f".{out.name}.{Path(name).name}-seed-{seed}.parts")
    folder.mkdir(parents=True, exist_ok=True)
    counts = (episodes or recipe.episodes, (episodes or recipe.episodes) // VALIDATION)
    size = max(1, _PART_STATES // recipe.states)
    parts = [
        _Part(share, first, min(size, count - first), folder / f"{share}-{first}-{size}-{count}")
        for share, count in zip(_SHARES, counts, strict=True)
        for first in range(0, count, size)
    ]
    missing = [part for part in parts if not part.path.is_file()]
    if missing:
        run_jobs(_make_part, [(name, seed, part) for part in missing], workers, "episodes")
    paths = dict(zip(_SHARES, (out, validation_file(out)), strict=True))
    made = [
        _join([part for part in parts if part.share == share], paths[share], recipe.states)
        for share in reversed(_SHARES)  # ``out`` is the last one: where it is, all is done
        if any(part.share == share for part in parts)
    ]
    shutil.rmtree(folder)
    return made[::-1]


def check_request(name: str, out: Path) -> Recipe:
    """Return the recipe of a data set; raises as ``make_recording``, before anything is done."""
    recipe = lookup(RECIPES, name, "data set that can be made")
    if out.suffix != ".npz":
        raise ConfigError(f"--out {out}: name an .npz file")
    if out.exists():
        raise ConfigError(f"--out {out}: there is such a file; name another, or remove it")
    check_extra("ogbench", "ogbench")
    return recipe


def _make_part(name: str, seed: int, part: _Part) -> None:
    """Make the episodes of a part and store them, all or none."""
    recipe = RECIPES[name]
    env = make_env(recipe)
    expert = Expert(env)
    numbers = range(part.first, part.first + part.episodes)
    seeds = [(seed, _SHARES.index(part.share), number) for number in numbers]
    made = [record_episode(env, expert, recipe, np.random.default_rng(each)) for each in seeds]
    env.close()
    _write(
        part.path,
        observations=np.concatenate([episode.observations for episode in made]),
        actions=np.concatenate([episode.actions for episode in made]),
        goals=np.array([episode.goals for episode in made]),
    )


def _join(parts: Sequence[_Part], path: Path, states: int) -> Made:
    """Write the episodes of parts to one file in OGBench's layout."""
    loaded = []
    for part in parts:
        with np.load(part.path, allow_pickle=False) as arrays:
            loaded.append(dict(arrays))
    observations = np.concatenate([arrays["observations"] for arrays in loaded])  # [E * T, 2]
    actions = np.concatenate([arrays["actions"] for arrays in loaded])
    goals = np.concatenate([arrays["goals"] for arrays in loaded])  # [E]
    terminals = np.arange(1, len(observations) + 1) % states == 0
    _write(path, observations=observations, actions=actions, terminals=terminals)
    return Made(path, len(goals), len(observations), float(goals.mean()))


def _write(path: Path, **arrays: Array) -> None:
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    write_atomically(path, content.getvalue())
