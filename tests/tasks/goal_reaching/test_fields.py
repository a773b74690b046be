"""Every field of a goal-reaching run's config changes what is trained, acted or evaluated."""

import json
from functools import cache

import gymnasium as gym
import numpy as np
import pytest
import torch
from config_fields import another, leaves
from small_goal_runs import tiny, write_line
from toy_goal_worlds import LIMIT, Line

from langrl.checkpoint import digest
from langrl.grounding.config import WaypointConfig
from langrl.tasks.goal_reaching.config import GoalRunConfig
from langrl.tasks.run import build_run
from langrl.tasks.suite import suite_of

RUN = "tests/tasks/goal_reaching/test_run.py"
ELSEWHERE = {
    "task": "the family's own name",
    "device": "tests/training/test_run_folder.py",
    "start": RUN,
    "data.file": RUN,
    "replay.memory_map": RUN,  # where the arrays are; nothing else
    "collect.engine": "tests/cli/test_engines.py",  # the same transitions, sooner or later
    "logging.log_every": "tests/training/test_loop.py",
    "logging.checkpoint_every": "tests/training/test_loop.py",
    "logging.keep": "tests/training/test_loop.py",
    "evaluation.episodes": RUN,
    "evaluation.episodes_during": "tests/tasks/goal_reaching/test_held_out.py",
    "evaluation.every": RUN,
    "evaluation.methods": RUN,
    "evaluation.tasks": "tests/tasks/goal_reaching/test_held_out.py",
    "words.paraphrases": "tests/grounding/test_words_paraphrased.py",  # in mazes alone
    "words.text.max_words": "tests/models/test_encoders.py",
    "words.text.model": "tests/test_end_to_end.py",
    **{
        f"grounding.{name}": "tests/tasks/goal_reaching/test_waypoints.py"
        for name in WaypointConfig.model_fields
        if name != "waypoints"
    },
}
SOFT = {"grounding": {"strategy": "log_sum_exp"}, "learner": {"critic_learning_rate": 0.01}}
VARIANTS = {  # of the config, by what makes some fields count
    "acting": SOFT,
    "comparing": {"actor": {"kind": "compare"}, "grounding": {"strategy": "log_sum_exp"},
                  "evaluation": {"deterministic": False}},
    "deep": {"critic": {"depth": 4}, "actor": {"depth": 4}},
    "features": {"critic": {"random_features": 3}, "actor": {"random_features": 3}},
    "sigmoid": {"learner": {"loss": "sigmoid"}},
    "weighted": {"learner": {"action_weight": 1.0, "critic_learning_rate": 0.01}},
    "drawing": {"evaluation": {"deterministic": False}},
    "choices": {"env": "toys/Choices-v0"},
    "near": {"replay": {"hard_negatives": 0.5}},
    "word table": {"words": {"text": {"words": "distilled"}}},
    "recorded": {"data": {"goal_columns": [2], "loop_radius": 4.0, "mean_actions": True}},
}  # fmt: skip
IN = {  # the variant in which a field counts; acting for the others
    "actor.compared": "comparing",
    "actor.temperature": "comparing",
    "grounding.temperature": "comparing",
    "critic.residual": "deep",
    "actor.residual": "deep",
    "critic.feature_length": "features",
    "actor.feature_length": "features",
    "learner.sigmoid_bias": "sigmoid",
    "learner.action_negatives": "weighted",
    "learner.other_actions": "weighted",
    "learner.discrete_target_entropy": "choices",
    "evaluation.deterministic": "drawing",
    "replay.hard_within": "near",
    "words.text.hidden_rate": "word table",
    "words.text.idle_rate": "word table",
    "data.goal_columns": "recorded",
    "data.loop_radius": "recorded",
    "data.mean_actions": "recorded",
    "learner.steps": "recorded",
}
OTHER = {
    "env": "toys/Choices-v0",
    "max_episode_steps": 5,
    "data.goal_columns": [1],
    "data.loop_radius": 1.0,
    "replay.capacity": 24,
    "replay.discounts": [0.5],
    "actor.log_std_low": 1.0,
    "actor.log_std_high": -3.0,
    "learner.loss": "binary_nce",
    "learner.ignored_negatives": "same_episode",
    "learner.sigmoid_bias": 1.0,
    "learner.steps": 60,
    "learner.env_steps": 600,
    "learner.entropy_learning_rate": 0.5,
    "words.axes": ["near-far"],
    "words.kinds": ["half"],
    "grounding.strategy": "max_goal",
    "grounding.candidates": 5,
    "grounding.temperature": 30.0,
}
ROOMS = {  # in a grid world, which has a critic of its own
    "env": "langrl/GridGoTo-v0",
    "max_episode_steps": 9,
    "collect": {"envs": 3, "unroll": 2, "warmup": 40},
    "rooms": {"embedding": 64, "channels": 4, "depth": 1, "width": 6},
    "learner": {"env_steps": 80, "updates": 2, "batch_size": 8},
    "replay": {"capacity": 300},
}
IN_ROOMS = [path for path in leaves(GoalRunConfig) if path.startswith("rooms.")]
IN_ROOMS.append("collect.ending_chance")
FIELDS = [path for path in leaves(GoalRunConfig) if path not in ELSEWHERE and path not in IN_ROOMS]


