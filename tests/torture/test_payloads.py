"""Payloads that would run code are refused in one line, or left alone; none of them runs."""

import json
import pickle
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from command_line import run_langrl
from mutations import copied
from payloads import FOREIGN, PICKLES, STOWAWAY, TAGS, Runs, silent, stow
from small_goal_runs import write_line
from tally import counted, tally

from langrl.checkpoint import MANIFEST, find_checkpoint
from langrl.errors import CheckpointError, LangRLError
from langrl.settings import CONFIG_FILE
from langrl.tasks.loading import load_agent

FILES = ("weights.safetensors", "goals.safetensors", "agent.json", "state.json", MANIFEST)
OF_RUNS = {
    "evaluate": "evaluate RUN",
    "go on": "train --resume RUN",
    "start": "train --start RUN --out OUT",
    "push": "push RUN someone/agent --dry-run OUT",
    "render": "render RUN --instruction x --out OUT.html",
    "diagnose": "diagnose RUN --out OUT",
    "benchmark": "benchmark run --profile smoke --workers 1 --agents RUN --out OUT",
}
OF_DATA = (
    "data describe FILE.npz",
    "data describe FILE.hdf5",
    "train --config crl --data.file FILE.npz --out OUT",
    "train --config street-blank --data.trajectories FILE.npz --out OUT",
    "train --config grid-goto --data.trajectories FILE.npz --out OUT",
    "diagnose FILE.npz --out OUT",
    "diagnose FILE.npy --out OUT",
    "diagnose FILE.npy GOOD.npy --out OUT",
)
OF_MODELS = (
    "diagnose MODEL --out OUT",
    "pretrain --start MODEL --out OUT",
    "pretrain --calibrate MODEL --out OUT",
    "train --config grid-goto --language MODEL --out OUT",
)
OF_CONFIGS = (
    "train --config FILE.yaml --print-config",
    "pretrain --config FILE.yaml --print-config",
    "pretrain --method cpc --config FILE.yaml --print-config",
    "demo --config FILE.yaml --out OUT",
    "sweep --config FILE.yaml --grid seed=1,2 --out OUT",
)
PLACES = {
    "a value": "seed: {}",
    "in a list": "evaluation: {{methods: [{}]}}",
    "a key": "? {}\n: 1",
    "a merge": "<<: {}",
    "all of it": "--- {}",
    "a second document": "seed: 1\n--- {}",
}
IMPORTS = {
    "env": f"task: goal-reaching\nenv: '{STOWAWAY}:Env-v0'",
    "environments": f"task: language-image\nenvironments: ['{STOWAWAY}:Env-v0']",
    "world": f"task: sb3\nworld: '{STOWAWAY}:Env-v0'",
    "a file as a module": f"task: goal-reaching\nenv: './{STOWAWAY}.py:Env-v0'",
    "a field of another name": f"import_module: {STOWAWAY}",
    "a text model": f"text: {{model: '{STOWAWAY}:Module'}}",
}


def some(cases, many):
    """Return so many cases, from all of them."""
    cases = list(cases)
    return cases[:: max(1, len(cases) // many)]


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """Where payloads would leave a file; the module of a payload is one that could be imported."""
    (tmp_path / "modules").mkdir()
    stow(tmp_path / "modules", STOWAWAY, tmp_path / "canary")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "modules")])
    monkeypatch.chdir(tmp_path)
    return tmp_path / "canary"


def words_of(command, **places):
    """Return a command's words with paths in the places of names in capitals."""
    for name, path in places.items():
        command = command.replace(name, str(path))
    return command.split()


def test_the_payloads_run_where_they_are_trusted(canary):
    def sings(do):
        with pytest.raises(Exception):  # noqa: B017, PT011, PT012
            do()
            raise ValueError("what is made of a payload is of no use")
        sang = canary.exists()
        canary.unlink(missing_ok=True)
        sys.modules.pop(STOWAWAY, None)
        return sang

    for name in ("a pickle", "a pickle of text"):
        assert sings(lambda name=name: pickle.loads(PICKLES[name](canary))), name
    for name, value in TAGS.items():
        text = value.replace("CANARY", str(canary))
        assert sings(lambda text=text: yaml.unsafe_load(text)) or "a new type" in name, name
    assert sings(lambda: __import__(STOWAWAY))


@pytest.mark.parametrize(
    "kind",
    ["maze", *(pytest.param(each, marks=pytest.mark.torture) for each in ("grid", "goals"))],
)
@counted(5, 1000)
def test_pickles_in_the_place_of_a_checkpoint_s_files(
    many, kind, quick_runs, fails, canary, tmp_path
):
    source = quick_runs(kind)
    names = [each for each in FILES if (find_checkpoint(source) / each).is_file()]
    commands = OF_RUNS if kind != "goals" else ("evaluate", "go on", "render")
    cases = [(name, made, call) for name in names for made in PICKLES for call in commands]
    with tally(f"8 payloads, pickles as files of checkpoints, {kind}") as check:
        for name, made, call in some(cases, many):
            run = copied(source, tmp_path / "run")
            (find_checkpoint(run) / name).write_bytes(PICKLES[made](canary))
            with silent(check, f"{made} as {name}, {call}", canary):
                fails(*words_of(OF_RUNS[call], RUN=run, OUT=tmp_path / "out"))


