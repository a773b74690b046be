import math

import pytest
import torch
from command_line import read_results

from langrl.envs.grid.rooms import GRID_WORLDS
from langrl.functional.information import gaussian_log_ratio, info_nce
from langrl.reproduce import cpc, gaussian_information, partial_memory
from langrl.reproduce.arguments import CpcArguments
from langrl.reproduce.gaussian_information import (
    BilinearCritic,
    claims,
    correlated,
    over_seeds,
    train,
)
from langrl.tasks.cpc.config import CpcRunConfig
from langrl.tasks.grid_partial.config import GridPartialRunConfig


def test_pairs_are_as_correlated_as_they_are_to_be():
    x, y = correlated(3.0, 0)(20_000)
    each = torch.tensor([torch.corrcoef(torch.stack([x[:, s], y[:, s]]))[0, 1] for s in range(20)])
    assert (-0.5 * torch.log1p(-each.square())).sum().item() == pytest.approx(3.0, abs=0.1)
    again, _ = correlated(3.0, 0)(20_000)
    assert torch.equal(x, again)


def test_the_critic_is_bilinear_in_codes_and_contexts():
    critic = BilinearCritic()
    x, y = torch.randn(3, 20), torch.randn(4, 20)
    f = critic(x, y)
    expected = critic.code(y[2]) @ critic.ahead.weight @ critic.context(x[1])
    assert f[1, 2].item() == pytest.approx(expected.item(), abs=1e-5)


def test_a_trained_critic_comes_close_to_the_exact_one():
    critic = train(2.0, 0, "info_nce", 150)
    x, y = correlated(2.0, 99)(512)
    with torch.no_grad():
        learned = info_nce(critic(x, y)).item()
    exact = info_nce(gaussian_log_ratio(x, y, math.sqrt(-math.expm1(-0.2)))).item()
    assert learned == pytest.approx(exact, abs=0.25)
    assert learned < math.log(512)


def row(information, learned, exact, many=None, seed=0):
    names = ("smile", "smile_exact", "nwj", "nwj_exact", "donsker_varadhan", "exact_many")
    found = dict.fromkeys(names, information) | {
        "learned_many": information if many is None else many,
        "learned": learned, "exact": exact,
    }  # fmt: skip
    sds = {f"{name}_sd": 0.1 for name in found}
    return {"information": information, "seed": seed} | found | sds


def test_rows_are_means_over_seeds_and_the_gap_the_largest():
    (found,) = over_seeds([row(2.0, 1.9, 1.95), row(2.0, 1.7, 1.85, seed=1)])
    assert found["learned"] == pytest.approx(1.8)
    assert found["gap"] == pytest.approx(0.15)
    assert not found["holds"]
    assert found["learned_sem"] == pytest.approx(0.1)
    assert found["ceiling"] == math.log(512)


def test_claims_say_what_holds(monkeypatch):
    monkeypatch.setattr(gaussian_information, "shortfall", lambda: 0.7)
    good = claims(over_seeds([row(2.0, 1.9, 1.95), row(8.0, 5.0, 5.05, many=7.6)]))
    assert [each["holds"] for each in good] == [True] * 4
    assert good[-1]["ours"] == pytest.approx(0.4)
    bad = claims(over_seeds([row(2.0, 6.5, 1.95), row(8.0, 5.0, 5.05, many=3.0)]))
    assert [each["holds"] for each in bad] == [False, False, True, False]


@pytest.mark.slow
def test_the_exact_critic_falls_short_as_measured_before():
    assert gaussian_information.SHORTFALL[0] <= gaussian_information.shortfall() <= 0.75


def probes(context, view, variable="kinds_seen", offset=0):
    return [
        {"features": name, "variable": variable, "offset": offset, "score": score}
        for name, score in (("context", context), ("view", view))
    ]


def test_contexts_are_to_beat_the_best_of_the_others():
    (better,) = cpc.probe_claims(probes(0.9, 0.7))
    assert better["holds"]
    assert better["expected"] == "> 0.700, view"
    (worse,) = cpc.probe_claims(probes(0.5, 0.7))
    assert not worse["holds"]


