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
from gymnasium import spaces
from numpy.typing import NDArray

from langrl.errors import ConfigError, ShapeError


class Policy(Protocol):
    """Maps batches of observations to actions."""

    def predict(self, observation: Any, *, deterministic: bool = False) -> tuple[Any, Any]:
        """Return actions [N, ...] and a recurrent state, which is not used."""
        ...


class RandomActions:
    """A policy that draws its actions from a space: a baseline for any environment.

    Args:
        space: of one action.
        seed: of the draws; another use of the space is not affected.
    """

    def __init__(self, space: spaces.Space[Any], seed: int) -> None:
        self._space = copy.deepcopy(space)
        self._space.seed(seed)

    def predict(self, observation: Any, *, deterministic: bool = False) -> tuple[Any, Any]:
        """Return actions [N, ...] that are drawn, also where the best are asked for."""
        return [self._space.sample() for _ in range(_count(observation))], None


def check_policy(policy: object) -> None:
    """Raise ConfigError unless ``policy`` is one; langrl's agents are something else."""
    if isinstance(policy, type) or not callable(getattr(policy, "predict", None)):
        given = policy if isinstance(policy, str | type) else type(policy).__name__
        raise ConfigError(
            f"a policy has predict(observations, deterministic=...), or is 'random'; got {given}."
            " Agents, which have act, are evaluated with run_episodes"
        )


def predict(
    policy: Policy, observations: Any, generator: np.random.Generator | None
) -> NDArray[Any]:
    """Return a policy's actions [N, ...]: draws if there is a generator, or else the best ones.

    They are a copy: a policy may keep what it returned, or return its input.

    Raises:
        ShapeError: if there is not an action for each of the observations.
    """
    count = _count(observations)
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


def _count(observations: Any) -> int:
    """Return N of a batch of observations, arrays [N, ...] or a Dict of them."""
    parts = observations.values() if isinstance(observations, Mapping) else [observations]
    return min(len(part) for part in parts)


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
