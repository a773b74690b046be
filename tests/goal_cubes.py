"""Points in a unit cube of some numbers, which are drawn, and an agent that knows the words."""

from types import SimpleNamespace

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from langrl.envs.goal_words import GoalWords
from langrl.envs.regions import RegionFrame
from langrl.grounding.chooser import Posterior
from langrl.play.goals import GoalWorld
from langrl.play.playground import Playground

AXES = ("left-right", "bottom-top", "near-far")
STEP = 0.1


class Cube(gym.Env):
    """A point that is moved by up to ``STEP`` in each direction; its picture says where it is."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, numbers=3, render_mode=None, broken=False):
        self.render_mode, self._numbers, self._broken = render_mode, numbers, broken
        box = spaces.Box(0, 1, (numbers,), np.float32)
        keys = ("observation", "achieved_goal", "desired_goal")
        self.observation_space = spaces.Dict(dict.fromkeys(keys, box))
        self.action_space = spaces.Box(-1, 1, (numbers,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._at = self.np_random.uniform(0.3, 0.7, self._numbers).astype(np.float32)
        return self._observe(), {}

    def step(self, action):
        self._at = np.clip(self._at + STEP * action, 0, 1).astype(np.float32)
        return self._observe(), 0.0, False, False, {"is_success": False}

    def render(self):
        if self._broken:
            raise RuntimeError("no screen\nand more")
        return np.full((30, 40, 3), int(255 * self._at[0]), np.uint8)

    def _observe(self):
        return {"observation": self._at, "achieved_goal": self._at,
                "desired_goal": np.full(self._numbers, 0.99, np.float32)}  # fmt: skip


for numbers in (2, 3):
    gym.register(f"toys/Cube{numbers}-v0", Cube, max_episode_steps=40, kwargs={"numbers": numbers})
gym.register("toys/Dark-v0", Cube, max_episode_steps=40, kwargs={"broken": True})


class KnowsRegions:
    """Believes what the words denote, and goes there."""

    def __init__(self, words, numbers):
        self._words, self.waypoints = words, None
        self.grounding = SimpleNamespace(needs=set())
        axis = (np.arange(8) + 0.5) / 8
        self._goals = np.stack(np.meshgrid(*[axis] * numbers), -1).reshape(-1, numbers)

    def reset(self, generator=None, mask=None):
        pass

    def prepare(self, observations, instructions, starts=None):
        pass

    def posterior(self, observation, instruction):
        try:
            inside = self._words.denotation(self._goals, instruction)
        except ValueError:
            inside = None
        mass = np.ones(len(self._goals)) if inside is None else 0.001 + inside
        return Posterior(self._goals.astype(np.float32), (mass / mass.sum()).astype(np.float32))

    def act(self, observation, instruction, starts=None):
        belief, here = self.posterior(observation, instruction), observation["observation"]
        likely = belief.goals[belief.probabilities > belief.probabilities.max() / 2]
        target = likely[((likely - here) ** 2).sum(1).argmin()]
        return np.clip((target - here) / STEP, -1, 1).astype(np.float32)


def words_of(numbers):
    return GoalWords(RegionFrame(AXES[:numbers], (0.0,) * numbers, (1.0,) * numbers))


def cube_playground(numbers, env=None):
    """Return the playground of a cube of 2 or 3 numbers."""
    words = words_of(numbers)
    world = GoalWorld.of(env or f"toys/Cube{numbers}-v0", words, None)
    return Playground(
        "runs/cube", world, lambda strategy: KnowsRegions(words, numbers),
        ("nearest_goal", "max_goal"), "nearest_goal",
    )  # fmt: skip
