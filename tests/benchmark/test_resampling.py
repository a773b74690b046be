import numpy as np
import pytest
from drawn_outcomes import draw_outcomes

from langrl.benchmark.metrics import METRICS
from langrl.benchmark.resampling import (
    difference_intervals,
    measure_intervals,
    resampled_scores,
    score_matrix,
)
from langrl.errors import ResultsError
from langrl.evaluation.intervals import wilson

RESAMPLES = 300


def rng(seed=0):
    return np.random.default_rng(seed)


def measure_interval(outcomes, metric, *arguments, **options):
    return measure_intervals(outcomes, {"one": metric}, *arguments, **options)["one"]


def runs(skill=0.8, seeds=3, worlds=("a", "b"), **more):
    return {
        (world, seed): draw_outcomes(100 * number + seed, skill, **more)
        for number, world in enumerate(worlds)
        for seed in range(seeds)
    }


def test_metrics_are_over_the_tasks_that_they_are_about():
    outcomes = draw_outcomes(0, price=0.1)
    any_mode, hidden = outcomes.where(outcomes.mode == "any"), outcomes.mode == "hidden"
    values = {name: metric(outcomes).value for name, metric in METRICS.items()}
    assert values["success"] == any_mode.success.mean()
    assert values["intended"] == outcomes.intended[hidden].mean()
    assert values["regret"] == pytest.approx(values["ceiling"] - values["utility"])
    assert values["help_rate"] == 0.5  # of hidden tasks only, where questions had a price
    assert values["questions"] == 0.5
    assert values["ask_f1"] == values["correct_help_rate"] == values["ambdif"] == 1
    assert values["nll"] == pytest.approx((outcomes.bits[hidden] * np.log(2)).mean())


def test_the_twins_of_one_mode_and_price_are_compared():
    size = draw_outcomes(0, pairs=1).set_size
    assert size.tolist() == [2, 1, 2, 1]
    outcomes = draw_outcomes(0, pairs=1, set_size=np.array([2.0, 2.0, 3.0, 1.0]))
    assert METRICS["ambdif"](outcomes).value == 0.5


@pytest.mark.parametrize("seeds", [1, 3])
def test_every_metric_lies_within_its_interval(seeds):
    found = measure_intervals(runs(seeds=seeds, price=0.1), METRICS, rng(), resamples=RESAMPLES)
    assert set(found) == set(METRICS)
    for name, interval in found.items():
        assert interval.low <= interval.value <= interval.high, name
    assert found["success"].method == ("Wilson" if seeds == 1 else "bootstrap over seeds and tasks")
    assert found["utility"].method.endswith("tasks")


def test_one_seed_has_the_wilson_interval_of_its_tasks():
    outcomes = draw_outcomes(0)
    hits = int(outcomes.success[outcomes.mode == "any"].sum())
    found = measure_interval({("a", 0): outcomes}, METRICS["success"], rng())
    assert found[1:3] == pytest.approx([float(limit) for limit in wilson(hits, 24)])


@pytest.mark.parametrize("seeds", [1, 3])
def test_twenty_of_twenty_has_an_interval(seeds):
    whole = runs(skill=1.0, seeds=seeds, worlds=("a",), pairs=10, price=0.1)
    found = measure_intervals(whole, METRICS, rng(), resamples=RESAMPLES)
    expected = float(wilson(20, 20)[0])  # distinct tasks, whatever the seeds
    assert found["success"][:3] == pytest.approx((1, expected, 1))
    assert found["success"].method == found["ssc"].method == found["ask_f1"].method == "Wilson"
    jaccard = float(wilson(10, 10)[0])
    assert found["ask_f1"].low == pytest.approx(2 * jaccard / (1 + jaccard))


def test_a_task_at_several_prices_counts_once():
    whole = {("a", 0): draw_outcomes(0, 1.0, pairs=10, price=0.1)}
    hidden = whole["a", 0].where(whole["a", 0].mode == "hidden")
    again = {("a", 0): type(hidden).concat([hidden, hidden])}
    once = measure_interval({("a", 0): hidden}, METRICS["ssc"], rng())
    assert measure_interval(again, METRICS["ssc"], rng()) == once


def test_a_metric_that_no_task_has_is_none():
    assert measure_interval(runs(), METRICS["help_rate"], rng()) is None
    nowhere = measure_interval(
        runs(), METRICS["success"], rng(), where=lambda outcomes: outcomes.bits > 9
    )
    assert nowhere is None


def test_twins_count_where_only_ambiguous_tasks_are_asked_for():
    found = measure_interval(
        runs(), METRICS["ambdif"], rng(), where=lambda outcomes: outcomes.bits == 2
    )
    assert found.value == 1


