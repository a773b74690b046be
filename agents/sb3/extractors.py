"""Features extractors for Stable-Baselines3: instructions, positions, trained goal encoders.

Axes: ``N`` environments, ``B`` rows of a batch, ``S`` numbers in a state, ``G`` in a goal, ``A``
actions, ``F`` features.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, Self

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from langrl.checkpoint import load_agent, weights_digest
from langrl.errors import CheckpointError, ShapeError
from langrl.models.blocks import FourierFeatures
from langrl.models.critics import instructed as bodies
from langrl.models.critics.instructed import check_values
from langrl.models.critics.maze import GoalCritic
from langrl.models.protocols import StateEncoder

_ROOM = 3  # channels of grid worlds


def _part(space: spaces.Space[Any], name: str, extractor: str, wrapper: str) -> spaces.Box:
    """Return a part of a Dict of observations; ShapeError, naming the wrapper, if it has none."""
    part = space.spaces.get(name) if isinstance(space, spaces.Dict) else None
    if part is None:
        raise ShapeError(f"{extractor} needs observations with {name!r}; use {wrapper}")
    if isinstance(part, spaces.Box):
        return part
    repair = wrapper if isinstance(part, spaces.Text) else "FlattenObservation below the others"
    raise ShapeError(f"{extractor} reads numbers, and {name!r} is {part}; use {repair}")


def _image_reader(
    space: spaces.Box, codes: int | None, channels: int | Literal["first", "last"] | None
) -> bodies.ImageReader:
    """Return what reads images of a space; ShapeError if it should hold codes and cannot."""
    if codes is not None and np.issubdtype(space.dtype, np.floating) and space.low.min() < 0:
        # VecNormalize turns the spaces of images into this, and leaves other spaces as they are.
        check_values(torch.from_numpy(space.low), 0, torch.inf, "observation", whole=True)
    return bodies.ImageReader(space.shape, codes, channels)


def _check_part(values: Tensor, part: spaces.Box, name: str, **options: Any) -> None:
    """Raise ShapeError if values of a part are out of its bounds; see ``check_values``."""
    check_values(values, float(part.low.min()), float(part.high.max()), name, **options)


class InstructionExtractor(BaseFeaturesExtractor):
    """Features of an image or vector, conditioned on an embedded or tokenised instruction.

    Give ``policy_kwargs={"features_extractor_class": InstructionExtractor, "normalize_images":
    False}`` where images hold codes.

    Args:
        observation_space: of ``EmbedInstruction`` or ``TokenizeInstruction``.
        features_dim: F.
        text_dim: numbers that describe a text inside.
        codes: how many values a channel takes, where images hold codes, as minigrid's do, and
            not brightness.
        centre_on_agent: whether images are grid worlds of langrl, to be turned so that the agent
            is in the middle and looks up.
        channels: how many channels images have, which says what axis they are on; or "first" or
            "last", in the space that the policy has, where Stable-Baselines3 has moved those of
            some images first. Needed unless one axis alone is at most four, and no inner one.

    Raises:
        ShapeError: if there is no instruction, or it is text; names the wrapper that repairs it.
            If codes or an agent are expected, and observations are other images or vectors; if it
            is not certain which axis the channels are on; if codes or tokens are normalised.
    """

    def __init__(
        self,
        observation_space: spaces.Dict,
        features_dim: int = 256,
        text_dim: int = 64,
        codes: int | None = None,
        centre_on_agent: bool = False,
        channels: int | Literal["first", "last"] | None = None,
    ) -> None:
        super().__init__(observation_space, features_dim)
        wrapper = "EmbedInstruction or TokenizeInstruction of langrl.envs.wrappers.instructions"
        seen = _part(observation_space, "observation", "InstructionExtractor", wrapper)
        text = _part(observation_space, "instruction", "InstructionExtractor", wrapper)
        if len(text.shape) != 1:
            raise ShapeError(
                f"an instruction is a vector here, got {list(text.shape)}; use {wrapper}"
            )
        self.text: nn.Module
        self._tokens = text if np.issubdtype(text.dtype, np.integer) else None
        if self._tokens is not None:
            self.text = bodies.TokenisedTextBody(int(text.high.max()) + 1, text_dim)
        else:
            self.text = bodies.EmbeddedTextBody(text.shape[0], text_dim)
        self.centre_on_agent = centre_on_agent
        if centre_on_agent:
            codes, channels = codes or bodies.CODES, channels or _ROOM
        self._free = ("observation",) if codes is None else ()  # what may be normalised
        self.body: nn.Module
        self._images: bodies.ImageReader | None = None
        if len(seen.shape) == 3:
            self._images = _image_reader(seen, codes, channels)
            depth, height, width = self._images.shape
            if centre_on_agent:
                depth, height = 2, bodies.view_side(height, width)
                width = height
            self.body = bodies.ImageBody((depth, height, width), text_dim, features_dim, codes)
        elif codes is None and channels is None:
            self.body = bodies.VectorBody(int(np.prod(seen.shape)), text_dim, features_dim)
        else:
            raise ShapeError(
                f"observations {list(seen.shape)} are no images [H, W, C]; leave codes and"
                " centre_on_agent out, and channels"
            )

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        """Return features [B, F]."""
        seen = observations["observation"]
        seen = seen.flatten(1) if self._images is None else self._images(seen)
        seen = bodies.agent_view(seen) if self.centre_on_agent else seen
        text = observations["instruction"]
        if self._tokens is not None:
            _check_part(text, self._tokens, "instruction", whole=True, free=self._free)
        return self.body(seen, self.text(text))


class FourierExtractor(BaseFeaturesExtractor):
    """Positions of a ``GoalEnv`` as sines and cosines, so that a small policy can learn walls.

    Args:
        observation_space: of ``GoalEnv``, with bounded vectors.
        octaves: frequencies per number.

    Raises:
        ShapeError: if there is no goal, or a bound is infinite, or observations are images; if
            what comes in is out of the bounds, as what VecNormalize gives is.
    """

    def __init__(self, observation_space: spaces.Dict, octaves: int = 5) -> None:
        wrapper = "GoalEnv of langrl.envs.wrappers.goals"
        parts = {
            name: _part(observation_space, name, "FourierExtractor", wrapper)
            for name in ("observation", "desired_goal")
        }
        for part in parts.values():
            if len(part.shape) != 1 or not part.is_bounded() or (part.low >= part.high).any():
                raise ShapeError(
                    f"FourierExtractor reads vectors with bounds, low below high, and not {part};"
                    " give the Box finite low and high, or use PoseExtractor in grid worlds"
                )
        encoders = [
            FourierFeatures(part.low.tolist(), part.high.tolist(), octaves)
            for part in parts.values()
        ]
        super().__init__(observation_space, sum(encoder.size for encoder in encoders))
        self.observation, self.goal = encoders
        self._parts = parts

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        """Return features [B, F]."""
        for name, part in self._parts.items():
            _check_part(observations[name], part, name)
        goal = self.goal(observations["desired_goal"])
        return torch.cat([self.observation(observations["observation"]), goal], 1)


class PoseExtractor(BaseFeaturesExtractor):
    """Grid worlds with poses as goals, as the agent sees them: free cells, and where the goal is.

    Give ``policy_kwargs={"features_extractor_class": PoseExtractor, "normalize_images": False}``.

    Args:
        observation_space: of ``GoalEnv`` around a grid world of langrl.
        features_dim: F.

    Raises:
        ShapeError: if observations or goals are of another world, or normalised.
    """

    def __init__(self, observation_space: spaces.Dict, features_dim: int = 256) -> None:
        super().__init__(observation_space, features_dim)
        wrapper = "GoalEnv of langrl.envs.wrappers.goals around a grid world"
        seen = _part(observation_space, "observation", "PoseExtractor", wrapper)
        goal = _part(observation_space, "desired_goal", "PoseExtractor", wrapper)
        achieved = _part(observation_space, "achieved_goal", "PoseExtractor", wrapper)
        if len(seen.shape) != 3 or goal.shape != (4,):
            raise ShapeError(
                f"PoseExtractor reads rooms [H, W, 3] and poses [4], got {list(seen.shape)} and"
                f" {list(goal.shape)}; use {wrapper}"
            )
        self._images = _image_reader(seen, bodies.CODES, _ROOM)
        self._poses = {"achieved_goal": achieved, "desired_goal": goal}
        cells = bodies.view_side(*self._images.shape[1:]) ** 2
        self.net = nn.Sequential(nn.Linear(cells + 8, features_dim), nn.SiLU())

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        """Return features [B, F]."""
        for name, part in self._poses.items():
            _check_part(observations[name], part, name, whole=True)
        view = bodies.agent_view(self._images(observations["observation"]))
        way = bodies.pose_offset(observations["achieved_goal"], observations["desired_goal"])
        return self.net(torch.cat([bodies.free_cells(view).flatten(1), way], 1))


class GoalEncoderExtractor(BaseFeaturesExtractor):
    """Features of a trained critic's state and goal encoders.

    Give ``policy_kwargs={"features_extractor_class": GoalEncoderExtractor,
    "features_extractor_kwargs": {"agent": folder}, "normalize_images": False}``.

    Args:
        observation_space: of ``GoalEnv``.
        agent: the run folder or checkpoint with the critic, as ``langrl train`` writes it. It is
            read again when a saved policy is loaded.
        fine_tune: train the encoders along, and save them with the policy. Frozen ones are no
            part of the policy or of its zip, which notes which weights it was trained with.

    Raises:
        CheckpointError: if there is no critic, it is of another world than the observations, or a
            saved policy was trained with another one.
        ShapeError: if there is no goal, or observations or goals are normalised.
    """

    def __init__(self, observation_space: spaces.Dict, agent: str, fine_tune: bool = False) -> None:
        wrapper = "GoalEnv of langrl.envs.wrappers.goals"
        seen = _part(observation_space, "observation", "GoalEncoderExtractor", wrapper)
        goal = _part(observation_space, "desired_goal", "GoalEncoderExtractor", wrapper)
        critic = load_agent(agent).critic
        assert isinstance(critic, nn.Module)
        if not isinstance(critic, StateEncoder):
            raise CheckpointError(
                f"{agent} sees a part of its world, and its goals are no poses; give the run folder"
                " of an agent that sees the whole room"
            )
        self._images = _image_reader(seen, bodies.CODES, _ROOM) if len(seen.shape) == 3 else None
        self._parts = {"desired_goal": goal}
        if self._images is None:
            self._parts["observation"] = seen
        try:
            known = critic.goal.position.high if isinstance(critic, GoalCritic) else None
            if known is not None and seen.is_bounded() and known.tolist() != seen.high.tolist():
                raise ShapeError(f"it was trained up to {known.tolist()}")
            # Ones, as zeros would be rooms without an agent.
            example = self._read(critic, torch.ones(1, *seen.shape), torch.zeros(1, *goal.shape))
        except (RuntimeError, IndexError, ValueError) as error:
            raise CheckpointError(
                f"the critic of {agent} is of another world: it reads no observations {seen} with"
                f" goals {list(goal.shape)}; train one there"
            ) from error
        super().__init__(observation_space, example.shape[1])
        self.agent, self.fine_tune = str(agent), fine_tune
        self.trained = critic if fine_tune else None
        # In a list, so that frozen encoders are no part of the policy's parameters, nor its zip.
        self._frozen = [] if fine_tune else [critic.requires_grad_(False)]
        self.encoder_digest: Tensor
        self.register_buffer("encoder_digest", _digest(critic))

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        """Return features [B, F]."""
        for name, part in self._parts.items():
            if part.is_bounded():
                _check_part(observations[name], part, name, whole=self._images is not None)
        states, goals = observations["observation"], observations["desired_goal"]
        if self.trained is not None:
            return self._read(self.trained, states, goals)
        critic = self._frozen[0].to(states.device)
        with torch.no_grad():
            return self._read(critic, states, goals)

    def _read(self, critic: StateEncoder, states: Tensor, goals: Tensor) -> Tensor:
        if self._images is not None:
            states = self._images(states).permute(0, 2, 3, 1)
        return critic.features(states, goals)

    def apply(self, fn: Callable[[nn.Module], None]) -> Self:
        """Leave the encoders as they are: PPO and A2C initialise all layers anew by this method."""
        return self

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        self.check_encoder(state_dict.get(f"{prefix}encoder_digest"))
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def check_encoder(self, stored: Tensor | None) -> None:
        """Raise CheckpointError if a policy was trained with another frozen encoder, by digest."""
        kept = stored is None or torch.equal(stored.cpu(), self.encoder_digest.cpu())
        if not self.fine_tune and not kept:
            raise CheckpointError(
                f"the policy was trained with another encoder than that of {self.agent} now; put"
                " the checkpoint back, or give its folder as agent, in features_extractor_kwargs of"
                " custom_objects"
            )


def check_encoders(policy: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Raise CheckpointError if stored weights of a policy were trained with other encoders."""
    for name, module in policy.named_modules():
        if isinstance(module, GoalEncoderExtractor):
            module.check_encoder(weights.get(f"{name}.encoder_digest"))


def _digest(critic: nn.Module) -> Tensor:
    """Return the sha256 of a critic's weights, uint8 [32]."""
    found = bytearray.fromhex(weights_digest(critic.state_dict()))
    return torch.frombuffer(found, dtype=torch.uint8)
