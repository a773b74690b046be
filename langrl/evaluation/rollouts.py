"""Evaluation: run an agent through episodes.

Axes: ``N`` or ``E`` episodes, ``T`` steps, ``S`` numbers in a state.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from langrl.envs.autoreset import autoreset_mode, undo_same_step
from langrl.envs.wrappers.checks import check_instructed
from langrl.errors import ConfigError, NothingToDoError, ShapeError
from langrl.evaluation.policies import Policy, RandomActions, check_policy, predict
from langrl.protocols import Agent, Array, Mask, check_agent

_KEEP_BELOW = 0.75  # share of an agent's episodes that run, below which the others are dropped
SHOWN = ("observation", "answers")  # of an observation: what agents see beside the instruction
_REPAIR = "give AddInstruction a denotation, or the environment a success"
_REPAIR_ONE = f"{_REPAIR}, or follow the argument success=lambda reward, info: reward > 0"


@dataclass(frozen=True, eq=False, kw_only=True)
class Followed:
    """What happened in N episodes.

    Args:
        success: whether the instruction was followed, or the given goal reached [N].
        steps: length of each episode [N].
        ambiguity_bits: log2 of the number of denoted intents [N]; nan where unknown.
        goal_success: whether the goal that was chosen for the instruction was reached [N]; None
            if the environment reports no ``goal_reached``, as ``InstructionToGoal`` does.
        started_satisfied: how many more episodes there were that began where the instruction was
            satisfied already; they are left out.
    """

    success: NDArray[np.bool_]
    steps: NDArray[np.int64]
    ambiguity_bits: NDArray[np.float64]
    goal_success: NDArray[np.bool_] | None = None
    started_satisfied: int = 0

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
        shortest_steps: length of a shortest episode [N]; nan where it or the denotation is unknown.
        paths: states of each episode, N arrays [T + 1, ...].
        judged: where the environment says what success is, although denotations are unknown [N];
            nowhere if not given.
    """

    instructions: tuple[str, ...]
    shortest_steps: NDArray[np.float64]
    paths: list[NDArray[Any]]
    judged: Mask | None = None

    @property
    def known(self) -> Mask:
        """Where it is known what success is [N]: how much is denoted, or a shortest way there.

        Also where the environment says so.
        """
        found: Mask = ~(np.isnan(self.ambiguity_bits) & np.isnan(self.shortest_steps))
        return found if self.judged is None else found | self.judged

    @property
    def spl(self) -> NDArray[np.float64]:
        """Success weighted by path length [N]: success * shortest / max(steps, shortest).

        It is nan where no shortest path is known.

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
        env: N environments, in any autoreset mode, whose episodes all end, and that report
            ``is_success`` at each step, and ``shortest_steps`` and ``ambiguity_bits`` at reset;
            ``is_judged`` at reset says where success is known although both are nan.
        agent: acts on all of them at once. If it has a method ``keep(mask)``, finished episodes
            are dropped from its batch when they are a quarter of it.
        seed: of tasks and agent.
        options: passed to ``env.reset``.
        on_step: called with (episodes finished, episodes) after each step.

    Raises:
        ConfigError: if this is no vector environment with an autoreset mode, it does not report
            what it must, this is no agent, or every instruction is satisfied at the start.
        InstructionError: if the environment has no instructions in words.
        ShapeError: if the agent's actions are not [N, ...] of the space of actions.
    """
    mode = autoreset_mode(env)
    check_instructed(env, "run_episodes")
    check_agent(agent)
    observation, info = env.reset(seed=seed, options=options)
    agent.reset(np.random.default_rng([seed, 1]))
    shortest, ambiguity = (_reported(info, name) for name in ("shortest_steps", "ambiguity_bits"))
    counted = _not_satisfied(info.get("started_satisfied", np.zeros(env.num_envs, bool)))
    judged = info.get("is_judged")
    instructions = tuple(observation["instruction"])
    found, steps, states = play(env, mode, agent, observation, on_step=on_step)
    history = np.stack(states)  # [T + 1, N, S]
    return Episodes(
        success=found["is_success"].astype(bool)[counted],
        steps=steps[counted],
        ambiguity_bits=ambiguity[counted],
        started_satisfied=env.num_envs - len(counted),
        instructions=tuple(instructions[n] for n in counted),
        shortest_steps=shortest[counted],
        paths=[history[: steps[n] + 1, n] for n in counted],
        judged=None if judged is None else np.asarray(judged, bool)[counted],
    )


