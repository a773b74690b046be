"""What Stable-Baselines3 needs to work with instructions and trained goal encoders.

Axes: ``N`` environments, ``B`` rows of a batch, ``S`` numbers in a state, ``G`` in a goal, ``A``
actions, ``F`` features.
"""

import hashlib
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from torch import Tensor, nn

from langrl.agents.saved import load_agent
from langrl.errors import CheckpointError, ConfigError, MissingExtraError, ShapeError
from langrl.models.blocks import FourierFeatures
from langrl.models.critics import GoalCritic
from langrl.models.instruction_net import (
    EmbeddedTextBody,
    PictureBody,
    TokenisedTextBody,
    VectorBody,
    agent_view,
    free_cells,
    pose_offset,
)
from langrl.models.room_critic import RoomCritic

try:
    from stable_baselines3 import HerReplayBuffer
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
    from stable_baselines3.common.vec_env import VecEnv
    from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn
except ImportError as error:
    raise MissingExtraError(
        'langrl.agents.sb3 needs Stable-Baselines3; pip install "langrl[sb3]"'
    ) from error

_CODES = 12  # minigrid's numbers of types and colours are below it


def check_space(space: spaces.Space[Any]) -> None:
    """Raise ShapeError, naming the wrapper that repairs it, if SB3 does not take a space."""
    for name, part in space.items() if isinstance(space, spaces.Dict) else ():
        if isinstance(part, spaces.Text):
            raise ShapeError(
                f"{name!r} is text, which Stable-Baselines3 does not take; use EmbedInstruction,"
                " TokenizeInstruction or InstructionToGoal of langrl.envs.wrappers"
            )
        if isinstance(part, spaces.Dict | spaces.Tuple):
            raise ShapeError(
                f"{name!r} is a {type(part).__name__} inside a Dict, which Stable-Baselines3 does"
                " not take; wrap the environment in gymnasium.wrappers.FlattenObservation"
            )


class VectorAdapter(VecEnv):
    """A Gymnasium vector environment as a ``VecEnv``, such as langrl's batched worlds.

    Args:
        env: made by ``gym.make_vec(..., autoreset_mode="Disabled")``: it is told which of its
            environments to start anew, as their last observations are needed.

    Raises:
        ConfigError: if the environment starts anew by itself.
        ShapeError: if SB3 does not take its observations; names the wrapper that repairs it.
    """

    def __init__(self, env: gym.vector.VectorEnv[Any, Any, Any]) -> None:
        if env.metadata.get("autoreset_mode") is not AutoresetMode.DISABLED:
            raise ConfigError(
                "VectorAdapter starts episodes anew itself; make the environment with"
                ' gym.make_vec(..., autoreset_mode="Disabled")'
            )
        check_space(env.single_observation_space)
        self.env = env
        self._actions: NDArray[Any]
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> Any:
        """Start every episode; returns observations [N, ...]."""
        observations, infos = self.env.reset(seed=self._seeds[0], options=self._options[0] or None)
        self.reset_infos = [self._info(infos, n) for n in range(self.num_envs)]
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep actions [N, ...] for ``step_wait``."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Act; episodes that are over start anew, and their last observations are in infos."""
        observations, rewards, terminated, truncated, info = self.env.step(self._actions)
        over = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if over.any():
            for n in np.flatnonzero(over):
                infos[n] = self._info(info, n) | {
                    "terminal_observation": _row(observations, n),
                    "TimeLimit.truncated": bool(truncated[n] and not terminated[n]),
                }
            observations, info = self.env.reset(options={"reset_mask": over})
            for n in np.flatnonzero(over):
                self.reset_infos[n] = self._info(info, n)
        return observations, rewards.astype(np.float32), over, infos

    @staticmethod
    def _info(info: dict[str, Any], n: int) -> dict[str, Any]:
        return {name: value[n] for name, value in info.items() if isinstance(value, np.ndarray)}

    def close(self) -> None:
        """Close the environments."""
        self.env.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute of the vector environment, once for each of the indices."""
        value = getattr(self.env, attr_name) if attr_name != "render_mode" else None
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of the vector environment."""
        setattr(self.env, attr_name, value)

    def env_method(
        self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any
    ) -> list[Any]:
        """Call a method of the vector environment once; its answer stands for each index."""
        answer = getattr(self.env, method_name)(*args, **kwargs)
        return [answer for _ in self._get_indices(indices)]

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper], indices: VecEnvIndices = None
    ) -> list[bool]:
        """Return False: wrappers of single environments are not around these."""
        return [False for _ in self._get_indices(indices)]


