import numpy as np
import pytest
import torch
from command_line import read_results

from langrl.agents.relating import RelatingConfig
from langrl.data.related_pairs import KINDS
from langrl.errors import ConfigError, ShapeError
from langrl.evaluation import coherence
from langrl.evaluation.coherence import (
    cross_coherence,
    joint_coherence,
    latent_accuracy,
    synergy_coherence,
    threshold_at,
    train_classifier,
)
from langrl.models.vae.config import ModalityConfig, VaeConfig
from langrl.models.vae.model import build_vae
from langrl.plots.relating import roc_curve
from langrl.reproduce import related_goals, relating, relating_tasks
from langrl.reproduce.arguments import RelatingArguments
from langrl.reproduce.linear_gaussian import linear_gaussian_errors
from langrl.reproduce.relating_claims import claims, differences, half_interval, summarise
from langrl.reproduce.relating_tasks import (
    Pairs,
    Scale,
    clauses,
    digits,
    unrelated_partners,
    worlds,
)
from langrl.tasks.grid.config import GridRunConfig
from langrl.tasks.presets import load_config


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def oracle():
    """A model whose latent is the class, twice: two numbers decoded from it in each modality."""
    modalities = tuple(
        ModalityConfig(name=name, size=2, likelihood="gaussian", scale=0.1) for name in "xy"
    )
    model = build_vae(VaeConfig(modalities=modalities, backbone="mmvae", latent=2, depth=0), 0)
    with torch.no_grad():
        for name in "xy":
            model.decoders[name][0].weight.copy_(torch.eye(2))
            model.decoders[name][0].bias.zero_()
            model.backbone.heads[name].network.weight.copy_(
                torch.cat([torch.eye(2), torch.zeros(2, 2)])
            )
            model.backbone.heads[name].network.bias.copy_(torch.tensor([0.0, 0.0, -9.0, -9.0]))
    return model


def first(x):
    return x.argmax(-1)


def test_a_model_that_knows_the_class_has_every_measure_at_one(oracle):
    labels = torch.arange(20) % 2
    inputs = {name: torch.nn.functional.one_hot(labels).float() for name in "xy"}
    named = dict.fromkeys("xy", first)
    assert latent_accuracy(oracle, inputs, labels, inputs, labels) == {"x": 1.0, "y": 1.0}
    assert joint_coherence(oracle, named, seeded(), 50) == 1.0
    assert cross_coherence(oracle, named, inputs, labels, seeded()) == {"x > y": 1.0, "y > x": 1.0}
    assert synergy_coherence(oracle, named, inputs, labels, seeded()) == 1.0
    with torch.no_grad():  # y is the other class
        oracle.decoders["y"][0].weight.copy_(torch.eye(2).flip(0))
    assert joint_coherence(oracle, named, seeded(), 50) == 0.0
    found = cross_coherence(oracle, named, inputs, labels, seeded())
    assert found == {"x > y": 0.0, "y > x": 1.0}
    assert synergy_coherence(oracle, named, inputs, labels, seeded()) == 0.5
    with pytest.raises(ShapeError, match="one for each observation"):
        latent_accuracy(oracle, inputs, labels[:3], inputs, labels)


def test_a_classifier_learns_and_is_that_of_its_seed():
    labels = torch.arange(90) % 3
    x = torch.nn.functional.one_hot(labels).float() + 0.1 * torch.randn(90, 3, generator=seeded())
    classify = train_classifier(x, labels, 3, 0)
    assert (classify(x) == labels).all()
    assert classify(x.reshape(9, 10, 3)).shape == (9, 10)
    with pytest.raises(ShapeError, match=r"labels must be \[90\]"):
        train_classifier(x, labels[:4], 3, 0)


def test_threshold_and_curve_of_hand_worked_scores():
    assert threshold_at(torch.arange(101.0), 0.05) == pytest.approx(95.0)
    false, true = roc_curve([3.0, 1.0], [0.0, 2.0])
    assert true.tolist() == [0, 0.5, 0.5, 1, 1]
    assert false.tolist() == [0, 0, 0.5, 0.5, 1]


def test_unrelated_partners_are_of_another_class():
    labels = torch.arange(40) % 4
    partners = unrelated_partners(labels, seeded())
    assert (labels[partners] != labels).all()


def test_shares_are_nested_and_parts_are_apart():
    pairs = Pairs({"x": torch.arange(50.0).unsqueeze(1)}, torch.arange(50))
    run = relating._Run("digits", "mvae", 0, Scale())
    few, rest = relating._split(pairs, 0.2, run)
    more, _ = relating._split(pairs, 0.5, run)
    assert len(few) == 10
    assert len(rest) == 40
    assert set(few.labels.tolist()) <= set(more.labels.tolist())
    assert set(few.labels.tolist()).isdisjoint(rest.labels.tolist())


def test_intervals_are_students():
    assert half_interval([1.0, 2.0, 3.0]) == pytest.approx(4.303 / np.sqrt(3))


