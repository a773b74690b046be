import gymnasium as gym
import numpy as np
import pytest

from langrl.data.images.rendered_worlds import WorldImages
from langrl.errors import ConfigError


def test_a_denotation_that_raises_is_reported_with_the_text():
    env = gym.make("langrl/GridGoTo-v0").unwrapped

    class Table:
        def __getattr__(self, name):
            return getattr(env, name)

        def denotation(self, goals, text):
            return {}[text]

    says = r"denotation of mine raises KeyError\(.*for the instruction .*; let it return None"
    with pytest.raises(ConfigError, match=says) as caught:
        WorldImages(Table(), "mine").draw(2, 4, np.random.default_rng(0))
    assert isinstance(caught.value.__cause__, KeyError)
