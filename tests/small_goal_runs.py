"""Goal-reaching runs that train in a second: configs, trajectories on the line, and resuming."""

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from toy_goal_worlds import LIMIT

from langrl.checkpoint import read_checkpoint, step_folder
from langrl.settings import with_changes
from langrl.tasks.goal_reaching.config import GoalRunConfig
from langrl.tasks.run import resume_run, train_run

SIZES = {"width": 8, "depth": 1}
TINY = {
    "task": "goal-reaching",
    "env": "toys/Line-v0",
    "collect": {"envs": 3, "unroll": 2, "warmup": 30},
    "replay": {"capacity": 300},
    "critic": {**SIZES, "embedding": 4},
    "actor": SIZES,
    "learner": {"env_steps": 60, "updates": 2, "batch_size": 8, "steps": 6},
    "words": {"pairs": 40, "steps": 3, "batch_size": 8, "axes": ["left-right"],
              "text": {"width": 8, "depth": 1}},
    "grounding": {"candidates": 20, "actions": 4},
    "evaluation": {"every": 12, "episodes": 4, "episodes_during": 4},
    "logging": {"log_every": 2, "checkpoint_every": 3, "keep": 0},
}  # fmt: skip
MAZE = {
    "env": "langrl/StreetMaze-Fork-v0",
    "max_episode_steps": 9,
    "collect": {"envs": 4, "unroll": 2, "warmup": 40},
    "learner": {"env_steps": 80, "updates": 2, "batch_size": 8},
    "evaluation": {"every": 16, "episodes": 4, "episodes_during": 4},
    "words": {"axes": []},
}


def merged(base, changes):
    """Return nested values with other ones in the place of some."""
    both = dict(base)
    for name, value in changes.items():
        nested = isinstance(value, dict) and isinstance(base.get(name), dict)
        both[name] = merged(base[name], value) if nested else value
    return both


def tiny(*changes):
    """Return a config of a tiny run, with changes."""
    values = TINY
    for change in changes:
        values = merged(values, change)
    return GoalRunConfig.model_validate(values)


def flags(values, before="--"):
    """Return nested values as flags of ``langrl train``."""
    words = []
    for name, value in values.items():
        if isinstance(value, dict):
            words += flags(value, f"{before}{name}.")
        elif value != []:
            words += [f"{before}{name}", *(value if isinstance(value, list) else [value])]
    return words


def line_trajectories(count=6, seed=0, **changes):
    """Return arrays of an .npz of trajectories on the line; ``changes`` replace or drop some."""
    generator = np.random.default_rng(seed)
    states = LIMIT + 1
    actions = generator.uniform([-1, 0], [1, 4], (count, states, 2))
    place = np.cumsum(0.5 * actions.sum(-1), 1) - 0.5 * actions.sum(-1)
    name = np.broadcast_to(np.arange(count)[:, None], place.shape)
    steps = np.broadcast_to(np.arange(states), place.shape)
    last = steps == states - 1
    arrays = {
        "observations": np.stack([name, steps, place], -1).reshape(-1, 3),
        "actions": actions.reshape(-1, 2),
        "terminals": last.reshape(-1).astype(float),
    } | changes
    return {name: values for name, values in arrays.items() if values is not None}


def write_line(path: Path, **changes) -> Path:
    """Write trajectories on the line; the goal is their third number."""
    np.savez(path, **line_trajectories(**changes))
    return path


def metrics_of(folder: Path):
    """Return the records of metrics.jsonl."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def tensors_at(folder: Path, step: int):
    """Return all tensors of a checkpoint."""
    return read_checkpoint(step_folder(folder, step)).tensors


def resumes_exactly(config, folder: Path, step: int) -> None:
    """Train, train again from a checkpoint of a run that was cut off there, and compare all bits.

    Metrics of after the checkpoint are there in the run that was cut off, too.
    """
    config = with_changes(config, {"logging": {"keep": 0}}) if config.logging.keep else config
    whole, cut = folder / "whole", folder / "cut"
    train_run(config, whole, "whole")
    shutil.copytree(whole, cut)
    shutil.rmtree(cut / "replay", ignore_errors=True)  # it is made anew from the checkpoint
    for path in (cut / "checkpoints").iterdir():
        if path.name not in (f"step-{step}",):
            shutil.rmtree(path)
    resume_run(cut, "cut")
    last = config.last_step
    once, again = tensors_at(whole, last), tensors_at(cut, last)
    assert once.keys() == again.keys()
    for part, tensors in once.items():
        assert tensors.keys() == again[part].keys()
        for name, values in tensors.items():
            assert torch.equal(values, again[part][name]), (part, name)
    assert metrics_of(whole) == metrics_of(cut)