@pytest.fixture(scope="module", autouse=True)
def choices():
    gym.register("toys/Choices-v0", Line, max_episode_steps=LIMIT, kwargs={"actions": "discrete"})
    yield
    del gym.registry["toys/Choices-v0"]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write_line(tmp_path_factory.mktemp("data") / "line.npz")


def what_it_does(config, folder):
    """Return a digest of trained weights, of actions, of beliefs and of the run's length."""
    run = build_run(config, folder)
    learner = run.learner
    metrics = [learner.update(learner.batch()) for _ in range(5)]
    agent, suite = run.agent(), suite_of(config).for_agents(run.agent)
    env = suite.tasks(suite.settings)
    parts = [torch.get_num_threads()]
    for number in range(3):
        observation, _ = env.reset(seed=suite.settings.seed + number)
        agent.reset(np.random.default_rng(0))
        actions = np.array(agent.act(observation))
        arrays = (observation["observation"], actions, env.step(actions)[0]["observation"])
        parts += [list(observation["instruction"]), *(array.tolist() for array in arrays)]
    text = "go to the far right" if "left-right" in config.words.axes else "go to the far end"
    posterior = agent.posterior({"observation": observation["observation"][0]}, text)
    parts.append(posterior.probabilities.tobytes().hex())
    rates = [group["lr"] for group in learner.optimiser.optimizer.param_groups]
    weights = [value.detach().numpy() for value in learner.state()["weights"].values()]
    losses = np.array([float(m["critic/loss"]) for m in metrics])
    return digest(*weights, losses, np.array(rates), json.dumps(parts).encode())


@cache
def before(variant, folder, file):
    return what_it_does(config_of(variant, file), folder)


def config_of(variant, file):
    changes = VARIANTS[variant]
    data = {"data": {"file": str(file)}} if variant == "recorded" else {}
    # The learning rate falls to 0 by the run's length, so that this counts.
    return tiny({"learner": {"schedule": "cosine"}}, changes, data)


@pytest.mark.parametrize("path", FIELDS)
def test_a_field_changes_something(path, tmp_path, tmp_path_factory, file):
    variant = IN.get(path, "acting")
    folder = tmp_path_factory.getbasetemp() / "before"
    changed = another(config_of(variant, file), path, OTHER)
    assert what_it_does(changed, tmp_path) != before(variant, folder, file)


def trained_in_rooms(config, folder):
    learner = build_run(config, folder).learner
    for _ in range(3):
        learner.update(learner.batch())
    return digest(*(value.detach().numpy() for value in learner.state()["weights"].values()))


@pytest.mark.parametrize("path", IN_ROOMS)
def test_a_field_of_grid_worlds_changes_something(path, tmp_path):
    config = GoalRunConfig.model_validate(ROOMS)
    changed = another(config, path, {"rooms.embedding": 32})
    assert trained_in_rooms(changed, tmp_path) != trained_in_rooms(config, tmp_path)
