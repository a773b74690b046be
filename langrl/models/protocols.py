"""What an agent needs of its two models: the critic f(s, a, g) and the language side h(g, l).

Axes: ``N`` episodes, ``M`` candidate goals, ``A`` actions compared, ``K`` texts, ``J`` alternatives
of a text, ``D`` embedding size. ``score`` broadcasts leading axes.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


@runtime_checkable
class Critic(Protocol):
    """f(s, a, g), an estimate of log p(g|s,a) / p(g) from two embeddings.

    What a critic remembers of an episode is its context: what stays the same in it, such as the
    room, or the history so far. Its first axis is the episodes; the rest is the critic's own.
    """

    observation_axes: int
    """How many axes a single observation has: 1 for vectors, 3 for images and rooms."""

    @property
    def goal(self) -> nn.Module:
        """The goal encoder. A language side that shares it has it as its own ``goal``."""
        ...

    def initial_context(self, observations: Tensor) -> Tensor:
        """Return the contexts [N, ...] of episodes that start with observations [N, ...]."""
        ...

    def update_memory(
        self, context: Tensor, observations: Tensor, actions: Tensor, acted: Tensor
    ) -> Tensor:
        """Return the contexts [N, ...] after one more step.

        Args:
            context: the contexts before it [N, ...].
            observations: what is seen after it [N, ...].
            actions: what was done in it [N, ...].
            acted: where something was done, bool [N]; other contexts stay what they are.
        """
        ...

    def scene_changed(self, before: Tensor, now: Tensor) -> Tensor:
        """Return bool [N]: which present observations [N, ...] are of another episode.

        They are compared with the episodes' first observations ``before`` [N, ...].
        """
        ...

    def embed_actions(self, context: Tensor, observations: Tensor, actions: Tensor) -> Tensor:
        """Embed observations [N, ...], each with its actions [N, A, ...]; returns [N, A, D]."""
        ...

    def embed_goals(self, context: Tensor, goals: Tensor) -> Tensor:
        """Embed candidate goals [N, M, ...]; returns [N, M, D]."""
        ...

    def score(self, state_actions: Tensor, goals: Tensor) -> Tensor:
        """Compare embeddings [..., A, D] and [..., M, D]; returns f [..., A, M] in nats."""
        ...


@runtime_checkable
class Language(Protocol):
    """h(g, l), an estimate of log p(g|l) / p(g): the models of langrl, or one of your own."""

    def embed_goals(self, observations: Tensor, goals: Tensor) -> Tensor:
        """Embed goals [N, M, ...] of episodes with first observations [N, ...]; [N, M, D]."""
        ...

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Embed texts [K, J, D]; raises InstructionError if one cannot be an instruction."""
        ...

    def score(self, goals: Tensor, texts: Tensor) -> Tensor:
        """Compare embeddings [..., M, D] and [..., K, J, D]; returns h [..., M, K] in nats."""
        ...


@runtime_checkable
class StateEncoder(Protocol):
    """A critic whose encoders give features to a policy of goals."""

    def features(self, observations: Tensor, goals: Tensor) -> Tensor:
        """Return features [N, any] of observations [N, ...] with a goal each [N, ...]."""
        ...


def shares_goal_encoder(critic: Critic, language: Language) -> bool:
    """Return whether both models embed goals with one encoder, the ``goal`` of both."""
    return getattr(language, "goal", None) is critic.goal


def as_input(array: NDArray[Any], model: object, default: torch.device | str = "cpu") -> Tensor:
    """Return an array as a model takes it; see ``as_inputs``."""
    return as_inputs((array,), model, default)[0]


def as_inputs(
    arrays: Sequence[NDArray[Any]], model: object, default: torch.device | str = "cpu"
) -> list[Tensor]:
    """Return arrays as a model takes them: where it is, floats in the dtype of its weights.

    Args:
        arrays: any numbers.
        model: see ``device_of``.
        default: the device for a model that does not say where it is.
    """
    tensors = [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]
    weight = _weight(model)  # looked up once: this is done at every step
    if weight is None:
        return [tensor.to(device_of(model, default)) for tensor in tensors]
    floats, device = weight.dtype, weight.device
    return [
        tensor.to(device, floats if tensor.is_floating_point() else tensor.dtype)
        for tensor in tensors
    ]


def _weight(model: object) -> Tensor | None:
    """Return a model's first weight that is a float, if it has one."""
    weights = model.parameters() if isinstance(model, nn.Module) else ()
    return next((weight for weight in weights if weight.is_floating_point()), None)


def in_dtype_of(model: object, tensor: Tensor) -> Tensor:
    """Return a tensor, floats in the dtype of a model's weights, where it has some."""
    weight = _weight(model)
    return tensor.to(weight.dtype) if weight is not None and tensor.is_floating_point() else tensor


def device_of(model: object, default: torch.device | str = "cpu") -> torch.device:
    """Return where a model is: its weights, or else its ``device``; the default without either."""
    if isinstance(model, nn.Module):
        for tensor in chain(model.parameters(), model.buffers()):
            return tensor.device
    return torch.device(getattr(model, "device", default))


def evaluation_mode(model: object) -> None:
    """Set a model to evaluation mode, if it is a module of torch."""
    if isinstance(model, nn.Module):
        model.eval()
