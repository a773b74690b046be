"""Readers of texts and files, on what Hypothesis makes up: a value or one error, nothing else."""

import io
import json
import shlex
import shutil
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tally import counted, tally

from langrl.checkpoint import MANIFEST, file_digest, read_checkpoint
from langrl.data.images.folder import read_folder
from langrl.data.recordings.reading import read_recording
from langrl.data.trajectories import load_trajectories
from langrl.envs.grid import grammar as grid_grammar
from langrl.envs.maze.layouts import Layout, parse_layout
from langrl.envs.maze.world import StreetMaze
from langrl.errors import (
    CheckpointError,
    ConfigError,
    InstructionError,
    LangRLError,
    LayoutError,
    NonFiniteError,
    ShapeError,
    TrajectoryError,
)
from langrl.tasks.goal_reaching.config import GoalRunConfig
from langrl.tasks.grid.config import GridRunConfig
from langrl.tasks.maze.config import MazeRunConfig
from langrl.tasks.presets import parse_config
from langrl.training.logs import read_metrics
from langrl.words import split_words

OF_DATA = (TrajectoryError, NonFiniteError, ShapeError)
WORDS = shlex.split(
    "go to the row column 3 11 99 or and not but anything red ball key blue crimson orb left of"
    " nearest corner upper half , . please \u00bd \u0301 beside -1"
)
sentences = st.lists(st.sampled_from(WORDS) | st.text(max_size=3), max_size=20).map(" ".join)
texts = sentences | st.text(max_size=60) | st.text(st.characters(categories=["Cf", "Mn", "Nd"]))
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
    | st.sampled_from(["fork", "cpu", "1e3", "../x", "None", "bundled", "oracle"])
)  # fmt: skip
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner)
)


def fuzz(name, many, strategy, read, allowed):
    """Read so many examples; each must give a value, or an error of a class that is allowed."""
    with tally(name) as check:

        @settings(
            max_examples=many,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def one(example):
            with check.case(ascii(example)[:80]), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                refusal = None
                try:
                    read(example)
                except allowed as error:
                    refusal = error
                if isinstance(refusal, LangRLError):
                    assert str(refusal).isprintable()

        one()


@pytest.fixture(scope="module")
def maze():
    return StreetMaze("fork")


@counted(60, 3000)
def test_grammars_read_or_refuse_any_text(many, maze):
    for name, read in {
        "maze": lambda text: maze.denotation(np.zeros((1, 2)), text),
        "grid": grid_grammar.parse,
        "words": split_words,
    }.items():
        fuzz(f"fuzz: grammar, {name}", many, texts, read, InstructionError)


@counted(60, 3000)
def test_layouts_are_read_or_refused(many):
    rows = st.lists(st.text("#.", min_size=1, max_size=8) | st.text("#. \tx\r", max_size=9))
    maps = rows.map("\n".join) | st.text(max_size=80)

    def read(text):
        assert isinstance(parse_layout(text, "the layout"), Layout)

    fuzz("fuzz: layouts", many, maps, read, LayoutError)


def keys_of(model):
    """Return the names of a config's fields, and of those within them."""
    names = set(model.model_fields)
    for field in model.model_fields.values():
        names |= set(getattr(field.annotation, "model_fields", ()))
    return sorted(names)


@counted(40, 1500)
def test_configs_are_read_or_refused(many):
    for model in (MazeRunConfig, GridRunConfig, GoalRunConfig):
        keys = st.sampled_from(keys_of(model)) | st.text(max_size=5)
        groups = st.dictionaries(keys, scalars | st.lists(scalars, max_size=3), max_size=4)
        tables = st.dictionaries(keys, groups | scalars, max_size=5)
        documents = tables.map(json.dumps) | st.text(max_size=60)  # JSON is YAML

        def read(text, model=model):
            parse_config(text, "fuzzed", model)

        fuzz(f"fuzz: configs, {model.__name__}", many, documents, read, ConfigError)


@counted(30, 1500)
def test_checkpoints_are_read_or_refused(many, quick_runs, tmp_path):
    source = quick_runs("maze") / "checkpoints" / "step-4"
    folder = shutil.copytree(source, tmp_path / "fuzzed")
    names = sorted(path.name for path in source.iterdir())
    contents = st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode())

    def read(example):
        name, content, signs = example
        (folder / name).write_bytes(content)
        if signs and name != MANIFEST:
            manifest = json.loads((source / MANIFEST).read_text())
            manifest["sha256"][name] = file_digest(folder / name)
            (folder / MANIFEST).write_text(json.dumps(manifest))
        try:
            read_checkpoint(folder)
        finally:
            for each in (name, MANIFEST):
                shutil.copyfile(source / each, folder / each)

    examples = st.tuples(st.sampled_from(names), contents, st.booleans())
    fuzz("fuzz: checkpoints", many, examples, read, CheckpointError)


DTYPES = (
    arrays.floating_dtypes(sizes=(32, 64)) | arrays.integer_dtypes() | arrays.boolean_dtypes()
    | arrays.unicode_string_dtypes(max_len=3) | arrays.complex_number_dtypes()
)  # fmt: skip
NAMES = (
    "observations", "actions", "terminals", "timeouts", "rewards", "next_observations", "valids",
    "qpos", "dones", "masks",
)  # fmt: skip


@counted(40, 1500)
def test_recordings_are_read_or_refused(many, tmp_path):
    shapes = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)
    tables = st.dictionaries(
        st.sampled_from(NAMES), DTYPES.flatmap(lambda kind: arrays.arrays(kind, shapes)), max_size=4
    )
    fitting = st.fixed_dictionaries(
        {
            "observations": arrays.arrays(np.float32, (5, 2)),
            "actions": arrays.arrays(np.float32, (5, 2)),
            "terminals": arrays.arrays(np.int8, (5,), elements=st.integers(0, 1)),
        }
    )

    def read(example):
        stream = io.BytesIO()
        np.savez(stream, **example)
        path = tmp_path / "fuzzed.npz"
        path.write_bytes(stream.getvalue())
        refused = []
        for reader in (read_recording, lambda path: load_trajectories(path, 2, 2)):
            try:
                reader(path)
            except OF_DATA as error:
                refused.append(str(path) in str(error))
        assert all(refused)

    fuzz("fuzz: recordings and trajectories", many, tables | fitting, read, ())


@counted(40, 1500)
def test_records_and_captions_are_read_or_refused(many, tmp_path):
    lines = st.lists(
        json_values.map(json.dumps)
        | st.fixed_dictionaries({"step": st.integers(-2, 9) | scalars}).map(json.dumps)
        | st.text(max_size=20),
        max_size=6,
    ).map("\n".join)

    def read(text):
        path = tmp_path / "metrics.jsonl"
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        steps = [record["step"] for record in read_metrics(path)]
        assert steps == sorted(set(steps))

    fuzz("fuzz: records of metrics", many, lines, read, ())

    folder = tmp_path / "captions"
    folder.mkdir()

    def captions(text):
        (folder / "captions.jsonl").write_text(text, encoding="utf-8", errors="surrogatepass")
        read_folder(folder, 32)

    fuzz("fuzz: captions", many, lines, captions, LangRLError)
