import json
import shutil

import pytest
import torch
from command_line import read_results, run_langrl
from pydantic import ValidationError
from small_runs import pretrain, resume

from langrl.checkpoint import read_checkpoint
from langrl.cli import commands
from langrl.errors import CheckpointError, ConfigError
from langrl.models.cpc import load_cpc
from langrl.settings import dump_config
from langrl.tasks.cpc.config import CpcRunConfig
from langrl.tasks.cpc.suite import probe_table
from langrl.tasks.presets import load_config
from langrl.tasks.registry import load_run_config
from langrl.tasks.run import build_run
from langrl.tasks.suite import Report
from langrl.training.run_folder import read_newest

TINY = {
    "rooms": 8,
    "segments": 4,
    "view": 5,
    "length": 16,
    "model": {"embedding": 8, "context": 12, "horizon": 2, "width": 16, "depth": 1},
    "trajectories_per_batch": 4,
    "anchors": 16,
    "steps": 6,
    "probe_rooms": 40,
    "logging": {"log_every": 2, "checkpoint_every": 3},
}


def tiny(**changes):
    return CpcRunConfig.model_validate(TINY | changes)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("runs") / "run"
    return out, pretrain(tiny(), out, "langrl pretrain --method cpc")


def test_a_run_folder_has_everything(run):
    out, rows = run
    assert load_config(str(out / "config.yaml"), CpcRunConfig) == tiny()
    records = [json.loads(line) for line in (out / "metrics.jsonl").open()]
    assert [record["step"] for record in records] == [2, 4, 6]
    assert {"loss", "information_1", "information_2", "accuracy_2", "ceiling"} <= set(records[0])
    results = read_results(out)
    assert len(results["rows"]) == len(rows)
    assert {"context", "view"} <= {row["features"] for row in rows}
    drawn = {path.name for path in (out / "figures").iterdir()}
    assert drawn == {"curves.png", "probes-goto.png"}
    model = load_cpc(out)
    assert model.actions == 4
    assert model.encode(torch.zeros(1, 5, 5, 3, dtype=torch.uint8)).shape == (1, 8)


def test_a_run_that_was_cut_off_ends_with_the_same_bits(run, tmp_path):
    out, rows = run
    cut = tmp_path / "cut"
    shutil.copytree(out, cut)
    for name in ("checkpoints/step-6", "model", "figures"):
        shutil.rmtree(cut / name)
    again = resume(cut, "langrl pretrain --resume")
    one, other = (
        read_checkpoint(folder / "checkpoints" / "step-6").tensors for folder in (out, cut)
    )
    for part in ("weights", "optimizer"):
        assert one[part].keys() == other[part].keys()
        assert all(torch.equal(one[part][name], other[part][name]) for name in one[part])
    scores = [[row["score"] for row in some] for some in (rows, again)]
    assert str(scores[0]) == str(scores[1])  # nan where a probe has too few states


def test_the_same_config_gives_the_same_bits_and_another_seed_others(tmp_path):
    losses = []
    for seed in (0, 0, 1):
        learner = build_run(tiny(seed=seed), tmp_path).learner
        losses.append([learner.update(learner.batch())["loss"].item() for _ in range(3)])
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


@pytest.mark.parametrize(
    "changes",
    [
        {"trajectories_per_room": 3}, {"segments": 1}, {"action_noise": 0.5}, {"object_share": 0.0},
        {"worlds": ["crowded"]}, {"rooms": 9}, {"view": 7}, {"length": 10}, {"actions": False},
        {"anchors": 8}, {"trajectories_per_batch": 5}, {"negatives": "times"},
        {"learning_rate": 0.1},
    ],
)  # fmt: skip
def test_every_field_has_an_effect(changes, tmp_path):
    def losses(config):
        learner = build_run(config, tmp_path).learner
        return [learner.update(learner.batch())["loss"].item() for _ in range(3)]

    assert losses(tiny()) != losses(tiny(**changes))


