import math
from functools import partial

import numpy as np
import pytest
import torch

from langrl.agents.asking import AskingAgent
from langrl.agents.pursuing import PlannedFollower
from langrl.benchmark.beliefs import intents_of
from langrl.benchmark.calibration import (
    COVERAGES,
    calibrate,
    calibration_tasks,
    first_observations,
    measure_asking,
    measure_sets,
)
from langrl.benchmark.suites import SUITES
from langrl.benchmark.tasks import WORLDS, make_tasks_env
from langrl.errors import DomainError
from langrl.grounding.asking import Asking
from langrl.grounding.beliefs import ExactBeliefs
from langrl.tasks.grid.baselines import GridPlanner
from langrl.tasks.maze.baselines import OracleAgent

EACH_WORLD = pytest.mark.parametrize("world", ["street-fork", "grid-goto"])
PRICES = (0.05, 0.2, 0.8)


class BlurredBeliefs(ExactBeliefs):
    """The exact posterior, with noise, and too sure of itself."""

    is_exact = False

    def log_posterior(self, observations, texts):
        exact = super().log_posterior(observations, texts).exp()
        noise = torch.from_numpy(np.random.default_rng(0).normal(0, 0.5, exact.shape))
        possible = torch.from_numpy(self.intents.possible(observations))
        blurred = (exact * noise.exp() + 1e-3).where(possible, 0.0)
        return (3 * blurred.log()).log_softmax(-1)


def planner_of(world, rule, price):
    intents = intents_of(world)
    make = GridPlanner if "grid" in world else partial(OracleAgent, WORLDS[world].maze)
    follower = PlannedFollower(make, intents.shape)
    return AskingAgent(follower, ExactBeliefs(intents), Asking(rule, price))


@EACH_WORLD
def test_tasks_of_each_purpose_are_apart_from_each_other_and_from_the_suite(world):
    found = [
        {(task.instruction, task.start, task.room) for task in calibration_tasks(world, 40, 0, use)}
        for use in ("temperature", "threshold", "test")
    ]
    suite = SUITES["langrl/AmbiguousInstructions-v1"].tasks(world, "hidden")
    found.append({(task.instruction, task.start, task.room) for task in suite})
    assert all(len(tasks) >= 39 for tasks in found)
    assert sum(map(len, found)) == len(set.union(*found))


@EACH_WORLD
def test_first_observations_are_those_of_the_environment(world):
    tasks = calibration_tasks(world, 20, 0)
    observed, _ = make_tasks_env(tasks).reset()
    np.testing.assert_array_equal(first_observations(tasks), observed["observation"])


@EACH_WORLD
def test_sets_have_the_stated_coverage_and_the_size_of_exact_ones(world):
    beliefs = ExactBeliefs(intents_of(world))
    fitted = calibrate(world, beliefs, 300)
    assert fitted.temperature == fitted.set_temperature == 1
    for row in measure_sets(world, beliefs, fitted, 300):
        assert row["covered"] == pytest.approx(row["coverage"], abs=0.06)
        assert row["ratio"] == pytest.approx(1)


def test_a_posterior_that_is_too_sure_is_calmed_and_covered():
    beliefs = BlurredBeliefs(intents_of("street-fork"))
    fitted = calibrate("street-fork", beliefs, 300)
    assert fitted.temperature > 1
    assert fitted.set_temperature <= fitted.temperature
    assert tuple(fitted.thresholds) == COVERAGES
    for row in measure_sets("street-fork", beliefs, fitted, 300):
        assert row["covered"] == pytest.approx(row["coverage"], abs=0.06)


def test_calibration_is_repeated_bit_by_bit():
    beliefs = ExactBeliefs(intents_of("street-fork"))
    assert calibrate("street-fork", beliefs, 50) == calibrate("street-fork", beliefs, 50)
    assert calibrate("street-fork", beliefs, 50) != calibrate("street-fork", beliefs, 50, seed=1)


def test_too_few_tasks_are_refused():
    with pytest.raises(DomainError, match="at least 2 tasks"):
        calibration_tasks("street-fork", 1, 0)
    few = calibrate("street-fork", ExactBeliefs(intents_of("street-fork")), 5)
    assert few.thresholds[0.95] == math.inf


@EACH_WORLD
def test_with_the_exact_posterior_asking_is_done_where_it_pays(world):
    tasks = calibration_tasks(world, 60, 0, "test")
    rows = measure_asking(tasks, partial(planner_of, world), (0.05, 0.8))
    by_rule = {(row["price"], row["rule"]): row for row in rows}
    for price in (0.05, 0.8):
        pays = by_rule[price, "pays"]
        assert pays["ask_f1"] == 1
        assert pays["regret"] == pytest.approx(0, abs=0.15)  # what is meant was drawn
        rival = min(by_rule[price, rule]["utility"] for rule in ("never", "always"))
        assert pays["utility"] >= rival - 1e-9
    assert by_rule[0.05, "pays"]["utility"] > by_rule[0.05, "never"]["utility"]
    assert by_rule[0.8, "pays"]["utility"] > by_rule[0.8, "always"]["utility"]


@pytest.mark.slow
@EACH_WORLD
def test_what_is_claimed_of_the_exact_posterior(world, capsys):
    beliefs = ExactBeliefs(intents_of(world))
    sets = measure_sets(world, beliefs, calibrate(world, beliefs))
    tasks = calibration_tasks(world, 3000, 0, "test")
    rows = measure_asking(tasks, partial(planner_of, world), PRICES)
    with capsys.disabled():
        for row in (*sets, *rows):
            shown = {k: v if isinstance(v, str) else round(v, 3) for k, v in row.items()}
            print(world, shown)
    for row in sets:
        assert abs(row["covered"] - row["coverage"]) <= 0.02
        assert row["ratio"] <= 1.2
    utility = {(row["price"], row["rule"]): row["utility"] for row in rows}
    for row in rows:
        if row["rule"] == "pays":
            assert row["regret"] <= 0.03
            assert row["ask_f1"] >= 0.95
            others = (utility[row["price"], rule] for rule in ("never", "always"))
            assert row["utility"] >= min(others)
