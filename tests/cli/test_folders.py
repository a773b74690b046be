import json
import os
import shutil
import subprocess
import sys

import pytest
from command_line import read_results, run_langrl

from langrl.checkpoint import find_checkpoint
from langrl.cli.folders import check_folder, find_run, new_folder, write_index
from langrl.errors import CheckpointError, ConfigError
from langrl.reproduce.arguments import REPRODUCTIONS


@pytest.fixture(scope="module")
def run(small_run):
    return small_run("maze")


COMMANDS = [
    ["train"],
    ["train", "--config", "grid-goto"],
    ["pretrain"],
    ["pretrain", "--method", "cpc"],
    ["demo"],
    ["evaluate", "RUN"],
    ["diagnose", "bundled", "--pairs", "goto"],
    ["benchmark", "speed"],
    *(["reproduce", name] for name in REPRODUCTIONS),
]


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        ("file/run", "not a directory"),
        ("file", "not a directory"),
        ("new/" + "a" * 300, "file name too long"),
        ("new/a\0b", "it cannot be made"),
    ],
    ids=["below a file", "a file", "long", "a zero byte"],
)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_folder_that_cannot_be_made_is_refused_before_any_work(
    command, out, reason, run, tmp_path, monkeypatch, fails
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    command = [str(run) if word == "RUN" else word for word in command]
    error = fails(*command, "--out", out)
    assert "--out " in error
    assert f": {reason}; name a folder" in error
    assert [path.name for path in tmp_path.iterdir()] == ["file"]  # nothing is left of the try


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="no /proc here")
@pytest.mark.parametrize("command", COMMANDS[:3], ids=" ".join)
def test_a_folder_in_proc_is_refused(command, fails):
    assert "--out /proc/x: " in fails(*command, "--out", "/proc/x")


def test_nothing_heavy_is_imported_to_refuse_a_folder(tmp_path):
    (tmp_path / "file").touch()
    code = (
        "import sys\nfrom langrl.cli import main\n"
        "for words in (['pretrain', '--out', 'file/x'], ['evaluate', 'nowhere'],\n"
        "              ['train', '--resume', 'nowhere'], ['train', '--start', 'nowhere']):\n"
        "    sys.argv = ['langrl', *words]\n"
        "    try:\n        main.main()\n"
        "    except SystemExit as stop:\n        assert stop.code == 2\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout.strip() == "False"
    assert done.stderr.count("\n") == 4


def test_a_folder_that_can_be_made_is_not_made_yet(tmp_path):
    assert check_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert not (tmp_path / "a").exists()


@pytest.mark.usefixtures("blank_images")
def test_each_evaluation_has_a_folder_of_its_own_and_is_in_the_index(run, tmp_path, capsys):
    copy = shutil.copytree(run, tmp_path / "run")
    few = ["--episodes", 1, "--methods", "direct"]
    assert run_langrl("evaluate", copy, *few, "--kinds", "row", "--phrasings", "seen") == 0
    for text in ("go to row 3", "go to row 3", "go to column 2"):
        assert run_langrl("evaluate", copy, *few, "--instruction", text) == 0
    folder = copy / "evaluation"
    names = ["drawn", "go-to-row-3", "go-to-row-3-2", "go-to-column-2"]
    assert {path.name for path in folder.iterdir()} == {*names, "index.json"}
    index = json.loads((folder / "index.json").read_text())
    assert {entry["folder"] for entry in index} == set(names)
    for entry in index:
        assert read_results(folder / entry["folder"])["command"] == entry["command"]
        assert entry["written"].endswith("+00:00")
    figures = {path.name for path in (folder / "drawn" / "figures").iterdir()}
    assert figures == {"posterior.png", "success.png"}
    assert "instruction.png" in {p.name for p in (folder / names[1] / "figures").iterdir()}
    assert str(folder / "go-to-column-2" / "results.json") in capsys.readouterr().out.replace(
        "\n", ""
    )


@pytest.mark.usefixtures("blank_images")
def test_no_figure_of_earlier_results_stays_in_a_folder_that_is_named(run, tmp_path):
    few = ["--episodes", 1, "--methods", "direct", "--out", tmp_path]
    (tmp_path / "notes.txt").touch()
    assert run_langrl("evaluate", run, *few, "--instruction", "go to row 3") == 0
    drawn = ["--kinds", "row", "--phrasings", "seen"]
    assert run_langrl("evaluate", run, *few, *drawn) == 0
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        "posterior.png",
        "success.png",
    }
    assert (tmp_path / "notes.txt").exists()


def test_results_do_not_go_over_those_of_a_run(run, fails):
    error = fails("evaluate", run, "--instruction", "go to row 3", "--out", run)
    assert "is a run folder, with results of its own" in error


