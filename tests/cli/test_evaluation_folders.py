"""Where ``langrl evaluate`` writes without ``--out``: never into a checkpoint."""

import json
import shutil

import pytest
from command_line import read_results, run_langrl
from small_goal_runs import tiny

from langrl.checkpoint import best_folder, find_checkpoint, read_checkpoint, write_checkpoint
from langrl.tasks.loading import agents_of
from langrl.tasks.run import train_run

TEXT = "go to the far right"
FEW = ["--methods", "random", "--episodes", 2, "--instruction", TEXT]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on the line, to be copied."""
    folder = tmp_path_factory.mktemp("line") / "run"
    train_run(tiny(), folder, "train")
    return folder


@pytest.fixture
def run(trained, tmp_path, blank_images):
    return shutil.copytree(trained, tmp_path / "run")


def files_of(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*"))


@pytest.mark.parametrize("name", ["best", "step-3"])
def test_a_checkpoint_is_evaluated_beside_its_run(name, run):
    before = files_of(run / "checkpoints")
    assert run_langrl("evaluate", run / "checkpoints" / name, *FEW) == 0
    assert files_of(run / "checkpoints") == before
    results = read_results(run / f"evaluation-{name}" / "go-to-the-far-right")
    assert {row["method"] for row in results["rows"]} == {"random"}
    index = json.loads((run / f"evaluation-{name}" / "index.json").read_text())
    assert [entry["folder"] for entry in index] == ["go-to-the-far-right"]
    assert not (run / "evaluation").exists()


def test_a_checkpoint_is_found_from_within_it(run, monkeypatch):
    monkeypatch.chdir(best_folder(run))
    assert run_langrl("evaluate", ".", *FEW) == 0
    assert (run / "evaluation-best" / "go-to-the-far-right" / "results.json").is_file()


def test_a_later_best_checkpoint_leaves_evaluations(run):
    assert run_langrl("evaluate", best_folder(run), *FEW) == 0
    write_checkpoint(best_folder(run), read_checkpoint(find_checkpoint(run)))
    assert read_results(run / "evaluation-best" / "go-to-the-far-right")["rows"]


def test_words_of_a_checkpoint_elsewhere_are_not_stored_beside_its_folder(run, tmp_path):
    alone = shutil.copytree(find_checkpoint(run), tmp_path / "models" / "mine" / "reach")
    agents_of(alone)()
    assert files_of(tmp_path / "models") == sorted(
        [alone.parent.relative_to(tmp_path / "models"), alone.relative_to(tmp_path / "models")]
        + [path.relative_to(tmp_path / "models") for path in alone.iterdir()]
    )
    assert len(list(alone.iterdir())) == len(list(find_checkpoint(run).iterdir()))
    agents_of(run)()
    assert (run / "words").is_dir()
