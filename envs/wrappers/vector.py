"""Wrappers of ``langrl.envs.wrappers.instructions`` for vector environments, under the same names.

Axes: ``N`` environments, ``D`` numbers in an embedding, ``L`` words.
"""

from typing import Any

import gymnasium as gym
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from langrl.envs.autoreset import made_with
from langrl.envs.wrappers.checks import check_instructed, with_feature
from langrl.envs.wrappers.text_features import EmbeddedText, LastTexts, TextFeatures, TokenisedText
from langrl.errors import ConfigError
from langrl.words import WordTokeniser


class _WithTextFeature(gym.vector.VectorObservationWrapper):
    """Replaces the texts of instructions by numbers."""

    def __init__(self, env: gym.vector.VectorEnv[Any, Any, Any], feature: TextFeatures) -> None:
        name = type(self).__name__
        _check_kind(env, name)
        check_instructed(env, name)
        space = with_feature(env.single_observation_space, feature.space, name)
        super().__init__(env)
        self._feature = LastTexts(feature)
        self.single_observation_space = space
        self.observation_space = batch_space(space, env.num_envs)

    def observations(self, observations: dict[str, Any]) -> dict[str, Any]:
        """Return observations with numbers [N, ...] in the place of the texts."""
        return observations | {"instruction": self._feature(observations["instruction"])}


class EmbedInstruction(_WithTextFeature):
    """Replaces instructions by their embeddings [N, D]; see ``langrl.envs.wrappers.instructions``.

    Raises:
        ConfigError: if this is no vector environment, or its last observations are in ``info``.
        InstructionError, ShapeError: as in ``langrl.envs.wrappers.instructions``.
    """

    def __init__(self, env: gym.vector.VectorEnv[Any, Any, Any], text_encoder: Any) -> None:
        super().__init__(env, EmbeddedText(text_encoder))


class TokenizeInstruction(_WithTextFeature):
    """Replaces instructions by numbers of words [N, L]; errors as ``EmbedInstruction``."""

    def __init__(
        self, env: gym.vector.VectorEnv[Any, Any, Any], tokeniser: WordTokeniser, length: int = 32
    ) -> None:
        super().__init__(env, TokenisedText(tokeniser, length))


def _check_kind(env: Any, wrapper: str) -> None:
    if not isinstance(env, gym.vector.VectorEnv):
        message = f"got {env if isinstance(env, str | type) else type(env).__name__}"
        if isinstance(env, gym.Env):
            message = f"this is a single one: use langrl.envs.wrappers.instructions.{wrapper}"
        raise ConfigError(
            f"this {wrapper} wraps a vector environment of gymnasium.make_vec; {message}"
        )
    if env.metadata.get("autoreset_mode") is AutoresetMode.SAME_STEP:
        raise ConfigError(
            f"{wrapper} does not read the last observations that SameStep leaves in info, and"
            ' takes autoreset_mode="NextStep" or "Disabled"; use'
            f" {made_with(AutoresetMode.NEXT_STEP)}, or put"
            f" langrl.envs.wrappers.instructions.{wrapper} around each"
        )
