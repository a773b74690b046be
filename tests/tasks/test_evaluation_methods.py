"""What is evaluated when a training ends, and by `langrl evaluate`: chosen by one name, or none."""

import pytest
from command_line import read_results, run_langrl
from small_runs import MAZE

from langrl.cli import commands
from langrl.tasks.grid.config import GridRunConfig
from langrl.tasks.maze.config import MazeEvaluationConfig
from langrl.tasks.run import build_run

FEW = [*MAZE, "--learner.steps", "2"]


def test_none_turns_the_evaluation_off_and_the_run_can_be_evaluated_later(tmp_path, capsys):
    folder = tmp_path / "run"
    assert run_langrl("train", *FEW, "--out", folder, "--evaluation.methods", "none") == 0
    printed = capsys.readouterr().out
    assert "not evaluated" in printed
    assert f"langrl evaluate {folder}" in " ".join(printed.split())
    assert read_results(folder)["rows"] == []
    assert {path.name for path in (folder / "figures").iterdir()} == {"training.png"}
    assert (folder / "checkpoints" / "step-2" / "manifest.json").is_file()
    flags = ["--episodes", 2, "--kinds", "row", "--phrasings", "seen"]
    assert run_langrl("evaluate", folder, *flags) == 0
    assert len(read_results(folder / "evaluation" / "drawn")["rows"]) == 7


def test_chosen_methods_are_compared_and_no_others(tmp_path):
    methods = ["--evaluation.methods", "oracle", "max_goal"]
    assert run_langrl("train", *FEW, "--out", tmp_path / "run", *methods) == 0
    rows = read_results(tmp_path / "run")["rows"]
    assert [row["method"] for row in rows] == ["oracle", "max_goal"]


def test_an_unknown_method_is_refused_before_the_training(tmp_path, capsys):
    out = ["--out", tmp_path / "run", "--evaluation.methods"]
    assert run_langrl("train", *FEW, *out, "orcle") == 2
    assert "no method named 'orcle'; did you mean 'oracle'?" in capsys.readouterr().err
    assert run_langrl("train", *FEW, *out, "none", "oracle") == 2
    assert "none turns the evaluation off" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_method_that_the_agents_cannot_have_is_refused(tmp_path):
    config = GridRunConfig.model_validate({"evaluation": {"methods": ["direct"]}})
    with pytest.raises(ValueError, match="no method named 'direct'; choose one of: log_sum_exp"):
        build_run(config, tmp_path)


def test_a_file_may_name_one_method_without_a_list():
    assert MazeEvaluationConfig.model_validate({"methods": "none"}).methods == ("none",)


@pytest.mark.parametrize(("kinds", "said"), [(["row", "either"], True), (["row"], False)])
def test_evaluate_says_how_long_a_long_comparison_will_take(
    kinds, said, small_run, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(commands, "_LONG", 0.0)
    flags = ["--methods", "oracle", "--episodes", 2, "--phrasings", "seen", "--out", tmp_path]
    assert run_langrl("evaluate", small_run("maze"), *flags, "--kinds", *kinds) == 0
    lines = capsys.readouterr().out.splitlines()
    estimates = [number for number, line in enumerate(lines) if " left; --methods" in line]
    assert len(estimates) == said
    if said:
        assert "the first of 2 sets of tasks" in lines[estimates[0]]
        second = next(number for number, line in enumerate(lines) if line.startswith("either"))
        assert estimates[0] < second


def test_the_estimate_is_the_time_of_the_first_set_for_each_of_the_others(monkeypatch, capsys):
    clock = iter([100.0, 107.0])
    monkeypatch.setattr(commands.time, "perf_counter", lambda: next(clock))
    on_set = commands._estimate()
    on_set(1, 12)
    assert "took 7 s: about 77 s left" in " ".join(capsys.readouterr().out.split())
