"""Wrappers that give any environment language goals, and make worlds fit for other libraries.

Axes: ``N`` rows of a batch, ``M`` goals, ``G`` numbers in a goal, ``D`` numbers in an embedding.
"""

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from numpy.random import Generator

from langrl.envs.goals import Goals
from langrl.envs.instructed import Observation, Options, Start, Step
from langrl.envs.instruction_space import InstructionSpace
from langrl.envs.wrappers import checks
from langrl.envs.wrappers.resets import draw_unsatisfied, generator_of, read_options
from langrl.envs.wrappers.text_features import EmbeddedText, LastTexts, TextFeatures, TokenisedText
from langrl.errors import GroundingError, InstructionError
from langrl.protocols import Array, Mask, check_instruction
from langrl.words import WordTokeniser


class AddInstruction(gym.Wrapper[Observation, Any, Any, Any], RecordConstructorArgs):
    """Gives an environment an instruction in words: {"observation": ..., "instruction": text}.

    ``reset(options={"instruction": text})`` sets it; other options are the environment's. If
    ``denotation`` is given, an episode ends with a reward of 1 and ``info["is_success"]`` once what
    is achieved satisfies the instruction, and the environment's own reward is 0; without it, reward
    and end are the environment's own. An instruction that the start satisfies is drawn again;
    where that does not help, or it was set, ``info["started_satisfied"]`` of ``reset`` is True.

    Args:
        env: any environment without an instruction.
        instructions: texts to draw from, or a function of (observation, generator) that writes one.
        goals: what a goal is here; needed for a denotation, and by ``InstructionToGoal``.
        denotation: which goals [M, G] satisfy a text, bool [M]; None where that is unknown, as for
            a text that the function does not know.

    Raises:
        InstructionError: if a text cannot be an instruction, there is none, or the environment
            has instructions already.
        GroundingError: if there is a denotation and no goals, either is something else, or the
            goals belong to other observations.
        ShapeError: if observations are Dicts or Tuples.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        instructions: Sequence[str] | Callable[[Any, Generator], str],
        goals: Goals | None = None,
        denotation: Callable[[Array, str], Mask | None] | None = None,
    ) -> None:
        checks.begin(self, env, instructions=instructions, goals=goals, denotation=denotation)
        super().__init__(env)
        if checks.is_instructed(env.observation_space):
            raise InstructionError(
                f"{env} has instructions already; leave AddInstruction out, and set them with"
                ' reset(options={"instruction": text})'
            )
        if denotation is not None and not callable(denotation):
            raise GroundingError("denotation is a function of goals [M, G] and a text; see Args")
        seen = checks.plain_space(env.observation_space, "AddInstruction")
        if denotation is not None or goals is not None:
            self.goals = checks.goals_of(env, goals, "AddInstruction with a denotation")
        self._denotation = denotation
        self._write = instructions if callable(instructions) else checks.Choice(instructions)
        self._text = ""
        self._generator: Generator | None = None
        text = InstructionSpace(checks.Samples(self._write, seen))
        self.observation_space = spaces.Dict({"observation": seen, "instruction": text})

    def reset(self, *, seed: int | None = None, options: Options = None) -> Start:
        """Start an episode with a new instruction; the option ``instruction`` sets it."""
        options = read_options(options, "AddInstruction", "instruction")
        text = options.pop("instruction", None)
        if text is not None:  # before anything is changed
            check_instruction(text)
        observation, info = self.env.reset(seed=seed, options=options)
        self._generator = generator_of("AddInstruction", seed, self._generator)
        self._text, told = self._begin(observation, text, self._generator)
        return self._observe(observation), info | told

    def _begin(
        self, observation: Any, text: str | None, generator: Generator
    ) -> tuple[str, dict[str, bool]]:
        """Return the text that is given, or else drawn, and what is known of it at the start."""

        def draw() -> str:
            return check_instruction(self._write(observation, generator))

        denotation = self._denotation
        if denotation is None:
            return draw() if text is None else text, {}
        achieved = self.goals.achieved(np.asarray(observation)[None])

        def is_satisfied(drawn: str) -> bool:
            return checks.is_satisfied(denotation, achieved, drawn)

        if text is None:
            told, satisfied = draw_unsatisfied(draw, is_satisfied)
        else:
            told, satisfied = text, is_satisfied(text)
        return told, {"is_success": False, "started_satisfied": satisfied}

    def step(self, action: Any) -> Step:
        """Act; the episode ends where the instruction is satisfied, if that is known."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        if self._denotation is not None:
            achieved = self.goals.achieved(np.asarray(observation)[None], np.asarray(action)[None])
            success = checks.is_satisfied(self._denotation, achieved, self._text)
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
        checks.check_instructed(env, name)
        super().__init__(env)
        self._feature = LastTexts(make())
        self.observation_space = checks.with_feature(
            env.observation_space, self._feature.space, name
        )

    def reset(self, *, seed: int | None = None, options: Options = None) -> Start:
        """Start an episode; options are the environment's."""
        read_options(options, type(self).__name__, "instruction")
        return super().reset(seed=seed, options=options)

    def observation(self, observation: Observation) -> Observation:
        """Return the observation with numbers in the place of the text."""
        return observation | {"instruction": self._feature([observation["instruction"]])[0]}


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
        checks.begin(self, env, text_encoder=text_encoder)
        super().__init__(env, lambda: EmbeddedText(text_encoder))


class TokenizeInstruction(_WithTextFeature):
    """Replaces the instruction by numbers of words, a Box of integers [length], padded with 0.

    Args:
        env: an environment with instructions.
        tokeniser: which word has which number; ``WordTokeniser.learn`` makes one from texts.
        length: how many words are read; longer texts are refused.

    Raises:
        InstructionError: if the environment has no instructions in words.
        ShapeError: if its observations are Dicts or Tuples.
    """

    def __init__(self, env: gym.Env[Any, Any], tokeniser: WordTokeniser, length: int = 32) -> None:
        checks.begin(self, env, tokeniser=tokeniser, length=length)
        super().__init__(env, lambda: TokenisedText(tokeniser, length))
