import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import read_results, read_weights, run_langrl
from PIL import Image
from safetensors.torch import load_file
from small_runs import MAZE

from langrl.checkpoint import find_checkpoint
from langrl.tasks.maze.config import MazeRunConfig
from langrl.tasks.presets import load_config
from langrl.training import run_folder
from langrl.training.engines.config import EngineFlags


@pytest.fixture(scope="module")
def run(small_run):
    return small_run("maze")


def test_a_run_folder_holds_what_the_docs_promise(run):
    assert (run / "config.yaml").is_file()
    assert (run / "checkpoints" / "step-30" / "manifest.json").is_file()
    assert list((run / "tensorboard").glob("events*"))
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [10, 20, 30]
    results = read_results(run)
    assert set(results) == {"schema", "command", "config", "versions", "rows"}
    assert results["command"].startswith("langrl train --config street-blank")
    methods = {row["method"]: row for row in results["rows"]}
    assert methods["oracle"]["success"] == 1.0
    assert set(methods) > {"direct", "log_sum_exp", "nearest_goal", "random"}
    for name in ("training.png", "posterior.png"):
        pixels = np.asarray(Image.open(run / "figures" / name).convert("L"))
        assert pixels.std() > 5


@pytest.mark.usefixtures("blank_images")
def test_the_printed_config_reruns_to_the_same_bits(run, tmp_path, capsys):
    assert run_langrl("train", "--config", run / "config.yaml", "--print-config") == 0
    printed = tmp_path / "again.yaml"
    printed.write_text(capsys.readouterr().out)
    assert printed.read_text() == (run / "config.yaml").read_text()
    again = tmp_path / "again"
    assert run_langrl("train", "--config", printed, "--out", again) == 0
    assert read_weights(again) == read_weights(run)


@pytest.mark.usefixtures("blank_images")
@pytest.mark.parametrize("step", [10, 20])
def test_a_resumed_run_ends_with_the_bits_of_an_uninterrupted_one(run, tmp_path, step):
    copy = tmp_path / "resumed"
    shutil.copytree(run, copy)
    for folder in (copy / "checkpoints").iterdir():
        if int(folder.name.removeprefix("step-")) > step:
            shutil.rmtree(folder)
    assert run_langrl("train", "--resume", copy) == 0
    assert read_weights(copy) == read_weights(run)
    records = [json.loads(line) for line in (copy / "metrics.jsonl").read_text().splitlines()]
    assert records == [
        json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()
    ]


@pytest.mark.usefixtures("blank_images")
def test_another_seed_gives_other_bits(run, tmp_path):
    other = tmp_path / "other"
    assert run_langrl("train", *MAZE, "--seed", 1, "--out", other) == 0
    assert read_weights(other) != read_weights(run)


def test_evaluate_reports_every_kind_and_phrasing(run, tmp_path):
    arguments = ["--episodes", 2, "--methods", "direct", "oracle", "--kinds", "row", "either"]
    assert run_langrl("evaluate", run, *arguments, "--out", tmp_path) == 0
    rows = read_results(tmp_path)["rows"]
    assert len(rows) == 2 * 2 * 2
    assert {row["phrasing"] for row in rows} == {"seen", "held_out"}
    assert not (run / "evaluation").exists()


def test_evaluate_follows_a_typed_text_and_draws_it(run, tmp_path, capsys):
    text = "go to row 3 or column 7"
    assert (
        run_langrl("evaluate", run, "--instruction", text, "--episodes", 2, "--out", tmp_path) == 0
    )
    assert "denotes 19 cells" in " ".join(capsys.readouterr().out.split())
    assert (tmp_path / "figures" / "instruction.png").is_file()


def test_a_text_beyond_the_grammar_is_followed_with_unknown_success(run, tmp_path, capsys):
    text = r"https://example.org/etc/passwd [/b] $\frac{x$ :smile: %s {0}"
    assert (
        run_langrl(
            "evaluate",
            run,
            "--instruction",
            text,
            "--episodes",
            2,
            "--methods",
            "nearest_goal",
            "--out",
            tmp_path,
        )
        == 0
    )
    said = capsys.readouterr().out
    assert "unknown" in said
    assert "[/b]" in said
    rows = read_results(tmp_path)["rows"]
    assert rows[0]["success"] is None