@pytest.fixture
def small(monkeypatch, tiny_language):
    """The whole reproduction, in seconds."""
    config = {
        "rooms": 6, "segments": 4, "view": 3, "length": 12, "probe_rooms": 30,
        "trajectories_per_batch": 3,
        "anchors": 8, "model": {"embedding": 4, "context": 6, "horizon": 2, "width": 8, "depth": 1},
    }  # fmt: skip
    made = CpcRunConfig.model_validate(config)
    monkeypatch.setattr(cpc, "CpcRunConfig", lambda seed: made.model_copy(update={"seed": seed}))
    agent = partial_memory.partial_config("memory_cpc", 0, None).model_dump(mode="json")
    agent["history"]["model"] = config["model"]
    agent["data"] |= {"rooms": 4, "trajectories_per_room": 1, "segments": 1, "length": 12}
    agent["learner"] |= {"explorations": 2, "states": 4, "warmup": 1, "anchors": 8, "steps": 2}
    agent["critic"] |= {"embedding": 4, "width": 8}
    agent["language"] = str(tiny_language)

    def small_agent(variant, seed, steps):
        chosen = GridPartialRunConfig.model_validate(agent | {"seed": seed})
        memory = partial_memory.VARIANTS[variant]
        history = chosen.history.model_copy(update={"memory": memory})
        return chosen.model_copy(update={"history": history})

    monkeypatch.setattr(partial_memory, "partial_config", small_agent)
    for name, value in (("WORLDS", ("goto",)), ("TEMPERATURES", (0.5,)), ("_TUNING_EPISODES", 2)):
        monkeypatch.setattr(partial_memory, name, value)
    monkeypatch.setattr(gaussian_information, "INFORMATION", (1.0, 6.0))
    for name, value in (("PAIRS", 32), ("CANDIDATES", 64), ("_WIDE_ROWS", 16), ("_BATCHES", 2)):
        monkeypatch.setattr(gaussian_information, name, value)


def test_the_reproduction_end_to_end(small, tmp_path, capsys):
    options = CpcArguments(out=tmp_path, seeds=1, memory_seeds=1, episodes=3, steps=2, workers=1)
    cpc.reproduce(options, "langrl reproduce cpc")
    results = read_results(tmp_path)
    assert [row["information"] for row in results["estimates"]] == [1.0, 6.0]
    assert all({"claim", "expected", "ours", "holds"} == set(row) for row in results["rows"])
    assert {"kinds_seen", "position"} <= {row["variable"] for row in results["probes"]}
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        "information.png", "memory.png", "probes.png"
    }  # fmt: skip
    assert [row["variant"] for row in results["success"]] == list(partial_memory.VARIANTS)
    assert {row["level"] for row in results["episodes"]} == set(GRID_WORLDS["goto"].levels)
    before = results["probes"]
    cpc.reproduce(options, "langrl reproduce cpc")
    assert read_results(tmp_path)["probes"] == before


def test_partial_configs_differ_in_their_memory_alone():
    view, memory = (partial_memory.partial_config(name, 3, 7) for name in partial_memory.VARIANTS)
    assert (view.history.memory, memory.history.memory) == (False, True)
    same = {"history": view.history, "learner": view.learner}
    assert memory.model_copy(update=same) == view
    assert (view.learner.cpc_weight, memory.learner.cpc_weight) == (0.0, 0.1)
    assert memory.seed == 3
    assert memory.learner.steps == 7


def test_gain_of_a_memory_is_over_the_present_view_in_the_same_world():
    rows = [
        {"world": world, "variant": variant, "seed": seed, "success": success, "spl": success / 2}
        for world, variant, seed, success in (
            ("goto", "view", 0, 0.5), ("goto", "memory_cpc", 0, 0.75), ("goto", "view", 1, 0.5),
            ("goto", "memory_cpc", 1, 0.65), ("rooms", "view", 0, 0.2),
            ("rooms", "memory_cpc", 0, 0.3),
        )
    ]  # fmt: skip
    gains = {(r["world"], r["variant"]): r["gain"] for r in partial_memory.over_seeds(rows)}
    assert gains["goto", "memory_cpc"] == pytest.approx(0.2)
    assert gains["rooms", "memory_cpc"] == pytest.approx(0.1)
    claims = partial_memory.claims(partial_memory.over_seeds(rows))
    assert [claim["holds"] for claim in claims] == [True, False]
