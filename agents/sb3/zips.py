"""Policies from zips of Stable-Baselines3 without reading their pickles, which would run code.

A zip holds weights, which ``torch.load(weights_only=True)`` reads, and a JSON file. In it, whatever
JSON cannot hold is a pickle, with its attributes in plain text beside it. The plain text says which
policy it is. What only a pickle says is named, and never read.
"""

import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from gymnasium import spaces
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common import policies as on_policy
from stable_baselines3.common import torch_layers
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.dqn import policies as dqn
from stable_baselines3.sac import policies as sac
from stable_baselines3.td3 import policies as td3
from torch import Tensor, nn

from langrl.agents.sb3 import extractors
from langrl.agents.sb3.stored_spaces import check_same_space, read_space
from langrl.agents.sb3.stored_weights import read_shapes, read_weights
from langrl.checkpoint import fill, no_larger_than
from langrl.errors import CheckpointError, PickledError, quoted

MOST_BYTES = 1 << 30  # bytes of weights
_MOST_JSON = 16 << 20
_MOST_PACKED = 64 << 20  # of what is compressed; Stable-Baselines3 compresses nothing
_WIDEST, _DEEPEST = 1 << 20, 100  # of layers
_CLASS = re.compile(r"<class '([\w.]{1,200})'>")
_MADE_BY = re.compile(r"<function (\w{1,100})\.__init__ at 0x[0-9a-fA-F]+>")


def _named(*classes: type[Any]) -> dict[str, type[Any]]:
    return {f"{each.__module__}.{each.__qualname__}": each for each in classes}


