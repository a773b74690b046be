"""A wrapper that turns instructions into goals, so that a policy of goals follows language.

Axes: ``N`` rows of a batch, ``M`` goals, ``G`` numbers in a goal.
"""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from numpy.random import Generator

from langrl.envs.goals import Goals, check_number
from langrl.envs.instructed import Observation, Options, Start, Step
from langrl.envs.wrappers import checks
from langrl.envs.wrappers.resets import generator_of, read_options
from langrl.errors import GroundingError
from langrl.grounding.candidates import Candidates
from langrl.grounding.chooser import GoalChooser
from langrl.grounding.strategies import Grounding
from langrl.models.protocols import Language
from langrl.protocols import Array

_NAME = "InstructionToGoal"


class InstructionToGoal(gym.Wrapper[Observation, Any, Any, Any], RecordConstructorArgs):
    """Turns each instruction into a goal, so that a policy of goals follows language.

    Observations are those of ``GoalEnv``, with a ``desired_goal`` that is chosen at each ``reset``
    for what the instruction says; reward, end and reset options are the environment's own. ``info``
    of ``reset`` holds ``instruction``, ``candidates`` [M, G] and ``posterior`` [M], their
    probabilities, and ``started_satisfied`` where it is known whether the start satisfies the
    instruction. ``info["goal_reached"]`` says, there and at each step, whether the chosen goal is
    reached.

    Args:
        env: an environment with instructions.
        language: h(g, l): a ``LanguageCritic``, an ``ImageLanguage``, or one of your own.
        grounding: a strategy that answers with a goal and needs no critic, or its name:
            ``max_goal``, ``sampled_goal``.
        candidates: draws candidate goals, of the space of goals.
        goals: what a goal is; the environment's own if not given.
        language_weight: factor on the language score, as in ``GroundedAgent``.

    Raises:
        InstructionError: if the environment has no instructions in words.
        GroundingError: if the strategy needs a critic, a part is something else, it is not known
            what a goal is, or goals belong to other observations.
        ShapeError: if observations are Dicts or Tuples, or candidates are no goals.
        DomainError: if the language_weight is no finite number.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        language: Language,
        grounding: Grounding | str,
        candidates: Candidates,
        goals: Goals | None = None,
        language_weight: float = 1.0,
    ) -> None:
        checks.begin(
            self,
            env,
            language=language,
            grounding=grounding,
            candidates=candidates,
            goals=goals,
            language_weight=language_weight,
        )
        checks.check_instructed(env, _NAME)
        super().__init__(env)
        seen = checks.plain_space(env.observation_space, _NAME)
        self.goals = checks.goals_of(env, goals, _NAME)
        checks.check_offers(language, "language", "embed_goals", "encode_text", "score")
        checks.check_offers(candidates, "candidates", "draw")
        if not isinstance(grounding, str):
            checks.check_offers(grounding, "grounding", "needs", "ground")
        language_weight = check_number(language_weight, "language_weight", 0, np.inf)
        checked = checks.GoalCandidates(candidates, self.goals.space)
        self._chooser = GoalChooser(language, grounding, checked, language_weight=language_weight)
        self._desired = np.zeros(self.goals.space.shape, self.goals.space.dtype)
        self._read = checks.goal_reader(self.goals)
        self._generator: Generator | None = None
        self.observation_space = checks.goal_space(seen, self.goals)

    def reset(self, *, seed: int | None = None, options: Options = None) -> Start:
        """Start an episode and choose a goal; options are the environment's.

        Raises:
            InstructionError: if the name of an option is nearly ``instruction``.
            GroundingError: if there is an option ``desired_goal``.
        """
        if "desired_goal" in read_options(options, _NAME, "instruction", "desired_goal"):
            raise GroundingError(
                f"{_NAME} chooses the desired_goal itself; set the option 'instruction', or use"
                " GoalEnv"
            )
        observation, info = self.env.reset(seed=seed, options=options)
        self._generator = generator_of(_NAME, seed, self._generator)
        seen, text = observation["observation"], observation["instruction"]
        chosen, (posterior,) = self._chooser.choose(np.asarray(seen)[None], [text], self._generator)
        self._desired = checks.check_goal(chosen[0], self.goals.space, "a candidate")
        achieved = self._read(seen)
        # In full here, and not at every step.
        reached = checks.check_reached(self.goals, achieved, self._desired)
        shortest = info.get("shortest_steps", np.nan)  # of a world of langrl; nan where unknown
        if not np.isnan(shortest):
            info = {"started_satisfied": shortest == 0} | info
        desired = self._desired.copy()
        result = {"observation": seen, "achieved_goal": achieved, "desired_goal": desired}
        return result, info | {
            "instruction": text,
            "candidates": posterior.goals,
            "posterior": posterior.probabilities,
            "goal_reached": bool(reached),
        }

    def compute_reward(self, achieved_goal: Any, desired_goal: Any, info: Any) -> Array:
        """Raise GroundingError: rewards depend on the instruction, not on the goal."""
        raise GroundingError(
            "InstructionToGoal pays for instructions, which hindsight cannot relabel; train the"
            " policy in GoalEnv, and have it follow instructions here"
        )

    def step(self, action: Any) -> Step:
        """Act; ``info["goal_reached"]`` says whether the chosen goal is reached."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        seen = observation["observation"]
        achieved = self._read(seen, action)
        reached = bool(self.goals.reached(achieved, self._desired))
        desired, info = self._desired.copy(), info | {"goal_reached": reached}
        result = {"observation": seen, "achieved_goal": achieved, "desired_goal": desired}
        return result, float(reward), terminated, truncated, info
