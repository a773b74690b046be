"""Every field of a config changes what is trained, how it acts, or what it is evaluated on."""

import json
from functools import lru_cache

import numpy as np
import pytest
import torch
from config_fields import another, leaves

from langrl.checkpoint import digest
from langrl.grounding.config import WaypointConfig
from langrl.tasks.registry import TASKS
from langrl.tasks.run import build_run
from langrl.tasks.suite import suite_of

ELSEWHERE = {  # how often a run reports and stores, and where it computes
    "task": "the family's own name",
    "logging.keep": "tests/training/test_loop.py",
    "logging.log_every": "tests/training/test_loop.py",
    "logging.checkpoint_every": "tests/training/test_loop.py",
    "device": "tests/training/test_run_folder.py",
    "learner.steps": "tests/cli/test_main.py",
    "evaluation.episodes": "tests/cli/test_main.py",
    "language": "tests/cli/test_grid.py",
    "start": "tests/cli/test_start.py",
    "env": "tests/tasks/grid/test_level_runs.py",
    "data.walkers": "tests/tasks/grid/test_level_runs.py",
    "history.start": "tests/cli/test_grid_partial.py",
    "history.frozen": "tests/cli/test_grid_partial.py",
    "data.trajectories": "tests/cli/test_main.py",
    "text.max_words": "tests/models/test_encoders.py",
    "text.model": "tests/test_end_to_end.py",
    **{
        f"grounding.{name}": "tests/tasks/goal_reaching/test_waypoints.py"
        for name in WaypointConfig.model_fields
        if name != "waypoints"
    },
}
TINY = {
    "street-maze": {
        "world": {"layout": "blank"},
        "data": {"num_trajectories": 30, "num_pairs": 60},
        "critic": {"embedding": 4, "width": 6, "depth": 1, "state_octaves": 1, "goal_octaves": 1},
        "text": {"width": 8, "depth": 1, "words": "distilled"},
        "learner": {"steps": 4, "batch_size": 8, "language_batch_size": 6},
        "grounding": {"candidates": 30, "strategy": "log_sum_exp"},
        "evaluation": {"episodes": 3},
    },
    "grid": {
        "language": "bundled",
        "data": {"rooms": 4, "trajectories_per_room": 4},
        "critic": {"embedding": 64, "channels": 4, "depth": 1, "width": 6},
        "learner": {"steps": 4, "rooms": 3, "states": 4, "warmup": 2},
        "evaluation": {"episodes": 3},
    },
    "grid-partial": {
        "data": {"rooms": 4, "trajectories_per_room": 2, "segments": 2, "length": 12},
        "critic": {"embedding": 4, "width": 6, "depth": 1},
        "history": {"model": {"embedding": 4, "context": 4, "width": 6, "depth": 1, "horizon": 2}},
        "learner": {"steps": 4, "explorations": 4, "states": 4, "anchors": 8, "warmup": 2},
        "evaluation": {"episodes": 3},
    },
}
OTHER = {  # where the rule below gives no other value that is valid and makes a difference here
    "world.layout": "fork",
    "world.worlds": ["crowded"],
    "world.view": 5,
    "data.kinds": ["row"],
    "data.num_action_negatives": 2,
    "text.unknown_rate": 0.9,
    "text.words": "own",
    "text.hidden_rate": 0.9,
    "data.paraphrases": 0.9,
    "learner.pairs": 5,
    "grounding.strategy": "max_goal",
    "grounding.candidates": 5,
    "grounding.directions": 5,
    "grounding.temperature": 30.0,
    "grounding.language_weight": 90.0,
    "grounding.weighting": "none",
    "evaluation.methods": ["random"],
}  # fmt: skip


def what_it_does(config, folder):
    """Return a digest of trained weights, of actions, and of the tasks of evaluation."""
    run = build_run(config, folder)
    learner, suite = run.learner, suite_of(config)
    metrics = [learner.update(learner.batch()) for _ in range(3)]
    agent = run.agent()
    env = suite.tasks(suite.settings)
    observation, _ = env.reset(seed=suite.settings.seed)
    agent.reset(np.random.default_rng(0))
    parts = [suite.settings.model_dump_json(), suite.groundings, torch.get_num_threads()]
    for _ in range(3):
        actions = agent.act(observation)
        parts += [observation["observation"].tobytes().hex(), np.array(actions).tobytes().hex()]
        observation, *_ = env.step(actions)
    posterior = agent.posterior(
        {"observation": observation["observation"][0]}, observation["instruction"][0]
    )
    parts.append(posterior.probabilities.tobytes().hex())
    weights = [value.detach().numpy() for value in learner.state()["weights"].values()]
    losses = np.array([float(m["loss"]) for m in metrics])
    return digest(*weights, losses, json.dumps(parts, default=str).encode())


@lru_cache
def before(name, folder):
    return what_it_does(TASKS[name].config_class.model_validate(TINY[name]), folder)


FIELDS = [
    (name, path)
    for name in TINY
    for path in leaves(TASKS[name].config_class)
    if path not in ELSEWHERE
]  # those of goal-reaching runs: tests/tasks/goal_reaching/test_fields.py


@pytest.mark.parametrize(("name", "path"), FIELDS)
def test_a_field_changes_something(name, path, tmp_path):
    config = TASKS[name].config_class.model_validate(TINY[name])
    assert what_it_does(another(config, path, OTHER), tmp_path) != before(name, tmp_path)
