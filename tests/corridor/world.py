"""The corridor as a vector environment, and what its instructions denote."""

import re

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv

from langrl.errors import InstructionError

TEXTS = ("go to an end", "go to the left end", "go to the right end")


def denoted(text: str, cells: int) -> np.ndarray:
    """Return which cells [cells] a text denotes."""
    mask = np.zeros(cells, bool)
    if match := re.fullmatch(r"go to cell (\d+)", text):
        mask[int(match[1]) : int(match[1]) + 1] = True
    mask[0] |= text in TEXTS[:2]
    mask[-1] |= text in (TEXTS[0], TEXTS[2])
    if not mask.any():
        raise InstructionError(f"{text!r} denotes no cell of a corridor of {cells}")
    return mask


class CorridorVectorEnv(VectorEnv):
    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(self, cells: int, num_envs: int, texts: tuple[str, ...] = TEXTS) -> None:
        self.cells, self.num_envs, self.texts = cells, num_envs, texts
        self.single_action_space = spaces.Discrete(2)
        self.action_space = spaces.MultiDiscrete([2] * num_envs)
        position = spaces.Box(0, cells - 1, (1,), np.float32)
        self.single_observation_space = spaces.Dict(
            {"observation": position, "instruction": spaces.Text(100)}
        )
        self.observation_space = gym.vector.utils.batch_space(
            self.single_observation_space, num_envs
        )

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = self.np_random.integers(self.cells, size=self.num_envs)
        drawn = [
            self.texts[n] for n in self.np_random.integers(len(self.texts), size=self.num_envs)
        ]
        self.said = [(options or {}).get("instruction", text) for text in drawn]
        self.goals = np.stack([denoted(text, self.cells) for text in self.said])
        self.over, self.clock = np.zeros(self.num_envs, bool), 0
        distance = np.abs(np.arange(self.cells) - self.at[:, None])
        shortest = np.where(self.goals, distance, self.cells).min(1).clip(1)
        info = {
            "shortest_steps": shortest.astype(float),
            "ambiguity_bits": np.log2(self.goals.sum(1)),
        }
        return self._observation(), info

    def step(self, actions):
        moved = (self.at + 2 * np.asarray(actions) - 1).clip(0, self.cells - 1)
        self.at = np.where(self.over, self.at, moved)
        success = self.goals[np.arange(self.num_envs), self.at]
        self.over |= success
        self.clock += 1
        late = np.full(self.num_envs, self.clock >= 2 * self.cells)
        return self._observation(), success.astype(float), success, late, {"is_success": success}

    def _observation(self):
        return {
            "observation": self.at[:, None].astype(np.float32),
            "instruction": tuple(self.said),
        }
