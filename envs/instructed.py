"""What every world with instructions shares: running episodes, and environments around them.

A world subclasses ``Episodes``; the single and the vector environment keep their episodes in the
same arrays and move them by the same functions. Whatever is refused changes nothing: not the
episodes of other rows, and no generator.

Axes: ``N`` environments.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.vector.utils import batch_space
from numpy.random import Generator

from langrl.envs.autoreset import Autoreset
from langrl.errors import InstructionError
from langrl.protocols import Array, Integers, Mask, check_instructions

Observation = dict[str, Any]  # or of N environments
Options = dict[str, Any] | None
Start = tuple[Observation, dict[str, Any]]  # what ``reset`` returns
Step = tuple[Observation, float, bool, bool, dict[str, Any]]


class Episodes:
    """The state of N episodes: what is observed, the instructions, and what is reported."""

    outcomes: tuple[str, ...] = ("is_success",)
    """What an action can lead to; the last is the reward."""

    def __init__(self, count: int, options: tuple[str, ...]) -> None:
        self.count, self._option_names = count, options
        self.instructions = [""] * count
        self.waiting = np.zeros(count, bool)  # who does nothing at a step
        self.ambiguity_bits = np.full(count, np.nan)
        self.shortest_steps = np.full(count, np.nan)
        self.stream: Generator | None = None  # of layouts or noise

    def seed(self, generator: Generator) -> None:
        """Start the world's own stream of random numbers, which nothing else draws from."""
        self.stream = np.random.default_rng(generator.integers(2**63))

    def begin(self, rows: Integers, generator: Generator, options: dict[str, Any]) -> None:
        """Start new episodes in some rows; where that is refused, every row stays as it was."""
        raise NotImplementedError

    def check_actions(self, actions: Array, ignored: Integers) -> Array:
        """Return the actions of N agents, those of the ignored rows replaced by doing nothing.

        Doing nothing neither moves an agent nor ends its episode.

        Raises:
            LangRLError: if they are of another shape, or one that counts is no action.
        """
        raise NotImplementedError

    def advance(self, actions: Array) -> tuple[Mask, list[Mask]]:
        """Act once; returns which episodes end [N], and the outcomes, [N] each."""
        raise NotImplementedError

    def observe(self) -> Array:
        """Return new observations [N, ...]."""
        raise NotImplementedError

    def report(self, outcomes: Sequence[Mask] = ()) -> dict[str, Array]:
        """Return what ``info`` holds, [N] each; without outcomes, of episodes just begun."""
        found = outcomes or [np.zeros(self.count, bool) for _ in self.outcomes]
        return dict(zip(self.outcomes, found, strict=True)) | {
            "ambiguity_bits": self.ambiguity_bits.copy(),
            "shortest_steps": self.shortest_steps.copy(),
        }

    def read_options(self, options: dict[str, Any]) -> tuple[list[str] | None, list[Any]]:
        """Return the instructions, N of them or None, and the other options in their order.

        Raises:
            InstructionError: for an unknown option, or a text that cannot be an instruction.
            ShapeError: if there are not N texts.
        """
        names = self._option_names
        if unknown := sorted(set(options) - set(names)):
            known = " or ".join(map(repr, names[-2:]))
            known = ", ".join([*map(repr, names[:-2]), known])
            raise InstructionError(f"no reset option {unknown[0]!r}; use {known}")
        texts, *others = (options.get(name) for name in names)
        if texts is not None:
            texts = check_instructions(texts, self.count)
        return texts, others

    def check_started(self) -> None:
        """Raise ResetNeeded before the first reset."""
        if self.stream is None:
            raise ResetNeeded("Cannot call env.step() before calling env.reset()")

    def note(self, rows: Integers, denoted: Integers, steps: Any) -> None:
        """Note how many cells [n] the instructions of some rows denote, and the shortest ways."""
        bits = np.log2(np.maximum(denoted, 1))
        self.ambiguity_bits[rows] = np.where(denoted > 0, bits, np.nan)
        self.shortest_steps[rows] = steps


