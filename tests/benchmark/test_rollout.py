import math
from dataclasses import replace

import numpy as np
import pytest
from small_benchmark import GRID, STREET

from langrl.benchmark.beliefs import Fit
from langrl.benchmark.entrants import ENTRANTS, Setting
from langrl.benchmark.families import World
from langrl.benchmark.rollout import ceilings, roll_out
from langrl.benchmark.tasks import draw_tasks
from langrl.errors import ConfigError, ShapeError
from langrl.grounding.chooser import Posterior


@pytest.fixture(scope="module")
def hidden():
    return {world: draw_tasks(world, 4, 3) for world in (STREET, GRID)}


def agent(name, world, **setting):
    return ENTRANTS[name].make(Setting(World(world), **setting))


class AsksOnce:
    """Asks the first question, and then does what the oracle does."""

    def __init__(self, world):
        self.oracle = agent("oracle", world)
        self.reset = self.oracle.reset
        self.seen = []

    def ask(self, observations, instructions):
        self.seen.append(observations["answers"][:, 0].tolist())
        return (observations["answers"][:, 0] < 0).astype(int)

    def act(self, observations, instructions):
        return self.oracle.act(observations, instructions)


@pytest.mark.parametrize("world", [STREET, GRID])
def test_what_is_denoted_is_reached_and_what_is_meant_as_often_as_it_is_the_nearest(world, hidden):
    tasks = hidden[world]
    found = roll_out(tasks, agent("oracle", world), 0)
    outcomes = found.outcomes
    assert outcomes.success.all()
    assert outcomes.intended[outcomes.twin].all()
    assert outcomes.task.tolist() == [task.name for task in tasks]
    assert [len(path) - 1 for path in found.paths] == outcomes.steps.tolist()
    reached = [np.floor(path[-1][:2]) for path in found.paths] if world == STREET else []
    for place, task, meant in zip(reached, tasks, outcomes.intended, strict=False):
        assert tuple(place.astype(int)) in task.denoted
        assert (tuple(place.astype(int)) == task.intended) == meant
    any_mode = [replace(task, mode="any") for task in tasks]
    assert roll_out(any_mode, agent("oracle", world), 0).outcomes.intended.all()


@pytest.mark.parametrize("world", [STREET, GRID])
def test_a_question_costs_its_price_and_is_counted(world, hidden):
    asking = AsksOnce(world)
    outcomes = roll_out(hidden[world], asking, 0, price=0.2).outcomes
    np.testing.assert_array_equal(outcomes.questions, 1)
    np.testing.assert_allclose(outcomes.utility, outcomes.intended - 0.2)
    np.testing.assert_array_equal(outcomes.price, 0.2)
    assert set(asking.seen[0]) == {-1}
    assert -1 not in asking.seen[1]


def test_the_ceiling_is_the_value_of_the_best_plan():
    task = draw_tasks(GRID, 1, 3)[0]
    room = np.zeros((8, 8, 2), np.uint8)
    room[..., 0] = 1
    room[2, 1], room[2, 6] = (6, 0), (6, 0)  # balls that only their sides tell apart
    two = replace(
        task, room=tuple(tuple(map(tuple, row)) for row in room.tolist()),
        denoted=((2, 1), (2, 6)), intended=(2, 6),
    )  # fmt: skip
    for price, value, needed in ((None, 0.5, False), (0.2, 0.8, True), (0.6, 0.5, False)):
        found = ceilings([two], price)
        np.testing.assert_allclose(found[0], [value])
        assert found[1].tolist() == [needed]
    assert ceilings([replace(two, mode="any")], None)[0].tolist() == [1]


def test_beliefs_are_measured_against_what_is_denoted_and_meant(hidden):
    tasks = hidden[STREET]
    fit = Fit(threshold=math.inf)
    exact = agent("posterior-never", STREET)
    outcomes = roll_out(tasks, exact, 0, fit=fit).outcomes
    np.testing.assert_allclose(outcomes.nll, np.log(2) * outcomes.bits, atol=1e-6)
    np.testing.assert_allclose(outcomes.confidence, 2.0**-outcomes.bits, rtol=1e-6)
    np.testing.assert_array_equal(outcomes.covered, 1)
    np.testing.assert_allclose(outcomes.set_size, 2**outcomes.bits)
    np.testing.assert_array_equal(outcomes.ssc, 1)
    denoted = roll_out([replace(t, mode="any") for t in tasks], exact, 0).outcomes
    np.testing.assert_allclose(denoted.nll, 0, atol=1e-6)
    np.testing.assert_array_equal(denoted.right, 1)
    assert np.isnan(denoted.set_size).all()


class Believer:
    """Stands still, and believes in one cell: that of a task."""

    def __init__(self, cell):
        self.cell = cell

    def reset(self, generator=None, mask=None):
        pass

    def act(self, observations, instructions):
        return np.zeros((len(observations["observation"]), 2), np.float32)

    def posterior(self, observation, instruction):
        goals = np.array([self.cell, (0, 0)], np.float32) + 0.5
        return Posterior(goals, np.array([1, 0], np.float32))


def test_an_agents_own_posterior_is_measured(hidden):
    tasks = hidden[STREET]
    outcomes = roll_out(tasks, Believer(tasks[0].intended), 0).outcomes
    assert outcomes.right[0] == 1
    assert outcomes.nll[0] == pytest.approx(0, abs=1e-6)
    assert not outcomes.success.any()
    with pytest.raises(ConfigError, match="posterior of Wrong gave a dict; return a langrl"):
        roll_out(tasks, type("Wrong", (Believer,), {"posterior": lambda *_: {}})(None), 0)


def test_wrong_actions_and_questions_are_named(hidden):
    class Wrong(AsksOnce):
        def ask(self, observations, instructions):
            return np.zeros(len(observations["answers"]))

    with pytest.raises(ShapeError, match=r"ask of Wrong gave float64 \[8\]"):
        roll_out(hidden[STREET], Wrong(STREET), 0, price=0.2)

    class Flat(Believer):
        def act(self, observations, instructions):
            return np.zeros(len(observations["observation"]))

    with pytest.raises(ShapeError, match=r"act of Flat gave float64 \[8\] for 8 observations"):
        roll_out(hidden[STREET], Flat((0, 0)), 0)
    with pytest.raises(ConfigError, match="OracleAgent has no method ask; evaluate it without"):
        roll_out(hidden[STREET], agent("oracle", STREET), 0, price=0.2)
