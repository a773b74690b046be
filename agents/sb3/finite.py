"""A training of Stable-Baselines3 that ends at the first number that is not finite.

Stable-Baselines3 itself trains on with NaN, or ends in an error of a probability distribution.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from langrl.errors import NonFiniteError


class FiniteTraining(BaseCallback):
    """Raises NonFiniteError at an observation, a reward or a weight that is NaN or infinite.

    Observations and rewards are looked at before they are stored, weights before each round of
    acting and at the end of the training. Place it before callbacks that act or store.
    """

    def _on_training_start(self) -> None:
        self._check_observations(self.model._last_obs)
        check_finite_weights(self.model)

    def _on_rollout_start(self) -> None:
        check_finite_weights(self.model)

    def _on_step(self) -> bool:
        self._check("reward", self.locals["rewards"])
        self._check_observations(self.locals["new_obs"])
        return True

    def _on_training_end(self) -> None:
        check_finite_weights(self.model)

    def _check_observations(self, seen: Any) -> None:
        parts = seen if isinstance(seen, Mapping) else {"observation": seen}
        for name, values in parts.items():
            self._check(name, values)

    def _check(self, name: str, values: Any) -> None:
        array = np.asarray(values)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            row = int((~np.isfinite(array).reshape(len(array), -1).all(1)).argmax())
            raise NonFiniteError(
                f"training stopped at step {self.num_timesteps}: the {name} of environment {row} is"
                " not finite; fix the environment"
            )


def check_finite_weights(model: BaseAlgorithm) -> None:
    """Raise NonFiniteError if a weight of a policy is NaN or infinite; names it."""
    weights = {
        name: value
        for name, value in model.policy.state_dict().items()
        if value.is_floating_point() and value.numel()
    }
    if torch.stack(torch._foreach_norm(list(weights.values()))).isfinite().all():
        return
    for name, value in weights.items():
        if not value.isfinite().all():
            raise NonFiniteError(
                f"training stopped at step {model.num_timesteps}: the weight {name} is not finite;"
                " lower policy.learning_rate, and go on from the last checkpoint with --resume"
            )


@contextmanager
def finite_weights(model: BaseAlgorithm) -> Iterator[None]:
    """Raise NonFiniteError in the place of an error that weights which are not finite have led to.

    Args:
        model: what is trained in here.
    """
    try:
        yield
    except (ValueError, RuntimeError) as error:
        if isinstance(error, NonFiniteError):
            raise
        try:
            check_finite_weights(model)
        except NonFiniteError as cause:
            raise cause from error
        raise
