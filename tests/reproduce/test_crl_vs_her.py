import pytest
from command_line import read_results
from small_goal_runs import MAZE, tiny

pytest.importorskip("stable_baselines3")

from langrl.errors import ConfigError
from langrl.reproduce import crl_vs_her
from langrl.reproduce.arguments import CrlVsHerArguments
from langrl.training.logs import read_metrics

ENV = MAZE["env"]
AGENTS = ("langrl", "sac + her")


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(crl_vs_her, "load_config", lambda *_: tiny(MAZE))


def reproduce(out, **options):
    given = {"seeds": 2, "envs": (ENV,), "episodes": 3, "workers": 1} | options
    crl_vs_her.reproduce(CrlVsHerArguments(out=out, **given), "langrl x")
    return read_results(out)


@pytest.mark.sb3_training
@pytest.mark.usefixtures("small")
def test_both_learn_for_as_long_and_reach_for_the_same_goals(tmp_path, monkeypatch):
    results = reproduce(tmp_path / "out")
    rows = results["rows"]
    assert [(row["env"], row["agent"], row["seed"]) for row in rows] == [
        (ENV, agent, seed) for seed in (0, 1) for agent in AGENTS
    ]
    for row in rows:
        assert row["method"] == row["agent"]
        assert 0 <= row["success"] <= 1
        assert row["steps"] > 0
        assert row["seconds"] > 0
    points = results["curves"]
    ours = [p for p in points if p["agent"] == "langrl" and p["seed"] == 0]
    run = tmp_path / "out" / "runs" / "langrl-StreetMaze-Fork-v0-0"
    logged = [r for r in read_metrics(run / "metrics.jsonl") if "evaluation/success" in r]
    assert [p["steps"] for p in ours] == [r["collect/env_steps"] for r in logged]
    assert [p["success"] for p in ours] == [r["evaluation/success"] for r in logged]
    (first, second) = results["summary"]
    assert (first["agent"], second["agent"]) == AGENTS
    mine = [row["success"] for row in rows if row["agent"] == "langrl"]
    assert first["success"] == pytest.approx(sum(mine) / 2)
    assert first["seeds"] == second["seeds"] == 2
    assert (tmp_path / "out" / "figures" / "crl-vs-her.png").stat().st_size > 5000

    def never(*args, **kwargs):
        raise AssertionError("it was there already")

    monkeypatch.setattr("langrl.reproduce.common.train_or_resume", never)
    monkeypatch.setattr(crl_vs_her, "learn_with_hindsight", never)
    assert reproduce(tmp_path / "out")["rows"] == rows  # what was trained is used again


@pytest.mark.parametrize(("env_steps", "every"), [(None, 16), (60, 16), (47, 8), (5, 1)])
@pytest.mark.usefixtures("small")
def test_a_short_training_is_evaluated_at_its_end(env_steps, every):
    config = crl_vs_her._config(ENV, 3, env_steps, 7)
    assert (config.env, config.seed, config.evaluation.episodes_during) == (ENV, 3, 7)
    assert config.learner.env_steps == (env_steps or 80)
    assert config.evaluation.every == every


def test_an_environment_that_gives_no_reward_for_other_goals_is_refused_at_once(tmp_path):
    with pytest.raises(ConfigError, match="--envs: toys/Line-v0 has no compute_reward"):
        reproduce(tmp_path / "out", envs=(ENV, "toys/Line-v0"))
    assert not (tmp_path / "out").exists()


def point(agent, seed, steps, success):
    return {
        "env": "e", "agent": agent, "seed": seed, "steps": steps, "seconds": steps / 10.0,
        "success": success,
    }  # fmt: skip


def test_when_a_success_was_reached_is_a_mean_over_trainings_that_all_reached_it():
    points = [
        *(point("langrl", 0, steps, success) for steps, success in ((10, 0.5), (20, 0.9))),
        *(point("langrl", 1, steps, success) for steps, success in ((10, 0.8), (20, 0.7))),
        *(point("sac + her", 0, steps, success) for steps, success in ((10, 0.1), (20, 0.8))),
        *(point("sac + her", 1, steps, success) for steps, success in ((10, 0.1), (20, 0.2))),
    ]
    ours, theirs = crl_vs_her._over_seeds(points)
    assert ours["to_0.8_steps"] == 15
    assert ours["to_0.8_seconds"] == pytest.approx(1.5)
    assert ours["success"] == pytest.approx(0.8)  # at the end
    assert theirs["to_0.8_steps"] is theirs["to_0.8_seconds"] is None
    assert theirs["success"] == pytest.approx(0.5)
