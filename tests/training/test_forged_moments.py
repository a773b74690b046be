"""The state of an optimiser that comes from a file: nothing unfit reaches the fused step."""

import shutil

import pytest
import torch
from forged import forge_tensors
from small_goal_runs import tiny
from torch import nn

from langrl.checkpoint import find_checkpoint
from langrl.errors import CheckpointError
from langrl.tasks.run import resume_run, train_run
from langrl.training.optim import Optimiser, constant_schedule


def make(seed=0):
    weights = {"w": nn.Parameter(torch.ones(2, 3)), "b": nn.Parameter(torch.ones(3))}
    return Optimiser(weights, 0.1, constant_schedule, torch.Generator().manual_seed(seed))


def stepped(steps=2):
    optimiser = make()
    for _ in range(steps):
        optimiser.update({}, lambda _: (sum(p.sum() for p in optimiser.parameters.values()), {}))
    return optimiser


def put(key, value):
    return lambda state: state.update({key: value})


FORGERIES = {
    "a longer moment": ("w/exp_avg", put("w/exp_avg", torch.zeros(4096))),
    "a shorter moment": ("w/exp_avg_sq", put("w/exp_avg_sq", torch.zeros(1))),
    "the numbers in another shape": ("w/exp_avg", put("w/exp_avg", torch.zeros(3, 2))),
    "another dtype": ("b/exp_avg", put("b/exp_avg", torch.zeros(3, dtype=torch.float64))),
    "whole numbers": ("b/exp_avg", put("b/exp_avg", torch.zeros(3, dtype=torch.int32))),
    "NaN": ("b/exp_avg", put("b/exp_avg", torch.tensor([0.0, torch.nan, 0.0]))),
    "infinity": ("b/exp_avg_sq", put("b/exp_avg_sq", torch.tensor([0.0, torch.inf, 0.0]))),
    "a negative square": ("b/exp_avg_sq", put("b/exp_avg_sq", torch.tensor([0.0, -1.0, 0.0]))),
    "no first moment": ("w/exp_avg", lambda state: state.pop("w/exp_avg")),
    "no count": ("w/step", lambda state: state.pop("w/step")),
    "a count of another shape": ("w/step", put("w/step", torch.zeros(7))),
    "a count below 0": ("w/step", put("w/step", torch.tensor(-1.0))),
    "a count of NaN": ("w/step", put("w/step", torch.tensor(torch.nan))),
    "a count that is later than the run": ("w/step", put("w/step", torch.tensor(9.0))),
    "a moment of another optimiser": ("w/max_exp_avg", put("w/max_exp_avg", torch.zeros(2, 3))),
    "a parameter that there is not": ("x/exp_avg", put("x/exp_avg", torch.zeros(3))),
    "no step": ("step", lambda state: state.pop("step")),
    "steps": ("step", put("step", torch.zeros(5, dtype=torch.int64))),
    "a step below 0": ("step", put("step", torch.tensor(-3))),
    "no generator": ("generator", lambda state: state.pop("generator")),
    "a short generator": ("generator", put("generator", torch.zeros(3, dtype=torch.uint8))),
    "a generator of zeros": ("generator", lambda state: state["generator"].zero_()),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_unfit_state_is_refused_by_its_key_and_changes_nothing(name):
    key, forge = FORGERIES[name]
    state, fresh = {k: v.clone() for k, v in stepped().state().items()}, make(seed=5)
    forge(state)
    before = {k: v.clone() for k, v in fresh.state().items()}
    with pytest.raises(CheckpointError, match=r"optimizer\.safetensors: ") as caught:
        fresh.load_state(state)
    assert repr(key) in str(caught.value)
    after = fresh.state()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_a_state_of_another_kind_of_device_goes_on_with_random_numbers_of_its_own():
    state = {k: v.clone() for k, v in stepped().state().items()}
    draws = []
    for stored in (torch.arange(16), torch.arange(16), torch.arange(16).flip(0)):
        fresh = make()  # a CPU's state has 5,056 bytes, a GPU's 16
        fresh.load_state(state | {"generator": stored.to(torch.uint8)})
        assert torch.equal(fresh.state()["w/exp_avg"], state["w/exp_avg"])
        draws.append(torch.rand(4, generator=fresh.generator))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert not torch.equal(draws[0], torch.rand(4, generator=make().generator))


def test_a_parameter_that_has_no_moments_yet_needs_none():
    state = {k: v for k, v in stepped().state().items() if not k.startswith("b/")}
    fresh = make()
    fresh.load_state(state)
    assert fresh.step == 2
    assert fresh.state().keys() == state.keys()


def oversize(tensors):
    key = next(key for key in tensors if key.endswith("/exp_avg"))
    tensors[key] = torch.zeros(100_000)


def cut_off(run, copy):
    """Copy a run folder to before its last checkpoint; return the newest one that is left."""
    shutil.copytree(run, copy)
    shutil.rmtree(find_checkpoint(copy))
    return find_checkpoint(copy)


@pytest.mark.parametrize("name", ["maze", "grid", "partial"])
def test_a_forged_checkpoint_does_not_resume(name, small_run, tmp_path, fails):
    newest = cut_off(small_run(name), tmp_path / "run")
    forge_tensors(newest, "optimizer", oversize)
    error = fails("train", "--resume", tmp_path / "run")
    assert str(newest) in error
    assert "optimizer.safetensors" in error
    assert "exp_avg" in error
    assert "[100000]" in error


def test_a_forged_checkpoint_of_an_agent_that_acts_does_not_resume(tmp_path):
    train_run(tiny(), tmp_path / "run", "train")
    newest = find_checkpoint(tmp_path / "run")
    forge_tensors(newest, "optimizer", oversize)
    with pytest.raises(CheckpointError, match=r"optimizer\.safetensors: '.*exp_avg'"):
        resume_run(tmp_path / "run", "resume")


def test_steps_that_differ_between_the_files_are_refused(small_run, tmp_path, fails):
    newest = cut_off(small_run("maze"), tmp_path / "run")
    forge_tensors(newest, "optimizer", put("step", torch.tensor(29)))
    error = fails("train", "--resume", tmp_path / "run")
    assert "state.json is of step 20 and optimizer.safetensors of step 29" in error
