"""Asking what was meant: an action that costs a price, and whose answer leaves fewer intents.

``AskQuestions`` is for vector environments, ``SingleAskQuestions`` for single ones. Both are put
around a world of langrl, or wrappers of one that leave its actions as they are. The questions are
the world's own (``langrl.envs.questions``), and the answer is that of the intended intent.

Axes: ``N`` environments, ``Q`` questions, ``M`` intents, ``R`` rows, ``C`` columns.
"""

import math
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from langrl.envs.instructed import (
    InstructedEnv,
    InstructedVectorEnv,
    Observation,
    Options,
    Start,
    Step,
)
from langrl.envs.intents import IntentEpisodes
from langrl.envs.questions import NO_ANSWER, Questions
from langrl.envs.wrappers import checks
from langrl.envs.wrappers.resets import read_options
from langrl.errors import ConfigError, ShapeError
from langrl.protocols import Array, Integers, Mask

ACT = 0
"""The value of ``ask`` with which the agent acts; q from 1 asks question q - 1 instead."""

_FORM = 'actions are {"action": the world\'s, "ask": 0 to act, q to ask question q - 1}'


class AskQuestions(gym.vector.VectorWrapper):
    """Lets agents of a vector environment ask what was meant.

    An action is ``{"action": the world's, "ask": Discrete(Q + 1)}``. With ``ask`` 0 the agent acts.
    With q it asks question q - 1 instead: it stays where it is, the step counts, the reward is
    ``-price``, and of the denoted intents those with the same answer are left; the others no longer
    count as denoted. A question may be asked again, at the same price. Nothing is answered where
    nothing is meant: where it is not known what the text denotes, and in mazes in mode ``any``
    without the option ``intended``.

    Observations gain ``answers``, int64 [Q]: labels of ``Questions.labels``, -1 for questions that
    were not asked. ``info`` gains ``questions``, how many were asked so far, and ``intents``, how
    many are left.

    Args:
        env: of ``gym.make_vec``; starts anew at the next step, or only when it is told to.
        price: of a question, at least 0; a success is worth 1.

    Raises:
        ConfigError: if this is no vector environment of a world of langrl, its actions are not the
            world's, or the price is no such number.
    """

    def __init__(self, env: gym.vector.VectorEnv[Any, Any, Any], price: float) -> None:
        name, world = type(self).__name__, getattr(env, "unwrapped", env)
        episodes = world._episodes if isinstance(world, InstructedVectorEnv) else None
        if not isinstance(episodes, IntentEpisodes):
            single = (
                " around a single one use SingleAskQuestions" if isinstance(env, gym.Env) else ""
            )
            raise ConfigError(
                f"{name} wraps a vector environment of a world of langrl, such as"
                f' gym.make_vec("langrl/GridGoTo-v0"), got {type(env).__name__};{single}'
            )
        _check_actions_are(env.single_action_space, world.single_action_space, name)
        super().__init__(env)
        self.price, self._dialogue = _check_price(price), _Dialogue(episodes)
        self.questions = episodes.questions
        self.single_action_space = _actions(env.single_action_space, self.questions)
        self.single_observation_space = _observations(env.single_observation_space, self.questions)
        self.action_space = batch_space(self.single_action_space, env.num_envs)
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)
        self._next_step = world.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
        self._over = np.zeros(env.num_envs, bool)

    def reset(
        self, *, seed: int | None = None, options: Options = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start every episode, or those of the option ``reset_mask`` [N]; errors as the world's."""
        observation, info = self.env.reset(seed=seed, options=options)
        mask = (options or {}).get("reset_mask")
        rows = np.ones(self.num_envs, bool) if mask is None else np.asarray(mask)
        self._dialogue.start(rows)
        self._over[rows] = False
        return self._told(observation, info)

    def step(self, actions: Any) -> tuple[Observation, Array, Array, Array, dict[str, Any]]:
        """Act in some rows and ask in others; rows that ended at the last step start anew instead.

        Raises:
            ShapeError: if actions are no Dict of the space; or as the world's.
        """
        acts, asks = _read_actions(actions, (self.num_envs,), len(self.questions))
        starting = self._over & self._next_step
        asks = np.where(starting, ACT, asks)
        with self._dialogue.waiting(asks > ACT):
            observation, rewards, ended, truncated, info = self.env.step(acts)
        self._dialogue.start(starting)
        self._dialogue.ask(asks)
        self._over = ended | truncated
        observation, info = self._told(observation, info)
        return observation, rewards - self.price * (asks > ACT), ended, truncated, info

    def _told(
        self, observation: Observation, info: dict[str, Any]
    ) -> tuple[Observation, dict[str, Any]]:
        answers, known = self._dialogue.report()
        return {**observation, "answers": answers}, {**info, **known}


class SingleAskQuestions(gym.Wrapper[Observation, Any, Observation, Any], RecordConstructorArgs):
    """Lets the agent of a single environment ask what was meant; see ``AskQuestions``.

    Args:
        env: a world of langrl, of ``gym.make``.
        price: of a question, at least 0; a success is worth 1.

    Raises:
        ConfigError: if this is no world of langrl, or as ``AskQuestions``.
    """

    def __init__(self, env: gym.Env[Any, Any], price: float) -> None:
        checks.begin(self, env, price=price)
        name, world = type(self).__name__, env.unwrapped
        episodes = world._episodes if isinstance(world, InstructedEnv) else None
        if not isinstance(episodes, IntentEpisodes):
            raise ConfigError(
                f'{name} wraps a world of langrl, such as gym.make("langrl/GridGoTo-v0"), got {env}'
            )
        _check_actions_are(env.action_space, world.action_space, name)
        super().__init__(env)
        self.price, self._dialogue = _check_price(price), _Dialogue(episodes)
        self.questions = episodes.questions
        self.action_space = _actions(env.action_space, self.questions)
        self.observation_space = _observations(env.observation_space, self.questions)

    def reset(self, *, seed: int | None = None, options: Options = None) -> Start:
        """Start an episode; options are the environment's."""
        options = read_options(options, type(self).__name__, "instruction")
        observation, info = self.env.reset(seed=seed, options=options)
        self._dialogue.start(np.ones(1, bool))
        return self._told(observation, info)

    def step(self, action: Any) -> Step:
        """Act or ask; raises ShapeError if this is no action of the space, or as the world's."""
        act, ask = _read_actions(action, (), len(self.questions))
        asks = np.atleast_1d(ask)
        with self._dialogue.waiting(asks > ACT):
            observation, reward, ended, truncated, info = self.env.step(act)
        self._dialogue.ask(asks)
        observation, info = self._told(observation, info)
        paid = self.price if asks[0] > ACT else 0.0
        return observation, float(reward) - paid, ended, truncated, info

    def _told(self, observation: Observation, info: dict[str, Any]) -> Start:
        answers, known = self._dialogue.report()
        told = {name: values[0].item() for name, values in known.items()}
        return {**observation, "answers": answers[0]}, {**info, **told}


class _Dialogue:
    """What was asked and answered in N episodes."""

    def __init__(self, episodes: IntentEpisodes) -> None:
        self._episodes, self._questions = episodes, episodes.questions
        self._answers = np.full((episodes.count, len(self._questions)), NO_ANSWER, np.int64)
        self._asked = np.zeros(episodes.count, np.int64)

    def start(self, rows: Mask) -> None:
        """Forget what was asked in some rows [N]."""
        self._answers[rows], self._asked[rows] = NO_ANSWER, 0

    def waiting(self, rows: Mask) -> "_Waiting":
        """Return a context in which some agents [N] do nothing at a step."""
        return _Waiting(self._episodes, rows)

    def ask(self, asks: Integers) -> None:
        """Answer what some ask [N], and leave those intents that the answer fits."""
        episodes = self._episodes
        for row in np.flatnonzero(asks > ACT).tolist():
            question = int(asks[row]) - 1
            self._asked[row] += 1
            cells, meant = (np.argwhere(m[row]) for m in (episodes.denoted, episodes.intended))
            if not len(meant):
                continue
            both = np.concatenate([meant, cells])
            answer, *labels = self._questions.labels(both, episodes.room_of(row))[question]
            self._answers[row, question] = answer
            left = cells[np.array(labels) == answer]
            episodes.denoted[row] = False
            episodes.denoted[row, left[:, 0], left[:, 1]] = True

    def report(self) -> tuple[Integers, dict[str, Integers]]:
        """Return the answers [N, Q], and what ``info`` gains, [N] each."""
        intents = np.count_nonzero(self._episodes.denoted, (1, 2))
        return self._answers.copy(), {"questions": self._asked.copy(), "intents": intents}


class _Waiting:
    """Lets some agents do nothing at a step, also where that step is refused."""

    def __init__(self, episodes: IntentEpisodes, rows: Mask) -> None:
        self._episodes, self._rows = episodes, rows

    def __enter__(self) -> None:
        self._episodes.waiting[:] = self._rows

    def __exit__(self, *error: object) -> None:
        self._episodes.waiting[:] = False


def _check_price(price: Any) -> float:
    number = isinstance(price, int | float | np.number) and not isinstance(price, bool)
    if not (number and math.isfinite(price) and price >= 0):
        raise ConfigError(f"price is what a question costs, at least 0, got {price!r}")
    return float(price)


def _check_actions_are(here: spaces.Space[Any], world: spaces.Space[Any], wrapper: str) -> None:
    if here != world:
        raise ConfigError(
            f"{wrapper} needs the world's own actions {world}, and here they are {here}; put"
            f" {wrapper} around the world first, and what changes the actions outside"
        )


def _actions(action: spaces.Space[Any], questions: Questions) -> spaces.Dict:
    return spaces.Dict({"action": action, "ask": spaces.Discrete(len(questions) + 1)})


def _observations(seen: spaces.Space[Any], questions: Questions) -> spaces.Dict:
    assert isinstance(seen, spaces.Dict)
    highest = np.array(questions.sizes) - 1
    answers = spaces.Box(np.full_like(highest, NO_ANSWER), highest, dtype=np.int64)
    return spaces.Dict({**seen.spaces, "answers": answers})


def _read_actions(actions: Any, shape: tuple[int, ...], questions: int) -> tuple[Any, Integers]:
    """Return the world's actions, and what is asked, int64 of a shape; raises ShapeError."""
    if not isinstance(actions, Mapping) or set(actions) != {"action", "ask"}:
        got = sorted(map(str, actions)) if isinstance(actions, Mapping) else type(actions).__name__
        raise ShapeError(f"{_FORM}; got {got}")
    asks = np.asarray(actions["ask"])
    if asks.shape != shape or asks.dtype.kind not in "iu":
        raise ShapeError(
            f"{_FORM}; 'ask' is {list(shape)} whole numbers, got {list(asks.shape)} of {asks.dtype}"
        )
    if not ((asks >= ACT) & (asks <= questions)).all():
        raise ShapeError(f"{_FORM}; there are {questions} questions, and 'ask' is {asks.tolist()}")
    return actions["action"], asks.astype(np.int64)
