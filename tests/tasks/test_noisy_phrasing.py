"""Agents evaluated on noisy texts: with politeness and slips of spelling."""

import json
from functools import partial

import numpy as np
import pytest
from command_line import run_langrl
from goal_plane import PlaneEngine

from langrl.benchmark.families import suite_in
from langrl.envs.goal_words import GoalWords
from langrl.envs.instructed_goals import InstructedGoals
from langrl.envs.noise import without_politeness
from langrl.envs.regions import RegionFrame
from langrl.tasks.grid.suite import make_grid_tasks

WORDS = GoalWords(RegionFrame(("left-right", "bottom-top"), (0.0, 0.0), (1.0, 1.0)))


def tasks_of_suite(env_id):
    suite = suite_in(env_id)
    return suite.tasks(suite.settings.model_copy(update={"episodes": 30}), None, "noisy")


MAKE_TASKS = {
    "maze": partial(tasks_of_suite, "langrl/StreetMaze-Fork-v0"),
    "grid": partial(tasks_of_suite, "langrl/GridGoTo-v0"),
    "partly seen": partial(make_grid_tasks, "goto", 30, phrasing="noisy", view=5),
    "goals": lambda: InstructedGoals(PlaneEngine(30), WORDS, phrasing="noisy"),
}


@pytest.mark.parametrize("name", MAKE_TASKS)
def test_texts_are_polite_and_what_they_denote_is_known(name):
    observation, info = MAKE_TASKS[name]().reset(seed=0)
    texts = observation["instruction"]
    assert all(len(list(without_politeness(text))) == 2 for text in texts)
    assert len(set(texts)) > 10
    assert np.isfinite(info["ambiguity_bits"]).all()


@pytest.mark.parametrize("env", ["langrl/StreetMaze-Fork-v0", "langrl/GridGoTo-v0"])
def test_an_evaluation_has_a_row_for_noisy_texts_which_the_oracle_follows(
    env, tmp_path, monkeypatch, blank_images
):
    (tmp_path / "sleeping.py").write_text(
        "import numpy as np\n"
        "class Sleeper:\n"
        "    def reset(self, generator=None, mask=None): ...\n"
        "    def act(self, observations, instructions=None):\n"
        "        seen = observations['observation']\n"
        "        shape = (len(seen), 2) if seen.ndim == 2 else len(seen)\n"
        "        return np.zeros(shape, np.float32 if seen.ndim == 2 else int)\n"
    )
    monkeypatch.chdir(tmp_path)
    kind = "corner" if "Maze" in env else "full"
    flags = ["--env", env, "--kinds", kind, "--phrasings", "noisy", "held_out", "--episodes", 5]
    assert run_langrl("evaluate", "--agent", "sleeping:Sleeper", *flags, "--out", "out") == 0
    rows = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
    assert [row["phrasing"] for row in rows if row["method"] == "oracle"] == ["noisy", "held_out"]
    assert all(row["success"] == 1 for row in rows if row["method"] == "oracle")
