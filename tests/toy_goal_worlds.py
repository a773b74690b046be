"""A small family of goal worlds: a walk on a line, observed and acted in in many ways.

The plain observation is (a number that the episode alone has, steps so far, place), so that it
shows which transitions belong together.
"""

from typing import ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from langrl.envs.goal_engine import GoalSpaces, Seen, Stepped
from langrl.errors import CheckpointError

LIMIT = 7
NEAR = 0.5
BOXES = {
    "plain": spaces.Box(-np.inf, np.inf, (3,), np.float64),
    "dict": spaces.Dict(
        {
            "place": spaces.Box(-np.inf, np.inf, (1, 1), np.float64),
            "clock": spaces.Tuple([spaces.Discrete(2 * LIMIT), spaces.Box(0, 1e9, (1,))]),
        }
    ),
    "image": spaces.Box(0, 255, (4, 5), np.uint8),
    "text": spaces.Dict({"words": spaces.Text(5)}),
}


class Line(gym.Env):
    """Walks on a line with noise; the goal is a place."""

    metadata: ClassVar = {"render_modes": []}

    def __init__(
        self, seen="plain", actions="box", reports="is_success", terminates=True, forgets=False
    ):
        box = spaces.Box(-np.inf, np.inf, (1,), np.float64)
        parts = {"observation": BOXES[seen], "achieved_goal": box, "desired_goal": box}
        self.observation_space = spaces.Dict(parts)
        self.action_space = {
            "box": spaces.Box(np.array([-1.0, 0.0]), np.array([1.0, 4.0]), dtype=np.float64),
            "discrete": spaces.Discrete(3, start=-1),
            "square": spaces.Box(-1, 1, (1, 2), np.float32),
            "whole": spaces.Box(0, 3, (2,), np.int64),
            "infinite": spaces.Box(-np.inf, np.inf, (2,), np.float32),
            "many": spaces.MultiDiscrete([2, 2]),
        }[actions]
        self._seen, self._reports, self._ends = seen, reports, terminates
        self._hidden = np.random.default_rng() if forgets else None

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        options = options or {}
        self._name = float(self.np_random.integers(1, 2**20))
        self._steps, self._place = 0, float(self.np_random.uniform(-1, 1))
        self._goal = float(options.get("goal", self.np_random.uniform(1, 4)))
        return self._observe(), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        noise = self.np_random.normal(0, 0.1)
        if self._hidden is not None:
            noise += self._hidden.normal()
        self._steps += 1
        self._place += float(np.sum(action)) * 0.5 + noise
        reached = abs(self._place - self._goal) < NEAR
        info = {self._reports: np.bool_(reached)} if self._reports else {}
        return self._observe(), float(reached), reached and self._ends, False, info

    def _observe(self):
        seen = {
            "plain": lambda: np.array([self._name, self._steps, self._place]),
            "dict": lambda: {
                "place": np.array([[self._place]]),
                "clock": (self._steps, np.array([self._name], np.float32)),
            },
            "image": lambda: np.full((4, 5), self._steps, np.uint8),
            "text": lambda: {"words": "a"},
        }[self._seen]()
        place, goal = np.array([self._place]), np.array([self._goal])
        return {"observation": seen, "achieved_goal": place, "desired_goal": goal}


class TaskLine(gym.Env):
    """Goals in ``info``, tasks by number, and noise from NumPy's global generator, as OGBench."""

    metadata: ClassVar = {"render_modes": []}
    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float64)

    def __init__(self, wide_goal=False):
        self.action_space = spaces.Box(-1, 1, (2,), np.float32)
        self._wide = wide_goal

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        task = (options or {}).get("task_id", np.random.randint(1, 6))  # noqa: NPY002
        self._place = np.random.uniform(-0.1, 0.1, 2) + 0.01 * self.action_space.sample()  # noqa: NPY002
        self._goal = np.array([float(task), 0.0])
        return self._place.copy(), {"goal": np.zeros(3) if self._wide else self._goal}

    def step(self, action):
        self._place = self._place + action + np.random.normal(0, 0.01, 2)  # noqa: NPY002
        reached = np.linalg.norm(self._place - self._goal) < 1
        info = {"success": float(reached), "xy": self._place}
        return self._place.copy(), float(reached), bool(reached), False, info


class LineEngine:
    """The line in arrays; without noise."""

    def __init__(self, num_envs, max_episode_steps):
        box = spaces.Box(-np.inf, np.inf, (1,), np.float32)
        seen = spaces.Box(-np.inf, np.inf, (3,), np.float32)
        actions = spaces.Box(np.float32([-1, 0]), np.float32([1, 4]))
        self.spaces = GoalSpaces(seen, box, actions, max_episode_steps)
        self.num_envs = num_envs
        self._rows = np.zeros((num_envs, 4), np.float32)  # name, steps, place, goal

    def reset(self, rows, seeds):
        for row, seed in zip(rows, seeds, strict=True):
            draw = np.random.default_rng(seed)
            name, place, goal = draw.integers(1, 2**20), draw.uniform(-1, 1), draw.uniform(1, 4)
            self._rows[row] = name, 0, place, goal
        return self._see()

    def step(self, actions):
        self._rows[:, 1] += 1
        self._rows[:, 2] += 0.5 * actions.sum(1)
        reached = np.abs(self._rows[:, 2] - self._rows[:, 3]) < NEAR
        truncated = (self._rows[:, 1] >= self.spaces.max_episode_steps) & ~reached
        return Stepped(self._see(), reached.astype(np.float32), reached, truncated, reached.copy())

    def _see(self):
        return Seen(*(self._rows[:, part].copy() for part in (slice(3), slice(2, 3), slice(3, 4))))

    def state(self):
        return {"rows": self._rows.copy()}

    def load_state(self, state):
        if state["rows"].shape != self._rows.shape:
            raise CheckpointError("another number of lines")
        self._rows = np.array(state["rows"])
        return self._see()

    def close(self):
        pass


def make_vector(num_envs, autoreset_mode="NextStep", max_episode_steps=None, **kwargs):
    """A vector environment of lines, as a user registers one."""
    make = [lambda: gym.make("toys/Line-v0", **kwargs)] * num_envs
    return gym.vector.SyncVectorEnv(make, autoreset_mode=autoreset_mode)


def register():
    """Register the family; doing it again changes nothing."""
    for name, kind in {"toys/Line-v0": Line, "toys/TaskLine-v0": TaskLine}.items():
        if name not in gym.registry:
            gym.register(name, kind, max_episode_steps=LIMIT)
    if "toys/Endless-v0" not in gym.registry:
        gym.register("toys/Endless-v0", Line)
        gym.register("toys/ArrayLine-v0", Line, max_episode_steps=LIMIT)
        gym.register(
            "toys/Batched-v0", Line, vector_entry_point=make_vector, max_episode_steps=LIMIT
        )
        gym.register("toys/OnlyBatched-v0", vector_entry_point=make_vector, max_episode_steps=LIMIT)


register()
