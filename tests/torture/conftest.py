"""The table of counts at the end of ``make torture``, and runs that take a second at most."""

import shlex

import pytest
import torch
from command_line import run_langrl
from small_goal_runs import tiny
from small_runs import GRID, MAZE, make_once
from tally import ROWS

from langrl.tasks.cpc.config import CpcRunConfig
from langrl.tasks.presets import parse_config
from langrl.tasks.registry import TASKS
from langrl.tasks.run import train_run

QUICK = {
    "maze": [
        *MAZE,
        *shlex.split(
            "--learner.steps 4 --data.num-trajectories 20 --data.num-pairs 40"
            " --logging.log-every 1 --logging.checkpoint-every 2 --evaluation.methods none"
        ),
    ],
    "grid": [
        *GRID,
        *shlex.split(
            "--learner.steps 4 --data.rooms 6 --learner.rooms 2 --logging.log-every 1"
            " --logging.checkpoint-every 2 --evaluation.methods none"
        ),
    ],
}
FAMILIES = {"maze": "street-maze", "grid": "grid"}
CPC = {
    "rooms": 10, "trajectories_per_room": 1, "segments": 2, "length": 16, "probe_rooms": 10,
    "trajectories_per_batch": 4, "anchors": 16, "steps": 4,
    "model": {"embedding": 8, "context": 8, "horizon": 2, "width": 16},
    "logging": {"log_every": 1, "checkpoint_every": 2},
}  # fmt: skip
GOALS = {
    "learner": {"env_steps": 24, "steps": 3},
    "evaluation": {"methods": ["none"]},
}


def pytest_terminal_summary(terminalreporter):
    """Print how many cases of each check passed, where all checks ran in this process."""
    if ROWS:
        terminalreporter.section("counts")
        for name, (passed, tried, took) in sorted(ROWS.items()):
            terminalreporter.write_line(f"{name}: {passed} of {tried}{took}")


@pytest.fixture(scope="session")
def quick_config(tiny_language):
    """A function from a kind of run to the config of a quick one."""
    known = {"goals": tiny(GOALS), "cpc": CpcRunConfig.model_validate(CPC)}

    def config_of(kind):
        if kind not in known:
            flags, printed = [*QUICK[kind], "--print-config"], []
            if kind == "grid":
                flags += ["--language", str(tiny_language)]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("builtins.print", lambda *words, **_: printed.extend(words))
                assert run_langrl("train", *flags) == 0
            text = "\n".join(map(str, printed))
            known[kind] = parse_config(text, kind, TASKS[FAMILIES[kind]].config_class)
        return known[kind]

    return config_of


@pytest.fixture(scope="session")
def quick_runs(quick_config, shared_folder):
    """A function from a kind of run to the folder of one that nothing stopped; it is only read."""

    def folder_of(kind):
        folder = shared_folder / f"quick-{kind}"
        torch.set_num_threads(1)
        make_once(folder, lambda: train_run(quick_config(kind), folder, kind))
        return folder

    return folder_of
