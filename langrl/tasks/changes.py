"""What the config of a resumed run says otherwise than when its checkpoint was written."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from langrl.errors import CheckpointError, quoted
from langrl.settings import CONFIG_FILE, references
from langrl.tasks.config import RunConfig
from langrl.training.logs import console

STORED = "trained_with"  # in the state of a checkpoint
_OF_BITS = ("threads", "device")
_NOT_OF_TRAINING = ("task", "start", "logging", "evaluation", "grounding", "words")
_SHOWN = 3  # fields that a warning names


def training_fields(config: RunConfig) -> dict[str, Any]:
    """Return the fields of a config that decide what is trained, by dotted name, as JSON has them.

    Files and folders are left out: they have digests, and may be moved.
    """
    paths = {name for name, _, _ in references(config)}
    values = json.loads(config.model_dump_json(exclude=set(_NOT_OF_TRAINING)))
    return {name: value for name, value in _flat(values) if name not in paths}


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def warn_of_changes(state: Mapping[str, Any], config: RunConfig) -> None:
    """Print a line if a checkpoint was trained with other fields than a config has now.

    Args:
        state: of the checkpoint. One of an earlier version does not say what it was trained with,
            but for the threads.
        config: of the run that is to go on from it.
    """
    stored = state.get(STORED)
    before: dict[str, Any] = {"threads": state.get("threads", config.threads)}
    before |= stored if isinstance(stored, dict) else {}
    now = training_fields(config)
    names = [name for name in now if name in before and before[name] != now[name]]
    told = [f"{name} {quoted(now[name], 40)} (was {quoted(before[name], 40)})" for name in names]
    if not told:
        return
    more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    what = (
        "its last bits may differ"
        if set(names) <= set(_OF_BITS)
        else "the run will be neither that of the old config nor that of the new one"
    )
    console.print(
        f"warning: {CONFIG_FILE} has changed since the checkpoint, which goes on with"
        f" {', '.join(told[:_SHOWN])}{more}: {what}"
    )


def check_steps(step: int, config: RunConfig, path: Path) -> None:
    """Raise CheckpointError if a checkpoint is of a later step than a config trains to.

    Args:
        step: of the checkpoint.
        config: of the run that is to go on from it.
        path: of the checkpoint.
    """
    if step > config.last_step:
        raise CheckpointError(
            f"{path} is of step {step}, and {path.parent.parent / CONFIG_FILE} trains to"
            f" {config.last_step}; put its steps back, or remove the checkpoints of later steps"
        )
