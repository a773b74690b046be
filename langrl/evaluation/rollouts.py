"""Evaluation: run an agent through episodes.

Axes: ``N`` or ``E`` episodes, ``T`` steps, ``S`` numbers in a state.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from langrl.errors import ConfigError
from langrl.evaluation.policies import Policy, predict
from langrl.protocols import Agent

_KEEP_BELOW = 0.75  # share of an agent's episodes that run, below which the others are dropped


@dataclass(frozen=True, eq=False, kw_only=True)
class Followed:
    """What happened in N episodes.

    Args:
        success: [N].
        steps: length of each episode [N].
        ambiguity_bits: log2 of the number of denoted intents [N]; nan where unknown.
    """

    success: NDArray[np.bool_]
    steps: NDArray[np.int64]
    ambiguity_bits: NDArray[np.float64]

    @property
    def mean_ambiguity_bits(self) -> float | None:
        """The mean where it is known; None where it is nowhere."""
        known = self.ambiguity_bits[~np.isnan(self.ambiguity_bits)]
        return float(known.mean()) if len(known) else None


@dataclass(frozen=True, eq=False, kw_only=True)
class Episodes(Followed):
    """What happened in N episodes of tasks that know their shortest paths; see ``Followed``.

    Args:
        instructions: the texts, N of them.
        shortest_steps: length of a shortest episode [N]; nan where the denotation is unknown.
        paths: states of each episode, N arrays [T + 1, ...].
    """

    instructions: tuple[str, ...]
    shortest_steps: NDArray[np.float64]
    paths: list[NDArray[Any]]

    @property
    def spl(self) -> NDArray[np.float64]:
        """Success weighted by path length [N]: success * shortest / max(steps, shortest).

        Source: Anderson et al. 2018, arXiv:1807.06757.
        """
        ratio = self.shortest_steps / np.maximum(self.steps, self.shortest_steps)
        return np.where(self.success, ratio, np.where(np.isnan(ratio), np.nan, 0.0))


def run_episodes(
    env: VectorEnv[Any, Any, Any],
    agent: Agent,
    seed: int,
    options: dict[str, Any] | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Episodes:
    """Run one episode in each environment.

    The environment's seed fixes starts, instructions and noise, so agents that are given the
    same seed meet the same tasks; the agent's own randomness comes from the seed as well.

    Args:
        env: N environments with NEXT_STEP autoreset whose episodes all end, and that report
            ``is_success``, ``shortest_steps`` and ``ambiguity_bits``.
        agent: acts on all of them at once. If it has a method ``keep(mask)``, finished episodes
            are dropped from its batch when they are a quarter of it.
        seed: of tasks and agent.
        options: passed to ``env.reset``.
        on_step: called with (episodes finished, episodes) after each step.
    """
    observation, info = env.reset(seed=seed, options=options)
    agent.reset(np.random.default_rng([seed, 1]))
    count = env.num_envs
    instructions = tuple(observation["instruction"])
    shortest, ambiguity = info["shortest_steps"], info["ambiguity_bits"]
    running, success = np.ones(count, bool), np.zeros(count, bool)
    steps = np.zeros(count, int)
    states = [observation["observation"]]
    acting = np.arange(count)  # the episodes in the agent's batch
    shown = np.array(observation["observation"])  # finished episodes stay where they ended
    while running.any():
        if hasattr(agent, "keep") and running[acting].mean() < _KEEP_BELOW:
            agent.keep(running[acting])
            acting = acting[running[acting]]
        # The tasks' own texts: finished episodes start again with others, which agents do not see.
        seen = {"observation": shown[acting]}
        chosen = agent.act(seen, [instructions[n] for n in acting])
        actions = np.zeros((count, *chosen.shape[1:]), chosen.dtype)
        actions[acting] = chosen
        observation, _, terminated, truncated, info = env.step(actions)
        states.append(observation["observation"])
        shown[running] = observation["observation"][running]
        steps += running
        success |= running & info["is_success"]
        running &= ~(terminated | truncated)
        if on_step is not None:
            on_step(count - int(running.sum()), count)
    history = np.stack(states)  # [T + 1, N, S]
    paths = [history[: steps[n] + 1, n] for n in range(count)]
    return Episodes(
        success=success,
        steps=steps,
        ambiguity_bits=ambiguity,
        instructions=instructions,
        shortest_steps=shortest,
        paths=paths,
    )


def follow(
    policy: Policy,
    make_env: Callable[[], gym.Env[Any, Any]],
    episodes: int,
    seed: int,
    generator: np.random.Generator | None = None,
) -> Followed:
    """Run a policy through one episode in each of E environments that are wrapped for it.

    Args:
        policy: maps batches of the environments' observations to actions.
        make_env: makes an environment that reports ``is_success``; each gets its own.
        episodes: E.
        seed: episode n has seed + n.
        generator: source of actions that are drawn; the best are taken if not given.

    Raises:
        ConfigError: if the environment does not report ``is_success``.
    """
    if not callable(make_env):
        raise ConfigError(
            f"give a function that makes an environment, got {type(make_env).__name__}: each"
            " episode has its own"
        )
    envs = [make_env() for _ in range(episodes)]
    starts = [env.reset(seed=seed + n) for n, env in enumerate(envs)]
    observations = [observation for observation, _ in starts]
    bits = np.array([info.get("ambiguity_bits", np.nan) for _, info in starts], float)
    success, steps = np.zeros(episodes, bool), np.zeros(episodes, int)
    running = list(range(episodes))
    while running:
        seen = _stack([observations[n] for n in running])
        actions = predict(policy, seen, generator)
        still_running = []
        for n, action in zip(running, actions, strict=True):
            observations[n], _, terminated, truncated, info = envs[n].step(action)
            if "is_success" not in info:
                raise ConfigError(
                    f"{envs[n]} reports no info['is_success']; give AddInstruction a denotation,"
                    " or the environment a success"
                )
            steps[n] += 1
            success[n] |= bool(info["is_success"])
            if not (terminated or truncated):
                still_running.append(n)
        running = still_running
    for env in envs:
        env.close()
    return Followed(success=success, steps=steps, ambiguity_bits=bits)


def _stack(observations: list[Any]) -> Any:
    if isinstance(observations[0], Mapping):
        return {name: np.stack([o[name] for o in observations]) for name in observations[0]}
    return np.stack(observations)
