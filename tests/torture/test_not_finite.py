"""NaN and infinity are caught within one update or action, before anything of it is kept."""

import math

import numpy as np
import pytest
import torch
from mutations import finite, pick
from reading_texts import grid_agents, maze_agents
from tally import counted, tally

from langrl.envs.goals import BoxGoals
from langrl.errors import DomainError, NonFiniteError, ShapeError, TrajectoryError
from langrl.tasks.run import build_run
from langrl.training.loop import BAD_BATCH

VALUES = {"NaN": math.nan, "inf": math.inf, "-inf": -math.inf}


def in_batch(learner, value, generator):
    """Put a value into one number of one tensor of the next batch."""
    draw = learner.batch

    def batch():
        drawn = dict(draw())
        floats = sorted(name for name, part in drawn.items() if part.is_floating_point())
        name = pick(floats, generator)
        part = drawn[name].clone()
        part.reshape(-1)[int(generator.integers(part.numel()))] = value
        return drawn | {name: part}

    learner.batch = batch


def in_loss(learner, value, generator):
    compute = learner.loss

    def loss(batch):
        found, metrics = compute(batch)
        return found * 0 + value, metrics

    learner.loss = loss


def in_gradient(learner, value, generator):
    parameters = learner.optimiser.parameters
    name = pick(sorted(parameters), generator)
    for parameter in parameters.values() if parameters[name].grad is None else [parameters[name]]:
        parameter.register_hook(lambda gradient: torch.full_like(gradient, value))


def in_weights(learner, value, generator):
    with torch.no_grad():
        for parameter in learner.optimiser.parameters.values():
            parameter.fill_(value)


PLACES = {"batch": in_batch, "loss": in_loss, "gradient": in_gradient, "weights": in_weights}


def copy_of(weights):
    return {name: value.detach().clone() for name, value in weights.items()}


def train_with(config, folder, place, value, seed):
    """Train to the middle, put a value somewhere, and go on; the update must be refused."""
    folder.mkdir(parents=True)
    run = build_run(config, folder)
    learner, middle = run.learner, config.last_step // 2
    update = learner.update

    def broken(batch):
        if learner.step >= middle:
            raise AssertionError("it trained on")
        return update(batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learner, "update", broken)
        with pytest.raises(AssertionError, match="it trained on"):
            run.train(folder, "to the middle")
    PLACES[place](learner, value, np.random.default_rng(seed))
    before, step = copy_of(learner.weights), learner.step
    with pytest.raises(NonFiniteError) as caught:
        run.train(folder, "on")
    said = str(caught.value)
    assert f"training stopped at step {step + 1}: " in said or "an action is not finite" in said
    assert len(said) < 500
    assert learner.step == step
    for name, weight in learner.weights.items():
        assert torch.equal(weight.nan_to_num(7), before[name].nan_to_num(7)), name
    assert (folder / BAD_BATCH).is_file() == ("training stopped" in said)
    for path in (folder / "checkpoints").rglob("*.safetensors"):
        assert finite(path), path


@pytest.mark.parametrize("kind", ["maze", "grid", "goals"])
@counted(1, 8)
def test_an_update_that_is_not_finite_changes_no_weight(many, kind, quick_config, tmp_path):
    with tally(f"9 updates of {kind} that are not finite") as check:
        for place in PLACES:
            for name, value in VALUES.items():
                if place == "batch" and kind == "grid":
                    continue  # its batches are whole numbers
                for seed in range(many if place in ("batch", "gradient") else 1):
                    folder = tmp_path / f"{place}-{name}-{seed}"
                    with check.case(folder.name):
                        train_with(quick_config(kind), folder, place, value, seed)


def test_no_agent_acts_on_what_is_not_finite(world, make_critics, tiny_language):
    with tally("9 observations of agents that are not finite") as check:
        for value in VALUES.values():
            for name, agent in maze_agents(world, make_critics).items():
                for rows in ((value, 1.0), ((1.0, 1.0), (1.0, value))):
                    seen = {"observation": np.array(rows), "instruction": "go to row 3"}
                    with check.case(name), pytest.raises(NonFiniteError, match="observation"):
                        agent.act(
                            seen | {"instruction": ["go to row 3"] * len(seen["observation"])}
                            if np.ndim(rows) == 2
                            else seen
                        )
            for name, agent in grid_agents(tiny_language).items():
                seen = {"observation": np.full((8, 8, 3), value), "instruction": "a key"}
                with check.case(name), pytest.raises(NonFiniteError, match="observation"):
                    agent.act(seen)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_goals_that_are_not_finite_are_refused(value):
    with pytest.raises((DomainError, ShapeError, NonFiniteError, TrajectoryError)):
        BoxGoals([value], [1.0], 0.1)
