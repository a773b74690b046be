"""Images and instructions of any environment that draws its goals.

Axes: ``E`` episodes, ``M`` images, ``K`` texts.
"""

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.random import Generator

from langrl.data.images.grid_scenes import ImageTexts
from langrl.envs.registered import unfit_versions
from langrl.errors import ConfigError, InstructionError

NEEDED = ("render_goal", "denotation", "sample_goals")
_TRIES = 20  # batches until one is refused in which no text fits an image


class WorldImages:
    """Draws goals of an environment's episodes, with the episodes' instructions.

    The environment offers ``render_goal(goal) -> uint8 [H, W, 3]``,
    ``sample_goals(count, generator) -> goals [count, ...]`` and
    ``denotation(goals, text) -> bool [count] or None``, all of the present episode, which the seed
    of ``reset`` decides; its observation has an ``instruction``.

    Args:
        env: unwrapped.
        name: for messages.

    Raises:
        ConfigError: if it lacks one of them; names what is missing.
    """

    def __init__(self, env: Any, name: str) -> None:
        if missing := [method for method in NEEDED if not hasattr(env, method)]:
            raise ConfigError(
                f"environments: {name} has no {' and no '.join(missing)}; images need a world"
                f" with {', '.join(NEEDED)}"
            )
        self._env, self.name = env, name

    def draw(self, episodes: int, images: int, generator: Generator) -> ImageTexts:
        """Draw episodes, goals of each, and the texts of all of them.

        Every text is compared with every goal, in the goal's own episode; one that is unknown or
        denotes nothing there fits none of its goals.

        Raises:
            ConfigError: if no text fits a goal, again and again, or the denotation raises.
        """
        for _ in range(_TRIES):
            batch = self._draw(episodes, images, generator)
            # An image that all texts fit has no negative.
            if len(batch.texts) > 1 and not batch.positives.all(0).any():
                return batch
        raise ConfigError(
            f"environments: hardly a sampled goal of {self.name} fits an instruction; make"
            " sample_goals return goals that instructions denote"
        )

    def _draw(self, episodes: int, images: int, generator: Generator) -> ImageTexts:
        seeds = generator.integers(2**31, size=episodes).tolist()
        texts = [str(self._env.reset(seed=seed)[0]["instruction"]) for seed in seeds]
        texts = list(dict.fromkeys(texts))
        rendered, matches = [], []
        for seed in seeds:
            self._env.reset(seed=seed)  # the same episode as before
            goals = self._env.sample_goals(images, generator)
            rendered.append(np.stack([self._env.render_goal(goal) for goal in goals]))
            matches.append(np.stack([self._denoted(goals, text) for text in texts]))
        positives = np.concatenate(matches, 1)  # [K, M]
        fitting = np.flatnonzero(positives.any(1) & ~positives.all(1))
        kept = [texts[n] for n in fitting]
        return ImageTexts(np.concatenate(rendered), kept, positives[fitting])

    def _denoted(self, goals: Any, text: str) -> Any:
        try:
            denoted = self._env.denotation(goals, text)
        except InstructionError:
            denoted = None  # no such object is there
        except Exception as error:
            raise ConfigError(
                f"environments: denotation of {self.name} raises {type(error).__name__}({error})"
                f" for the instruction {text!r}; let it return None for a text that it does not"
                " know"
            ) from error
        fits = np.zeros(len(goals), bool) if denoted is None else np.asarray(denoted)
        if fits.shape != (len(goals),) or fits.dtype != bool:
            raise ConfigError(
                f"environments: denotation of {self.name} gives {fits.dtype} {list(fits.shape)} for"
                f" {len(goals)} goals; let it return bool [M], one for each"
            )
        return fits


def open_world(name: str) -> WorldImages:
    """Return the images of an environment by its Gymnasium id.

    Raises:
        ConfigError: if it cannot be made; names versions that are known not to fit each other. As
            ``WorldImages``.
    """
    try:
        env = gym.make(name).unwrapped
    except Exception as error:  # whatever the environment's own code raises
        detail = str(error) or type(error).__name__
        raise ConfigError(
            f"environments: cannot make {name!r} ({detail}); {unfit_versions() or 'check the id'}"
        ) from error
    return WorldImages(env, name)