@counted(2, 100)
def test_pickles_beside_a_checkpoint_s_files_are_left_alone(many, quick_runs, canary, tmp_path):
    names = ("weights.pt", "optimizer.pt", "agent.pkl", "weights.bin", "replay.npz")
    cases = [(name, made) for name in names for made in PICKLES]
    with tally("8 payloads, pickles beside the files of a checkpoint") as check:
        for name, made in some(cases, many):
            run = copied(quick_runs("maze"), tmp_path / "run")
            (find_checkpoint(run) / name).write_bytes(PICKLES[made](canary))
            with silent(check, f"{made} as {name}", canary):
                load_agent(run)


@counted(6, 1000)
def test_pickles_as_data(many, fails, canary, tmp_path):
    cases = [(made, call) for made in PICKLES for call in OF_DATA]
    write_line(tmp_path / "GOOD.npz")
    shutil.copy(tmp_path / "GOOD.npz", tmp_path / "GOOD.npy")
    with tally("8 payloads, pickles as trajectories and embeddings") as check:
        for made, call in some(cases, many):
            for suffix in ("npz", "npy", "hdf5"):
                (tmp_path / f"data.{suffix}").write_bytes(PICKLES[made](canary))
            with silent(check, f"{made}, {call}", canary):
                fails(*words_of(call, FILE=tmp_path / "data", OUT=tmp_path / "out"))


@counted(4, 1000)
def test_pickles_in_the_place_of_a_model_s_files(many, tiny_language, fails, canary, tmp_path):
    names = ("weights.safetensors", "model.json", MANIFEST)
    cases = [(name, made, call) for name in names for made in PICKLES for call in OF_MODELS]
    with tally("8 payloads, pickles as files of language-image models") as check:
        for name, made, call in some(cases, many):
            model = copied(tiny_language, tmp_path / "model")
            (model / name).write_bytes(PICKLES[made](canary))
            with silent(check, f"{made} as {name}, {call}", canary):
                fails(*words_of(call, MODEL=model, OUT=tmp_path / "out"))


@counted(12, 1000)
def test_tags_of_yaml_in_configs(many, fails, canary, tmp_path):
    cases = [(tag, "a value", call) for tag in TAGS for call in OF_CONFIGS]
    cases += [(tag, place, OF_CONFIGS[0]) for tag in TAGS for place in PLACES]
    with tally("8 payloads, tags of YAML in config files") as check:
        for tag, place, call in some(cases, many):
            text = PLACES[place].format(TAGS[tag].replace("CANARY", str(canary)))
            (tmp_path / "shared.yaml").write_text(text)
            with silent(check, f"{tag}, {place}, {call}", canary):
                fails(*words_of(call, FILE=tmp_path / "shared", OUT=tmp_path / "out"))


@counted(4, 1000)
def test_tags_of_yaml_in_the_configs_of_runs(many, quick_runs, fails, canary, tmp_path):
    cases = [(tag, call) for tag in TAGS for call in OF_RUNS if call != "benchmark"]
    run = copied(quick_runs("maze"), tmp_path / "run")
    with tally("8 payloads, tags of YAML in the configs of runs") as check:
        for tag, call in some(cases, many):
            text = "task: street-maze\nseed: " + TAGS[tag].replace("CANARY", str(canary))
            (run / CONFIG_FILE).write_text(text)
            with silent(check, f"{tag}, {call}", canary):
                fails(*words_of(OF_RUNS[call], RUN=run, OUT=tmp_path / "out"))


@counted(3, 1000)
def test_import_paths_in_configs(many, fails, canary, tmp_path):
    (tmp_path / "run").mkdir()
    commands = {
        "train": (OF_CONFIGS[0], OF_CONFIGS[3], OF_RUNS["go on"], OF_RUNS["evaluate"]),
        "pretrain": (OF_CONFIGS[1], "pretrain --resume RUN"),
    }
    cases = [
        (name, call)
        for name, text in IMPORTS.items()
        for call in commands["pretrain" if "language-image" in text else "train"]
    ]
    with tally("8 payloads, import paths in configs and in runs") as check:
        for name, call in some(cases, many):
            for path in (tmp_path / "shared.yaml", tmp_path / "run" / CONFIG_FILE):
                path.write_text(IMPORTS[name])
            places = {"FILE": tmp_path / "shared", "RUN": tmp_path / "run", "OUT": tmp_path / "out"}
            with silent(check, f"{name}, {call}", canary):
                fails(*words_of(call, **places))
