import pytest
import torch

from langrl.benchmark import critic as benchmark
from langrl.benchmark.speed import SPEED


@pytest.fixture
def little(monkeypatch):
    monkeypatch.setattr(benchmark, "BATCHES", (8, 16))
    monkeypatch.setattr(benchmark, "THREADS", (1, 2, 1000))
    monkeypatch.setattr(benchmark, "cores", lambda: 2)
    monkeypatch.setattr(benchmark, "_TURNS", 2)


def test_updates_are_timed_against_their_products(little):
    threads = torch.get_num_threads()
    rows = SPEED["critic"](1)
    assert torch.get_num_threads() == threads
    assert [row["variant"] for row in rows] == [
        "batch 8, 1 thread", "batch 16, 1 thread", "batch 8, 2 threads", "batch 16, 2 threads"
    ]  # fmt: skip
    for row in rows:
        assert row["benchmark"] == "critic"
        assert row["products_milliseconds"] > 0
        assert row["ratio"] == row["milliseconds"] / row["products_milliseconds"]


def test_products_are_those_of_all_layers_and_scores():
    generator = torch.Generator().manual_seed(0)
    batch = {name: torch.zeros(5, n) for name, n in (("state", 29), ("action", 8), ("goal", 2))}
    learner = benchmark._learner(generator)
    products = benchmark._products(learner, batch, generator)
    shapes = sorted((left.shape[0], left.shape[1], right.shape[1]) for left, right in products)
    forward = [(5, 29, 256), (5, 8, 256), (5, 256, 256), (5, 256, 64)]  # actions join at the end
    goal = [(5, 2, 256), (5, 256, 256), (5, 256, 64)]
    by_weight = [(c, a, b) for a, b, c in forward + goal]
    # no gradient goes further back than what the first layers are given
    by_input = [(a, c, b) for a, b, c in forward + goal if b == 256]
    scores = [(5, 64, 5), (5, 5, 64), (5, 5, 64)]
    assert shapes == sorted(forward + goal + by_weight + by_input + scores)


def test_an_update_trains_the_critic():
    generator = torch.Generator().manual_seed(0)
    batch = {name: torch.randn(16, n) for name, n in (("state", 29), ("action", 8), ("goal", 2))}
    learner = benchmark._learner(generator)
    losses = [learner.update(batch)["loss"].item() for _ in range(20)]
    assert losses[-1] < losses[0]
