"""Wrappers of ``langrl.envs.wrappers`` for vector environments, under the same names.

Axes: ``N`` environments, ``D`` numbers in an embedding, ``L`` words.
"""

from typing import Any

import gymnasium as gym
from gymnasium import spaces
from gymnasium.vector.utils import batch_space

from langrl.envs.text_features import EmbeddedText, TextFeatures, TokenisedText
from langrl.envs.wrapped_spaces import check_instructed, plain_space, with_feature
from langrl.words import WordTokeniser


class _WithTextFeature(gym.vector.VectorObservationWrapper):
    """Replaces the texts of instructions by numbers."""

    def __init__(self, env: gym.vector.VectorEnv[Any, Any, Any], feature: TextFeatures) -> None:
        name = type(self).__name__
        check_instructed(env, name)
        plain_space(env.single_observation_space, name)
        super().__init__(env)
        self._feature = feature
        space: spaces.Dict = with_feature(env.single_observation_space, feature.space)
        self.single_observation_space = space
        self.observation_space = batch_space(space, env.num_envs)

    def observations(self, observations: dict[str, Any]) -> dict[str, Any]:
        """Return observations with numbers [N, ...] in the place of the texts."""
        return observations | {"instruction": self._feature(observations["instruction"])}


class EmbedInstruction(_WithTextFeature):
    """Replaces instructions by their embeddings [N, D]; see ``langrl.envs.wrappers``."""

    def __init__(self, env: gym.vector.VectorEnv[Any, Any, Any], text_encoder: Any) -> None:
        super().__init__(env, EmbeddedText(text_encoder))


class TokenizeInstruction(_WithTextFeature):
    """Replaces instructions by numbers of words [N, L]; see ``langrl.envs.wrappers``."""

    def __init__(
        self,
        env: gym.vector.VectorEnv[Any, Any, Any],
        tokeniser: WordTokeniser,
        length: int = 32,
    ) -> None:
        super().__init__(env, TokenisedText(tokeniser, length))
