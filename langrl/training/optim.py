"""One optimiser step: AdamW with a learning-rate schedule; refuses NaN and inf.

A batch, loss or gradient that is not finite raises before any weight changes, and the optimiser's
state goes to and from tensors, so that training resumes bit for bit.
"""

import hashlib
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from langrl.errors import CheckpointError, NonFiniteError

Batch = dict[str, Tensor]
Loss = Callable[[Any], tuple[Tensor, Batch]]  # of a batch; with metrics, scalars by name
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # what AdamW keeps of each parameter
_GENERATOR_BYTES = {5056, 16}  # a CPU's and a GPU's state of a random generator
Schedule = Callable[[int], float]  # the share of the learning rate that a step takes


def constant_schedule(_: int) -> float:
    """Return 1: the learning rate stays as it is."""
    return 1.0


def cosine_schedule(steps: int, warmup: int = 0) -> Schedule:
    """Return a schedule that falls to 0 at ``steps``, after rising from 0 over ``warmup`` steps."""

    def share(step: int) -> float:
        rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
        return rise * (0.5 * (1 + math.cos(math.pi * step / steps)))

    return share


class Optimiser:
    """AdamW on named parameters.

    Args:
        parameters: by name; those that need no gradient are left out.
        learning_rate: Adam's highest.
        schedule: the share of it that each step takes.
        generator: the learner's source of randomness, stored with the state, if it has one.
        clip: largest norm of all gradients together; longer ones are shortened.
        weight_decay: AdamW's, of parameters with more than one axis.
        betas: Adam's.
        learning_rates: those of some parameters by name, which differ from the others'.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        learning_rate: float,
        schedule: Schedule,
        generator: torch.Generator | None = None,
        *,
        clip: float | None = None,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.999),
        learning_rates: Mapping[str, float] | None = None,
    ) -> None:
        self.parameters = {name: p for name, p in parameters.items() if p.requires_grad}
        self.learning_rate, self.schedule, self.generator = learning_rate, schedule, generator
        self.clip = clip
        self.step = 0
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}  # by learning rate and decay
        for matrices in (True, False):
            for name, value in self.parameters.items():
                if (value.ndim > 1) == matrices:
                    rate = (learning_rates or {}).get(name, learning_rate)
                    groups.setdefault((rate, weight_decay if matrices else 0.0), []).append(value)
        self.optimizer = torch.optim.AdamW(
            [
                {"params": part, "lr": rate, "highest": rate, "weight_decay": decay}
                for (rate, decay), part in groups.items()
            ],
            betas=betas,
            fused=True,
        )

    def update(self, batch: Mapping[str, Tensor], loss: Loss) -> Batch:
        """Take one step on the loss of a batch and return its metrics.

        Raises:
            NonFiniteError: before any weight changes, if the batch, the loss or a gradient is not
                finite.
        """
        batch = self._in_dtype(batch)
        for name, value in batch.items():
            if value.is_floating_point() and not _is_finite(value):
                raise NonFiniteError(f"{name!r} in the training batch is not finite; fix the data")
        try:
            value, metrics = loss(batch)
        except NonFiniteError as error:
            raise NonFiniteError(
                f"the loss is nan or inf: {error}; or lower the learning rate"
            ) from error
        for parameter in self.parameters.values():
            parameter.grad = None
        value.backward()
        # One norm of all gradients instead of a look at each: any NaN or inf shows in it.
        gradients = [p.grad for p in self.parameters.values() if p.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        if not math.isfinite((value + norm).item()):
            raise NonFiniteError(
                f"the loss is {value.item():g} and the gradient norm {norm.item():g};"
                " lower the learning rate"
            )
        if self.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(self.parameters.values(), self.clip, norm)
        for group in self.optimizer.param_groups:
            group["lr"] = group["highest"] * self.schedule(self.step)
        self._move_parameters()
        self.step += 1
        return {"loss": value.detach(), "gradient_norm": norm} | metrics

    @torch.no_grad()
    def _move_parameters(self) -> None:
        """Take AdamW's step.

        The same function as ``AdamW.step`` calls, which looks its state up for as long as the
        numbers of a small network take.
        """
        groups = [
            (group, [value for value in group["params"] if value.grad is not None])
            for group in self.optimizer.param_groups
        ]
        states = [[self.optimizer.state[value] for value in used] for _, used in groups]
        if not all(map(all, states)):  # the first step makes the moments
            self.optimizer.step()
            return
        for (group, used), moments in zip(groups, states, strict=True):
            first, second, steps = (
                [moment[name] for moment in moments] for name in ("exp_avg", "exp_avg_sq", "step")
            )
            adamw(
                used, [value.grad for value in used], first, second, [], steps,
                fused=True, amsgrad=False, maximize=False, lr=group["lr"], eps=group["eps"],
                beta1=group["betas"][0], beta2=group["betas"][1],
                weight_decay=group["weight_decay"],
            )  # fmt: skip

    def _in_dtype(self, batch: Mapping[str, Tensor]) -> Batch:
        """Return a batch, floats in the dtype of the parameters."""
        dtype = next(iter(self.parameters.values())).dtype
        return {
            name: value.to(dtype) if value.is_floating_point() else value
            for name, value in batch.items()
        }

    def state(self) -> Batch:
        """Return Adam's moments, the step and the generator, as tensors."""
        moments = {
            f"{name}/{key}": value
            for name, parameter in self.parameters.items()
            for key, value in self.optimizer.state.get(parameter, {}).items()
        }
        moments["step"] = torch.tensor(self.step)
        if self.generator is not None:
            moments["generator"] = self.generator.get_state()
        return moments

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what ``state()`` returned.

        The state of a GPU's generator means nothing to a CPU's, nor the other way round: there,
        random numbers begin anew, seeded by what was stored.

        Raises:
            CheckpointError: if it is not of these parameters: names, shapes, dtypes, and numbers
                that Adam cannot have made. The fused step writes into moments without a look at
                their sizes, so nothing is restored before all of it is checked.
        """
        moments = dict(state)
        step = _whole(moments.pop("step", None), "step")
        generator = moments.pop("generator", None)
        elsewhere = self.generator is not None and _is_of_another_device(generator, self.generator)
        if self.generator is not None and not elsewhere:
            _check_like(generator, self.generator.get_state(), "generator")
        self._check_moments(moments, step)
        if self.generator is not None and generator is not None:
            try:
                if elsewhere:
                    _seed_by(self.generator, generator)
                else:
                    self.generator.set_state(generator.cpu())
            except RuntimeError as error:
                raise _unfit("generator", "is no state of a random generator") from error
        self.step = step
        for key, value in moments.items():
            name, moment = key.rsplit("/", 1)
            parameter = self.parameters[name]
            moved = value.clone().to(parameter.device)
            if moved.shape == parameter.shape:
                # Laid out as the parameter is: the fused step goes through both in memory order.
                moved = torch.empty_like(parameter).copy_(moved)
            self.optimizer.state[parameter][moment] = moved

    def _check_moments(self, moments: Mapping[str, Tensor], step: int) -> None:
        """Raise CheckpointError unless moments can be those of the parameters after some steps."""
        names = {key.rpartition("/")[0] for key in moments}  # some parameters have none yet
        for key in moments:
            if key.rpartition("/")[0] not in self.parameters:
                raise _unfit(key, "is of a parameter that is not trained here")
        wanted = {f"{name}/{moment}" for name in names for moment in _MOMENTS}
        for key in sorted(wanted ^ moments.keys()):
            raise _unfit(key, "is missing" if key in wanted else "is no moment of Adam's")
        for key, value in moments.items():
            name, _, moment = key.rpartition("/")
            if moment == "step":
                if not 0 <= _whole(value, key, torch.float32) <= step:
                    raise _unfit(key, f"is {value.item():g} after {step} steps of training")
                continue
            _check_like(value, self.parameters[name], key)
            if not _is_finite(value) or (moment == "exp_avg_sq" and bool((value < 0).any())):
                raise _unfit(key, "holds NaN, infinite or negative numbers where none can be")


def _is_of_another_device(state: Tensor | None, generator: torch.Generator) -> bool:
    """Return whether a generator's state was stored on another kind of device than it is on."""
    if state is None or state.dtype != torch.uint8 or state.ndim != 1:
        return False
    return {state.numel(), generator.get_state().numel()} == _GENERATOR_BYTES


