"""Command lines of small runs: each trains in seconds, and learns next to nothing.

The fixture ``small_run`` trains one of them when a test first asks for it, for all processes of
pytest-xdist together. Tests only read a small run; a test that writes copies it first.
"""

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from command_line import run_langrl
from filelock import FileLock

from langrl.tasks.config import RunConfig
from langrl.tasks.registry import tasks_of
from langrl.tasks.run import resume_run, train_run
from langrl.tasks.suite import finish

MAZE = shlex.split(
    "--config street-blank --learner.steps 30 --learner.batch-size 32"
    " --learner.language-batch-size 16 --data.num-trajectories 200 --data.num-pairs 500"
    " --critic.width 16 --critic.embedding 8 --text.width 16 --grounding.candidates 100"
    " --grounding.directions 8 --evaluation.episodes 4 --logging.log-every 10"
    " --logging.checkpoint-every 10"
)
GRID = shlex.split(
    "--config grid-goto --learner.steps 20 --learner.rooms 4 --learner.states 4"
    " --learner.warmup 2 --data.rooms 20 --data.trajectories-per-room 2 --critic.embedding 8"
    " --critic.channels 8 --critic.depth 1 --critic.width 16 --evaluation.episodes 4"
    " --logging.log-every 10 --logging.checkpoint-every 10"
)
PARTIAL = shlex.split(
    "--config grid-partial --learner.steps 12 --learner.explorations 4 --learner.states 6"
    " --learner.warmup 2 --learner.anchors 16 --data.rooms 12 --data.trajectories-per-room 1"
    " --data.segments 2 --data.length 16 --critic.embedding 8 --critic.width 16"
    " --history.model.embedding 8 --history.model.context 8 --history.model.horizon 2"
    " --history.model.width 16 --evaluation.episodes 4 --logging.log-every 6"
    " --logging.checkpoint-every 6"
)
CRITICS = shlex.split(  # what SAC needs; their maze is that of the SAC preset
    "--config street-fork --learner.steps 5 --learner.batch-size 32 --data.num-trajectories 200"
    " --learner.language-batch-size 16 --data.num-pairs 500 --critic.width 16 --text.width 16"
    " --critic.embedding 8 --evaluation.episodes 1"
)
_SB3 = (
    " --policy.width 16 --policy.depth 1 --policy.batch-size 16 --evaluation.episodes 3"
    " --evaluation.episodes-during 1 --logging.log-every 100"
)
_OFF_POLICY = " --policy.envs 2 --policy.replay.size 2000 --policy.replay.warmup 10"
PPO = shlex.split(
    "--config sb3-ppo-instruction-grid-goto --policy.envs 8 --policy.steps 256"
    " --policy.rollout.length 16 --evaluation.every 128 --logging.checkpoint-every 128" + _SB3
)
DQN = shlex.split(
    "--config sb3-dqn-her-grid-goto --policy.steps 240 --policy.max-episode-steps 20"
    " --evaluation.every 200 --logging.checkpoint-every 120" + _OFF_POLICY + _SB3
)
SAC = shlex.split(
    "--config sb3-sac-her-street-fork --policy.steps 200 --policy.max-episode-steps 20"
    " --evaluation.every 1000 --grounding.candidates 50 --grounding.actions 4"
    " --logging.checkpoint-every 1000" + _OFF_POLICY + _SB3
)
SMALL_RUNS = {
    "maze": MAZE, "grid": GRID, "partial": PARTIAL, "critics": CRITICS, "ppo": PPO, "dqn": DQN,
    "sac": SAC,
}  # fmt: skip


def train_once(folder: Path, flags: list[str]) -> Path:
    """Train into a folder unless a process of this session has done so; return the folder."""
    make_once(folder, lambda: _train(folder, flags))
    return folder


def make_once(folder: Path, make: Callable[[], object]) -> None:
    """Call a function that fills a folder, unless a process of this session has done so."""
    made = folder.with_name(folder.name + ".made")
    with FileLock(folder.with_name(folder.name + ".lock")):
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)  # what a failed try left
            make()
            made.touch()


def _train(folder: Path, flags: list[str]) -> None:
    assert run_langrl("train", *flags, "--out", folder) == 0


def pretrain(config: RunConfig, out: Path, command: str) -> list[dict[str, Any]]:
    """Pre-train a run, and return the rows of its report."""
    run, seconds = train_run(config, out, "pretrain")
    return finish(run, out, command, seconds).rows


def resume(out: Path, command: str) -> list[dict[str, Any]]:
    """Go on with a pre-training run, and return the rows of its report."""
    run, seconds = resume_run(out, "resume", tasks=tuple(tasks_of("pretrain").values()))
    return finish(run, out, command, seconds).rows
