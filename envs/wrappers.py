"""Wrappers that give any environment language goals, and make worlds fit for other libraries.

Axes: ``N`` rows of a batch, ``M`` goals, ``G`` numbers in a goal, ``D`` numbers in an embedding.
"""

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from langrl.envs.goals import NO_TASK, FrameGoals, Goals, check_number
from langrl.envs.instruction_space import InstructionSpace
from langrl.envs.text_features import EmbeddedText, TextFeatures, TokenisedText
from langrl.envs.wrapped_spaces import (
    Choice,
    GoalCandidates,
    Samples,
    begin,
    check_goal,
    check_instructed,
    check_offers,
    check_reached,
    goal_space,
    goals_of,
    is_instructed,
    is_satisfied,
    known,
    observe_goal,
    plain_space,
    with_feature,
)
from langrl.errors import GroundingError, InstructionError
from langrl.grounding.candidates import Candidates
from langrl.grounding.chooser import GoalChooser, Language
from langrl.grounding.strategies import Grounding
from langrl.protocols import check_instruction
from langrl.words import WordTokeniser

Observation = dict[str, Any]
Step = tuple[Observation, float, bool, bool, dict[str, Any]]


class AddInstruction(gym.Wrapper[Observation, Any, Any, Any], RecordConstructorArgs):
    """Gives an environment an instruction in words: {"observation": ..., "instruction": text}.

    ``reset(options={"instruction": text})`` sets it. If ``denotation`` is given, an episode ends
    with a reward of 1 and ``info["is_success"]`` once what is achieved satisfies the instruction,
    and the environment's own reward is 0; without it, reward and end are the environment's own.

    Args:
        env: any environment without an instruction.
        instructions: texts to draw from, or a function of (observation, generator) that writes one.
        goals: what a goal is here; needed for a denotation, and by ``InstructionToGoal``.
        denotation: which goals [M, G] satisfy a text, bool [M]; None where that is unknown.

    Raises:
        InstructionError: if a text cannot be an instruction, there is none, or the environment
            has instructions already.
        GroundingError: if there is a denotation and no goals, or either is something else.
        ShapeError: if observations are Dicts or Tuples.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        instructions: Sequence[str] | Callable[[Any, np.random.Generator], str],
        goals: Goals | None = None,
        denotation: Callable[[NDArray[Any], str], NDArray[np.bool_] | None] | None = None,
    ) -> None:
        begin(self, env, instructions=instructions, goals=goals, denotation=denotation)
        super().__init__(env)
        if is_instructed(env.observation_space):
            raise InstructionError(
                f"{env} has instructions already; leave AddInstruction out, and set them with"
                ' reset(options={"instruction": text})'
            )
        if denotation is not None and not callable(denotation):
            raise GroundingError("denotation is a function of goals [M, G] and a text; see Args")
        if denotation is not None or goals is not None:
            self.goals = goals_of(env, goals, "AddInstruction with a denotation")
        self._denotation = denotation
        self._write = instructions if callable(instructions) else Choice(instructions)
        self._text = ""
        seen = plain_space(env.observation_space, "AddInstruction")
        text = InstructionSpace(Samples(self._write, seen))
        self.observation_space = spaces.Dict({"observation": seen, "instruction": text})

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode with a new instruction; the option ``instruction`` sets it."""
        options = dict(options or {})
        text = options.pop("instruction", None)
        if text is not None:  # before anything is changed
            check_instruction(text)
        observation, info = self.env.reset(seed=seed, options=options)
        drawn = self._write(observation, self.np_random) if text is None else text
        self._text = check_instruction(drawn)
        success = {} if self._denotation is None else {"is_success": False}
        return self._observe(observation), info | success

    def step(self, action: Any) -> Step:
        """Act; the episode ends where the instruction is satisfied, if that is known."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        if self._denotation is not None:
            achieved = self.goals.achieved(np.asarray(observation)[None], np.asarray(action)[None])
            success = is_satisfied(self._denotation, achieved, self._text)
            reward, terminated = float(success), bool(terminated) or success
            info = info | {"is_success": success}
        return self._observe(observation), float(reward), terminated, truncated, info

    def _observe(self, observation: Any) -> Observation:
        return {"observation": observation, "instruction": self._text}


class _WithTextFeature(
    gym.ObservationWrapper[Observation, Any, Observation], RecordConstructorArgs
):
    """Replaces the text of an instruction by numbers."""

    def __init__(self, env: gym.Env[Any, Any], make: Callable[[], TextFeatures]) -> None:
        name = type(self).__name__
        check_instructed(env, name)
        super().__init__(env)
        self._feature = make()
        self._told: tuple[str, NDArray[Any]] | None = None  # the last text, and its numbers
        self.observation_space = with_feature(env.observation_space, self._feature.space, name)

    def observation(self, observation: Observation) -> Observation:
        """Return the observation with numbers in the place of the text."""
        text = observation["instruction"]
        if self._told is None or self._told[0] != text:
            self._told = text, self._feature([text])[0]
        return observation | {"instruction": self._told[1].copy()}


class EmbedInstruction(_WithTextFeature):
    """Replaces the instruction by its embedding, a Box [D]; each text is encoded once.

    Args:
        env: an environment with instructions.
        text_encoder: anything with ``encode_text(texts)``, a SentenceTransformer, or a function
            from K texts to [K, D]. It stays with the environment: no policy has to carry it.

    Raises:
        InstructionError: if the environment has no instructions in words.
        ShapeError: if its observations are Dicts or Tuples, or the encoder does not give [K, D].
    """

    def __init__(self, env: gym.Env[Any, Any], text_encoder: Any) -> None:
        begin(self, env, text_encoder=text_encoder)
        super().__init__(env, lambda: EmbeddedText(text_encoder))


class TokenizeInstruction(_WithTextFeature):
    """Replaces the instruction by numbers of words, a Box of integers [length], padded with 0.

    Args:
        env: an environment with instructions.
        tokeniser: which word has which number; ``WordTokeniser.learn`` makes one from texts.
        length: how many words are read.

    Raises:
        InstructionError: if the environment has no instructions in words.
        ShapeError: if its observations are Dicts or Tuples.
    """

    def __init__(self, env: gym.Env[Any, Any], tokeniser: WordTokeniser, length: int = 32) -> None:
        begin(self, env, tokeniser=tokeniser, length=length)
        super().__init__(env, lambda: TokenisedText(tokeniser, length))


class GoalEnv(gym.Wrapper[Observation, Any, Any, Any], RecordConstructorArgs):
    """An environment of goals to reach, as hindsight relabelling needs it; without language.

    Observations are {"observation", "achieved_goal", "desired_goal"}. A goal is drawn at each
    ``reset``, or set by its option ``desired_goal``. The reward is 1 when it is reached, which
    ends the episode, less ``step_cost`` at every step. ``compute_reward`` is vectorised.

    Args:
        env: a world of langrl, or any environment with ``goals``.
        goals: what a goal is; the environment's own if not given.
        step_cost: taken from every reward; 1 makes it -1 on the way and 0 at the goal.

    Raises:
        GroundingError: if it is not known what a goal is.
        ShapeError: if observations are Dicts or Tuples, or a goal is not of the space of goals.
        DomainError: if the cost is no finite number.
    """

    def __init__(
        self, env: gym.Env[Any, Any], goals: Goals | None = None, step_cost: float = 0.0
    ) -> None:
        begin(self, env, goals=goals, step_cost=step_cost)
        name = type(self).__name__
        super().__init__(env)
        seen = plain_space(env.observation_space, name)
        self.goals = goals_of(env, goals, name)
        self.step_cost = check_number(step_cost, "step_cost", -np.inf, np.inf)
        cost = np.float32(self.step_cost)
        self._rewards = (float(-cost), float(np.float32(1) - cost))  # on the way, at the goal
        self._instructed = is_instructed(env.observation_space)
        self._desired = np.zeros(self.goals.space.shape, self.goals.space.dtype)
        self.observation_space = goal_space(seen, self.goals)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode with a new goal; the option ``desired_goal`` sets it."""
        free = {**NO_TASK, **self.goals.options} if self._instructed else {}
        options = free | dict(options or {})
        desired = options.pop("desired_goal", None)
        if desired is not None:  # before anything is changed
            desired = check_goal(desired, self.goals.space, "desired_goal")
        observation, info = self.env.reset(seed=seed, options=options)
        seen = self._plain(observation)
        if desired is None:
            drawn = self.goals.draw(np.asarray(seen)[None], self.np_random)[0]
            desired = check_goal(drawn, self.goals.space, "the goal that was drawn")
        self._desired = desired
        result = observe_goal(self.goals, seen, None, desired)
        check_reached(self.goals, result["achieved_goal"], desired)  # here, and not at every step
        return result, known(info) | {"is_success": False}

    def step(self, action: Any) -> Step:
        """Act; the episode ends at the goal, or where the environment ends it."""
        observation, _, terminated, truncated, info = self.env.step(action)
        result = observe_goal(self.goals, self._plain(observation), action, self._desired)
        reached = bool(self.goals.reached(result["achieved_goal"], self._desired))
        info = known(info) | {"is_success": reached}
        return result, self._rewards[reached], bool(terminated) or reached, truncated, info

    def compute_reward(self, achieved_goal: Any, desired_goal: Any, info: Any) -> NDArray[Any]:
        """Return the rewards [...] for goals achieved [..., G] where others are desired."""
        reached = check_reached(self.goals, achieved_goal, desired_goal)
        return reached.astype(np.float32) - np.float32(self.step_cost)

    def _plain(self, observation: Any) -> Any:
        return observation["observation"] if self._instructed else observation


