"""Gradient optimiser that stops before harm: AdamW, a cosine, and a look at every number.

What the learners have in common. A batch, loss or gradient that is not finite raises before any
weight changes, and the state goes to and from tensors, so that training resumes bit for bit.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from langrl.checkpoint import fill
from langrl.errors import NonFiniteError

Loss = Callable[[], tuple[Tensor, dict[str, Tensor]]]


class Optimiser:
    """AdamW on named parameters, with a learning rate that falls to 0 by a cosine.

    Args:
        parameters: by name.
        learning_rate: Adam's, at first.
        steps: when it reaches 0.
        generator: the learner's source of randomness, stored with the state, if it has one.
        warmup: steps over which the learning rate rises from 0 at first.
        clip: largest norm of all gradients together; longer ones are shortened.
        weight_decay: AdamW's, of parameters with more than one axis.
        betas: Adam's.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        learning_rate: float,
        steps: int,
        generator: torch.Generator | None = None,
        *,
        warmup: int = 0,
        clip: float | None = None,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        self.parameters = dict(parameters)
        self.learning_rate, self.steps, self.generator = learning_rate, steps, generator
        self.warmup, self.clip = warmup, clip
        self.step = 0
        matrices = [value for value in self.parameters.values() if value.ndim > 1]
        others = [value for value in self.parameters.values() if value.ndim <= 1]
        groups = [
            {"params": part, "weight_decay": decay}
            for part, decay in ((matrices, weight_decay), (others, 0.0))
            if part
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=learning_rate, betas=betas, fused=True)

    def update(self, batch: Mapping[str, Tensor], loss: Loss) -> dict[str, Tensor]:
        """Take one step down a loss and return its metrics; see ``Learner.update``."""
        for name, value in batch.items():
            if value.is_floating_point() and not value.isfinite().all():
                raise NonFiniteError(f"{name!r} in the training batch is not finite; fix the data")
        share = min(1.0, (self.step + 1) / self.warmup) if self.warmup else 1.0
        share *= 0.5 * (1 + math.cos(math.pi * self.step / self.steps))
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * share
        try:
            value, metrics = loss()
        except NonFiniteError as error:
            raise NonFiniteError(
                f"the loss is nan or inf: {error}; or lower the learning rate"
            ) from error
        self.optimizer.zero_grad()
        value.backward()
        # One norm of all gradients instead of a look at each: any NaN or inf shows in it.
        gradients = [p.grad for p in self.parameters.values() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if not (value + norm).isfinite():
            raise NonFiniteError(
                f"the loss is {value.item():g} and the gradient norm {norm.item():g};"
                " lower the learning rate"
            )
        if self.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(self.parameters.values(), self.clip, norm)
        self.optimizer.step()
        self.step += 1
        return {"loss": value.detach(), "gradient_norm": norm} | metrics

    def state(self) -> dict[str, dict[str, Any]]:
        """Return weights, Adam's moments, the step and the generator, as tensors."""
        moments: dict[str, Tensor] = {}
        for name, parameter in self.parameters.items():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                moments[f"{name}/{key}"] = value
        moments["step"] = torch.tensor(self.step)
        if self.generator is not None:
            moments["generator"] = self.generator.get_state()
        return {"weights": dict(self.parameters), "optimizer": moments}

    def load_state(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Take up what ``state`` returned, in place."""
        fill(self.parameters, state["weights"])
        moments = dict(state["optimizer"])
        self.step = int(moments.pop("step"))
        if self.generator is not None:
            self.generator.set_state(moments.pop("generator").cpu())
        for key, value in moments.items():
            name, moment = key.rsplit("/", 1)
            parameter = self.parameters[name]
            moved = value.clone().to(parameter.device)
            if moved.shape == parameter.shape:
                # Laid out as the parameter is: the fused step goes through both in memory order.
                moved = torch.empty_like(parameter).copy_(moved)
            self.optimizer.state[parameter][moment] = moved
