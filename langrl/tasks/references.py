"""What a run's config refers to by file or folder, and whether it is still what it was.

A checkpoint has the digest of each model that its run started from or uses. Another model of the
same name is refused, not used. Names on a hub have no digest; nor have the models of langrl itself,
which the stored versions tell apart.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from langrl.checkpoint import content_digest
from langrl.errors import CheckpointError
from langrl.settings import references
from langrl.tasks.config import RunConfig


def reference_digests(config: RunConfig) -> dict[str, dict[str, str]]:
    """Return, by field, the use, path and sha256 of the models that are in files or folders.

    Training data is left out: its digest is that of what was read from it.
    """
    return {
        field: {"use": reference.use, "path": path, "sha256": content_digest(Path(path))}
        for field, reference, path in references(config)
        if reference.use != "data" and Path(path).exists()
    }


def check_references(state: Any, checkpoint: Path, config: RunConfig | None = None) -> None:
    """Refuse a checkpoint that was trained with other models than are there now.

    Args:
        state: the checkpoint's ``state``; those of earlier versions have no digests.
        checkpoint: where it is, for messages.
        config: of a run that goes on; without it, only what agents use is compared.

    Raises:
        CheckpointError: naming the field, the path and the repair.
    """
    try:
        compared = list(_compared(state, config))
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{checkpoint}: state.json: references are damaged") from error
    for field, path, sha256 in compared:
        if Path(path).exists() and content_digest(Path(path)) != sha256:
            raise CheckpointError(
                f"{checkpoint} was trained with another model than {path} ({field}) holds now; put"
                " that one back, or train anew"
            )


def _compared(state: Any, config: RunConfig | None) -> Iterator[tuple[str, str, str]]:
    """Yield field, path and stored sha256 of what is to be compared."""
    stored = state.get("references", {}) if isinstance(state, Mapping) else {}
    present = {} if config is None else {field: path for field, _, path in references(config)}
    for field, entry in stored.items():
        if entry["use"] == "model" or (config is not None and entry["use"] == "start"):
            yield field, str(present.get(field, entry["path"])), entry["sha256"]