def test_claims_compare_what_they_say():
    rows = []
    for seed in range(2):
        for contrast, share, value in (
            (False, 0.2, 0.5), (False, 1.0, 0.6), (True, 0.2, 0.7), (True, 1.0, 0.9),
            (True, "found", 0.85),
        ):  # fmt: skip
            values = dict.fromkeys(("latent", "joint", "cross", "synergy", "auc"), value)
            values |= {"synergy": 0.55, "joint": value - 0.3 * contrast + 0.01 * seed}
            row = {"task": "t", "backbone": "b", "seed": seed, "contrast": contrast}
            rows.append(row | {"share": share} | values)
    assert len(summarise(rows)) == 5
    found = {row["claim"]: row for row in claims(rows)}
    improved = found["contrast improves cross at 20 %"]
    assert improved["ours"] == pytest.approx(0.2)
    assert improved["holds"]
    assert not found["contrast improves joint at 20 %"]["holds"]
    gains = {(row["measure"], row["share"]): row["difference"] for row in differences(rows)}
    assert gains["cross", 1.0] == pytest.approx(0.3)
    assert gains["joint", 0.2] == pytest.approx(-0.1)
    reached = found["measures where 20 % with contrast reaches plain 100 %"]
    assert reached["ours"] == 3  # latent, cross and synergy; joint is below
    recovered = {claim: row["ours"] for claim, row in found.items() if "recovered" in claim}
    values = [recovered[claim] for claim in sorted(recovered)]  # cross, joint, latent, synergy
    assert values[:3] == pytest.approx([0.75, 0.75, 0.75])
    assert values[3] is None  # nothing is left to recover


def test_estimates_are_right_where_the_truth_is_known():
    errors = linear_gaussian_errors()
    assert errors["iwae of mvae"] < 1e-4
    assert errors["iwae of mmvae"] < 0.15


@pytest.fixture
def small_goals(monkeypatch, tiny_language):
    config = load_config("grid-goto", GridRunConfig).model_dump(mode="json")
    config["data"] |= {"rooms": 10, "trajectories_per_room": 2}
    config["critic"] |= {"embedding": 8, "channels": 8, "depth": 1, "width": 16}
    config["learner"] |= {"steps": 2, "rooms": 2, "states": 4, "warmup": 1}
    config["language"] = str(tiny_language)
    tiny = GridRunConfig.model_validate(config)
    monkeypatch.setattr(related_goals, "_critic_config", lambda seed, steps: tiny)
    for name, value in (
        ("PAIRS", 60), ("FEW", 0.5), ("ROOMS", 3), ("DRAWS", 1),
        ("CANDIDATES", 3), ("LATENTS", 4),
    ):  # fmt: skip
        monkeypatch.setattr(related_goals, name, value)


def test_a_small_reproduction_writes_tables_and_images_and_goes_on(
    tmp_path, monkeypatch, small_goals
):
    pytest.importorskip("sklearn")
    tasks = {
        "worlds": lambda seed, scale: worlds(seed, scale, 100, 40),
        "clauses": lambda seed, scale: clauses(seed, scale, 100, 40),
        "digits": lambda seed, scale: digits(seed, scale, 1),
    }
    monkeypatch.setattr(relating, "SHARES", dict.fromkeys(tasks, (0.2, 1.0)))
    monkeypatch.setattr(relating, "TASKS", tasks)
    monkeypatch.setattr(relating, "BACKBONES", ("mmvae",))
    monkeypatch.setattr(relating, "CURVE", dict.fromkeys(tasks, ()) | {"digits": (0.1,)})
    monkeypatch.setattr(relating_tasks, "_STREETS", 100)
    monkeypatch.setattr(relating, "FEW_SAMPLES", 2)
    monkeypatch.setattr(relating, "_SHOWN", 2)
    monkeypatch.setattr(relating_tasks, "SAMPLES", 2)
    monkeypatch.setattr(coherence, "_STEPS", 2)
    options = RelatingArguments(
        out=tmp_path, seeds=1, worlds_seeds=1, found_seeds=1, ablation_seeds=1, goals_seeds=1,
        episodes=2, steps=3, workers=1,
    )  # fmt: skip
    relating.reproduce(options, "a test")
    results = read_results(tmp_path)
    assert len(results["measured"]) == 6 + 6 + 8
    assert {row["ablation"] for row in results["ablations"]} == set(relating.ABLATIONS["mmvae"])
    assert {row["share"] for row in results["differences"]} == {0.1, 0.2, 1.0}
    assert {row["task"] for row in results["rows"]} == {
        "linear-Gaussian", "worlds", "clauses", "digits", "grid goto"
    }  # fmt: skip
    every = ("all poses", *related_goals.DRAWN)
    assert [(row["fit"], row["candidates"], row["phrasing"]) for row in results["success"]] == [
        ("few", "all poses", "seen"), ("all", "all poses", "seen"),
        *((name, "all poses", "seen") for name in related_goals.PROPAGATIONS),
        *(("all", drawn, "seen") for drawn in related_goals.DRAWN),
        *((fit, drawn, "held_out") for fit in related_goals.HELD_OUT for drawn in every),
        ("language-image model", "all poses", "seen"),
        ("language-image model", "all poses", "held_out"),
    ]  # fmt: skip
    found = [row for row in results["episodes"] if row["fit"].startswith("found")]
    assert all(0 <= row["precision"] <= 1 and 0 <= row["recall"] <= 1 for row in found)
    assert all({"ours", "wanted", "holds"} <= set(row) for row in results["rows"])
    for name in ("shares", "pmi", "generated"):
        for task in tasks:
            assert (tmp_path / "figures" / f"{task}-{name}.png").stat().st_size > 5000
    monkeypatch.setattr(related_goals, "_measure", None)
    for name in ("_measured", "_propagate", "_ablated"):
        monkeypatch.setattr(relating, name, list)  # it would fail if it were measured again
    for cell in (tmp_path / "cells").iterdir():
        cell.unlink()
    relating.reproduce(options, "a test")