@contextmanager
def _nothing_on_refusal(env: Any, episodes: Episodes) -> Iterator[None]:
    """Put an environment's generators back if an error is raised."""
    before = env._np_random, env._np_random_seed, episodes.stream
    generators = [generator for generator in (before[0], before[2]) if generator is not None]
    states = [generator.bit_generator.state for generator in generators]
    try:
        yield
    except BaseException:
        env._np_random, env._np_random_seed, episodes.stream = before
        for generator, state in zip(generators, states, strict=True):
            generator.bit_generator.state = state
        raise


def _begin(
    env: Any, episodes: Episodes, rows: Integers, seed: int | None, options: dict[str, Any]
) -> None:
    if seed is not None or episodes.stream is None:
        episodes.seed(env.np_random)
    episodes.begin(rows, env.np_random, options)


class InstructedEnv(gym.Env[dict[str, Any], Any]):
    """One episode at a time; observations are {"observation": ..., "instruction": text}."""

    _episodes: Episodes

    def reset(self, *, seed: int | None = None, options: Options = None) -> Start:
        """Start an episode; the class says which options there are."""
        with _nothing_on_refusal(self, self._episodes):
            super().reset(seed=seed)
            _begin(self, self._episodes, np.array([0]), seed, options or {})
        return self._observe(), self._info()

    def step(self, action: Any) -> Step:
        """Act once; the class says what the actions are."""
        episodes = self._episodes
        actions = episodes.check_actions(np.asarray(action)[None], np.flatnonzero(episodes.waiting))
        ended, outcomes = episodes.advance(actions)
        reward = float(outcomes[-1][0])
        return self._observe(), reward, bool(ended[0]), False, self._info(outcomes)

    def _observe(self) -> dict[str, Any]:
        episodes = self._episodes
        return {"observation": episodes.observe()[0], "instruction": episodes.instructions[0]}

    def _info(self, outcomes: Sequence[Mask] = ()) -> dict[str, Any]:
        report = self._episodes.report(outcomes)
        return {name: values[0].item() for name, values in report.items()}


class InstructedVectorEnv(gym.vector.VectorEnv[dict[str, Any], Array, Array]):
    """N episodes, stepped as one array; ``space`` and ``actions`` are those of one of them."""

    def __init__(
        self,
        autoreset: Autoreset,
        episodes: Episodes,
        space: spaces.Dict,
        actions: spaces.Space[Any],
    ) -> None:
        self._autoreset, self._episodes = autoreset, episodes
        self.num_envs, self.max_episode_steps = episodes.count, autoreset.limit
        self.metadata = {"autoreset_mode": autoreset.mode}
        self.single_observation_space, self.single_action_space = space, actions
        self.observation_space = batch_space(space, episodes.count)
        self.action_space = batch_space(actions, episodes.count)

    def reset(self, *, seed: int | None = None, options: Options = None) -> Start:
        """Start every episode, or those of the option ``reset_mask`` [N].

        Other options are those of the single environment, one for all rows or one for each.
        """
        rows, options = self._autoreset.read(options)
        with _nothing_on_refusal(self, self._episodes):
            super().reset(seed=seed)
            _begin(self, self._episodes, rows, seed, options)
        self._autoreset.begin(rows)
        return self._observe(), self._episodes.report()

    def step(self, actions: Array) -> tuple[dict[str, Any], Array, Array, Array, dict[str, Any]]:
        """Move every agent; rows that ended at the last step start anew instead."""
        episodes, starting = self._episodes, self._autoreset.renew()
        ignored = np.union1d(starting, np.flatnonzero(episodes.waiting))
        actions = episodes.check_actions(actions, ignored)
        if len(starting):
            with _nothing_on_refusal(self, episodes):
                episodes.begin(starting, self.np_random, {})
        ended, outcomes = episodes.advance(actions)
        for each in (ended, *outcomes):
            each[starting] = False
        truncated = self._autoreset.count(starting, ended)
        rewards = outcomes[-1].astype(np.float64)
        return self._observe(), rewards, ended, truncated, episodes.report(outcomes)

    def _observe(self) -> dict[str, Any]:
        episodes = self._episodes
        return {"observation": episodes.observe(), "instruction": tuple(episodes.instructions)}