def _row(observations: Any, n: int) -> Any:
    if isinstance(observations, dict):
        return {name: part[n] for name, part in observations.items()}
    return observations[n]


# -- features extractors ----------------------------------------------------------------------


def _part(space: spaces.Space[Any], name: str, extractor: str, wrapper: str) -> spaces.Box:
    """Return a part of a Dict of observations; ShapeError, naming the wrapper, if it has none."""
    if isinstance(space, spaces.Dict) and name in space.spaces:
        part = space[name]
        if isinstance(part, spaces.Box):
            return part
        raise ShapeError(f"{extractor} reads numbers, and {name!r} is {part}; use {wrapper}")
    raise ShapeError(f"{extractor} needs observations with {name!r}; use {wrapper}")


def _channels_first(space: spaces.Box) -> bool:
    # As SB3 does: it turns pictures around before a policy sees them, and tells by the shape.
    return int(np.argmin(space.shape)) == 0


class InstructionExtractor(BaseFeaturesExtractor):
    """Features of a picture or vector in the light of an embedded or tokenised instruction.

    Give ``policy_kwargs={"features_extractor_class": InstructionExtractor, "normalize_images":
    False}`` where pictures hold codes.

    Args:
        observation_space: of ``EmbedInstruction`` or ``TokenizeInstruction``.
        features_dim: F.
        text_dim: numbers that describe a text inside.
        codes: how many values a channel takes, where pictures hold codes, as minigrid's do, and
            not brightness.
        centre_on_agent: whether pictures are grid worlds of langrl, to be turned so that the agent
            is in the middle and looks up.

    Raises:
        ShapeError: if there is no instruction, or it is text; names the wrapper that repairs it.
    """

    def __init__(
        self,
        observation_space: spaces.Dict,
        features_dim: int = 256,
        text_dim: int = 64,
        codes: int | None = None,
        centre_on_agent: bool = False,
    ) -> None:
        super().__init__(observation_space, features_dim)
        told = "EmbedInstruction or TokenizeInstruction of langrl.envs.wrappers"
        seen = _part(observation_space, "observation", "InstructionExtractor", told)
        text = _part(observation_space, "instruction", "InstructionExtractor", told)
        self.text: nn.Module
        if np.issubdtype(text.dtype, np.integer):
            self.text = TokenisedTextBody(int(text.high.max()) + 1, text_dim)
        else:
            self.text = EmbeddedTextBody(text.shape[0], text_dim)
        self.centre_on_agent, self.codes = centre_on_agent, codes
        self._pictures = len(seen.shape) == 3
        self.body: nn.Module
        if not self._pictures:
            size = int(np.prod(seen.shape))
            self.body = VectorBody(size, text_dim, features_dim)
            return
        self._turned = not _channels_first(seen)
        shape = (seen.shape[2], *seen.shape[:2]) if self._turned else seen.shape
        if centre_on_agent:
            side = 2 * max(shape[1:]) - 5
            shape, codes = (2, side, side), codes or _CODES
        self.body = PictureBody(shape, text_dim, features_dim, codes)
        self.codes = codes

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        """Return features [B, F]."""
        seen = observations["observation"]
        if not self._pictures:
            seen = seen.flatten(1)
        else:
            seen = seen.permute(0, 3, 1, 2) if self._turned else seen
            if self.codes and bool(seen.frac().any()):
                raise ShapeError(
                    "pictures of codes came in divided by 255; pass"
                    ' policy_kwargs={"normalize_images": False} to the algorithm'
                )
            seen = agent_view(seen) if self.centre_on_agent else seen
        return self.body(seen, self.text(observations["instruction"]))


