"""What steps the environments of a training: ``collect.engine``, and modes that are no good."""

import gymnasium as gym
import pytest
import torch
import yaml
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from small_goal_runs import MAZE, TINY, merged, tiny
from toy_goal_worlds import LIMIT, Line, make_vector

from langrl.envs.gym_engine import GymEngine
from langrl.envs.maze.goal_engine import MazeGoalEngine
from langrl.tasks.run import build_run

NAME = "toys/OddMode-v0"


def odd_vector(num_envs, mode=None, **kwargs):
    """Return lines that do not say how they start episodes anew."""
    vector = make_vector(num_envs)
    vector.metadata = {**vector.metadata, "autoreset_mode": mode}
    return vector


@pytest.fixture(params=[None, "Sometimes"])
def odd(request):
    gym.register(
        NAME, Line, vector_entry_point=lambda **given: odd_vector(**given, mode=request.param),
        max_episode_steps=LIMIT,
    )  # fmt: skip
    yield request.param
    del gym.registry[NAME]


def engine_of(run):
    return run.learner.experience.vector._episodes._engine


@pytest.mark.parametrize(("engine", "kind"), [("sync", SyncVectorEnv), ("async", AsyncVectorEnv)])
def test_environments_are_stepped_in_one_process_or_in_many(engine, kind, tmp_path):
    run = build_run(tiny({"collect": {"engine": engine, "envs": 2}}), tmp_path)
    assert type(engine_of(run)) is GymEngine
    assert type(engine_of(run)._vector) is kind
    run.learner.experience.vector.close()


@pytest.mark.parametrize(
    ("engine", "kind"), [("auto", MazeGoalEngine), ("array", MazeGoalEngine), ("sync", GymEngine)]
)
def test_a_maze_is_stepped_as_arrays_or_one_by_one(engine, kind, tmp_path):
    run = build_run(tiny(MAZE, {"collect": {"engine": engine}}), tmp_path)
    assert type(engine_of(run)) is kind


def test_processes_give_the_same_transitions(tmp_path):
    batches = []
    for engine in ("sync", "async"):
        run = build_run(tiny({"collect": {"engine": engine, "envs": 2}}), tmp_path / engine)
        batches.append([run.learner.batch() for _ in range(3)])
        run.learner.experience.vector.close()
    for one, other in zip(*batches, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_an_autoreset_mode_that_is_not_known_is_one_line(odd, tmp_path, fails):
    values = merged(TINY, {"env": NAME, "collect": {"engine": "array"}})
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(values))
    error = fails("train", "--config", tmp_path / "tiny.yaml", "--out", tmp_path / "run")
    assert f"metadata['autoreset_mode'] of SyncVectorEnv is {odd!r}" in error
    assert "set it to AutoresetMode.NEXT_STEP" in error
    assert not (tmp_path / "run").exists()
