"""Documents and goals that are forged: each is refused by its file, in a class of langrl's."""

import json
import shutil
from pathlib import Path

import pytest
from command_line import run_langrl
from forged import forge_document, forge_tensors
from payloads import stow

from langrl.checkpoint import MANIFEST, find_checkpoint, step_folder
from langrl.errors import CheckpointError, ConfigError
from langrl.models.language_image.model import load_language_image_model
from langrl.settings import check_finite
from langrl.tasks.config import RunConfig
from langrl.tasks.goal_reaching.config import GoalRunConfig
from langrl.tasks.language_image.config import LanguageImageRunConfig
from langrl.tasks.loading import load_agent
from langrl.tasks.presets import parse_config
from langrl.tasks.run import is_trained

NO_TABLES = {"null": None, "a list": [1], "a number": 3, "a text": "state", "true": True}


@pytest.fixture
def run(small_run, tmp_path):
    return shutil.copytree(small_run("maze"), tmp_path / "run")


@pytest.mark.parametrize("name", NO_TABLES)
def test_a_state_that_is_no_table_is_named(name, run, fails):
    forge_document(find_checkpoint(run), "state", lambda _: NO_TABLES[name])
    for command in (
        ["train", "--resume", run],
        ["evaluate", run],
        ["train", "--start", run, "--out", run / "new"],
    ):
        assert "state.json" in fails(*command)


@pytest.mark.parametrize("name", NO_TABLES)
@pytest.mark.parametrize("field", ["step", "references", "versions", "data_sha256", "unrecorded"])
def test_a_state_with_fields_of_other_kinds_is_refused_or_taken_but_no_traceback(
    field, name, run, fails
):
    newest = find_checkpoint(run)
    shutil.rmtree(newest)
    newest = find_checkpoint(run)
    if field in ("versions", "unrecorded") and name == "null":
        return  # other versions are taken, and so is no record
    forge_document(newest, "state", lambda state: state | {field: NO_TABLES[name]})
    if field == "versions":
        return
    assert str(newest) in fails("train", "--resume", run)


@pytest.mark.parametrize("value", [None, [1], "many", {"a": 1}, float("inf"), float("nan"), -1])
def test_a_run_of_no_known_step_is_not_finished(value, run):
    config = load_of(run)
    assert is_trained(run, config)
    forge_document(find_checkpoint(run), "state", lambda state: state | {"step": value})
    assert not is_trained(run, config)


def load_of(run) -> RunConfig:
    from langrl.tasks.registry import load_run_config

    return load_run_config(str(run / "config.yaml"))


DOCUMENTS = {
    "kind, a list": lambda document: document | {"kind": ["grid"]},
    "kind, a table": lambda document: document | {"kind": {}},
    "kind, unknown": lambda document: document | {"kind": "x" * 5000},
    "a list": lambda _: [1],
    "null": lambda _: None,
    "a bound of NaN": lambda document: changed(document, "low", [float("nan"), 0.0]),
    "an infinite bound": lambda document: changed(document, "high", [float("inf"), 1.0]),
    "a bound of 1e999": lambda document: changed(document, "high", [1e999, 1.0]),
    "no bound": lambda document: changed(document, "low", []),
    "a layout of control characters": lambda document: document | {"layout": "\x1b[2J\n.#"},
}


def changed(document, field, value):
    return document | {"critics": document["critics"] | {field: value}}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_forged_description_is_refused_by_the_checkpoint_s_name(name, run, fails):
    newest = find_checkpoint(run)
    forge_document(newest, "agent", DOCUMENTS[name])
    with pytest.raises(CheckpointError, match="step-30"):
        load_agent(run)
    error = fails("evaluate", run)
    assert len(error.strip()) <= 600
    assert error.strip().isprintable()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["maze", "sac"])
def test_a_density_or_goal_that_is_not_finite_is_refused(name, value, small_run, tmp_path):
    if name == "sac":
        pytest.importorskip("stable_baselines3")
        name = "critics"
    newest = find_checkpoint(shutil.copytree(small_run(name), tmp_path / "run"))
    forge_tensors(newest, "goals", lambda tensors: [each.fill_(value) for each in tensors.values()])
    with pytest.raises(CheckpointError, match=r"goals\.safetensors"):
        load_agent(newest)