def test_new_folders_are_named_after_what_was_asked(tmp_path):
    texts = ["Go to row 3!", "go to Row 3", "去红色的球", "../../x", "?", "a" * 200]
    names = [new_folder(tmp_path, text).name for text in texts]
    assert names == ["go-to-row-3", "go-to-row-3-2", "去红色的球", "x", "text", "a" * 60]


def test_a_folder_with_one_run_stands_for_it(tmp_path, capsys):
    (tmp_path / "demo" / "run").mkdir(parents=True)
    (tmp_path / "demo" / "figures").mkdir()
    (tmp_path / "demo" / "run" / "config.yaml").touch()
    assert find_run(tmp_path / "demo") == tmp_path / "demo" / "run"
    assert f"which is used: {tmp_path / 'demo' / 'run'}" in capsys.readouterr().out
    assert find_run(tmp_path / "demo" / "run") == tmp_path / "demo" / "run"
    (tmp_path / "demo" / "again" / "checkpoints").mkdir(parents=True)
    with pytest.raises(ConfigError, match="holds 2 runs; name one of them: again, run"):
        find_run(tmp_path / "demo")


@pytest.mark.usefixtures("blank_images")
def test_evaluate_resume_and_start_look_one_level_down(run, tmp_path, capsys):
    copy = shutil.copytree(run, tmp_path / "demo" / "run")
    few = ["--episodes", 1, "--methods", "direct", "--instruction", "go to row 3"]
    assert run_langrl("evaluate", tmp_path / "demo", *few) == 0
    assert (copy / "evaluation" / "go-to-row-3" / "results.json").is_file()
    assert run_langrl("train", "--resume", tmp_path / "demo") == 0
    assert run_langrl("train", "--start", tmp_path / "demo", "--print-config") == 0
    assert f"start: {copy}" in capsys.readouterr().out


def test_a_pretraining_run_stands_for_its_model(tiny_language, tmp_path):
    from langrl.models.language_image.model import load_language_image_model

    shutil.copytree(tiny_language, tmp_path / "pre" / "model")
    model = load_language_image_model(tmp_path / "pre")
    assert model.description == load_language_image_model(tiny_language).description


def test_where_one_run_is_asked_for_the_runs_below_are_named(run, tmp_path):
    shutil.copytree(run, tmp_path / "demo" / "run")
    with pytest.raises(CheckpointError, match=f"did you mean {tmp_path / 'demo' / 'run'}"):
        find_checkpoint(tmp_path / "demo")


def test_a_model_that_is_not_there_is_refused_at_once(tmp_path, fails):
    for name in ("./nowhere", tmp_path / "no.npy", "a/b/c"):
        error = fails("diagnose", name, "--pairs", "goto", "--out", tmp_path / "out")
        assert f"MODEL {name}: no such file or" in error


@pytest.mark.usefixtures("blank_images")
def test_files_of_others_stay_beside_results(run, tmp_path, fails):
    few = ["--episodes", 1, "--methods", "direct", "--kinds", "row", "--phrasings", "seen"]
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "drawing.svg").write_text("mine")
    for _ in range(2):
        assert run_langrl("evaluate", run, *few, "--out", tmp_path) == 0
    assert (tmp_path / "figures" / "drawing.svg").read_text() == "mine"
    (tmp_path / "results.json").write_text('{"mine": 1}')
    assert "has a results.json that is not of langrl" in fails("evaluate", run, "--out", tmp_path)
    assert (tmp_path / "results.json").read_text() == '{"mine": 1}'


def test_the_index_leaves_out_results_of_others(tmp_path):
    for name, text in (("ours", '{"command": "langrl"}'), ("a", "{"), ("b", "[]"), ("c", "{}")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(text)
    index = json.loads(write_index(tmp_path).read_text())
    assert [entry["folder"] for entry in index] == ["ours"]


def test_folders_are_checked_beside_commands_that_make_and_remove_them(tmp_path):
    code = (
        "import sys; from pathlib import Path; from langrl.cli.folders import check_folder\n"
        "for n in range(300): check_folder(Path(sys.argv[1]) / 'shared' / 'a' / str(n))"
    )
    beside = [subprocess.Popen([sys.executable, "-c", code, tmp_path]) for _ in range(2)]
    assert [process.wait(timeout=120) for process in beside] == [0, 0]


def test_an_unknown_benchmark_leaves_no_folder(tmp_path, monkeypatch, fails):
    monkeypatch.chdir(tmp_path)
    assert "no speed benchmark named 'foo'" in fails("benchmark", "speed", "--only", "foo")
    assert not list(tmp_path.iterdir())
