"""Models in forked processes answer, although the parent has computed on several threads."""

import os
import signal
import subprocess
import sys

import pytest

NAMES = ["EmbedInstruction", "a function", "InstructionToGoal", "RenderedGoals", "GroundedAgent"]
SCRIPT = """
import numpy as np
import gymnasium as gym
from gymnasium.vector import AsyncVectorEnv
import torch

torch.set_num_threads(4)

from langrl.agents.grounded import GroundedAgent
from langrl.envs.wrappers.goals import RenderedGoals
from langrl.envs.wrappers.instructions import AddInstruction, EmbedInstruction
from langrl.grounding.candidates import ReachablePoses
from langrl.grounding.instruction_to_goal import InstructionToGoal
from langrl.grounding.strategies import GROUNDINGS
from langrl.models.config import GridCriticConfig
from langrl.models.language_image.language import ImageLanguage
from langrl.models.language_image.model import load_language_image_model
from langrl.tasks.grid.agent import build_grid_critic, render_goals, room_of

model = load_language_image_model({folder!r})
model.encode_image(np.zeros((256, 64, 64, 3), np.uint8))  # on several threads
model.encode_text(["go to a key"] * 256)
language = ImageLanguage(model, render_goals, room_of)
critic = build_grid_critic(GridCriticConfig(channels=8, depth=1, width=8), 0)
GRID = "langrl/GridGoTo-v0"


class Following(gym.ObservationWrapper):
    def __init__(self, env):
        super().__init__(env)
        self.observation_space = env.observation_space["observation"]

    def observation(self, observation):
        agent = GroundedAgent(
            critic, language, GROUNDINGS["max_goal"], ReachablePoses(), actions=np.arange(4)
        )
        agent.act(observation)
        return observation["observation"]


def encode(texts):
    return torch.ones(512, 512).mm(torch.ones(512, 512))[: len(texts), :3]


encode(["go"])
made = {{
    "EmbedInstruction": lambda: EmbedInstruction(gym.make(GRID), model),
    "a function": lambda: EmbedInstruction(
        AddInstruction(gym.make("CartPole-v1"), ["go left"]), encode
    ),
    "InstructionToGoal": lambda: InstructionToGoal(
        gym.make(GRID), language, "max_goal", ReachablePoses(True)
    ),
    "RenderedGoals": lambda: RenderedGoals(
        gym.make(GRID, render_mode="rgb_array"),
        lambda images: model.encode_image(images[:, :64, :64]),
    ),
    "GroundedAgent": lambda: Following(gym.make(GRID)),
}}
for name, make in made.items():
    env = AsyncVectorEnv([make] * 2, context="fork")
    env.reset(seed=0)
    env.close(terminate=True)
    print(name, flush=True)
print(torch.get_num_threads())  # the parent keeps its own
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_models_in_forked_environments_answer(tiny_language):
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SCRIPT.format(folder=str(tiny_language))],
        env=os.environ | {"OMP_NUM_THREADS": "4"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        printed, errors = process.communicate(timeout=180)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # its children, too, which wait for ever
        pytest.fail("a forked environment does not answer")
    assert process.returncode == 0, errors[-2000:]
    assert printed.split("\n")[:-1] == [*NAMES, "4"]


ONE_MODULE = """
import multiprocessing

import torch

torch.set_num_threads(4)

import langrl.models.{module}


def compute():
    return torch.ones(512, 512).mm(torch.ones(512, 512))


compute()
child = multiprocessing.get_context("fork").Process(target=compute)
child.start()
child.join(60)
code = child.exitcode  # None if it still waits
child.kill()
print(code)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("module", ["critics.maze", "cpc"])
def test_any_module_of_models_is_enough_for_forks_to_answer(module):
    code = ONE_MODULE.format(module=module)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=os.environ | {"OMP_NUM_THREADS": "4"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "0\n"