def play(
    env: VectorEnv[Any, Any, Any],
    mode: AutoresetMode,
    agent: Agent,
    observation: Any,
    outcomes: Sequence[str] = ("is_success",),
    on_step: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Array], NDArray[np.int64], list[Array]]:
    """Act until every episode is over, in environments that were just reset.

    Args:
        env: N environments; a space of actions that is a ``Dict`` wants a dict of the agent.
        mode: how they start anew.
        agent: acts on all of them at once; see ``run_episodes``.
        observation: of the reset. Agents see what is in ``SHOWN`` of it.
        outcomes: what the environments report at every step, which never falls in an episode.
        on_step: called with (episodes finished, episodes) after each step.

    Returns:
        The last value of each outcome [N], steps [N] and states, T + 1 arrays [N, ...].

    Raises:
        ConfigError: if an outcome is not reported.
        ShapeError: if the agent's actions are not [N, ...] of the space of actions.
    """
    count, instructions = env.num_envs, observation["instruction"]
    running = np.ones(count, bool)
    found: dict[str, Array] = {name: np.zeros(count) for name in outcomes}
    steps = np.zeros(count, int)
    # Copies: an environment may write to the arrays that it has returned.
    states = [np.array(observation["observation"])]
    acting = np.arange(count)  # the episodes in the agent's batch
    # Finished episodes stay where they ended.
    shown = {name: np.array(observation[name]) for name in SHOWN if name in observation}
    while running.any():
        if hasattr(agent, "keep") and running[acting].mean() < _KEEP_BELOW:
            agent.keep(running[acting])
            acting = acting[running[acting]]
        # The tasks' own texts: finished episodes start again with others, which agents do not see.
        seen = {name: values[acting] for name, values in shown.items()}
        chosen = agent.act(seen, [instructions[n] for n in acting])
        who = f"act of {type(agent).__name__}"
        actions = _spread(chosen, who, env.single_action_space, acting, count)
        observation, _, terminated, truncated, info = env.step(actions)
        over, ended = terminated | truncated, observation
        if mode is AutoresetMode.SAME_STEP:
            ended, info = undo_same_step(observation, info, over)
        states.append(np.array(ended["observation"]))
        for name, values in shown.items():
            values[running] = np.asarray(ended[name])[running]
        steps += running
        for name, best in found.items():
            now = np.where(running, _reported(info, name), 0)  # None in rows that were reset
            found[name] = np.maximum(best, now.astype(float))
        running &= ~over
        if mode is AutoresetMode.DISABLED and over.any() and running.any():
            observation, _ = env.reset(options={"reset_mask": over})
        if on_step is not None:
            on_step(count - int(running.sum()), count)
    return found, steps, states


def _spread(
    chosen: Any, who: str, space: spaces.Space[Any], acting: NDArray[np.int64], count: int
) -> Any:
    """Return actions for all environments, of which an agent gave those of some rows; 0 elsewhere.

    Where the space is a ``Dict``, what the agent gave is a dict, and so is what is returned.
    """
    if isinstance(space, spaces.Dict):
        return {
            name: _spread(chosen[name], who, inner, acting, count) for name, inner in space.items()
        }
    checked = check_actions(chosen, who, space, len(acting))
    actions = np.zeros((count, *checked.shape[1:]), checked.dtype)
    actions[acting] = checked
    return actions


def _reported(info: Mapping[str, Any], name: str) -> Array:
    """Return what a vector environment reports [N]; raises ConfigError if it does not."""
    if name not in info:
        repair = "let reset report it for each, nan where it is unknown"
        repair = _REPAIR if name == "is_success" else repair
        raise ConfigError(f"the environments report no info[{name!r}]; {repair}")
    return np.asarray(info[name])


def _not_satisfied(started: Any) -> NDArray[np.int64]:
    """Return the episodes that count, of which ``started`` [N] says that there is nothing to do."""
    counted = np.flatnonzero(~np.asarray(started, bool))
    if not len(counted):
        raise NothingToDoError(
            f"each of the {len(started)} episodes starts where its instruction is satisfied, or"
            " its goal reached; give others, or other starts"
        )
    return counted


