"""The tutorial and the pages that answer one question each: their Python runs as it stands."""

import re
import shutil

import numpy as np
import pytest
from documents import ROOT, blocks

HOW_TO, EXPLANATION = ROOT / "docs" / "how-to", ROOT / "docs" / "explanation"


@pytest.fixture
def in_fork(small_run, tmp_path, monkeypatch):
    """Run in a folder that has the run folders of the pages: barely trained, in their maze."""
    run = small_run("critics")
    for name in ("fork", "short"):
        shutil.copytree(run, tmp_path / "runs" / name)
    monkeypatch.chdir(tmp_path)


def run_block(page, number=0, count=1, **changes):
    """Run a block of a page, one of ``count``, with numbers changed; return its names."""
    codes = blocks(page, "python")
    assert len(codes) == count
    code = codes[number]
    for name, value in changes.items():
        code, found = re.subn(rf"\b{name}=\d+", f"{name}={value}", code)
        assert found, name
    names = {}
    exec(compile(code, page.name, "exec"), names)
    return names


def test_the_tutorials_python_runs_as_it_stands(in_fork, capsys):
    names = run_block(ROOT / "docs" / "tutorial.md")
    printed = capsys.readouterr().out
    assert len(re.findall(r"^row \d+, column \d+: 0\.\d{3}$", printed, re.MULTILINE)) == 5
    assert names["belief"].sum() == pytest.approx(1, abs=1e-4)
    assert names["denoted"].any()


def test_the_tutorial_shows_what_its_commands_print():
    text = (ROOT / "docs" / "tutorial.md").read_text()
    for number in ("0.605", "91%", "0.116", "nearest_goal: success in 11 steps"):
        assert number in text


def test_a_maze_of_ones_own_is_read(capsys):
    names = run_block(HOW_TO / "own-maze.md")
    free, where = capsys.readouterr().out.splitlines()
    drawn = blocks(HOW_TO / "own-maze.md", "text")[0]
    assert names["layout"].strip() == drawn.strip()  # the file and the block are one maze
    assert free == f"{drawn.count('.')} free cells"
    assert where == "[0.5 0.5] 11 cells are denoted"


def test_messages_about_maps_are_those_that_the_page_quotes():
    from langrl.envs.maze.layouts import load_layout
    from langrl.errors import LayoutError

    text = (HOW_TO / "own-maze.md").read_text()
    with pytest.raises(LayoutError) as ragged:
        load_layout("\n".join(["." * 11] * 3 + ["." * 10]))
    assert str(ragged.value).removeprefix("the layout ") in text
    with pytest.raises(LayoutError) as large:
        load_layout("\n".join(["." * 65] * 3))
    assert str(large.value).removeprefix("the layout ") in text


def test_a_language_side_of_ones_own_is_followed(in_fork, capsys):
    names = run_block(HOW_TO / "own-text-model.md", max_episode_steps=3)
    assert len(re.findall(r"from \[.*\] to \[", capsys.readouterr().out)) == 2
    agent, observation = names["agent"], names["observation"]
    posterior = agent.posterior(observation, "go to the office or the depot")
    places = np.array([names["PLACES"][place] for place in ("office", "depot")])
    near = [np.linalg.norm(posterior.goals - place, axis=1) < 2 for place in places]
    shares = [posterior.probabilities[each].sum() for each in near]
    assert min(shares) > 0.1
    assert sum(shares) > 0.9


def test_two_runs_are_compared_task_by_task(in_fork, capsys):
    names = run_block(HOW_TO / "compare-runs.md", num_envs=4)
    printed = capsys.readouterr().out
    assert len(re.findall(r"success \d\.\d{3} \[\d\.\d{3}, \d\.\d{3}\]", printed)) == 2
    assert (names["difference"] == 0).all()  # the two folders hold one agent
    assert "SPL is 0.000 [0.000, 0.000] higher" in printed


def test_results_are_read_as_the_page_says(small_run, tmp_path, monkeypatch, capsys):
    shutil.copytree(small_run("maze"), tmp_path / "runs" / "fork")  # of more than one episode
    monkeypatch.chdir(tmp_path)
    names = run_block(HOW_TO / "read-results.md")
    printed = capsys.readouterr().out
    assert len(re.findall(r"^\w+ +success \d\.\d{3} ±", printed, re.MULTILINE)) == 7
    page = (HOW_TO / "read-results.md").read_text()
    named = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert set(names["results"]) == set(named)


def test_a_strategy_is_chosen_for_a_trained_run(in_fork, capsys):
    run_block(HOW_TO / "choose-a-strategy.md")
    assert capsys.readouterr().out == "LogSumExp\n"


def test_the_belief_about_several_texts_is_listed(in_fork, capsys):
    run_block(HOW_TO / "wrong-goal.md")
    found = re.findall(r"bits;( \(\d+, \d+\) \d\.\d\d,?){3}$", capsys.readouterr().out, re.M)
    assert len(found) == 4


def test_direct_prefers_the_worse_of_two_actions(capsys):
    names = run_block(EXPLANATION / "why-direct-fails.md", count=2)
    printed = capsys.readouterr().out.strip()
    assert printed in (EXPLANATION / "why-direct-fails.md").read_text()
    f, h = names["f"], names["h"]
    assert (f @ h).argmax() == 1  # what the page explains: a sum of products of logarithms
    assert (names["reached"] @ names["text_given_goal"]).argmax() == 0
    assert f[1, 3] * h[3] > (f[1, :3] * h[:3]).sum()


def test_assumption_3_is_tested_on_a_runs_goals(in_fork, capsys):
    run_block(EXPLANATION / "why-direct-fails.md", number=1, count=2)
    assert capsys.readouterr().out.count("rejects") >= 1


def test_questions_are_asked_where_they_pay(capsys):
    run_block(EXPLANATION / "when-to-ask.md")
    assert capsys.readouterr().out.strip() in (EXPLANATION / "when-to-ask.md").read_text()
