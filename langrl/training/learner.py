"""What every learner that trains by gradient steps has in common, and where its batches come from.

A learner subclasses ``GradientLearner`` and writes ``loss(batch)``. Its batches are drawn from an
``Experience``: stored data, or a world in which the learner's policy acts. The training loop calls
``batch`` and ``update`` and cannot tell one from the other.

Axes: ``N`` rows of a vector world.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor

from langrl.checkpoint import fill
from langrl.training.optim import Batch, Optimiser

Policy = Callable[[Any], Any]  # from observations [N, ...] to actions [N, ...]


class Experience(Protocol):
    """Where training batches come from."""

    def draw(self, policy: Policy) -> Batch:
        """Return the next batch, tensors by name; ``policy`` chooses actions, if any are taken."""
        ...

    def metrics(self) -> Mapping[str, float]:
        """Return what is to be reported of it beside the learner's metrics."""
        ...

    def state(self) -> Batch:
        """Return all that decides the next batches beside the learner, as tensors by name."""
        ...

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what ``state()`` returned."""
        ...


class OfflineReplay:
    """Draws batches of stored data, whatever the policy.

    It has no state: its randomness is the learner's generator, which is stored with the optimiser.

    Args:
        sample: returns a batch for these arguments.
        arguments: sizes and the learner's generator, for instance.
    """

    def __init__(self, sample: Callable[..., Batch], *arguments: Any) -> None:
        self._sample, self._arguments = sample, arguments

    def draw(self, policy: Policy) -> Batch:
        """Return the next batch; no action is taken."""
        return self._sample(*self._arguments)

    def metrics(self) -> Mapping[str, float]:
        """Return nothing."""
        return {}

    def state(self) -> Batch:
        """Return nothing."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore nothing."""


class GradientLearner(ABC):
    """Takes gradient steps on batches of an experience; subclasses write ``loss``.

    Args:
        optimiser: of the parameters that are trained.
        experience: where batches come from.
        stored: parameters that a checkpoint holds, by name, trained and frozen; those that are
            trained if not given.
        bounds: called after each step, to bring parameters back into their range.
    """

    def __init__(
        self,
        optimiser: Optimiser,
        experience: Experience,
        *,
        stored: Mapping[str, Tensor] | None = None,
        bounds: Sequence[Callable[[], object]] = (),
    ) -> None:
        self.optimiser, self.experience, self._bounds = optimiser, experience, bounds
        self._stored = dict(optimiser.parameters if stored is None else stored)

    @abstractmethod
    def loss(self, batch: Batch) -> tuple[Tensor, Batch]:
        """Return the loss of a batch, a scalar, and its metrics, scalars by name."""

    def act(self, observations: Any) -> Any:
        """Return actions [N, ...] for observations [N, ...]; written by learners that act."""
        raise NotImplementedError(
            f"{type(self).__name__} cannot act in a world; train it on stored data"
        )

    @property
    def step(self) -> int:
        """How many gradient steps have been taken."""
        return self.optimiser.step

    @property
    def weights(self) -> Batch:
        """The parameters that a checkpoint holds, by name."""
        return dict(self._stored)

    def batch(self) -> Batch:
        """Return the next training batch, tensors by name."""
        return self.experience.draw(self.act)

    def update(self, batch: Batch) -> dict[str, Any]:
        """Take one gradient step and return its metrics; see ``Learner.update``."""
        metrics = self.optimiser.update(batch, self.loss)
        for bound in self._bounds:
            bound()
        return metrics | dict(self.experience.metrics())

    def state(self) -> dict[str, Batch]:
        """Return weights, the optimiser's state and the experience's, if it has any, as tensors."""
        parts = {"weights": self.weights, "optimizer": self.optimiser.state()}
        experience = self.experience.state()
        return parts | ({"experience": experience} if experience else {})

    def load_state(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Restore what ``state()`` returned.

        Raises:
            CheckpointError: if the weights are those of another model.
        """
        fill(self._stored, state["weights"])
        self.optimiser.load_state(state["optimizer"])
        self.experience.load_state(state.get("experience", {}))
