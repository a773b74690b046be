"""Loads SentenceTransformers by folder or hub name, without waiting for a hub that is away.

A folder names the classes of its modules. Only classes of sentence-transformers itself are taken:
loading another one would run code that came with the folder.
"""

import json
import re
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any

from langrl.errors import ConfigError, MissingExtraError

_PATIENCE = 10.0  # seconds for the hub's first answer
_FIRST = 6  # version of sentence-transformers that never runs a local folder's own code
_MODULES = ("modules.json", "router_config.json")  # files that name classes
_TOP = ("modules.json", "config.json")  # one of them is in every model's folder
_LARGEST = 1_000_000  # bytes of such a file
_OWN_CLASS = re.compile(r"sentence_transformers\.(\w+\.)*[A-Z]\w*", re.ASCII)


def looks_like_a_folder(name: str) -> bool:
    """Whether a model's name can only be a folder: on the hub, names are OWNER/MODEL."""
    return Path(name).is_absolute() or name.startswith((".", "~")) or name.count("/") > 1


def open_sentence_transformer(name: str, **options: Any) -> Any:
    """Return ``SentenceTransformer(name, device="cpu", **options)``.

    A hub that does not answer is asked once; the model is then loaded from its local cache.

    Raises:
        ConfigError: if the model is not a folder, the hub is away, and the cache lacks the model;
            or if the folder holds no model, or names classes of its own.
        MissingExtraError: if sentence-transformers is too old.
    """
    folder = Path(name)
    if folder.is_dir() and not any((folder / file).is_file() for file in _TOP):
        raise ConfigError(
            f"{name} holds no model: it has neither {' nor '.join(_TOP)}; give the folder of a"
            " SentenceTransformer"
        )
    check_modules(folder)
    if int(metadata.version("sentence-transformers").partition(".")[0]) < _FIRST:
        raise MissingExtraError(
            f'models need sentence-transformers {_FIRST}; pip install -U "langrl[text]"'
        )
    from sentence_transformers import SentenceTransformer

    away = None if folder.is_dir() else _why_away(name)
    try:
        return SentenceTransformer(name, device="cpu", local_files_only=bool(away), **options)
    except Exception as error:  # the hub's own errors come from several libraries
        if not away:
            raise
        raise ConfigError(
            f"no folder {name}, no such model in the local cache, and the hub of Hugging Face"
            f" does not answer ({away}); give a folder"
        ) from error


def check_modules(folder: Path) -> None:
    """Refuse a model's folder that names classes from elsewhere, before anything is imported.

    Raises:
        ConfigError: naming the file and the class.
    """
    for file in sorted(path for name in _MODULES for path in folder.glob(f"**/{name}")):
        for kind, place in _named(file):
            if not (isinstance(kind, str) and _OWN_CLASS.fullmatch(kind)):
                raise ConfigError(
                    f"{file} names {kind!r}, which is no class of sentence-transformers; loading it"
                    " would run code that came with the model: save the model with their classes"
                )
            parts = PurePosixPath(place).parts if isinstance(place, str) else ("..",)
            if ".." in parts or PurePosixPath(str(place)).is_absolute():
                raise ConfigError(f"{file} names the folder {place!r}, which is not in the model's")


def _named(file: Path) -> list[tuple[Any, Any]]:
    """Return the classes that a file names, and the folders of their modules."""
    try:
        if file.stat().st_size > _LARGEST:
            raise ValueError("it is larger than 1 MB")
        content = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(content, dict):  # of a router: classes by the folder of the module
            return [(kind, folder) for folder, kind in content["types"].items()]
        return [(entry["type"], entry["path"]) for entry in content]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ConfigError(f"{file} is damaged ({error}); copy the model again") from error


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
