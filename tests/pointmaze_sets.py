"""Small data sets of OGBench's PointMaze, and trainings on them, in the place of the whole ones."""

import numpy as np
from small_goal_runs import TINY, merged

from langrl.tasks.goal_reaching.config import GoalRunConfig

SMALL = {
    "env": "pointmaze-medium-v0",
    "max_episode_steps": 4,
    "collect": {},
    "actor": {"kind": "compare"},
    "words": {"axes": []},
    "evaluation": {"every": 0, "tasks": 5, "methods": ["nearest_goal"]},
}


def walks(path, count=4, steps=12):
    """Write a few walks in the maze's coordinates, as the recipe would."""
    generator = np.random.default_rng(0)
    last = np.tile(np.arange(steps) == steps - 1, count)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        observations=generator.uniform(0, 20, (count * steps, 2)),
        actions=generator.uniform(-1, 1, (count * steps, 2)),
        terminals=last.astype(float),
    )


def make_small(monkeypatch, command, trains, **changes):
    """Let a command make small sets, and train on them for a moment.

    Args:
        monkeypatch: of the test.
        command: its module, which makes the sets.
        trains: the module that loads the preset.
        **changes: to the config.

    Returns:
        A list that the names of the sets that are made will be in.
    """
    made = []

    def make(name, file, workers):
        made.append(name)
        walks(file)

    config = GoalRunConfig.model_validate(merged(merged(TINY, SMALL), changes))
    monkeypatch.setattr(trains, "load_config", lambda *_: config)
    monkeypatch.setattr(command, "make_recording", make)
    return made