def test_the_same_generator_gives_the_same_intervals():
    first, second = (
        measure_intervals(runs(), METRICS, rng(3), resamples=RESAMPLES) for _ in range(2)
    )
    assert first == second
    assert first != measure_intervals(runs(), METRICS, rng(4), resamples=RESAMPLES)


def test_intervals_cover_seeds_and_tasks():
    generator, covered = rng(1), 0
    for _ in range(200):
        by_seed = generator.normal(0, 0.1, 5)
        by_task = generator.normal(0, 0.3, 48)
        whole = {
            ("a", seed): draw_outcomes(0, seconds=3 + by_seed[seed] + by_task) for seed in range(5)
        }
        found = measure_interval(whole, METRICS["seconds"], generator, resamples=200)
        covered += found.low <= 3 <= found.high
    assert 0.87 < covered / 200 < 0.99


def test_a_seed_more_in_one_world_gives_it_no_more_weight():
    few = runs(seeds=2)
    more = few | {("a", 2): few["a", 0], ("a", 3): few["a", 1]}
    one, other = (measure_interval(each, METRICS["success"], rng()) for each in (few, more))
    assert one.value == pytest.approx(other.value)


def test_an_interval_of_the_calibration_error_takes_its_bias_away():
    generator = rng(2)
    said = generator.random(48)
    right = (generator.random(48) < said).astype(float)
    found = measure_interval(
        {("a", 0): draw_outcomes(0, confidence=said, right=right)}, METRICS["ece"], generator
    )
    assert found.value > 0.15  # by chance: the agent is calibrated
    assert found.low < found.value / 4
    assert found.high - found.value < found.value - found.low


def test_differences_are_paired():
    hard = rng(7).random(48)  # what is hard for one is hard for the other
    first, second = (
        {("a", 0): draw_outcomes(0, seconds=10 * hard + shift)} for shift in (0.0, 1.0)
    )
    found = difference_intervals(first, second, {"seconds": METRICS["seconds"]}, rng())["seconds"]
    assert found[:3] == pytest.approx((-1, -1, -1))
    alone = measure_interval(first, METRICS["seconds"], rng())
    assert alone.high - alone.low > 1


def test_the_difference_of_two_that_always_succeed_has_a_width():
    found = difference_intervals(runs(1.0), runs(1.0), METRICS, rng(), resamples=RESAMPLES)
    assert found["success"].method == "Newcombe"
    assert found["success"].low < 0 == found["success"].value < found["success"].high
    assert found["help_rate"] is None


def test_differences_need_the_same_worlds_and_tasks():
    metrics = {"success": METRICS["success"]}
    with pytest.raises(ResultsError, match="b has results of only one"):
        difference_intervals(runs(), runs(worlds=("a",)), metrics, rng())
    with pytest.raises(ResultsError, match="other tasks"):
        difference_intervals(runs(), runs(pairs=6), metrics, rng())


def test_seeds_of_other_tasks_are_refused():
    mixed = {("a", 0): draw_outcomes(0), ("a", 1): draw_outcomes(1, pairs=6)}
    with pytest.raises(ResultsError, match="a: seeds 0 and 1 have other tasks"):
        measure_intervals(mixed, METRICS, rng())
    with pytest.raises(ResultsError, match="no outcomes"):
        measure_intervals({}, METRICS, rng())


def test_scores_are_shares_of_the_exact_ceiling():
    whole = runs(seeds=2)
    names, scores = score_matrix(whole)
    assert names == [("a", "any"), ("a", "hidden"), ("b", "any"), ("b", "hidden")]
    outcomes = whole["b", 1]
    hidden = outcomes.mode == "hidden"
    assert scores[1, 3] == pytest.approx(
        outcomes.utility[hidden].sum() / outcomes.value[hidden].sum()
    )
    assert scores[1, 2] == pytest.approx(outcomes.success[~hidden].mean())


def test_scores_are_of_the_seeds_that_have_all_worlds():
    whole = runs(seeds=3)
    del whole["b", 0]
    assert score_matrix(whole)[1].shape == (2, 4)
    apart = {("a", 0): whole["a", 0], ("b", 1): whole["b", 1]}
    assert score_matrix(apart)[1].shape == (1, 4)


def test_resampled_scores_scatter_around_the_scores():
    whole = runs(seeds=2)
    (resampled,) = resampled_scores([whole], rng(), 2000)
    assert resampled.shape == (2000, 2, 4)
    assert resampled.mean((0, 1)) == pytest.approx(score_matrix(whole)[1].mean(0), abs=0.03)
    assert (resampled.std((0, 1)) > 0.02).all()
