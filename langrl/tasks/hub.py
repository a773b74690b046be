"""Shared agents on the Hugging Face Hub: ``hf:user/name@revision`` as a folder, and back."""

import os
import re
from pathlib import Path
from typing import Any

from langrl import __version__
from langrl.errors import CheckpointError, ConfigError, check_extra, quoted
from langrl.tasks.sharing import (
    CARD,
    MOST_LIST,
    SHARED,
    check_files,
    check_names,
    is_free,
    read_list,
)
from langrl.training.logs import console

PREFIX = "hf:"
_NAME = re.compile(r"\w[\w.-]{0,95}/\w[\w.-]{0,95}", re.ASCII)
_REVISION = re.compile(r"\w[\w./-]{0,199}", re.ASCII)
_PATIENCE = 20.0  # seconds for the hub's first answer


def is_on_hub(source: str | Path) -> bool:
    """Whether a run is named as one on the hub."""
    return str(source).startswith(PREFIX)


def local_folder(source: str | Path) -> Path:
    """Return a folder as it is, and one on the hub as a folder in the hub's cache.

    Raises:
        ConfigError: if it is neither; and as ``fetch``.
    """
    if not isinstance(source, str | os.PathLike):
        raise ConfigError(
            f"{quoted(source)} names no run; give its folder, or a shared agent as hf:user/name"
        )
    return fetch(str(source)) if is_on_hub(source) else Path(source)


def check_repository(name: str) -> str:
    """Return the name of a repository; raises ConfigError if it is none."""
    if not _NAME.fullmatch(name) or ".." in name or "--" in name:
        raise ConfigError(f"{quoted(name)} is no repository; name it as user/name")
    return name


def fetch(source: str) -> Path:
    """Download a shared agent, check every byte of it, and return its folder, to be read only.

    Files that are in the hub's cache are not downloaded again. If the hub does not answer, what is
    in the cache is used.

    Args:
        source: ``hf:user/name``, or ``hf:user/name@revision`` with a branch, tag or commit.

    Raises:
        ConfigError: if it is no such name, or there is no such repository or revision, or the hub
            does not answer.
        CheckpointError: if the repository holds something else, or a file has been changed.
        MissingExtraError: without huggingface_hub.
    """
    name, _, revision = source.removeprefix(PREFIX).partition("@")
    check_repository(name)
    if "@" in source and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise ConfigError(f"{quoted(source)}: {quoted(revision)} is no revision")
    check_extra("huggingface_hub", "hub")
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        info = HfApi().model_info(
            name, revision=revision or None, timeout=_PATIENCE, files_metadata=True
        )
    except RevisionNotFoundError as error:
        raise ConfigError(
            f"{source}: {name} has no revision {revision or 'main'!r}; name a branch, a tag or a"
            " commit of it"
        ) from error
    except RepositoryNotFoundError as error:
        raise ConfigError(
            f"{source}: there is no such repository, or it is not for everyone; check the name, or"
            " log in by `hf auth login`"
        ) from error
    except Exception as error:  # no connection, offline mode: which errors depends on its version
        return _from_cache(source, name, revision, error)
    sizes = {each.rfilename: each.size or 0 for each in info.siblings or ()}
    if SHARED not in sizes or sizes[SHARED] > MOST_LIST:
        raise CheckpointError(
            f"{source} has no list of its files, {SHARED}: it was not shared by `langrl push`"
        )
    present = {each for each in sizes if not is_free(each)}
    check_names(sorted(present), source)
    try:
        folder, digests = _cached(source, name, revision)
    except CheckpointError:
        raise
    except Exception as error:  # the connection may break, or the disk be full
        raise ConfigError(f"{source} could not be downloaded: {_first_line(error)}") from error
    if other := sorted(present - digests.keys()):
        raise CheckpointError(
            f"{source} holds {quoted(other[0])}, which is not in its list {SHARED}; nothing of it"
            " is used"
        )
    check_files(folder, digests, source)
    return folder


def _cached(source: str, name: str, revision: str, **options: Any) -> tuple[Path, dict[str, str]]:
    """Return the folder in the hub's cache with the files that a list names, and the list."""
    from huggingface_hub import hf_hub_download, snapshot_download

    options["revision"] = revision or "main"
    digests = read_list(Path(hf_hub_download(name, SHARED, **options)), source)
    return Path(snapshot_download(name, allow_patterns=list(digests), **options)), digests


def _from_cache(source: str, name: str, revision: str, away: Exception) -> Path:
    """Return what the cache has of a repository, whole; ConfigError if it has nothing."""
    try:
        folder, digests = _cached(source, name, revision, local_files_only=True)
        check_files(folder, digests, source)
    except Exception:
        raise ConfigError(
            f"{source}: the hub does not answer ({_first_line(away)}), and it is not in the local"
            " cache; try again, or name a folder"
        ) from away
    console.print(f"the hub does not answer; {source} is read from the local cache")
    return folder


def upload(folder: Path, repository: str, private: bool) -> str:
    """Send a shared folder to the hub as one commit, and return its address.

    Files of an earlier ``push`` that are not in the folder are removed in that commit; the hub
    keeps them in its history.

    Raises:
        ConfigError: if the hub does not answer or refuses, or the repository holds other files.
    """
    check_extra("huggingface_hub", "hub")
    from huggingface_hub import HfApi, hf_hub_download

    api = HfApi()
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        files, earlier = set(api.list_repo_files(repository)), set[str]()
        if SHARED in files:
            earlier = set(read_list(Path(hf_hub_download(repository, SHARED)), repository))
        if other := sorted(name for name in files - earlier if not is_free(name)):
            raise ConfigError(
                f"{repository} holds {quoted(other[0])}, which langrl has not shared, and nothing"
                " was sent; name another repository"
            )
        gone = [name for name in earlier if not (folder / name).is_file()]
        options: Any = {"delete_patterns": gone} if gone else {}
        message = f"Agent of langrl {__version__}"
        sent = api.upload_folder(
            repo_id=repository, folder_path=folder, commit_message=message, **options
        )
    except (ConfigError, CheckpointError):
        raise
    except Exception as error:  # which errors there are depends on its version
        raise ConfigError(
            f"{repository}: the hub did not take it ({_first_line(error)}); log in by `hf auth"
            f" login`, or look at it first by --dry-run DIR, whose {CARD} you can edit"
        ) from error
    return str(sent)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
