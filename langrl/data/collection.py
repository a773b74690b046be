"""Experience that an agent gathers while it acts in a batch of environments with goals.

Axes: ``N`` environments, ``B`` batch.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from langrl.data.config import CollectConfig
from langrl.data.goal_replay import GoalReplay
from langrl.envs.goal_engine import Moved, Seen
from langrl.envs.goal_vector import GoalVector
from langrl.errors import NonFiniteError
from langrl.protocols import Array
from langrl.training.learner import Policy
from langrl.training.optim import Batch

_KEPT = 100  # finished episodes whose mean success is reported


class OnlineExperience:
    """Acts in rounds, and draws batches of all that was met so far.

    A round is ``unroll`` steps of every environment, and then ``updates`` batches. The first round
    comes after ``warmup`` steps at random.

    Args:
        vector: the environments.
        replay: remembers what they showed.
        config: lengths of rounds, and how often an action is random.
        updates: batches in a round.
        sample: draws a batch of the replay.
        explore: draws random actions [N, ...] for N environments; uniform ones if not given.
        seed: of the random actions.
    """

    def __init__(
        self,
        vector: GoalVector,
        replay: GoalReplay,
        config: CollectConfig,
        *,
        updates: int,
        sample: Callable[[], Batch],
        seed: int,
        explore: Callable[[int, np.random.Generator], Array] | None = None,
    ) -> None:
        self.vector, self.replay, self.config = vector, replay, config
        self.updates, self.sample, self.seed = updates, sample, seed
        self._explore = vector.spaces.sample_unit if explore is None else explore
        self.steps = 0  # of all environments
        self._left = 0  # batches until the next round
        self._outcomes: list[float] = []  # of the episodes that ended last
        self._seen: Seen | None = None

    def draw(self, policy: Policy) -> Batch:
        """Return the next batch; where a round begins, act first."""
        if self._left == 0:
            while self.steps < self.config.warmup:
                self._move(None)
            for _ in range(self.config.unroll):
                self._move(policy)
            self._left = self.updates
        self._left -= 1
        return self.sample()

    def _move(self, policy: Policy | None) -> None:
        """Take one step of every environment; at random without a policy."""
        if self._seen is None:
            self._seen = self.vector.reset()
        seen, count = self._seen, self.vector.num_envs
        # A stream for each step: nothing of it has to be stored.
        generator = np.random.default_rng([self.seed, self.steps])
        actions = self._explore(count, generator)
        if policy is not None:
            chosen = policy({"observation": seen.observation, "desired_goal": seen.desired})
            by_chance = generator.random(count) < self.config.random_actions
            actions = np.where(_like(by_chance, chosen), actions, chosen)
        moved = self.vector.step(self.vector.spaces.to_action(actions))
        _check_finite(moved)
        self.replay.add(seen, actions, moved)
        over = moved.terminated | moved.truncated
        self._outcomes += moved.success[over].astype(float).tolist()
        del self._outcomes[:-_KEPT]
        self.steps += count
        self._seen = moved.seen

    def metrics(self) -> dict[str, float]:
        """Return how much was collected, and the mean success of the episodes that ended last."""
        known = {"success": float(np.mean(self._outcomes))} if self._outcomes else {}
        values = {"env_steps": float(self.steps), "states": float(len(self.replay)), **known}
        return {f"collect/{name}": value for name, value in values.items()}

    def state(self) -> Batch:
        """Return environments, replay and counters as tensors; episodes go on where they are."""
        tensors = {f"replay/{name}": value for name, value in self.replay.state().items()}
        if self._seen is not None:
            arrays = self.vector.state()
            tensors |= {f"vector/{name}": torch.from_numpy(a) for name, a in arrays.items()}
        tensors["counters"] = torch.tensor([self.steps, self._left, self._seen is not None])
        tensors["outcomes"] = torch.tensor(self._outcomes, dtype=torch.float64)
        return tensors

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what ``state()`` returned."""
        parts = _split(state)
        self.steps, self._left, begun = (int(number) for number in state["counters"])
        self._outcomes = state["outcomes"].tolist()
        self.replay.load_state(parts["replay"])
        self._seen = None
        if begun:
            self._seen = self.vector.load_state({n: t.numpy() for n, t in parts["vector"].items()})


def _like(mask: Array, values: Array) -> Array:
    """Return a mask [N] that broadcasts over values [N, ...]."""
    return mask.reshape(-1, *(1,) * (np.ndim(values) - 1))


def _split(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    parts: dict[str, dict[str, Any]] = {"replay": {}, "vector": {}}
    for name, value in state.items():
        part, _, rest = name.partition("/")
        if rest:
            parts[part][rest] = value
    return parts


def _check_finite(moved: Moved) -> None:
    for name in ("final_observation", "final_achieved"):
        array = getattr(moved, name)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            row = int(np.argwhere(~np.isfinite(array))[0][0])
            raise NonFiniteError(
                f"environment {row} shows NaN or inf as its {name.removeprefix('final_')}; fix the"
                " environment, or bound its actions"
            )