def check_actions(actions: Any, who: str, space: spaces.Space[Any], count: int) -> Array:
    """Return an agent's actions as an array [N, ...]; raises ShapeError if they are no such.

    Args:
        actions: what the agent gave.
        who: gave them, for the message: "act of MyAgent".
        space: of a single action.
        count: N.
    """
    try:
        array = np.asarray(actions)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged, or a tensor with gradients
        raise ShapeError(
            f"{who} gave a {type(actions).__name__} that is no array ({error}); return a NumPy"
            " array [N, ...]"
        ) from None
    expected = (count, *(space.shape or ()))
    whole = space.dtype is not None and np.issubdtype(space.dtype, np.integer)
    if array.shape != expected or array.dtype.kind not in ("iub" if whole else "iubf"):
        raise ShapeError(
            f"{who} gave {array.dtype} {list(array.shape)} for {count} observations, and actions"
            f" are {space.dtype} {list(expected)}; return a NumPy array with an action for each"
            " observation"
        )
    return array


def follow(
    policy: Policy | Literal["random"],
    make_env: Callable[[], gym.Env[Any, Any]],
    episodes: int,
    seed: int,
    generator: np.random.Generator | None = None,
    success: Callable[[float, Mapping[str, Any]], bool] | None = None,
) -> Followed:
    """Run a policy through one episode in each of E environments that are wrapped for it.

    In ``InstructionToGoal``, ``goal_success`` beside ``success`` tells a policy that does not reach
    its goals from goals that are not what the instruction means. In ``GoalEnv``, ``success`` is
    that of reaching goals that are given.

    Args:
        policy: maps batches of the environments' observations to actions; ``"random"`` draws them
            from the spaces of actions, a baseline for any environment.
        make_env: makes an environment that reports ``is_success``; each gets its own.
        episodes: E.
        seed: episode n has seed + n.
        generator: source of actions that are drawn; the best are taken if not given.
        success: says of the reward and the info of a step whether it was success, as
            ``lambda reward, info: reward > 0`` where success is a reward;
            ``info["is_success"]`` if not given.

    Raises:
        ConfigError: if the environment does not report ``is_success``, it is a vector environment,
            the policy is none, or every episode starts where its instruction is satisfied.
    """
    envs = _make(make_env, episodes)
    policy = RandomActions(envs[0].action_space, seed) if policy == "random" else policy
    check_policy(policy)
    starts = [env.reset(seed=seed + n) for n, env in enumerate(envs)]
    counted = _not_satisfied([info.get("started_satisfied", False) for _, info in starts])
    observations = [observation for observation, _ in starts]
    found = {"is_success": np.zeros(episodes, bool), "goal_reached": np.zeros(episodes, bool)}
    steps, reported = np.zeros(episodes, int), {"is_success"}
    running: list[int] = counted.tolist()
    while running:
        actions = predict(policy, _stack([observations[n] for n in running]), generator)
        acting, running = running, []
        for n, action in zip(acting, actions, strict=True):
            observations[n], reward, terminated, truncated, info = envs[n].step(action)
            if success is not None:
                info = {**info, "is_success": success(float(reward), info)}
            if "is_success" not in info:
                raise ConfigError(f"{envs[n]} reports no info['is_success']; {_REPAIR_ONE}")
            reported |= found.keys() & info.keys()
            for name in reported:
                found[name][n] |= bool(info.get(name))
            steps[n] += 1
            if not (terminated or truncated):
                running.append(n)
    for env in envs:
        env.close()
    bits = np.array([info.get("ambiguity_bits", np.nan) for _, info in starts], float)
    return Followed(
        success=found["is_success"][counted],
        steps=steps[counted],
        ambiguity_bits=bits[counted],
        goal_success=found["goal_reached"][counted] if "goal_reached" in reported else None,
        started_satisfied=episodes - len(counted),
    )


def _make(make_env: Callable[[], gym.Env[Any, Any]], episodes: int) -> list[gym.Env[Any, Any]]:
    """Return an environment for each episode; raises ConfigError if they are no single ones."""
    if not callable(make_env):
        raise ConfigError(
            f"give a function that makes an environment, got {type(make_env).__name__}: each"
            " episode has its own"
        )
    if episodes < 1:
        raise ConfigError(f"episodes is how many there are, at least 1, got {episodes}")
    envs = [make_env() for _ in range(episodes)]
    if not isinstance(envs[0], gym.Env):
        what = "a vector environment" if isinstance(envs[0], VectorEnv) else type(envs[0]).__name__
        raise ConfigError(
            f"follow runs one episode in each of several single environments, and {what} was made;"
            " let the function return gym.make(...), or use run_episodes for an agent in"
            " gym.make_vec(...)"
        )
    return envs


def _stack(observations: list[Any]) -> Any:
    if isinstance(observations[0], Mapping):
        return {name: np.stack([o[name] for o in observations]) for name in observations[0]}
    return np.stack(observations)
