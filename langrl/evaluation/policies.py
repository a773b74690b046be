"""Actions of policies of other libraries.

A policy is anything with ``predict(observations, deterministic=...) -> (actions, state)``, as
Stable-Baselines3's algorithms have it.

Axes: ``N`` episodes.
"""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from langrl.errors import ShapeError


class Policy(Protocol):
    """Maps batches of observations to actions."""

    def predict(self, observation: Any, *, deterministic: bool = False) -> tuple[Any, Any]:
        """Return actions [N, ...] and a recurrent state, which is not used."""
        ...


def predict(
    policy: Policy, observations: Any, generator: np.random.Generator | None
) -> NDArray[Any]:
    """Return a policy's actions [N, ...]: draws if there is a generator, or else the best ones.

    They are a copy: a policy may keep what it returned, or return its input.

    Raises:
        ShapeError: if there is not an action for each of the observations.
    """
    parts = observations.values() if isinstance(observations, Mapping) else [observations]
    count = min(len(part) for part in parts)
    if normalise := getattr(policy, "get_vec_normalize_env", lambda: None)():
        observations = normalise.normalize_obs(observations)  # as in training
    if generator is None:
        actions = np.array(policy.predict(observations, deterministic=True)[0])
    else:
        with _seeded(policy, int(generator.integers(2**63))):
            actions = np.array(policy.predict(observations, deterministic=False)[0])
    if actions.shape[:1] != (count,):
        raise ShapeError(
            f"the policy gave actions {list(actions.shape)} for {count} observations; predict"
            " returns (actions [N, ...], state)"
        )
    return actions


@contextmanager
def _seeded(policy: Policy, seed: int) -> Iterator[None]:
    """Seed what policies draw from, the global generators and their space's; restore it after."""
    state, space = np.random.get_state(), getattr(policy, "action_space", None)  # noqa: NPY002
    devices = range(torch.cuda.device_count() if torch.cuda.is_initialized() else 0)
    with torch.random.fork_rng(devices):
        try:
            torch.manual_seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002
            if hasattr(space, "seed"):
                policy.action_space = copy.deepcopy(space)  # type: ignore[attr-defined]
                policy.action_space.seed(seed % 2**32)  # type: ignore[attr-defined]
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002
            if hasattr(space, "seed"):
                policy.action_space = space  # type: ignore[attr-defined]