class RenderedGoals(GoalEnv):
    """As ``GoalEnv``, for any environment that renders: goals are pictures, by their embeddings.

    Args:
        env: made with ``render_mode="rgb_array"``.
        encode_image: maps pictures uint8 [M, H, W, 3] to embeddings [M, D], such as the
            ``encode_image`` of a language-image model.
        pictures: goals to draw from; if not given, frames that were seen since the last seed, or
            on a short random walk before.
        similarity: the least cosine at which a goal is reached.
        step_cost: as in ``GoalEnv``.

    Raises:
        GroundingError: if the environment does not render as pictures.
        ShapeError, DomainError: as ``GoalEnv`` and ``FrameGoals``.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        encode_image: Callable[[NDArray[np.uint8]], Any],
        pictures: NDArray[np.uint8] | None = None,
        similarity: float = 0.99,
        step_cost: float = 0.0,
    ) -> None:
        begin(
            self,
            env,
            encode_image=encode_image,
            pictures=pictures,
            similarity=similarity,
            step_cost=step_cost,
        )
        plain_space(env.observation_space, "RenderedGoals")
        self._frames = FrameGoals(env, encode_image, pictures, similarity)
        super().__init__(env, self._frames, step_cost)
        self.metadata = {**env.metadata, "render_modes": ["rgb_array"]}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode with a new goal; see ``GoalEnv.reset``."""
        if seed is not None:
            self._frames.forget()
        return super().reset(seed=seed, options=options)