def test_a_folder_that_is_not_empty_is_left_alone(run, tmp_path):
    out, _ = run
    with pytest.raises(ConfigError, match="not empty"):
        pretrain(tiny(), out, "x")
    with pytest.raises(ConfigError, match="give a run folder"):
        resume(out / "checkpoints" / "step-6", "x")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rooms": 9}, "trained on other data"),
        ({"model": {**TINY["model"], "context": 13}}, "its config is another one"),
    ],
)
def test_a_run_whose_config_has_changed_is_not_resumed(run, tmp_path, change, says):
    copy = tmp_path / "run"
    shutil.copytree(run[0], copy)
    (copy / "config.yaml").write_text(dump_config(tiny(**change)))
    with pytest.raises(CheckpointError, match=says):
        resume(copy, "x")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"worlds": ["go-to"]}, "did you mean 'goto'"),
        ({"worlds": ["goto", "goto"]}, "twice"),
        ({"view": 6}, "odd number"),
        ({"length": 4}, "set it to 5 or more"),
        ({"negatives": "all"}, "batch"),
        ({"stepps": 3}, "stepps"),
    ],
)
def test_a_wrong_config_is_told(changes, problem):
    with pytest.raises(ValidationError, match=problem):
        tiny(**changes)


def test_the_table_has_features_beside_each_other(run):
    rows, columns = probe_table(run[1])
    assert columns[-4:] == ("context", "code", "untrained context", "view")
    assert {row["offset"] for row in rows if row["variable"] == "faced"} == {-2, -1, 0, 1, 2}


# -- the command line ----------------------------------------------------------------------


def test_the_method_chooses_the_config(capsys):
    assert run_langrl("pretrain", "--method", "cpc", "--steps", 7, "--print-config") == 0
    assert "task: cpc" in (text := capsys.readouterr().out)
    assert "steps: 7" in text
    assert run_langrl("pretrain", "--print-config") == 0
    assert "task: language-image" in capsys.readouterr().out


def test_a_file_says_which_method_it_is_of(capsys, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(dump_config(tiny()))
    assert run_langrl("pretrain", "--config", file, "--print-config") == 0
    assert capsys.readouterr().out == dump_config(tiny())


def test_a_run_folder_says_which_method_it_is_of(run, tmp_path, monkeypatch):
    cut_off = shutil.copytree(run[0], tmp_path / "cut-off")
    (cut_off / "results.json").unlink()  # it is not evaluated yet
    finished = []

    def finish(run, *rest):
        finished.append(run.config.task)
        return Report("", [{"score": 1}], ("score",), dict)

    monkeypatch.setattr(commands, "finish", finish)
    assert run_langrl("pretrain", "--resume", cut_off) == 0
    assert finished == ["cpc"]


def test_a_finished_run_says_how_it_is_trained_on(run, tmp_path, capsys):
    assert run_langrl("pretrain", "--resume", run[0]) == 0
    words = " ".join(capsys.readouterr().out.split()).partition("weights: langrl ")[2].split()
    assert words[:2] == ["pretrain", "--config"]
    out = tmp_path / "longer"
    config = load_run_config(words[2]).model_copy(update={"start": str(run[0])})
    begun = build_run(config, out)
    begun.begin()
    stored = read_newest(run[0])[1].tensors["weights"]
    assert all(
        value.equal(stored[name]) for name, value in begun.learner.state()["weights"].items()
    )


def test_a_run_of_another_method_is_refused(run, capsys):
    assert run_langrl("pretrain", "--method", "language-image", "--resume", run[0]) == 2
    assert "task is 'cpc'; this command takes language-image" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--method", "cpcc"), "did you mean 'cpc'"),
        (("--method",), "--method needs a value"),
        (("--method", "cpc", "--config", "pretrain-bundled"), "this command takes cpc"),
        (("--method", "cpc", "--view", "6"), "odd number"),
        (("--method", "cpc", "--words", "x"), "words"),
        (("--method", "cpc", "--model.horizon", "30"), "too short for a horizon"),
        (("--method", "cpc", "--resume", "none"), "no config.yaml"),
    ],
)
def test_wrong_flags_are_told_in_one_line(capsys, arguments, says):
    assert run_langrl("pretrain", *arguments) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
