"""The page on goal-reaching: its Python as it stands, and the fields and presets that it names."""

import re

import gymnasium as gym
import pytest
from documents import ROOT, blocks

from langrl.tasks.goal_reaching.config import GoalRunConfig
from langrl.tasks.presets import preset_names
from langrl.tasks.registry import GOAL_PRESETS

PAGE = ROOT / "docs" / "how-to" / "goal-reaching.md"
GROUPS = ("collect", "replay", "critic", "actor", "learner", "data", "evaluation", "logging")


@pytest.mark.documents
def test_the_python_of_the_page_runs_as_it_stands(capsys):
    register, train = blocks(PAGE, "python")
    try:
        exec(compile(register, "goal-reaching.md", "exec"), {})
        assert gym.spec("mine/Reach-v0").max_episode_steps == 100
    finally:
        gym.registry.pop("mine/Reach-v0", None)
    given = {}
    exec(compile(train, "goal-reaching.md", "exec"), given)
    printed = capsys.readouterr().out
    assert re.match(r"\d+ transitions, loss \d+\.\d+\nsuccess [01]\.\d+\n", printed)
    assert given["learner"].step == 32
    assert given["episodes"].success.shape == (8,)


def test_every_field_that_the_page_names_is_one():
    named = re.findall(rf"`(?:--)?({'|'.join(GROUPS)})\.([\w-]+)", PAGE.read_text())
    assert len(set(named)) > 25
    for group, field in set(named):
        inner = GoalRunConfig.model_fields[group].annotation
        name = field.replace("-", "_").removeprefix("no_")
        assert name in inner.model_fields, f"{group}.{field}"


def test_the_page_names_every_preset():
    table = PAGE.read_text().split("## Presets")[1].split("## Acting")[0]
    named = set(re.findall(r"^\| (.+?) \|", table, re.MULTILINE))
    named = {name for cell in named for name in re.findall(r"`([\w-]+)`", cell)}
    assert named == set(preset_names(GoalRunConfig)) >= set(GOAL_PRESETS.values())
