"""Damaged checkpoints, model folders and data: one error of the right class, or what is whole."""

import warnings

import numpy as np
import pytest
from mutations import copied, damage_arrays, damage_bytes, damage_folder
from tally import counted, tally

from langrl.checkpoint import find_checkpoint
from langrl.data.recordings.reading import read_recording
from langrl.data.trajectories import load_trajectories
from langrl.errors import (
    CheckpointError,
    ConfigError,
    NonFiniteError,
    ShapeError,
    TrajectoryError,
)
from langrl.evaluation.embedding_files import read_modalities
from langrl.models.language_image.model import load_language_image_model
from langrl.tasks.loading import load_agent
from langrl.tasks.run import resume_run

SEED = 21
MOST = 2 << 30  # bytes of memory that a damaged file may take


def try_damage(check, make, damage, read, allowed, count):
    """Damage a fresh copy, and read it, so many times."""
    for number in range(count):
        path = make()
        said = damage(path, np.random.default_rng([SEED, number]))
        with check.case(f"{number}: {said}"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                read(path)
            except allowed as error:
                text = str(error)
                check_line(text)


def check_line(text):
    assert text.isprintable()
    assert len(text) <= 1000


@pytest.mark.parametrize("kind", ["maze", "grid", "goals"])
@counted(20, 200)
def test_a_damaged_checkpoint_is_refused_or_gives_an_agent(many, kind, quick_runs, tmp_path):
    source = find_checkpoint(quick_runs(kind))

    def make():
        return copied(source, tmp_path / source.name)

    with tally(f"6 damaged checkpoints, {kind}, that make an agent", MOST) as check:
        try_damage(check, make, damage_folder, load_agent, CheckpointError, many)


@pytest.mark.parametrize("kind", ["maze", "grid", "goals"])
@counted(6, 100)
def test_a_damaged_checkpoint_is_refused_or_resumed(many, kind, quick_runs, tmp_path):
    source = quick_runs(kind)

    def make():
        run = copied(source, tmp_path / "run")
        return find_checkpoint(run)

    def read(newest):
        resume_run(newest.parent.parent, "resume")

    with tally(f"6 damaged checkpoints, {kind}, that are resumed", MOST) as check:
        try_damage(check, make, damage_folder, read, CheckpointError, many)


@counted(20, 200)
def test_a_damaged_model_folder_is_refused_or_gives_a_model(many, tiny_language, tmp_path):
    def make():
        return copied(tiny_language, tmp_path / "model")

    with tally("6 damaged model folders", MOST) as check:
        try_damage(check, make, damage_folder, load_language_image_model, CheckpointError, many)


def write_trajectories(path):
    generator = np.random.default_rng(0)
    ends = np.zeros(60, bool)
    ends[19::20] = True
    observations = generator.random((60, 2)).astype(np.float32)
    actions = generator.random((60, 2)).astype(np.float32)
    np.savez(path, observations=observations, actions=actions, terminals=ends)
    return path


DATA = {
    "trajectories": (
        lambda path: load_trajectories(path, 2, 2),
        (TrajectoryError, NonFiniteError, ShapeError),
    ),
    "recordings": (read_recording, (TrajectoryError, NonFiniteError, ShapeError)),
    "embeddings": (lambda path: read_modalities([path], "--model"), ConfigError),
}


@pytest.mark.parametrize("kind", DATA)
@counted(30, 300)
def test_a_damaged_data_file_is_refused_or_read(many, kind, tmp_path):
    read, allowed = DATA[kind]

    def make():
        if kind == "embeddings":
            path = tmp_path / "pairs.npz"
            generator = np.random.default_rng(0)
            np.savez(path, x=generator.random((20, 3)), y=generator.random((20, 4)))
            return path
        return write_trajectories(tmp_path / "data.npz")

    with tally(f"6 damaged {kind}", MOST) as check:
        try_damage(check, make, damage_arrays, read, allowed, many)


@counted(20, 200)
def test_a_damaged_npy_is_refused_or_read(many, tmp_path):
    def make():
        np.save(tmp_path / "pairs.npy", np.random.default_rng(0).random((2, 20, 3)))
        return tmp_path / "pairs.npy"

    def read(path):
        read_modalities([path], "--model")

    with tally("6 damaged arrays of embeddings", MOST) as check:
        try_damage(check, make, damage_bytes, read, ConfigError, many)
