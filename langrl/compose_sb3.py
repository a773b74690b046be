"""Composition for Stable-Baselines3: from a config to worlds, wrappers, language, an algorithm."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
from stable_baselines3 import DQN, PPO, SAC, HerReplayBuffer
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from langrl import GRID_IDS, MAZE_IDS
from langrl.agents.grid_saved import picture_language
from langrl.agents.saved import load_agent
from langrl.agents.sb3 import (
    ContrastiveReplayBuffer,
    FourierExtractor,
    GoalEncoderExtractor,
    InstructionExtractor,
    PoseExtractor,
)
from langrl.agents.sb3_vector import VectorAdapter
from langrl.config import PolicyRunConfig
from langrl.envs.grammar import Phrasing
from langrl.envs.grid_rooms import GRID_WORLDS
from langrl.envs.maze_world import StreetMaze
from langrl.envs.vector_wrappers import EmbedInstruction
from langrl.envs.wrappers import GoalEnv
from langrl.errors import CheckpointError
from langrl.grounding.candidates import Candidates, ReachablePoses, SampledCandidates
from langrl.grounding.strategies import GROUNDINGS
from langrl.models.critics import GoalCritic, LanguageCritic
from langrl.models.encoders import load_sentence_transformer
from langrl.models.language_image import BUNDLED
from langrl.models.picture_language import PictureLanguage
from langrl.models.room_critic import RoomCritic

ALGORITHMS: dict[str, type[BaseAlgorithm]] = {"sac": SAC, "dqn": DQN, "ppo": PPO}
CRITICS = "critics"  # a run of our own in the run folder, with a maze's language side
_LEAST_RATE = 0.01  # share of the learning rate that is left at the end


def critics_folder(config: PolicyRunConfig, folder: Path) -> Path | None:
    """Return the run folder of the trained critics that a run uses, if it uses some."""
    if config.critics is not None:
        return Path(config.critics)
    needs = config.world in MAZE_IDS and config.policy.algorithm != "ppo"
    return folder / CRITICS if needs else None


def groundings(config: PolicyRunConfig) -> tuple[str, ...]:
    """Return the strategies that a run's policy can follow instructions by."""
    if config.policy.algorithm == "ppo":
        return ("policy",)
    has_critic = critics_folder(config, Path()) is not None
    offered = {"critic"} if has_critic else set()
    if has_critic and config.world in MAZE_IDS:
        offered.add("shared encoder")
    return tuple(name for name, strategy in GROUNDINGS.items() if strategy.needs <= offered)


def make_world(
    config: PolicyRunConfig,
    sorts: tuple[str, ...] | None = None,
    phrasing: Phrasing = "seen",
    noise: bool = False,
) -> gym.Env[Any, Any]:
    """Return the world of a run, without wrappers.

    Args:
        config: of the run.
        sorts: kinds or levels of instruction; the world's own if not given.
        phrasing: of instructions.
        noise: whether a maze has the noise of evaluation.
    """
    options: dict[str, Any] = {"phrasing": phrasing}
    if sorts is not None:
        options["kinds" if config.world in MAZE_IDS else "levels"] = sorts
    if noise and config.world in MAZE_IDS:
        options["angle_noise"] = config.evaluation.angle_noise
    limit = None if noise else config.policy.max_episode_steps
    return gym.make(config.world, max_episode_steps=limit, **options)


def text_encoder(config: PolicyRunConfig) -> Any:
    """Return what encodes the instructions of a policy that reads them.

    Raises:
        ConfigError, MissingExtraError: if there is no such model.
    """
    if config.language == BUNDLED:
        return picture_language(BUNDLED, config.device).model  # loaded once
    return load_sentence_transformer(config.language)


@dataclass(frozen=True, eq=False)
class Side:
    """What a policy of goals follows instructions by.

    Args:
        language: h(g, l).
        candidates: draws candidate goals.
        sharpness: factor on the fit.
        critic: f(s, a, g), to rank the policy's actions; if there is one.
    """

    language: LanguageCritic | PictureLanguage
    candidates: Candidates
    sharpness: float
    critic: GoalCritic | RoomCritic | None


def language_side(config: PolicyRunConfig, folder: Path) -> Side:
    """Return what a run's policy follows instructions by.

    Raises:
        CheckpointError: if the run folder of trained critics holds none, or is of another world.
        ConfigError, MissingExtraError: if there is no such language-image model.
    """
    grounding, critics = config.grounding, critics_folder(config, folder)
    is_maze = config.world in MAZE_IDS
    trained = None
    if critics is not None:
        changes: dict[str, Any] = {}
        if is_maze:
            changes = {"candidates": grounding.candidates, "weighting": grounding.weighting}
            changes["world"] = StreetMaze(MAZE_IDS[config.world])
        trained = load_agent(critics, device=config.device, **changes)
        if not isinstance(trained.critic, GoalCritic if is_maze else RoomCritic):
            raise CheckpointError(f"{critics} is of another sort of world than {config.world}")
    if is_maze:
        assert trained is not None
        assert isinstance(trained.critic, GoalCritic)
        assert isinstance(trained.language, LanguageCritic)
        assert isinstance(trained.candidates, SampledCandidates)
        return Side(trained.language, trained.candidates, 1.0, trained.critic)
    language = picture_language(config.language, config.device)
    critic = None if trained is None else trained.critic
    assert critic is None or isinstance(critic, RoomCritic)
    return Side(language, ReachablePoses(said_done=True), grounding.sharpness, critic)


def instruction_sorts(config: PolicyRunConfig) -> tuple[str, ...]:
    """Return the sorts of instruction that a run's policy is evaluated on as it trains."""
    if config.world in MAZE_IDS:
        return ("row", "column")
    return GRID_WORLDS[GRID_IDS[config.world]].levels


def build_model(config: PolicyRunConfig, folder: Path, *, acting: bool = False) -> BaseAlgorithm:
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


def _off_policy(config: PolicyRunConfig, count: int, acting: bool) -> dict[str, Any]:
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


def _policy_kwargs(config: PolicyRunConfig, folder: Path) -> dict[str, Any]:
    policy = config.policy
    extractor: type[Any] = FourierExtractor
    features: dict[str, Any] = {}
    if policy.algorithm == "ppo":
        extractor = InstructionExtractor
        is_room = config.world in GRID_IDS
        features = {"features_dim": policy.width, "centre_on_agent": is_room}
    elif config.encoder != "own":
        extractor = GoalEncoderExtractor
        critics = critics_folder(config, folder)
        features = {"agent": str(critics), "fine_tune": config.encoder == "fine_tuned"}
    elif config.world in GRID_IDS:
        extractor, features = PoseExtractor, {"features_dim": policy.width}
    return {
        "features_extractor_class": extractor,
        "features_extractor_kwargs": features,
        "net_arch": [policy.width] * policy.depth,
        "normalize_images": False,
    }


def training_env(config: PolicyRunConfig, count: int) -> VecEnv:
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
