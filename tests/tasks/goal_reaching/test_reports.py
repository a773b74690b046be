"""The end of a training: it has its results, whatever the drawn instructions are."""

import pytest
import yaml
from command_line import read_results, run_langrl
from small_goal_runs import TINY, merged

from langrl.envs.goal_words import GoalWords
from langrl.errors import NothingToDoError
from langrl.tasks.registry import load_run_config
from langrl.tasks.suite import suite_of

ANYWHERE = "go to the left or the right"


@pytest.fixture
def satisfied(monkeypatch):
    """All instructions that are drawn are satisfied wherever an episode starts."""
    monkeypatch.setattr(GoalWords, "draw_instruction", lambda self, *_, **__: ANYWHERE)


def trained(tmp_path, *changes):
    values = TINY
    for change in changes:
        values = merged(values, change)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(values))
    return run_langrl("train", "--config", tmp_path / "tiny.yaml", "--out", tmp_path / "run")


@pytest.mark.usefixtures("satisfied")
def test_a_training_ends_with_its_results_where_nothing_is_left_to_do(tmp_path, capsys):
    assert trained(tmp_path) == 0
    found = {(row["task"], row["method"]) for row in read_results(tmp_path / "run")["rows"]}
    assert found == {("goals", "given goals"), ("goals", "random")}
    said = " ".join(capsys.readouterr().out.split())
    assert "following instructions is not evaluated: each of the 4 episodes starts" in said
    figures = {path.name for path in (tmp_path / "run" / "figures").iterdir()}
    assert figures == {"posterior.png", "training.png"}
    assert (tmp_path / "run" / "figures" / "posterior.png").stat().st_size > 5000


@pytest.mark.usefixtures("satisfied")
def test_drawn_instructions_that_are_satisfied_are_rows_of_no_episodes(tmp_path):
    assert trained(tmp_path, {"evaluation": {"methods": "none"}}) == 0
    flags = ["--episodes", 2, "--methods", "random", "--kinds", "half"]
    assert run_langrl("evaluate", tmp_path / "run", *flags, "--out", tmp_path / "drawn") == 0
    rows = read_results(tmp_path / "drawn")["rows"]
    assert [(row["episodes"], row["success"]) for row in rows] == 2 * [(0, None)]


@pytest.mark.usefixtures("blank_images")
def test_a_text_that_every_start_satisfies_is_one_line(tmp_path, fails):
    assert trained(tmp_path, {"evaluation": {"methods": "none"}}) == 0
    flags = ["--episodes", 2, "--instruction", ANYWHERE, "--methods", "random"]
    assert "starts where its instruction is satisfied" in fails(
        "evaluate", tmp_path / "run", *flags
    )


def test_evaluations_in_training_go_on_without_tasks(monkeypatch):
    def nothing(*_):
        raise NothingToDoError("each starts where it is satisfied")

    closed = []
    suite = suite_of(load_run_config("street-fork"))
    env = suite.tasks(suite.settings.model_copy(update={"episodes": 1}))
    monkeypatch.setattr("langrl.tasks.suite.run_episodes", nothing)
    monkeypatch.setattr(type(suite), "tasks", lambda *_: env)
    monkeypatch.setattr(env, "close", lambda: closed.append(True))
    assert suite.watch(None) == {}
    assert closed == [True]


@pytest.mark.usefixtures("blank_images")
def test_words_are_found_where_only_the_config_sets_a_time_limit(tmp_path):
    assert trained(tmp_path, {"env": "toys/Endless-v0", "max_episode_steps": 7}) == 0
    tasks = {row["task"] for row in read_results(tmp_path / "run")["rows"]}
    assert tasks == {"goals", "instructions"}