def test_demo_writes_its_table_and_images(run, tmp_path, request):
    out = tmp_path / "demo"
    demo = ["demo", "--config", run / "config.yaml", "--out", out]
    demo += ["--instruction", "go to column 2"]
    assert run_langrl(*demo) == 0
    images = {path.name for path in (out / "figures").glob("*.png")}
    assert images == {"methods.png", "instruction.png", "posterior.png"}
    rows = read_results(out)["rows"]
    assert {row["method"]: row["published_success"] for row in rows}["log_sum_exp"] == 0.9
    checkpoint = find_checkpoint(out / "run")
    written = checkpoint.stat().st_mtime_ns
    request.getfixturevalue("blank_images")
    assert run_langrl(*demo) == 0  # uses the run that is there
    assert find_checkpoint(out / "run").stat().st_mtime_ns == written


@pytest.mark.parametrize("world", ["street", "grid"])
def test_demo_refuses_a_text_that_is_not_read_to_its_end_before_training(world, tmp_path, fails):
    text = "please " * 46 + "go to row 3"
    error = fails("demo", "--world", world, "--out", tmp_path / "demo", "--instruction", text)
    assert "50 words, of which the first" in error
    assert not (tmp_path / "demo").exists()


def test_reproduce_writes_the_promised_rows(run, tmp_path, monkeypatch):
    command = [
        "reproduce", "street-mazes", "--out", tmp_path, "--seeds", 1, "--episodes", 1,
        "--steps", 2,
    ]  # fmt: skip
    small = load_config(str(run / "config.yaml"), MazeRunConfig)
    monkeypatch.setattr(
        "langrl.reproduce.street_mazes.load_config",
        lambda name, *_: small.model_copy(update={"world": load_config(name, MazeRunConfig).world}),
    )
    assert run_langrl(*command) == 0
    results = read_results(tmp_path)
    assert set(results["rows"][0]) == {
        "maze",
        "method",
        "success",
        "success_sem",
        "spl",
        "spl_sem",
        "published_success",
        "published_spl",
        "train_seconds",
    }
    published = {
        (row["maze"], row["method"]): row["published_success"]
        for row in results["rows"]
        if row["published_success"]
    }
    assert published["fork", "log_sum_exp"] == 0.71
    assert {row["maze"] for row in results["rows"]} == {"blank", "fork", "island"}
    assert {row["kind"] for row in results["phrasings"]} > {"row or column", "either", "corner"}
    assert (tmp_path / "figures" / "street-mazes.png").is_file()


ENGINES = EngineFlags.model_fields.keys() - {"workers"}
LAWS = ["law", "law-independence", "law-auto"]


@pytest.fixture
def passed_on(monkeypatch):
    """What the law's commands are called with, by name, instead of running them."""
    found = {}
    for name in LAWS:
        monkeypatch.setattr(
            f"langrl.reproduce.{name.replace('-', '_')}.reproduce",
            lambda options, command, name=name: found.update({name: (options, command)}),
        )
    return found


@pytest.mark.parametrize("name", LAWS)
def test_laws_are_reproduced_as_the_flags_say(name, passed_on, tmp_path):
    flags = ["--out", tmp_path, "--seeds", 4, "--epochs", 3, "--workers", 2]
    expected = {"out": tmp_path, "seeds": 4, "epochs": 3, "workers": 2}
    if name == "law-auto":
        flags += ["--embeddings", tmp_path / "goals.npy"]
        expected["embeddings"] = tmp_path / "goals.npy"
    assert run_langrl("reproduce", name, *flags) == 0
    command = " ".join(map(str, ["langrl", "reproduce", name, *flags]))
    options, passed_command = passed_on.pop(name)
    assert (options.model_dump(exclude=ENGINES), passed_command) == (expected, command)
    assert not passed_on


@pytest.mark.parametrize(
    ("name", "seeds", "epochs"), [("law", 5, 64), ("law-independence", 2, 64), ("law-auto", 1, 16)]
)
def test_laws_have_defaults_and_use_every_core(name, seeds, epochs, passed_on, tmp_path):
    assert run_langrl("reproduce", name, "--out", tmp_path) == 0
    options, command = passed_on[name]
    assert command.startswith(f"langrl reproduce {name} --out ")
    expected = {"out": tmp_path, "seeds": seeds, "epochs": epochs, "workers": None}
    assert options.model_dump(exclude=ENGINES) == expected | (
        {"embeddings": None} if name == "law-auto" else {}
    )


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--out", "x", "--seeds", "0"], ["--seeds", "greater than or equal to 1", "got 0"]),
        (["--out", "x", "--epochs", "0"], ["--epochs", "greater than or equal to 1", "got 0"]),
        (["--out", "x", "--epochs", "x"], ["--epochs", "'x'"]),
        (["--out", "x", "--workers", "0"], ["--workers", "greater than or equal to 1", "got 0"]),
        (["--out", "x", "--episodes", "3"], ["--episodes"]),
        (["--seeds", "2"], ["--out"]),
    ],
)
def test_wrong_flags_of_laws_are_one_clear_line_and_status_2(name, flags, words, fails, passed_on):
    error = fails("reproduce", name, *flags)
    assert all(word in error for word in words), error
    assert not passed_on


