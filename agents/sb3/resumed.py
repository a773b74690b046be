"""Training that goes on from a zip of Stable-Baselines3, of which no pickle is read.

The algorithm is built from its config. What training has changed since is in the zip as tensors,
which ``torch.load(weights_only=True)`` reads, and as numbers of its JSON.
"""

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor, nn

from langrl.agents.sb3.extractors import check_encoders
from langrl.agents.sb3.stored_spaces import check_same_space, read_space
from langrl.agents.sb3.stored_weights import read_shapes, read_weights
from langrl.agents.sb3.zips import MOST_BYTES, read_member, read_zip
from langrl.checkpoint import fill
from langrl.errors import CheckpointError

_COUNTERS = ("num_timesteps", "_total_timesteps", "_episode_num", "_n_updates", "_n_calls")
_SHARES = ("_current_progress_remaining", "exploration_rate")
_VARIABLES = "pytorch_variables.pth"


def load_training(path: Path, model: BaseAlgorithm) -> None:
    """Put the weights, optimisers and counters of a zip into an algorithm that was built alike.

    Learning then goes on as with the algorithm that Stable-Baselines3 loads: to the same bits, but
    for what its replay held. Learning rates and the like are those of ``model``.

    Args:
        path: of the zip.
        model: has the environment, the policy and the algorithm of the zip.

    Raises:
        CheckpointError: if there is no zip, it is damaged, or of another algorithm or policy.
    """
    stored = read_zip(path)
    try:
        for name in ("observation_space", "action_space"):
            found = read_space(stored.fields.get(name), name, certain=False)
            check_same_space(found, getattr(model, name), name)
        parts = _read_parts(path, model)
        check_encoders(model.policy, parts["policy"])
        fill(model.policy.state_dict(), parts.pop("policy"))
        for name, values in parts.items():
            _restore(_named(model, name), values, name)
        _set_counters(model, stored.fields)
    except CheckpointError as error:
        named = str(error) if str(path) in str(error) else f"{path}: {error}"
        raise CheckpointError(named) from error
    except (ValueError, TypeError, LookupError, AttributeError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} is not of the algorithm that its run's config names: {error}"
        ) from error


def _read_parts(path: Path, model: BaseAlgorithm) -> dict[str, Any]:
    """Return the tables of tensors in a zip by their names, once they are known to fit."""
    tables, variables = model._get_torch_save_params()
    parts: dict[str, Any] = {}
    with zipfile.ZipFile(path) as archive:
        for name in (*tables, *([_VARIABLES] if variables else ())):
            file = name if name == _VARIABLES else f"{name}.pth"
            content = read_member(archive, file, MOST_BYTES)
            shapes = read_shapes(content, file)
            if name == "policy":
                _check_weights(shapes)
            elif name == _VARIABLES:
                _check_like(shapes, {each: _named(model, each) for each in variables}, file)
            else:
                _check_optimiser(shapes, _named(model, name), file)
            parts[name] = read_weights(content, file, model.device)
    found = parts.pop(_VARIABLES, {})
    return parts | {name: found[name] for name in variables}


def _check_weights(shapes: Any) -> None:
    if not isinstance(shapes, dict) or not all(
        isinstance(each, Tensor) for each in shapes.values()
    ):
        raise CheckpointError("policy.pth holds no table of weights")


def _check_like(shapes: Any, own: Mapping[str, Tensor], file: str) -> None:
    """Raise CheckpointError unless tensors are those that the algorithm has."""
    if not isinstance(shapes, dict) or set(shapes) != set(own):
        raise CheckpointError(f"{file} is not of this algorithm")
    for name, value in own.items():
        if not isinstance(shapes[name], Tensor) or shapes[name].shape != value.shape:
            raise CheckpointError(f"{file}: {name} has another shape than here")


def _check_optimiser(shapes: Any, own: torch.optim.Optimizer, file: str) -> None:
    """Raise CheckpointError unless the state of an optimiser is that of the parameters here."""
    parameters = [each for group in own.param_groups for each in group["params"]]
    state = shapes.get("state") if isinstance(shapes, dict) else None
    if not isinstance(state, dict) or not set(state) <= set(range(len(parameters))):
        raise CheckpointError(f"{file} holds no state of an optimiser of {len(parameters)} weights")
    for number, values in state.items():
        if not isinstance(values, dict):
            raise CheckpointError(f"{file}: the state of weight {number} is no table")
        for name, value in values.items():
            fits = isinstance(value, int | float) or (
                isinstance(value, Tensor) and value.shape in (parameters[number].shape, ())
            )
            if not isinstance(name, str) or not fits:
                raise CheckpointError(f"{file}: the state of weight {number} is of another weight")


def _named(model: BaseAlgorithm, name: str) -> Any:
    """Return what "actor.optimizer" or the like is in an algorithm."""
    found: Any = model
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _restore(own: Any, values: Any, name: str) -> None:
    """Put tensors into an optimiser, or into a variable of the algorithm."""
    if isinstance(own, torch.optim.Optimizer):
        own.load_state_dict(
            {"state": values["state"], "param_groups": own.state_dict()["param_groups"]}
        )
        return
    assert isinstance(own, Tensor | nn.Parameter), name
    with torch.no_grad():
        own.copy_(values)


def _set_counters(model: BaseAlgorithm, fields: Mapping[str, Any]) -> None:
    """Set how far training is."""
    for name in _COUNTERS:
        value = fields.get(name)
        if hasattr(model, name) and type(value) is int and value >= 0:
            setattr(model, name, value)
    for name in _SHARES:
        value = fields.get(name)
        if hasattr(model, name) and isinstance(value, int | float) and 0 <= value <= 1:
            setattr(model, name, float(value))
    steps = fields.get("num_timesteps")
    if type(steps) is not int or steps < 0 or not math.isfinite(steps):
        raise CheckpointError("it does not say how many steps it was trained for")
