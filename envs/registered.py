"""Environments by their Gymnasium ids: of installed packages, of users' modules, and of langrl."""

import contextlib
import importlib
import importlib.util
import io
import re
from collections.abc import Iterable
from importlib import metadata
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

from langrl.errors import (
    ConfigError,
    LangRLError,
    UnknownNameError,
    check_extra,
    suggestion,
)

# Packages that register environments when they are imported: the extra, and how their ids begin.
PROVIDERS = {
    "gymnasium_robotics": (
        "robotics",
        "Fetch HandReach HandManipulate PointMaze_ AntMaze_ AdroitHand FrankaKitchen",
    ),
    "ogbench": (
        "ogbench",
        "pointmaze- antmaze- humanoidmaze- antsoccer- visual- cube- scene- puzzle- powderworld-",
    ),
}
MUJOCO_LIMIT = (3, 12)  # the first version with which gymnasium-robotics 1.4 makes no robots


def import_modules(names: Iterable[str]) -> None:
    """Import modules by name, which register their environments, as ``--import-module`` asks for.

    Raises:
        ConfigError: if one cannot be imported; says why.
    """
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # whatever the module's own code raises
            if isinstance(error, ModuleNotFoundError) and error.name == name.split(".")[0]:
                repair = "install it, or put its folder on PYTHONPATH"
            else:
                repair = f"python -c 'import {name}' shows where"
            raise ConfigError(
                f"--import-module: cannot import {name!r} ({_told(error)}); {repair}"
            ) from error


def spec_of(name: str) -> EnvSpec:
    """Return the specification of an environment; imports the package that registers it.

    Args:
        name: Gymnasium's id, such as ``FetchReach-v4``; ``module:id`` imports a module first.

    Raises:
        UnknownNameError: if there is no such environment; names the closest one.
        MissingExtraError: if it is one of a package that is not installed.
        ConfigError: if the module cannot be imported.
    """
    module, _, name = name.rpartition(":")
    import_modules([module] if module else [])
    if name in gym.registry:
        return gym.registry[name]
    for package, (extra, beginnings) in PROVIDERS.items():
        if name.startswith(tuple(beginnings.split())):
            check_extra(package, extra)
            _register(package)
    if name in gym.registry:
        return gym.registry[name]
    for package in PROVIDERS:  # for the closest name
        if importlib.util.find_spec(package) is not None:
            _register(package)
    raise UnknownNameError(
        f"env: no environment named {name!r}; {_closest(name)}; for one of your own package add"
        " --import-module PACKAGE"
    )


def make_registered(spec: EnvSpec, **kwargs: Any) -> gym.Env[Any, Any]:
    """Return an environment that is made as it is registered.

    Raises:
        ConfigError: if its own code refuses; names versions that are known not to fit.
    """
    try:
        return gym.make(spec, disable_env_checker=True, **kwargs)
    except LangRLError:  # of langrl's own worlds, which say what to do
        raise
    except Exception as error:
        raise ConfigError(
            f"env: cannot make {spec.id!r} ({_told(error)});"
            f" {unfit_versions() or 'check the id and the arguments'}"
        ) from error


def unfit_versions() -> str:
    """Return which installed versions do not fit each other, and the repair; or nothing."""
    try:
        robotics, mujoco = metadata.version("gymnasium-robotics"), metadata.version("mujoco")
    except metadata.PackageNotFoundError:
        return ""
    major, minor = mujoco.split(".")[:2]
    if (int(major), int(minor)) < MUJOCO_LIMIT:
        return ""
    return (
        f"gymnasium-robotics {robotics} makes robots with mujoco below 3.12, and mujoco {mujoco} is"
        ' installed; pip install "langrl[robotics]"'
    )


def _register(package: str) -> None:
    with contextlib.redirect_stderr(io.StringIO()):  # of notices about other environments
        importlib.import_module(package)


def _closest(name: str) -> str:
    """Return "did you mean ...?": the newest version of a name, or the closest name."""
    versions: dict[str, list[tuple[int, str]]] = {}
    for known in gym.registry:
        stem, version = _split(known)
        versions.setdefault(stem, []).append((version, known))
    newest = {stem: max(found)[1] for stem, found in versions.items()}
    stem = _split(name)[0]
    if stem in newest:
        return f"did you mean {newest[stem]!r}?"
    told = suggestion(name, newest.values())
    return told if told.startswith("did") else "`gymnasium.pprint_registry()` lists those there are"


def _split(name: str) -> tuple[str, int]:
    """Return a name without its version, and the version, -1 if it has none."""
    match = re.fullmatch(r"(.+)-v(\d+)", name)
    return (match[1], int(match[2])) if match else (name, -1)


def _told(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