def test_embeddings_that_are_not_there_are_one_clear_line(tmp_path, fails):
    missing = tmp_path / "goals.npy"
    error = fails("reproduce", "law-auto", "--out", tmp_path / "out", "--embeddings", missing)
    assert f"--embeddings {missing}" in error


@pytest.mark.parametrize(
    "command", [["reproduce", "law"], ["reproduce", "street-mazes"], ["benchmark", "speed"]]
)
def test_a_file_in_the_place_of_the_results_is_told_before_the_work(command, tmp_path, fails):
    (tmp_path / "out").touch()
    error = fails(*command, "--out", tmp_path / "out")
    assert f"--out {tmp_path / 'out'}: not a directory" in error


def test_help_of_reproduce_lists_its_names(capsys):
    assert run_langrl("reproduce", "--help") == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:]]
    assert listed == [
        "street-mazes",
        "grid-goto",
        "joined-models",
        "sb3-zero-shot",
        *LAWS,
        "modality-gap",
        "cpc",
        "relating",
        "crl-vs-her",
        "ogbench-pointmaze",
        "waypoints",
        "babyai",
        "words",
    ]


def test_speed_prints_ratios_to_the_baseline(tmp_path):
    assert (
        run_langrl("benchmark", "speed", "--only", "street-maze", "--rounds", 1, "--out", tmp_path)
        == 0
    )
    rows = {r["variant"]: r for r in read_results(tmp_path)["rows"]}
    assert rows["scalar Python dynamics"]["over_scalar"] == 1.0
    assert len(rows) == 4


BAD_USAGE = [
    (["trian"], ["did you mean 'train'"]),
    (["train", "--config", "street-frok"], ["did you mean 'street-fork'"]),
    (["train", "--learner.stesp", "3"], ["--learner.stesp"]),
    (["train", "--learner.steps", "many"], ["--learner.steps", "'many'"]),
    (["train", "--learner.steps", "0"], ["--learner.steps", "greater than or equal to 1", "got 0"]),
    (["train", "--data.discount", "1"], ["--data.discount", "less than 1"]),
    (["train", "--critic.energy", "cosin"], ["--critic.energy", "'cosine'"]),
    (["train", "--seed"], ["--seed"]),
    (["train", "--resume", "nowhere"], ["no config.yaml in nowhere"]),
    (["train", "--world.layout", "frok"], ["did you mean 'fork'"]),
    (["train", "--world.layout", "maze.txt"], ["no layout file maze.txt"]),
    (["train", "--world.layout", "..\n...\n"], ["ragged", "row 1 has 3 cells"]),
    (["train", "--world.layout", "##\n##"], ["no free cell"]),
    (["train", "--world.layout", ".#.\n.#."], ["unreachable", "column 2"]),
    (["train", "--trajectories", "none.npz"], ["no trajectory file none.npz"]),
    (["train", "--text.model", "./no-such-folder"], ["text.model", "no-such-folder"]),
    (["train", "--device", "tpu"], ["--device"]),
    (["evaluate", "nowhere"], ["no checkpoint in nowhere"]),
    (["evaluate"], ["run folder"]),
    (["demo", "--instruction", "go to row 99"], ["rows with free cells are 0 to 14"]),
    (["demo", "--instruction", ""], ["instruction is empty"]),
    (["reproduce", "street-maze"], ["did you mean 'street-mazes'"]),
    (["benchmark", "speed", "--only", "maze"], ["street-maze"]),
]


@pytest.mark.parametrize(("arguments", "words"), BAD_USAGE, ids=lambda value: " ".join(value)[:40])
def test_bad_usage_is_one_clear_line_and_status_2(arguments, words, fails, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if arguments[0] == "train" and "--resume" not in arguments:
        arguments = [*arguments, "--out", "run"]
    error = fails(*arguments)
    assert all(word in error for word in words), error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("instruction", "words"),
    [
        ("go to row 99", "rows with free cells are 0 to 9"),
        (" ", "empty"),
        ("a" * 2000, "2000 characters"),
        ("go\0", "U+0000"),
        ("\ud800", "surrogate"),
    ],
)
def test_an_instruction_that_cannot_be_followed_is_refused(run, instruction, words, fails):
    assert words in fails("evaluate", run, "--instruction", instruction)