class FourierExtractor(BaseFeaturesExtractor):
    """Positions of a ``GoalEnv`` as sines and cosines, so that a policy sees walls sharply.

    Args:
        observation_space: of ``GoalEnv``, with bounded vectors.
        octaves: frequencies per number.

    Raises:
        ShapeError: if there is no goal, or a bound is infinite.
    """

    def __init__(self, observation_space: spaces.Dict, octaves: int = 5) -> None:
        told = "GoalEnv of langrl.envs.wrappers"
        parts = [
            _part(observation_space, name, "FourierExtractor", told)
            for name in ("observation", "desired_goal")
        ]
        if not all(part.is_bounded() for part in parts):
            raise ShapeError("FourierExtractor needs bounds: give the Boxes finite low and high")
        encoders = [
            FourierFeatures(part.low.tolist(), part.high.tolist(), octaves) for part in parts
        ]
        super().__init__(observation_space, sum(encoder.size for encoder in encoders))
        self.observation, self.goal = encoders

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        """Return features [B, F]."""
        goal = self.goal(observations["desired_goal"])
        return torch.cat([self.observation(observations["observation"]), goal], 1)


class PoseExtractor(BaseFeaturesExtractor):
    """Grid worlds with poses as goals, seen from the agent: where it can walk, where the goal is.

    Args:
        observation_space: of ``GoalEnv`` around a grid world of langrl.
        features_dim: F.

    Raises:
        ShapeError: if observations or goals are of another world.
    """

    def __init__(self, observation_space: spaces.Dict, features_dim: int = 256) -> None:
        super().__init__(observation_space, features_dim)
        told = "GoalEnv of langrl.envs.wrappers around a grid world"
        seen = _part(observation_space, "observation", "PoseExtractor", told)
        goal = _part(observation_space, "desired_goal", "PoseExtractor", told)
        if len(seen.shape) != 3 or goal.shape != (4,):
            raise ShapeError(
                f"PoseExtractor reads rooms [H, W, 3] and poses [4], got {list(seen.shape)} and"
                f" {list(goal.shape)}; use {told}"
            )
        self._turned = not _channels_first(seen)
        height, width = seen.shape[:2] if self._turned else seen.shape[1:]
        side = 2 * max(height, width) - 5
        self.net = nn.Sequential(nn.Linear(side * side + 8, features_dim), nn.SiLU())

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        """Return features [B, F]."""
        rooms = observations["observation"]
        view = agent_view(rooms.permute(0, 3, 1, 2) if self._turned else rooms)
        way = pose_offset(observations["achieved_goal"], observations["desired_goal"])
        return self.net(torch.cat([free_cells(view).flatten(1), way], 1))


class GoalEncoderExtractor(BaseFeaturesExtractor):
    """Features of a trained critic's state and goal encoders.

    Args:
        observation_space: of ``GoalEnv``.
        agent: the run folder or checkpoint with the critic, as ``langrl train`` writes it. It is
            read again when a saved policy is loaded.
        fine_tune: train the encoders along, and save them with the policy. Frozen ones are no
            part of the policy or of its zip, which notes which weights it was trained with.

    Raises:
        CheckpointError: if there is no critic, it is of another world than the observations, or a
            saved policy was trained with another one.
    """

    def __init__(self, observation_space: spaces.Dict, agent: str, fine_tune: bool = False) -> None:
        told = "GoalEnv of langrl.envs.wrappers"
        seen = _part(observation_space, "observation", "GoalEncoderExtractor", told)
        goal = _part(observation_space, "desired_goal", "GoalEncoderExtractor", told)
        critic = load_agent(agent).critic
        self._turned = len(seen.shape) == 3 and _channels_first(seen)
        with torch.no_grad():
            try:
                states = torch.as_tensor(seen.sample())[None]
                goals = torch.as_tensor(goal.low)[None]
                width = self._read(critic, states, goals).shape[1]
            except (RuntimeError, IndexError, ValueError) as error:
                raise CheckpointError(
                    f"the critic of {agent} is of another world: it reads no observations"
                    f" {list(seen.shape)} with goals {list(goal.shape)}; train one there"
                ) from error
        super().__init__(observation_space, width)
        self.agent, self.fine_tune = str(agent), fine_tune
        self.trained = critic if fine_tune else None
        # In a list, so that frozen encoders are no part of the policy's parameters, nor its zip.
        self._frozen = [] if fine_tune else [critic.requires_grad_(False)]
        self.encoder_digest: Tensor
        self.register_buffer("encoder_digest", _digest(critic))

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        """Return features [B, F]."""
        states, goals = observations["observation"], observations["desired_goal"]
        if self.trained is not None:
            return self._read(self.trained, states, goals)
        critic = self._frozen[0].to(states.device)
        with torch.no_grad():
            return self._read(critic, states, goals)

    def _read(self, critic: GoalCritic | RoomCritic, states: Tensor, goals: Tensor) -> Tensor:
        if self._turned:
            states = states.permute(0, 2, 3, 1)
        return critic.features(states, goals)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        stored = state_dict.get(f"{prefix}encoder_digest")
        kept = stored is None or torch.equal(stored.cpu(), self.encoder_digest.cpu())
        if not self.fine_tune and not kept:
            raise CheckpointError(
                f"the policy was trained with another encoder than that of {self.agent} now;"
                " put the run back, or give its folder as features_extractor_kwargs['agent']"
            )
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _digest(critic: nn.Module) -> Tensor:
    """Return the sha256 of a critic's weights, uint8 [32]."""
    digest = hashlib.sha256()
    for name, value in sorted(critic.state_dict().items()):
        digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
    return torch.frombuffer(bytearray(digest.digest()), dtype=torch.uint8)


