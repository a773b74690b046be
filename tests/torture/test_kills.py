"""Commands that are killed at random moments go on, to the bits of a run that nothing stopped."""

import os
import random
import shlex
import shutil
import time
from pathlib import Path

import pytest
from commands_apart import end_all, start, wait_for_loop, write_configs
from crashing import check_same
from mutations import finite
from small_runs import DQN, GRID, MAZE, PARTIAL
from tally import tally

from langrl.checkpoint import find_checkpoint
from langrl.settings import CONFIG_FILE
from langrl.training.logs import read_metrics

pytestmark = [
    pytest.mark.torture,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc"),
]
KILLS = int(os.environ.get("LANGRL_KILLS", "3"))  # of each run
LOGGING = {"log_every": 5, "checkpoint_every": 10, "keep": 2}
OFTEN = "--logging.log-every 5 --logging.checkpoint-every 10 --logging.keep 2"
UNSEEN = "--evaluation.methods none --out out"
GOALS = {
    "learner": {"env_steps": 1500, "steps": 6},
    "evaluation": {"methods": ["none"]},
    "logging": LOGGING,
}
TOYS = "--import-module toy_goal_worlds"
RUNS = {  # what begins a run, and what goes on with it
    "a street maze": f"train {shlex.join(MAZE)} --learner.steps 300 {OFTEN} {UNSEEN}",
    "a grid world":
        f"train {shlex.join(GRID)} --learner.steps 80 {OFTEN} --language LANGUAGE {UNSEEN}",
    "a partial view":
        f"train {shlex.join(PARTIAL)} --learner.steps 80 {OFTEN} --language LANGUAGE {UNSEEN}",
    "goals, acting": f"train --config goals.yaml {TOYS} --out out",
    "pretrain": "pretrain --config pretraining.yaml --out out",
    "pretrain --method cpc": "pretrain --method cpc --config cpc.yaml --out out",
    "Stable-Baselines3":
        f"train {shlex.join(DQN)} --policy.steps 1200 --language LANGUAGE {UNSEEN}",
}  # fmt: skip


def whole_run(words, folder):
    """Run a command to its end; return the seconds of its loop."""
    process = start(words, folder)
    try:
        wait_for_loop(process, folder)
        begin = time.monotonic()
        assert process.wait() == 0, (folder / "printed").read_text()[-600:]
        return time.monotonic() - begin
    finally:
        end_all(process)


def words_to_go_on(words, folder):
    """Return what goes on with a run: it, if it was killed before there was a config."""
    if not (folder / "out" / CONFIG_FILE).is_file():
        return words
    resumed = [words[0], "--resume", "out"]
    return [*resumed, *TOYS.split()] if "toy_goal_worlds" in words else resumed


def kill_and_go_on(words, folder, seconds, moments):
    """Kill a run so many times, each at a random moment of its loop, and let it end."""
    for _ in range(KILLS):
        process = start(words_to_go_on(words, folder), folder)
        try:
            wait_for_loop(process, folder)
            time.sleep(moments.random() * seconds)
            assert process.poll() in (None, 0), (folder / "printed").read_text()[-600:]
        finally:
            end_all(process)
    whole_run(words_to_go_on(words, folder), folder)


def check_ended(folder, whole):
    """Check that a policy of Stable-Baselines3 is finite, and its records are all there."""
    assert find_checkpoint(folder).name == find_checkpoint(whole).name
    assert finite(find_checkpoint(folder) / "weights.safetensors")
    steps = [line["step"] for line in read_metrics(folder / "metrics.jsonl")]
    assert steps == sorted(set(steps))
    assert steps[-1] == read_metrics(whole / "metrics.jsonl")[-1]["step"]


@pytest.mark.parametrize("kind", RUNS)
def test_a_run_that_is_killed_goes_on(kind, tiny_language, tmp_path):
    check = check_same
    if "Stable" in kind:
        pytest.importorskip("stable_baselines3")
        check = check_ended  # its replay and episodes begin anew
    words = [str(tiny_language) if word == "LANGUAGE" else word for word in shlex.split(RUNS[kind])]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    steps = {"steps": 120, "logging": LOGGING}
    for folder in (whole, killed):
        write_configs(folder, GOALS, steps, steps)
    seconds, moments = whole_run(words, whole), random.Random(kind)
    name = f"1 runs that go on after {KILLS} times kill -9 at random moments, {kind}"
    with tally(name) as counted, counted.case(kind):
        kill_and_go_on(words, killed, seconds, moments)
        check(killed / "out", whole / "out")
    shutil.rmtree(killed)