POLICIES = _named(
    on_policy.ActorCriticPolicy, on_policy.ActorCriticCnnPolicy,
    on_policy.MultiInputActorCriticPolicy, dqn.DQNPolicy, dqn.CnnPolicy, dqn.MultiInputPolicy,
    sac.SACPolicy, sac.CnnPolicy, sac.MultiInputPolicy,
    td3.TD3Policy, td3.CnnPolicy, td3.MultiInputPolicy,
)  # fmt: skip
_OWN = (
    extractors.FourierExtractor, extractors.PoseExtractor, extractors.InstructionExtractor,
    extractors.GoalEncoderExtractor,
)  # fmt: skip
EXTRACTORS = _named(
    torch_layers.FlattenExtractor, torch_layers.NatureCNN, torch_layers.CombinedExtractor, *_OWN
) | {f"langrl.agents.sb3.{each.__name__}": each for each in _OWN}  # as version 0.1 named them
ACTIVATIONS = _named(
    nn.ReLU, nn.Tanh, nn.SiLU, nn.ELU, nn.GELU, nn.LeakyReLU, nn.Sigmoid, nn.Softplus, nn.Mish,
    nn.SELU, nn.CELU, nn.ReLU6, nn.Identity,
)  # fmt: skip
_SWITCHES = (
    "ortho_init", "use_sde", "full_std", "use_expln", "squash_output", "share_features_extractor",
    "normalize_images",
)  # fmt: skip
_NUMBERS = ("log_std_init", "clip_mean")
_OF_TRAINING = ("optimizer_class", "optimizer_kwargs", "device")
_OF_EXTRACTORS: dict[str, tuple[type, ...]] = {
    "features_dim": (int,), "cnn_output_dim": (int,), "normalized_image": (bool,),
    "text_dim": (int,), "codes": (int, type(None)), "centre_on_agent": (bool,), "octaves": (int,),
    "channels": (int, str, type(None)), "fine_tune": (bool,), "agent": (str,),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Sb3Zip:
    """What is in a zip of Stable-Baselines3.

    Args:
        path: of the zip.
        fields: of its JSON, the algorithm's attributes by name.
        weights: of the policy, as torch wrote them.
    """

    path: Path
    fields: Mapping[str, Any]
    weights: bytes


def load_policy(
    path: str | Path,
    env: gym.Env[Any, Any] | VecEnv | None = None,
    *,
    device: str = "cpu",
    encoder: str | Path | None = None,
) -> BaseAlgorithm:
    """Load a policy of PPO, A2C, DQN, SAC, TD3 or DDPG that acts; no code in the zip is run.

    ``predict`` of what is returned gives the actions that it gives when Stable-Baselines3 loads
    the zip. It has no optimisers and no replay buffer.

    Args:
        path: of the zip.
        env: where the policy is to act, whose spaces it must have; those of the zip if not given.
        device: where to put the weights.
        encoder: the run folder of a policy with ``GoalEncoderExtractor``. The folder that a zip
            names is never read.

    Raises:
        PickledError: naming what only a pickle says, such as a policy class of one's own.
        CheckpointError: if there is no zip, it is damaged, claims more than it holds, or is of
            other spaces than ``env``.
    """
    try:
        wrapped = None if env is None else BaseAlgorithm._wrap_env(env, verbose=0)
        return _load(read_zip(Path(path)), wrapped, device, encoder)
    except CheckpointError as error:
        kind = type(error)
        raise kind(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        RuntimeError,
        AssertionError,
    ) as error:
        raise CheckpointError(f"{path} describes no policy that can be built: {error}") from error


def read_zip(path: Path) -> Sb3Zip:
    """Read the JSON and the policy's weights of a zip, as they are.

    Raises:
        CheckpointError: if there is none, or it is damaged or far too large.
    """
    if not path.is_file():
        raise CheckpointError(f"no policy in {path}; give a zip that Stable-Baselines3 has written")
    try:
        with zipfile.ZipFile(path) as archive:
            fields = json.loads(read_member(archive, "data", _MOST_JSON))
            weights = read_member(archive, "policy.pth", MOST_BYTES)
    except KeyError as error:
        raise CheckpointError(f"{path} is no zip of Stable-Baselines3: {error.args[0]}") from error
    except (zipfile.BadZipFile, ValueError, RuntimeError, NotImplementedError, RecursionError,
            EOFError) as error:  # fmt: skip
        raise CheckpointError(f"{path} is not readable as a zip: {error}") from error
    if not isinstance(fields, dict):
        raise CheckpointError(f"{path} is no zip of Stable-Baselines3: its data is no table")
    return Sb3Zip(path, fields, weights)


def read_member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Return a file of a zip; nothing is written to the disk, whatever the files are called.

    Raises:
        KeyError: if there is no such file.
        ValueError: if it is larger than ``most`` bytes, or packed in another way.
    """
    info = archive.getinfo(name)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is compressed in a way that Stable-Baselines3 never writes")
    if info.compress_type == zipfile.ZIP_DEFLATED:
        most = min(most, _MOST_PACKED)
    if info.file_size > most:
        raise ValueError(f"{name} claims {info.file_size:,} bytes, and at most {most:,} are read")
    return archive.read(info)


def _load(
    stored: Sb3Zip, env: VecEnv | None, device: str, encoder: str | Path | None
) -> BaseAlgorithm:
    fields = stored.fields
    policy_class = _policy_class(fields.get("policy_class"))
    seen, actions = (
        _space(fields, f"{name}_space", env, certain=name == "action")
        for name in ("observation", "action")
    )
    kwargs = _policy_kwargs(fields.get("policy_kwargs"), encoder)
    if issubclass(policy_class, on_policy.ActorCriticPolicy | sac.SACPolicy):
        kwargs["use_sde"] = fields.get("use_sde") is True
    name = "policy.pth"
    shapes = read_shapes(stored.weights, name)
    if not isinstance(shapes, dict) or not all(isinstance(w, Tensor) for w in shapes.values()):
        raise CheckpointError(f"{name} holds no table of weights")
    with torch.random.fork_rng(devices=[]), no_larger_than(shapes):
        policy = policy_class(seen, actions, lambda _: 0.0, **kwargs).to(device)
        make: Any = _algorithm(policy_class, fields)
        model: BaseAlgorithm = make(policy_class, env=None, device=device, _init_setup_model=False)
        if isinstance(policy, on_policy.ActorCriticPolicy | sac.SACPolicy) and kwargs["use_sde"]:
            policy.reset_noise()
    parameters = policy.state_dict()
    _check_shapes(parameters, shapes)
    weights = read_weights(stored.weights, name, device)
    extractors.check_encoders(policy, weights)
    fill(parameters, weights)
    policy.set_training_mode(False)
    model.policy, model.observation_space, model.action_space = policy, seen, actions
    model.policy_kwargs, model.n_envs = kwargs, 1
    _set_counters(model, fields)
    return model


def _check_shapes(parameters: Mapping[str, Tensor], shapes: Mapping[str, Tensor]) -> None:
    """Raise CheckpointError, before any weight is read, if they are those of another policy."""
    for name in sorted(parameters.keys() | shapes.keys()):
        if name not in parameters or name not in shapes:
            raise CheckpointError(f"{name} is in the weights or in the policy only")
        ours, theirs = parameters[name], shapes[name]
        if (ours.shape, ours.dtype) != (theirs.shape, theirs.dtype):
            raise CheckpointError(
                f"the weight {name} is {theirs.dtype} {list(theirs.shape)}, and its policy_kwargs"
                f" make {ours.dtype} {list(ours.shape)}"
            )


def _space(
    fields: Mapping[str, Any], name: str, env: VecEnv | None, certain: bool
) -> spaces.Space[Any]:
    """Return a space of the policy: that of the environment, if there is one and it fits."""
    if env is None:
        return read_space(fields.get(name), name, certain)
    given: spaces.Space[Any] = getattr(env, name)
    check_same_space(read_space(fields.get(name), name, certain=False), given, name)
    return given


def _policy_class(fields: Any) -> type[BasePolicy]:
    """Return the class of the policy that attributes in plain text are of."""
    plain = fields if isinstance(fields, Mapping) else {}
    made_by = _MADE_BY.fullmatch(str(plain.get("__init__")))
    name = f"{plain.get('__module__')}.{made_by[1] if made_by else '?'}"
    if name not in POLICIES:
        raise PickledError(f"its policy_class is {quoted(name)}, which is not Stable-Baselines3's")
    return POLICIES[name]


def _algorithm(policy_class: type[BasePolicy], fields: Mapping[str, Any]) -> type[BaseAlgorithm]:
    """Return the algorithm whose policies and fields these are; they share policy classes."""
    if issubclass(policy_class, on_policy.ActorCriticPolicy):
        return PPO if "clip_range" in fields else A2C
    if issubclass(policy_class, dqn.DQNPolicy):
        return DQN
    if issubclass(policy_class, sac.SACPolicy):
        return SAC
    return DDPG if fields.get("policy_delay") == 1 else TD3


def _policy_kwargs(fields: Any, encoder: str | Path | None) -> dict[str, Any]:
    """Return the arguments of the policy, from plain text."""
    if not isinstance(fields, Mapping):
        raise CheckpointError("it has no policy_kwargs")
    kwargs: dict[str, Any] = {}
    for name, value in fields.items():
        if name in (":type:", ":serialized:", *_OF_TRAINING):
            continue
        if name == "features_extractor_kwargs":
            kwargs[name] = _extractor_kwargs(value, encoder)
        elif name == "features_extractor_class":
            kwargs[name] = _class_of(value, EXTRACTORS, name)
        elif name == "activation_fn":
            kwargs[name] = _class_of(value, ACTIVATIONS, name)
        elif name == "net_arch":
            kwargs[name] = _net_arch(value)
        elif not _is_plain(name, value):
            raise PickledError(f"its policy_kwargs have {quoted(name)} = {quoted(value)}")
        else:
            kwargs[name] = value
    return kwargs


def _is_plain(name: str, value: Any) -> bool:
    if name in _SWITCHES:
        return isinstance(value, bool)
    if name in _NUMBERS:
        return isinstance(value, int | float)
    return name == "n_critics" and isinstance(value, int) and 1 <= value <= _DEEPEST


def _class_of(value: Any, table: Mapping[str, type[Any]], name: str) -> type[Any]:
    found = _CLASS.fullmatch(value) if isinstance(value, str) else None
    if found is None or found[1] not in table:
        raise PickledError(
            f"its {name} is {quoted(found[1] if found else value)}, which is neither"
            " Stable-Baselines3's nor langrl's"
        )
    return table[found[1]]


def _net_arch(value: Any) -> list[int] | dict[str, list[int]] | None:
    """Return the widths of layers, for both networks or by network."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        value = value[0]  # as versions before 1.8 wrote it
    if isinstance(value, dict) and value.keys() <= {"pi", "vf", "qf"}:
        return {name: _widths(each) for name, each in value.items()}
    return None if value is None else _widths(value)


def _widths(value: Any) -> list[int]:
    known = isinstance(value, list) and len(value) <= _DEEPEST
    if not known or not all(type(width) is int and 0 < width <= _WIDEST for width in value):
        raise CheckpointError(f"its net_arch is {quoted(value)}, which are no widths of layers")
    return list(value)


def _extractor_kwargs(value: Any, encoder: str | Path | None) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise PickledError(f"its features_extractor_kwargs are {quoted(value)}")
    for name, each in value.items():
        kinds = _OF_EXTRACTORS.get(name, ())
        if not isinstance(each, kinds) or (isinstance(each, bool) and bool not in kinds):
            raise PickledError(
                f"its features_extractor_kwargs have {quoted(name)} = {quoted(each)}"
            )
        if isinstance(each, int) and not 0 <= each <= _WIDEST:
            raise CheckpointError(f"its features_extractor_kwargs have {name} = {quoted(each)}")
    if "agent" not in value:
        return dict(value)
    if encoder is None:
        raise CheckpointError(
            f"it uses the encoders of {quoted(value['agent'])}, and the folder that a zip names is"
            " not read; give the run folder as encoder"
        )
    return {**value, "agent": str(encoder)}


def _set_counters(model: BaseAlgorithm, fields: Mapping[str, Any]) -> None:
    """Set how far the policy was trained, and how much DQN explores."""
    steps = fields.get("num_timesteps")
    model.num_timesteps = steps if type(steps) is int and steps >= 0 else 0
    share = fields.get("exploration_rate")
    if isinstance(model, DQN) and isinstance(share, int | float) and 0 <= share <= 1:
        model.exploration_rate = float(share)
