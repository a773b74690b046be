"""Loads SentenceTransformers by folder or hub name, without waiting for a hub that is away."""

from pathlib import Path
from typing import Any

from langrl.errors import ConfigError

_PATIENCE = 10.0  # seconds for the hub's first answer


def looks_like_a_folder(name: str) -> bool:
    """Whether a model's name can only be a folder: on the hub, names are OWNER/MODEL."""
    return Path(name).is_absolute() or name.startswith((".", "~")) or name.count("/") > 1


def open_sentence_transformer(name: str, **options: Any) -> Any:
    """Return ``SentenceTransformer(name, device="cpu", **options)``.

    A hub that does not answer is asked once; the model is then loaded from its local cache.

    Raises:
        ConfigError: if the model is not a folder, the hub is away, and the cache lacks the model.
    """
    from sentence_transformers import SentenceTransformer

    away = None if Path(name).is_dir() else _why_away(name)
    try:
        return SentenceTransformer(name, device="cpu", local_files_only=bool(away), **options)
    except Exception as error:  # the hub's own errors come from several libraries
        if not away:
            raise
        raise ConfigError(
            f"no folder {name}, no such model in the local cache, and the hub of Hugging Face"
            f" does not answer ({away}); give a folder"
        ) from error


def _why_away(name: str) -> str | None:
    """Return why the hub does not answer, None if it does."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        HfApi().model_info(name, timeout=_PATIENCE)
    except (HfHubHTTPError, HFValidationError):
        return None  # it says that there is no such model, or none for everyone
    except Exception as error:  # no connection, offline mode: which errors depends on its version
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return None
