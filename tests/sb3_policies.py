"""What tests of Stable-Baselines3 policies share: small algorithms and environments."""

from copy import deepcopy
from functools import partial

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3

from langrl.agents.sb3.vector_env import VectorAdapter
from langrl.checkpoint import Checkpoint, write_checkpoint
from langrl.envs.wrappers import vector as vector_wrappers
from langrl.grounding.config import GridGroundingConfig
from langrl.models.config import GridCriticConfig
from langrl.tasks.grid.agent import GridAgentDescription, build_grid_critic
from langrl.words import WordTokeniser

MAZE, GRID = "langrl/StreetMaze-Fork-v0", "langrl/GridGoTo-v0"
BOX = spaces.Box(0, 1, (2,), np.float32)
SIZES = GridCriticConfig(embedding=8, channels=8, depth=1, width=16)
WORDS = WordTokeniser(("go", "to", "the", "red", "ball", "key", "row", "column", "1", "2"))
ALGORITHMS = {
    "ppo": partial(PPO, n_steps=16, batch_size=8, n_epochs=1),
    "sac": partial(SAC, learning_starts=12, batch_size=8, buffer_size=200),
    "dqn": partial(
        DQN,
        learning_starts=12,
        batch_size=8,
        buffer_size=200,
        train_freq=2,
        target_update_interval=8,
    ),
}
INSTRUCTED = {"features_dim": 8, "text_dim": 4}
CENTRED = {**INSTRUCTED, "centre_on_agent": True}
_SIZES = {"policy_kwargs": {"net_arch": [8]}, "seed": 0, "device": "cpu"}
_OFF = {"learning_starts": 10, "batch_size": 8, "buffer_size": 100} | _SIZES
SMALL = {
    "ppo": (PPO, "Pendulum-v1", {"n_steps": 16, "batch_size": 8, "n_epochs": 2} | _SIZES),
    "a2c": (A2C, "CartPole-v1", _SIZES),
    "dqn": (DQN, "CartPole-v1", _OFF | {"target_update_interval": 7}),
    "sac": (SAC, "Pendulum-v1", _OFF),
    "td3": (TD3, "Pendulum-v1", _OFF),
    "ddpg": (DDPG, "Pendulum-v1", _OFF),
}  # fmt: skip


def build_small(name):
    """Return a small algorithm of Stable-Baselines3 for a world of Gymnasium."""
    kind, world, options = SMALL[name]
    return kind("MlpPolicy", gym.make(world), **deepcopy(options))  # which some change


def encode(texts):
    return np.array([[len(text), text.count("row"), text.count("ball")] for text in texts])


def seeded(seed=0):
    return np.random.default_rng(seed)


def batched(name=MAZE, count=3, **options):
    return gym.make_vec(name, num_envs=count, autoreset_mode="Disabled", **options)


def adapt(name=MAZE, count=3, **options):
    return VectorAdapter(vector_wrappers.EmbedInstruction(batched(name, count, **options), encode))


def train(algorithm, env, extractor, steps=24, **features):
    """Train a policy for a handful of gradient steps."""
    model = build(algorithm, env, extractor, **features)
    return model.learn(steps)


def build(algorithm, env, extractor, **features):
    options = {key: features.pop(key) for key in list(features) if key.startswith("replay")}
    policy = {
        "features_extractor_class": extractor,
        "features_extractor_kwargs": features,
        "net_arch": [8],
        "normalize_images": False,
    }
    make = ALGORITHMS[algorithm]
    return make("MultiInputPolicy", env, policy_kwargs=policy, seed=0, device="cpu", **options)


def weights(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def changed(before, after):
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


def write_grid_agent(folder, language, seed=0):
    description = GridAgentDescription(
        critic=SIZES, language=str(language), grounding=GridGroundingConfig()
    )
    documents = {"agent": description.model_dump(mode="json")}
    critic = build_grid_critic(SIZES, seed)
    write_checkpoint(folder, Checkpoint(documents, {"weights": dict(critic.named_parameters())}))
    return folder
