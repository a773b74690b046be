import pytest
from command_line import read_results

pytest.importorskip("stable_baselines3")

from langrl.reproduce import sb3_zero_shot
from langrl.reproduce.arguments import Sb3ZeroShotArguments
from langrl.tasks.maze.config import MazeRunConfig
from langrl.tasks.run import train_run
from langrl.tasks.sb3.config import Sb3RunConfig

CRITICS = MazeRunConfig.model_validate(
    {
        "learner": {"steps": 3, "batch_size": 16, "language_batch_size": 8},
        "data": {"num_trajectories": 100, "num_pairs": 200},
        "critic": {"width": 8, "embedding": 4},
        "text": {"width": 8},
    }
)
POLICY = {
    "policy": {
        "steps": 60,
        "envs": 2,
        "max_episode_steps": 8,
        "batch_size": 8,
        "width": 8,
        "replay": {"size": 1000, "warmup": 4},
    },
    "grounding": {"candidates": 20, "actions": 2},
    "evaluation": {"every": 1000, "episodes_during": 1},
}


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    folder = tmp_path / "critics"
    train_run(CRITICS, folder, "critics")

    def config(world, seed, steps):
        return Sb3RunConfig.model_validate(POLICY | {"critics": str(folder), "seed": seed})

    monkeypatch.setattr(sb3_zero_shot, "PRESETS", {"fork": "sb3-sac-her-street-fork"})
    monkeypatch.setattr(sb3_zero_shot, "_config", config)
    monkeypatch.setattr(sb3_zero_shot, "_critics", lambda *_: folder)
    return tmp_path / "out"


def reproduce(out):
    options = Sb3ZeroShotArguments(out=out, seeds=2, episodes=2, workers=1)
    sb3_zero_shot.reproduce(options, "langrl x")
    return read_results(out)


@pytest.mark.sb3_training
def test_every_grounding_is_measured_once_beside_the_ceiling(tiny, monkeypatch):
    results = reproduce(tiny)
    rows = results["rows"]
    assert {(row["grounding"], row["phrasing"]) for row in rows} == {
        (grounding, phrasing)
        for grounding in ("direct", "log_sum_exp", "sampled_goal", "nearest_goal", "max_goal")
        for phrasing in ("seen", "held_out")
    }
    for row in rows:
        assert row["world"] == "fork"
        assert row["algorithm"] == "SAC"
        seeds = [r for r in results["measured"] if r["grounding"] == row["grounding"]]
        goals = {r["seed"]: r["goal_success"] for r in seeds}
        assert row["goal_success"] == pytest.approx(sum(goals.values()) / 2)
        mine = [r["success"] for r in seeds if r["phrasing"] == row["phrasing"]]
        assert len(mine) == 4  # two seeds, rows and columns
        assert row["success"] == pytest.approx(sum(mine) / 4)
    assert (tiny / "figures" / "sb3-zero-shot.png").stat().st_size > 1000

    def never(*args, **kwargs):
        raise AssertionError("it was there already")

    monkeypatch.setattr("langrl.reproduce.common.train_or_resume", never)
    monkeypatch.setattr(sb3_zero_shot, "follow", never)
    monkeypatch.setattr(sb3_zero_shot, "compare", never)
    assert reproduce(tiny)["rows"] == rows  # what was trained and measured is used again
