"""Small files that ask for much, and texts that ask for more than a line, are refused at once."""

import shutil

import pytest
from forged import forge_document
from torch import nn

from langrl.checkpoint import MANIFEST, file_digest, find_checkpoint, no_larger_than
from langrl.errors import CheckpointError, ConfigError, LangRLError, one_line, quoted
from langrl.models.language_image.model import load_language_image_model
from langrl.tasks.loading import load_agent
from langrl.tasks.maze.config import MazeRunConfig
from langrl.tasks.presets import load_config, parse_config

LARGE = 64 << 30


@pytest.fixture
def copy(small_run, tmp_path):
    """A function from the name of a small run to the newest checkpoint of a copy of it."""

    def copied(name):
        return find_checkpoint(shutil.copytree(small_run(name), tmp_path / name))

    return copied


def widen(document):
    """Claim a model of billions of weights."""
    for field in ("critics", "critic", "rooms"):
        if isinstance(inner := document.get(field), dict):
            inner.get("critic", inner).update(width=4096, depth=16)
    return document


@pytest.mark.parametrize("name", ["maze", "grid", "partial"])
def test_a_description_that_claims_a_large_model_is_refused_while_it_is_built(
    name, copy, monkeypatch
):
    newest, built = copy(name), []
    forge_document(newest, "agent", widen)
    register = nn.Module.register_parameter

    def counted(self, key, parameter):
        built.append(0 if parameter is None else parameter.numel())
        register(self, key, parameter)

    monkeypatch.setattr(nn.Module, "register_parameter", counted)
    monkeypatch.setattr("langrl.checkpoint._FREE", 1 << 20)  # not to make gigabytes here
    with pytest.raises(CheckpointError, match="copy the checkpoint again"):
        load_agent(newest)
    assert sum(built) < 1 << 26


def test_a_model_folder_that_claims_a_large_model_is_refused(tiny_language, tmp_path, monkeypatch):
    folder = shutil.copytree(tiny_language, tmp_path / "model")

    def claim(document):
        document["config"]["image"] |= {"channels": 512, "depth": 8}
        return document

    forge_document(folder, "model", claim)
    monkeypatch.setattr("langrl.checkpoint._FREE", 1 << 20)
    with pytest.raises(CheckpointError, match="copy the checkpoint again"):
        load_language_image_model(folder)


def test_models_are_built_as_before_where_they_fit():
    linear = nn.Linear(300, 300)
    weights = dict(linear.named_parameters())
    with no_larger_than(weights):
        nn.Linear(300, 300)
    nn.Linear(30_000, 10, device="meta")  # nothing is counted afterwards


@pytest.mark.parametrize("name", ["agent.json", "weights.safetensors", MANIFEST])
def test_a_file_of_gigabytes_of_nothing_is_not_read(name, copy, tmp_path):
    newest = copy("maze")
    with (newest / name).open("r+b") as file:
        file.truncate(LARGE)
    with pytest.raises(CheckpointError, match=name.replace(".", r"\.")):
        load_agent(newest)


@pytest.mark.parametrize("name", ["agent.json", "state.json", MANIFEST])
def test_a_document_of_many_megabytes_is_not_read(name, copy, monkeypatch):
    newest = copy("maze")
    monkeypatch.setattr("langrl.checkpoint._MOST_JSON", 20_000)
    with (newest / name).open("a") as file:
        file.write(" " * 20_000)
    with pytest.raises(CheckpointError, match=name.replace(".", r"\.")):
        load_agent(newest)


def test_a_large_file_with_its_content_on_disk_is_hashed(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 1000)
    assert len(file_digest(tmp_path / "file")) == 64


def test_keys_are_compared_in_a_time_that_grows_with_their_number():
    keys = "".join(f"key_{number}: 1\n" for number in range(4000))
    with pytest.raises(ConfigError, match="unknown key 'key_0'"):
        parse_config(keys, "mine", MazeRunConfig)


BAD_YAML = {
    "a date that there is not": "seed: 2026-13-45",
    "a number of 5,000 digits": "seed: " + "9" * 5000,
    "a tagged integer": "seed: !!int abc",
    "a tagged truth": "seed: !!bool abc",
    "a tagged float": "seed: !!float abc",
    "a tagged date": "seed: !!timestamp abc",
    "an alias of nothing": "seed: *nowhere",
    "an alias of itself": "a: &a [*a]",
    "a bomb of aliases": "a: &a [x, x]\n"
    + "".join(
        f"{n}: &{n} [*{m}, *{m}]\n" for m, n in zip("abcdefghijkl", "bcdefghijklm", strict=True)
    )
    + "evaluation: {methods: *m}",
    "a long value": "device: " + "x" * 50_000,
    "a long key": "x" * 50_000 + ": 1",
    "a long task": "task: " + "x" * 50_000,
    "control characters": 'device: "\\e[2J\\a\\u202e"',
    "a key of control characters": '"\\e[2J\\u202e": 1',
    "keys that are no names": "? [1, 2]\n: 3",
    "a number as a key": "1: 2",
    "nesting": "[" * 20_000,
    "NUL": "seed: \0",
    "a list for a mapping": "learner: [1]",
    "a text for a mapping": "learner: text",
    "NaN": "learner: {learning_rate: .nan}",
    "infinity": "learner: {learning_rate: .inf}",
    "binary": "seed: !!binary aGVsbG8=",
    "a set": "seed: !!set {1, 2}",
    "an unknown tag": "seed: !mine 3",
    "a huge exponent": "seed: 1e400",
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_YAML)
def test_a_bad_config_is_one_short_printable_line(name, tmp_path, fails):
    (tmp_path / "bad.yaml").write_text(BAD_YAML[name])
    error = fails("train", "--config", tmp_path / "bad.yaml", "--out", tmp_path / "run").strip()
    assert "bad.yaml" in error
    assert len(error) <= 600
    assert error.isprintable()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("source", ["", " ", "x" * 5000, "a/" * 3000, "\0", "\ud800", "\x1b[2J"])
def test_a_name_that_is_none_is_one_short_printable_line(source, tmp_path, fails):
    error = fails("train", "--config", source, "--out", tmp_path / "run").strip()
    assert len(error) <= 600
    assert error.isprintable()
    with pytest.raises(ConfigError):
        load_config(source, MazeRunConfig)


def test_an_error_quotes_nothing_that_steers_a_terminal():
    error = LangRLError("one\x1b[2Jtwo\x00\u202e\ud800\r\nthree " + "x" * 10**7 + " repair it")
    shown = str(error)
    assert shown.startswith(r"one\x1b[2Jtwo\x00\u202e\ud800 three x")
    assert shown.endswith("x repair it")
    assert len(shown) <= 1000
    assert len(one_line("x " * 5000, 300)) == 300
    assert len(one_line("x" * 5000)) == 160
    assert len(quoted(["x" * 1000] * 1000)) <= 80
    assert quoted("short") == "'short'"
    assert quoted(10**5000) == "int"