def test_a_checkpoint_of_another_maze_is_refused(run, fails):
    assert "another maze (10x10)" in fails("evaluate", run, "--layout", "fork")


def test_resuming_in_another_maze_is_refused(run, tmp_path, fails):
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    config = (copy / "config.yaml").read_text().replace("layout: blank", "layout: fork")
    (copy / "config.yaml").write_text(config)
    assert "its layout is another one" in fails("train", "--resume", copy)


def test_resuming_with_other_flags_is_refused(run, fails):
    assert "leave other flags out" in fails("train", "--resume", run, "--seed", "3")


def test_a_used_folder_is_not_overwritten(run, fails):
    before = read_weights(run)
    assert "is not empty" in fails("train", *MAZE, "--out", run)
    assert read_weights(run) == before


@pytest.mark.parametrize("name", ["weights.safetensors", "agent.json", "manifest.json"])
def test_a_damaged_checkpoint_is_named(run, tmp_path, name, fails):
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    file = find_checkpoint(copy) / name
    file.write_bytes(file.read_bytes()[:-20] + b"0" * 19)
    assert name in fails("evaluate", copy)


def write(path: Path, **arrays):
    np.savez(path, **arrays)
    return path


def test_wrong_trajectory_files_are_named(tmp_path, fails):
    states, actions = np.full((4, 2), 0.5), np.ones((4, 2))
    ends = np.array([0, 0, 0, 1])
    missing = write(tmp_path / "missing.npz", observations=states, terminals=ends)
    assert "no array 'actions'" in fails("train", "--trajectories", missing)
    mixed = write(tmp_path / "mixed.npz", observations=states, actions=actions[:3], terminals=ends)
    assert "mixed lengths" in fails("train", "--trajectories", mixed)
    outside = write(tmp_path / "out.npz", observations=states + 40, actions=actions, terminals=ends)
    assert "observations[0]" in fails("train", "--trajectories", outside)
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"PK not a zip")
    assert "broken.npz is no readable .npz" in fails("train", "--trajectories", broken)


@pytest.mark.usefixtures("blank_images")
def test_a_users_own_trajectories_are_trained_on(tmp_path):
    states = np.tile([[0.5, 0.5], [0.5, 1.0], [0.5, 1.5]], (20, 1))
    file = write(
        tmp_path / "mine.npz",
        observations=states,
        actions=np.tile([0.0, 1.0], (60, 1)),
        terminals=np.tile([False, False, True], 20),
    )
    out = tmp_path / "run"
    assert run_langrl("train", *MAZE, "--trajectories", file, "--out", out) == 0
    assert f"trajectories: {file}" in (out / "config.yaml").read_text()


def test_a_non_finite_loss_stops_the_run_with_its_batch_saved(tmp_path, fails):
    out = tmp_path / "run"
    huge = [
        "--learner.learning-rate",
        "1",
        "--critic.energy",
        "dot",
        "--learner.logsumexp-penalty",
        "1e38",
    ]
    error = fails("train", *MAZE, *huge, "--out", out)
    assert "training stopped at step" in error
    batch = load_file(out / "nonfinite_batch.safetensors")
    assert {"state", "action", "goal", "described", "text"} <= set(batch)


def test_help_says_what_there_is(capsys):
    for arguments, words in [
        (["--help"], ["train", "evaluate", "demo", "reproduce", "benchmark"]),
        (["train", "--help"], ["--learner.steps", "street-fork", "--resume", "Geometric".lower()]),
        (["evaluate", "--help"], ["--instruction", "held_out"]),
        (["benchmark"], ["speed"]),
    ]:
        assert run_langrl(*arguments) == 0
        said = capsys.readouterr().out
        assert all(word in said for word in words), said


def test_the_console_script_is_installed():
    script = Path(sys.executable).with_name("langrl")
    run = subprocess.run([script, "nonsense"], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr.startswith("langrl: error: ")


def test_evaluating_many_methods_reads_the_checkpoint_once(run, tmp_path, monkeypatch):
    read = []
    original = run_folder.read_checkpoint
    monkeypatch.setattr(
        run_folder, "read_checkpoint", lambda path: read.append(path) or original(path)
    )
    flags = ["--kinds", "row", "--phrasings", "seen", "--episodes", 2, "--out", tmp_path]
    assert run_langrl("evaluate", run, *flags) == 0
    assert len({row["method"] for row in read_results(tmp_path)["rows"]}) == 7
    assert read == [find_checkpoint(run)]
