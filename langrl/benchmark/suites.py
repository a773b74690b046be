"""Suites of benchmark tasks, each with a version that is a hash of every task."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import version

from langrl.benchmark.level_world import LEVELS
from langrl.benchmark.tasks import WORLDS, BenchmarkTask, check_world_has, draw_tasks_of_modes
from langrl.envs.intents import MODES, Mode
from langrl.errors import ConfigError, lookup


def hash_tasks(tasks: Iterable[BenchmarkTask]) -> str:
    """Return sha256 over the JSON of some tasks, a line for each."""
    digest = hashlib.sha256()
    for task in tasks:
        digest.update(task.dump().encode() + b"\n")
    return digest.hexdigest()


@dataclass(frozen=True)
class Suite:
    """A fixed set of tasks, which are generated when they are asked for.

    Args:
        name: of the suite.
        seed: of its tasks.
        pairs: ambiguous tasks of each world and mode; as many twins.
        digests: ``hash_tasks`` of each world's tasks, of mode ``any`` and then ``hidden``; levels
            have the first alone.
    """

    name: str
    seed: int
    pairs: int
    digests: Mapping[str, str]

    @property
    def worlds(self) -> tuple[str, ...]:
        """The worlds that it has tasks in."""
        return tuple(self.digests)

    @property
    def version_hash(self) -> str:
        """sha256 over the digests of all worlds, so over every task: the version of the suite."""
        lines = [f"{world} {digest}\n" for world, digest in self.digests.items()]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def tasks(self, world: str, mode: Mode) -> list[BenchmarkTask]:
        """Return the tasks of a world, each ambiguous one followed by its twin.

        Of the first 2k, each combination of level of ambiguity and phrasing has about equally many.

        Raises:
            UnknownNameError: if there is no such world or mode.
            ConfigError: if the world has no tasks of the mode, or the installed NumPy or minigrid
                draws other tasks than those of the suite.
        """
        lookup(dict.fromkeys(self.digests), world, f"world of {self.name}")
        check_world_has(world, mode)
        by_mode = _draw(world, self.pairs, self.seed)
        if self.digest(world) != self.digests[world]:
            raise ConfigError(
                f"{_drawing(world)} draws other tasks in {world} than those of {self.name},"
                " so that results would not compare; pip install -c constraints.txt langrl"
            )
        return list(by_mode[mode])

    def digest(self, world: str) -> str:
        """Return the hash of a world's tasks as they are generated here."""
        return _digest(world, self.pairs, self.seed)


@lru_cache(maxsize=len(WORLDS))
def _draw(world: str, pairs: int, seed: int) -> dict[Mode, list[BenchmarkTask]]:
    return draw_tasks_of_modes(world, pairs, seed)


@lru_cache(maxsize=len(WORLDS))
def _digest(world: str, pairs: int, seed: int) -> str:
    by_mode = _draw(world, pairs, seed)
    return hash_tasks(task for mode in MODES if mode in by_mode for task in by_mode[mode])


def _drawing(world: str) -> str:
    """Return the names and versions of what draws the tasks of a world."""
    names = {"NumPy": "numpy"} | ({"minigrid": "minigrid"} if world in LEVELS else {})
    return " with ".join(f"{name} {version(package)}" for name, package in names.items())


_FIRST = Suite(
    name="langrl/AmbiguousInstructions-v1",
    seed=17,
    pairs=144,
    digests={
        "street-fork": "0b2058cf2b0489a91dc12333ea455ef7e30a2e0502230adfbfa2a0e4c4539954",
        "street-blank": "13d380c337bbc070c0d2bc162a5a9edc98a8293dc39b0c707cc9767d9d6df574",
        "street-island": "30e5dbf06fdcc20f4a160df1342304f8b0ea7955d9dec8f0a60398b67c788366",
        "street-slit": "060b59c4d69e41b1f94db908fb78e4b8030570d33b60ab6e0ef5fe61f85b010b",
        "street-blocker": "1ba4bee020d0c6e3ccdf0272d9ad1835717b8a02bfb68507c47899f3d54d19a0",
        "grid-goto": "7012a7a191719a7099fdda446e1f5c6ae7fa89ea5100c746c19c947f11180521",
        "grid-crowded": "9931c557a6f821417742ceb7c961bdd142f0efd76399e0b5617e53d46c49421e",
        "grid-rooms": "f7c16f9906a89336e4ee828babb9fadfe2a19d1e753f6b58504803d4efe93402",
        "grid-relations": "4dd856633b481c5279e6492c75656607b11d73b624100be023b41999c495625d",
        "grid-nine-rooms": "6a2fa6c86c1085a57765ec69ddae627b1c61605d9864d8b340a002a3d075917d",
    },
)
_SECOND = replace(
    _FIRST,
    name="langrl/AmbiguousInstructions-v2",
    digests={
        **_FIRST.digests,
        "level-goto-local": "c7d77eb00aa9dc45fad0c8ef484744a2a57963f7ddc21badd4072f848fabfb05",
        "level-goto-open": "96a1aed75b54a03fd92d8ddab7103f7c4db01987cc0649e53f7c7ba2d52167c3",
        "level-pickup-loc": "63a0746880a0605cda4b1555a30306b28a7f6e64f1a53fb4143593cd85fb0270",
    },
)
SUITES = {suite.name: suite for suite in (_FIRST, _SECOND)}
"""Suites by name. Version 2 has the tasks of version 1, and those of levels of BabyAI."""


def suite_named(name: str) -> Suite:
    """Return a suite; raises UnknownNameError, naming the closest one, if there is none."""
    return lookup(SUITES, name, "benchmark suite")