class InstructionToGoal(gym.Wrapper[Observation, Any, Any, Any], RecordConstructorArgs):
    """Turns each instruction into a goal, so that a policy of goals follows language.

    Observations are those of ``GoalEnv``, with a ``desired_goal`` that is chosen at each ``reset``
    for what the instruction says; reward and end are the environment's own. ``info`` of ``reset``
    holds ``instruction``, ``candidates`` [M, G] and ``posterior`` [M], their probabilities.

    Args:
        env: an environment with instructions.
        language: h(g, l): a ``LanguageCritic``, a ``PictureLanguage``, or one of your own.
        grounding: a strategy that answers with a goal and needs no critic, or its name:
            ``max_goal``, ``sampled_goal``.
        candidates: draws candidate goals, of the space of goals.
        goals: what a goal is; the environment's own if not given.
        sharpness: factor on the fit, as in ``GroundedAgent``.

    Raises:
        InstructionError: if the environment has no instructions in words.
        GroundingError: if the strategy needs a critic, a part is something else, or it is not
            known what a goal is.
        ShapeError: if observations are Dicts or Tuples, or candidates are no goals.
        DomainError: if the sharpness is no finite number.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        language: Language,
        grounding: Grounding | str,
        candidates: Candidates,
        goals: Goals | None = None,
        sharpness: float = 1.0,
    ) -> None:
        begin(
            self,
            env,
            language=language,
            grounding=grounding,
            candidates=candidates,
            goals=goals,
            sharpness=sharpness,
        )
        check_instructed(env, "InstructionToGoal")
        super().__init__(env)
        seen = plain_space(env.observation_space, "InstructionToGoal")
        self.goals = goals_of(env, goals, "InstructionToGoal")
        check_offers(language, "language", "embed_goals", "encode_text", "score")
        check_offers(candidates, "candidates", "draw")
        if not isinstance(grounding, str):
            check_offers(grounding, "grounding", "needs", "ground")
        sharpness = check_number(sharpness, "sharpness", 0, np.inf)
        checked = GoalCandidates(candidates, self.goals.space)
        self._chooser = GoalChooser(language, grounding, checked, sharpness=sharpness)
        self._desired = np.zeros(self.goals.space.shape, self.goals.space.dtype)
        self.observation_space = goal_space(seen, self.goals)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode and choose a goal; options are the environment's."""
        observation, info = self.env.reset(seed=seed, options=options)
        seen, text = observation["observation"], observation["instruction"]
        chosen, (posterior,) = self._chooser.choose(np.asarray(seen)[None], [text], self.np_random)
        self._desired = check_goal(chosen[0], self.goals.space, "a candidate")
        told = {
            "instruction": text,
            "candidates": posterior.goals,
            "posterior": posterior.probabilities,
        }
        result = observe_goal(self.goals, seen, None, self._desired)
        check_reached(self.goals, result["achieved_goal"], self._desired)  # not at every step
        return result, info | told

    def compute_reward(self, achieved_goal: Any, desired_goal: Any, info: Any) -> NDArray[Any]:
        """Raise GroundingError: rewards are for instructions, and hindsight has no use here."""
        raise GroundingError(
            "InstructionToGoal pays for instructions, which hindsight cannot relabel; train the"
            " policy in GoalEnv, and have it follow instructions here"
        )

    def step(self, action: Any) -> Step:
        """Act; ``info["goal_reached"]`` says whether the chosen goal is."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        result = observe_goal(self.goals, observation["observation"], action, self._desired)
        reached = bool(self.goals.reached(result["achieved_goal"], self._desired))
        return result, float(reward), terminated, truncated, info | {"goal_reached": reached}
