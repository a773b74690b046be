"""From the config of a Stable-Baselines3 run to its environments and its algorithm."""

from pathlib import Path
from typing import Any

import gymnasium as gym
from stable_baselines3 import DQN, PPO, SAC, HerReplayBuffer
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from langrl.agents.sb3.extractors import (
    FourierExtractor,
    GoalEncoderExtractor,
    InstructionExtractor,
    PoseExtractor,
)
from langrl.agents.sb3.replay import ContrastiveReplayBuffer
from langrl.agents.sb3.vector_env import VectorAdapter
from langrl.envs.phrasing import TaskPhrasing
from langrl.envs.wrappers.goals import GoalEnv
from langrl.envs.wrappers.vector import EmbedInstruction
from langrl.tasks.sb3.config import WORLDS, Sb3RunConfig
from langrl.tasks.sb3.guidance import critics_folder, text_encoder

ALGORITHMS: dict[str, type[BaseAlgorithm]] = {"sac": SAC, "dqn": DQN, "ppo": PPO}
_LEAST_RATE = 0.01  # share of the learning rate that is left at the end


def make_world(
    config: Sb3RunConfig,
    types: tuple[str, ...] | None = None,
    phrasing: TaskPhrasing = "seen",
    noise: bool = False,
) -> gym.Env[Any, Any]:
    """Return the world of a run, without wrappers.

    Args:
        config: of the run.
        types: instruction types; the world's own if not given.
        phrasing: of instructions.
        noise: whether a maze has the noise of evaluation.
    """
    world = WORLDS[config.world]
    options: dict[str, Any] = {"phrasing": phrasing}
    if types is not None:
        options[world.types_option] = types
    if noise and world.is_maze:
        options["angle_noise"] = config.evaluation.angle_noise
    limit = None if noise else config.policy.max_episode_steps
    return gym.make(config.world, max_episode_steps=limit, **options)


def build_model(config: Sb3RunConfig, folder: Path, *, acting: bool = False) -> BaseAlgorithm:
    """Return the algorithm with a fresh policy.

    Args:
        config: of the run.
        folder: of the run, which may hold trained critics.
        acting: whether it is only to act: one environment, and no room for replay.
    """
    policy = config.policy
    options: dict[str, Any] = {
        "learning_rate": LinearSchedule(
            policy.learning_rate, _LEAST_RATE * policy.learning_rate, 1.0
        ),
        "batch_size": policy.batch_size,
        "gamma": policy.discount,
        "policy_kwargs": _policy_kwargs(config, folder),
        "seed": config.seed,
        "device": config.device,
    }
    count = 1 if acting else policy.envs
    if policy.algorithm == "ppo":
        rollout = policy.rollout
        options |= {
            "n_steps": max(rollout.length, policy.batch_size) if acting else rollout.length,
            "n_epochs": rollout.epochs,
            "ent_coef": rollout.entropy,
        }
    else:
        options |= _off_policy(config, count, acting)
    return ALGORITHMS[policy.algorithm](
        "MultiInputPolicy",
        training_env(config, count),
        **options,
    )


def _off_policy(config: Sb3RunConfig, count: int, acting: bool) -> dict[str, Any]:
    policy, replay = config.policy, config.policy.replay
    buffer: dict[str, Any] = {"n_sampled_goal": replay.relabelled / (1 - replay.relabelled)}
    kind: type[HerReplayBuffer] = HerReplayBuffer
    if replay.kind == "contrastive":
        kind, buffer["discount"] = ContrastiveReplayBuffer, replay.discount
    options = {
        "replay_buffer_class": kind,
        "replay_buffer_kwargs": buffer,
        "buffer_size": count if acting else replay.size,
        # At least one episode must be over before anything can be relabelled.
        "learning_starts": count * max(replay.warmup, policy.max_episode_steps + 1),
        "train_freq": 1,
        "gradient_steps": 1,
    }
    if policy.algorithm == "dqn":
        options |= {
            "target_update_interval": 250 * count,
            "exploration_fraction": policy.exploration.fraction,
            "exploration_final_eps": policy.exploration.final,
        }
    return options


def _policy_kwargs(config: Sb3RunConfig, folder: Path) -> dict[str, Any]:
    policy = config.policy
    extractor: type[Any] = FourierExtractor
    features: dict[str, Any] = {}
    if policy.algorithm == "ppo":
        extractor = InstructionExtractor
        is_room = not WORLDS[config.world].is_maze
        features = {"features_dim": policy.width, "centre_on_agent": is_room}
    elif config.encoder != "own":
        extractor = GoalEncoderExtractor
        critics = critics_folder(config, folder)
        features = {"agent": str(critics), "fine_tune": config.encoder == "fine_tuned"}
    elif not WORLDS[config.world].is_maze:
        extractor, features = PoseExtractor, {"features_dim": policy.width}
    return {
        "features_extractor_class": extractor,
        "features_extractor_kwargs": features,
        "net_arch": [policy.width] * policy.depth,
        "normalize_images": False,
    }


def training_env(config: Sb3RunConfig, count: int) -> VecEnv:
    """Return the environments that a policy is trained in: of goals, or of instructions."""
    policy = config.policy
    if policy.algorithm == "ppo":
        worlds = gym.make_vec(
            config.world,
            num_envs=count,
            max_episode_steps=policy.max_episode_steps,
            autoreset_mode="Disabled",
        )
        return VectorAdapter(EmbedInstruction(worlds, text_encoder(config)))
    return DummyVecEnv([lambda: GoalEnv(make_world(config), step_cost=policy.step_cost)] * count)