# -- replay -----------------------------------------------------------------------------------


class ContrastiveReplayBuffer(HerReplayBuffer):
    """Hindsight replay whose goals are geometric futures, those that contrastive RL learns from.

    A goal is what is achieved t steps on, t of a geometric distribution; what lies beyond the end
    of an episode is its last state. Relabelled transitions that reach their goal end there, as
    episodes of ``GoalEnv`` do. Pass it as ``replay_buffer_class`` of an off-policy algorithm.

    Args:
        discount: of the future; the chance that it lies a step further. In [0, 1).
        **options: of ``HerReplayBuffer``; ``goal_selection_strategy`` has no meaning here.

    Raises:
        ConfigError: if the discount is not in [0, 1), or a strategy is given.

    Source: Eysenbach et al. 2022, arXiv:2206.07568, eq. 2.
    """

    def __init__(self, *arguments: Any, discount: float = 0.95, **options: Any) -> None:
        if not 0 <= discount < 1:
            raise ConfigError(f"discount is in [0, 1), got {discount}")
        if "goal_selection_strategy" in options:
            raise ConfigError(
                "ContrastiveReplayBuffer draws geometric futures; leave goal_selection_strategy out"
            )
        super().__init__(*arguments, **options)
        self.discount = discount
        self._at_goal: float | None = None

    def _sample_goals(
        self, batch_indices: NDArray[np.int64], env_indices: NDArray[np.int64]
    ) -> NDArray[Any]:
        start = self.ep_start[batch_indices, env_indices]
        last = self.ep_length[batch_indices, env_indices] - 1
        now = (batch_indices - start) % self.buffer_size
        # SB3 seeds NumPy's global generator, and draws from it everywhere.
        ahead = np.random.geometric(1 - self.discount, len(now)) - 1  # noqa: NPY002
        future = (np.minimum(now + ahead, last) + start) % self.buffer_size
        return self.next_observations["achieved_goal"][future, env_indices]

    def _get_virtual_samples(
        self, batch_indices: NDArray[np.int64], env_indices: NDArray[np.int64], env: Any = None
    ) -> Any:
        samples = super()._get_virtual_samples(batch_indices, env_indices, env)
        if self._at_goal is None:  # the reward of a goal that is reached for certain
            goal = self.next_observations["achieved_goal"][batch_indices[:1], env_indices[:1]]
            assert self.env is not None
            told = self.env.env_method("compute_reward", goal, goal, [{}], indices=[0])
            self._at_goal = float(told[0][0])
        reached = (samples.rewards >= self._at_goal).to(samples.dones)
        return samples._replace(dones=torch.maximum(samples.dones, reached))