def test_a_scale_is_that_of_the_flags(tmp_path):
    assert relating._scale(RelatingArguments(out=tmp_path)) == Scale()
    given = RelatingArguments(out=tmp_path, steps=7, batch_size=9, samples=3, channels=4)
    assert relating._scale(given) == Scale(7, 9, 3, 4)
    assert Scale(7, 9, 3).training("digits").batch_size == 9
    assert Scale(7, 9, 3).training("worlds").batch_size == RelatingConfig().batch_size


def test_a_reproduction_of_digits_alone_at_another_scale(tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.setattr(relating, "TASKS", {"digits": lambda seed, scale: digits(seed, scale, 1)})
    monkeypatch.setattr(relating, "SHARES", {"digits": (0.2, 1.0)})
    monkeypatch.setattr(relating, "CURVE", {"digits": ()})
    monkeypatch.setattr(relating, "BACKBONES", ("jmvae",))
    monkeypatch.setattr(relating_tasks, "_STREETS", 100)
    monkeypatch.setattr(relating_tasks, "SAMPLES", 2)
    monkeypatch.setattr(coherence, "_STEPS", 2)
    options = RelatingArguments(
        out=tmp_path, seeds=1, worlds_seeds=0, found_seeds=0, goals_seeds=0, steps=2,
        batch_size=16, samples=4, channels=2, workers=1,
    )  # fmt: skip
    relating.reproduce(options, "a test")
    results = read_results(tmp_path)
    assert len(results["measured"]) == 4
    assert {row["ablation"] for row in results["ablations"]} == set(relating.ABLATIONS["jmvae"])
    assert {row["task"] for row in results["rows"]} == {"linear-Gaussian", "digits"}
    assert results["config"]["training"]["digits"]["batch_size"] == 16
    assert results["config"]["channels"] == 2
    with pytest.raises(ConfigError, match="device 'abacus' is not available"):
        relating.reproduce(options.model_copy(update={"device": "abacus"}), "a test")


def test_recovered_share_is_of_the_distance_from_few_to_all():
    success = {
        ("few", "all poses", "seen"): 0.5, ("all", "all poses", "seen"): 0.9,
        **{(name, "all poses", "seen"): 0.8 for name in related_goals.PROPAGATIONS},
        ("all", "8 generated", "seen"): 0.7, ("all", "8 uniform", "seen"): 0.3,
        ("all, near words", "8 generated", "held_out"): 0.6,
        ("all, near words", "8 uniform", "held_out"): 0.1,
    }  # fmt: skip
    names = related_goals.COLUMNS[:3]
    rows = [
        dict(zip(names, labels, strict=True)) | {"seed": 0, "success": value}
        for labels, value in success.items()
    ]
    checked = related_goals.claims(related_goals.over_seeds(rows))
    assert [row["ours"] for row in checked] == pytest.approx([0.75, 0.75, 0.4, 0.5])
    assert all(row["holds"] for row in checked)


def test_balanced_pairs_give_every_goal_and_text_a_partner():
    scores = torch.tensor([[9.0, 5.0, 5.0], [8.0, 7.0, 5.0], [8.0, 5.0, 7.0]])  # all like text 0
    goal, text = related_goals._balanced(scores)
    assert set(zip(goal.tolist(), text.tolist(), strict=True)) == {(0, 0), (1, 1), (2, 2)}
    goal, text = related_goals._surest(scores)
    assert set(text.tolist()) == {0}


def test_texts_mean_the_kinds_that_they_name():
    kinds = np.array([KINDS.index(kind) for kind in (("ball", "red"), ("key", "blue"))])
    texts = ["go to the red ball", "go to a key"]
    meant = related_goals._is_meant(texts, np.array([0, 0, 1, 1]), np.tile(kinds, 2))
    assert meant.tolist() == [True, False, False, True]