NAMES = [
    "x" * 300 + ".json",
    "../agent.json",
    "/etc/passwd.json",
    "a\0.json",
    "\x1b[2J.json",
    "agent.pkl",
    "",
    ".",
    "a/b.json",
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_manifest_that_names_no_part_of_a_checkpoint_is_refused(name, run, fails):
    path = find_checkpoint(run) / MANIFEST
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"sha256": manifest["sha256"] | {name: "0" * 64}}))
    error = fails("evaluate", run).strip()
    assert "manifest.json names" in error
    assert len(error) <= 600
    assert error.isprintable()


@pytest.mark.parametrize("value", NO_TABLES.values(), ids=NO_TABLES)
def test_a_manifest_of_another_kind_is_refused(value, run):
    path = find_checkpoint(run) / MANIFEST
    for content in (
        value,
        {"format": value},
        {"format": 1, "sha256": value},
        {"format": 1, "sha256": {"agent.json": value}},
    ):
        path.write_text(json.dumps(content))
        with pytest.raises(CheckpointError, match="step-30"):
            load_agent(run)


def test_a_language_image_model_of_another_kind_is_refused(tiny_language, tmp_path):
    folder = shutil.copytree(tiny_language, tmp_path / "model")
    for kind in (["towers"], {}, None, "x" * 500):
        forge_document(folder, "model", lambda document, kind=kind: document | {"kind": kind})
        with pytest.raises(CheckpointError, match="model"):
            load_language_image_model(folder)


def test_an_empty_config_is_no_config(tmp_path, fails):
    assert "no preset named ''" in fails("train", "--config", "", "--out", tmp_path / "run")
    assert "no preset named ''" in fails("pretrain", "--config", "", "--out", tmp_path / "run")
    assert "no preset named ''" in fails("demo", "--config", "", "--out", tmp_path / "run")


IMPORTS = {
    "env": "task: goal-reaching\nenv: stowaway_env:Env-v0",
    "environments": "task: language-image\nenvironments: ['stowaway_environments:Env-v0']",
}


@pytest.mark.parametrize("name", IMPORTS)
def test_a_config_imports_nothing(name, tmp_path, monkeypatch, fails):
    canary, module = tmp_path / "canary", f"stowaway_{name}"
    stow(tmp_path, module, canary)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "shared.yaml").write_text(IMPORTS[name])
    command = "train" if name == "env" else "pretrain"
    error = fails(command, "--config", tmp_path / "shared.yaml", "--out", tmp_path / "run")
    assert name in error
    assert f"--import-module {module}" in error
    assert not canary.exists()
    assert run_langrl(command, "--import-module", module, "--print-config") == 0
    assert canary.exists()  # by the flag


def test_configs_of_plain_ids_are_taken():
    parse_config("task: goal-reaching\nenv: FetchReach-v4", "mine", GoalRunConfig)
    text = "task: language-image\nenvironments: [mine/World-v0]"
    parse_config(text, "mine", LanguageImageRunConfig)
    with pytest.raises(ConfigError, match="no config imports a module"):
        parse_config("task: goal-reaching\nenv: 'a.b:C-v0'", "mine", GoalRunConfig)


def test_numbers_that_are_not_finite_are_named_by_their_field():
    check_finite({"a": [1.0, {"b": 2}], "c": "nan", "d": None})
    with pytest.raises(ValueError, match=r"^a\.1\.b is inf$"):
        check_finite({"a": [1.0, {"b": float("inf")}]})


def damage(checkpoint):
    path = checkpoint / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_damaged_newest_checkpoint_is_refused_and_the_newest_sound_one_named(
    run, fails, monkeypatch
):
    monkeypatch.chdir(run.parent)
    run = Path(run.name)  # a short one, as lines are
    newest, second, first = (step_folder(run, step) for step in (30, 20, 10))
    damage(newest)
    error = fails("train", "--resume", run)
    assert str(newest) in error
    assert f"step-20 is whole: rm -r {newest}, and --resume goes on from it" in error
    assert f"step-20 is whole: give {second}" in fails("evaluate", run)
    damage(second)
    assert f"step-10 is whole: give {first}" in fails("evaluate", run)
    assert run_langrl("evaluate", first, "--episodes", 2, "--instruction", "go to row 3") == 0
    damage(first)
    assert "is whole" not in fails("evaluate", run)