def _seed_by(generator: torch.Generator, state: Tensor) -> None:
    """Seed a generator by the digest of another device's state."""
    digest = hashlib.sha256(state.cpu().numpy().tobytes()).digest()
    generator.manual_seed(int.from_bytes(digest[:7], "big"))


def _check_like(value: Tensor | None, wanted: Tensor, key: str) -> None:
    """Raise CheckpointError unless a stored tensor has the shape and the dtype that is needed."""
    if value is None:
        raise _unfit(key, "is missing")
    if value.shape != wanted.shape or value.dtype != wanted.dtype:
        found, needed = (f"{each.dtype} {list(each.shape)}" for each in (value, wanted))
        raise _unfit(key, f"is {found}, and {needed} here")


def _whole(value: Tensor | None, key: str, dtype: torch.dtype = torch.int64) -> int:
    """Return a stored count of steps; raises CheckpointError if it is none."""
    _check_like(value, torch.empty((), dtype=dtype), key)
    assert value is not None
    number = value.item()
    if not math.isfinite(number) or number != int(number) or number < 0:
        raise _unfit(key, f"is {number}, which is no number of steps")
    return int(number)


def _unfit(key: str, detail: str) -> CheckpointError:
    return CheckpointError(
        f"optimizer.safetensors: {key!r} {detail}; copy the checkpoint again, or use an earlier one"
    )


def _is_finite(values: Tensor) -> bool:
    """Return whether all numbers are finite."""
    # A sum is quicker by far. It may overflow for large numbers: only then is each looked at.
    return math.isfinite(values.sum().item()) or bool(values.isfinite().all())
