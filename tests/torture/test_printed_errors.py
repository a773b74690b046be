"""Wrong input on the command line: status 2, and one line of at most 300 characters."""

import json
import shlex

import pytest
from command_line import run_langrl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tally import counted, tally

from langrl.reproduce.arguments import REPRODUCTIONS
from langrl.tasks.presets import parse_config
from langrl.tasks.registry import TASKS

LONGEST = 300
MOST = 2 << 30  # bytes of memory that wrong input may take
# By hand: what YAML itself stumbles over, nested and huge values, names of no field, other types.
DOCUMENTS = [
    "seed: 2026-13-45", "seed: " + "9" * 5_000, "seed: !!int abc", "seed: !!bool abc",
    "seed: !!python/object/apply:os.system [id]", "a: &a [*a]", "seed: [" * 900, "{" * 3_000,
    "seed: 1\nseed: 2", "\tseed: 1", "seed", "- 1", "null", "1", "''", "\ufffe", "seed: \x07",
    "a" * 5_000 + ": 1", "logging: {" + "b" * 5_000 + ": 1}", "device: '" + "d" * 5_000 + "'",
    "device: mps9", "task: nothing", "task: [street-maze]", "task: {}", "evaluation: none",
    "evaluation: {episodes: many}", "evaluation: {episodes: -1}", "evaluation: {methods: 3}",
    "learner: {steps: 1e400}", "learner: {steps: .nan}", "learner: {batch_size: 0}",
    "grounding: {strategy: " + "s" * 900 + "}", "world: {layout: " + "/d" * 600 + "}",
    "world: {layout: '" + "#" * 900 + "'}", "{}: {}", "? [1, 2]\n: 3", "seed: 0x", "seed: 1_0.5",
    *(f"logging: {{{key}: {value}}}" for key in ("log_every", "checkpoint_every", "keep", "none")
      for value in ("-1", "x", "[1]", "{a: b}", "1e9", "'" + "v" * 700 + "'")),
]  # fmt: skip
LONG = "n" * 3_000
DEEP = "/".join(["folder"] * 400)
VALUES = [
    LONG,
    DEEP,
    "a b " * 400,
    "\u202e\x1b[31m" * 60,
    "no-such-thing",
    "../" * 200,
    "é" * 300,
    "/",
]
# A value goes where {} is. None of these begins to do something before its arguments are read.
CALLS = [
    "{}", "train --config {}", "train --config crl --seed {}", "train --resume {}",
    "train --config street-blank --learner.steps {}", "train --start {}", "train --{} 1",
    "train --config street-blank --text.model ./{}", "train --config grid-goto --language ./{}",
    "train --config crl --data.file {}", "train --config crl --import-module {}",
    "pretrain --config {}", "pretrain --method {}", "pretrain --resume {}", "pretrain --steps {}",
    "evaluate {}", "evaluate --agent {} --env {}", "evaluate no-run --policy {}",
    "evaluate no-run --episodes {}", "push {} user/name", "play {}", "play --port {}",
    "render {} --instruction x --out y.html", "diagnose {}", "diagnose bundled --pairs {}",
    "demo {}", "demo --config {}", "sweep --config {}", "sweep --config crl --grid {}",
    "data {}", "data describe {}", "data make {}", "benchmark {}", "benchmark run --only {}",
    "benchmark compare {}", "benchmark speed --only {}", "benchmark speed --rounds {}",
    "reproduce {}", *(f"reproduce {name} --seeds {{}}" for name in REPRODUCTIONS),
]  # fmt: skip


def line_of(capsys, *words):
    """Run a command that must not succeed; return the one line that it ends with."""
    capsys.readouterr()
    status = run_langrl(*words)
    error = capsys.readouterr().err
    assert status == 2, f"status {status}"
    assert error.count("\n") == 1, error[:600]
    assert error.startswith("langrl: error: "), error[:600]
    assert len(error) <= LONGEST + 1, f"{len(error)} characters: {error}"
    assert error[:-1].isprintable()
    return error


def check_config(capsys, path, text, model):
    """Train by a config; if it cannot be read, the file is named."""
    path.write_text(text, "utf-8", "surrogatepass")
    try:
        parse_config(text, "here", model)
    except Exception:
        command = "pretrain" if model.model_fields["task"].default == "language-image" else "train"
        error = line_of(capsys, command, "--config", str(path), "--print-config")
        assert path.name in error, error


@counted(12, len(DOCUMENTS))
def test_configs_by_hand(many, capsys, tmp_path):
    with tally(
        "5 wrong configs by hand: status 2, the file named, at most 300 letters", MOST
    ) as check:
        for text in DOCUMENTS[:many]:
            for name in ("street-maze", "grid", "language-image"):
                with check.case(f"{name} {text[:60]}"):
                    whole = text if "task" in text else f"task: {name}\n{text}"
                    model = TASKS[name].config_class
                    check_config(capsys, tmp_path / "wrong.yaml", whole, model)


@counted(len(VALUES[:1]), len(VALUES))
def test_arguments(many, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with tally("5 wrong arguments of every command: status 2, at most 300 letters", MOST) as check:
        for call in CALLS:
            for value in VALUES[:many]:
                with check.case(f"{call} {value[:20]!r}"):
                    words = [value if word == "{}" else word.replace("{}", value)
                             for word in shlex.split(call)]  # fmt: skip
                    line_of(capsys, *words)


def made_up(model):
    """Return a strategy of tables with keys that are fields, or none."""
    keys = st.text(max_size=5)
    values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=400)
    values |= st.lists(values, max_size=3) | st.dictionaries(keys, values, max_size=3)
    fields = st.sampled_from(sorted(set(model.model_fields) - {"task"}))
    return st.dictionaries(fields | keys, values, min_size=1, max_size=4)


@counted(8, 300)
@pytest.mark.parametrize("name", ["street-maze", "grid", "goal-reaching"])
def test_configs_of_any_values(name, many, capsys, tmp_path):
    model = TASKS[name].config_class
    with tally(f"5 wrong configs made up, {name}: status 2, at most 300 letters", MOST) as check:

        @settings(
            max_examples=many,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(made_up(model))
        def one(table):
            with check.case(ascii(table)[:80]):
                text = json.dumps({"task": name} | table)
                check_config(capsys, tmp_path / "wrong.yaml", text, model)

        one()
