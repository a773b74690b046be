"""Suites of benchmark tasks, each with a version that is a hash of every task."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from langrl.benchmark.tasks import WORLDS, BenchmarkTask, draw_tasks_of_modes
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
        digests: ``hash_tasks`` of each world's tasks, of mode ``any`` and then ``hidden``.
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
            ConfigError: if this version of NumPy draws other tasks than those of the suite.
        """
        lookup(dict.fromkeys(self.digests), world, f"world of {self.name}")
        lookup(dict.fromkeys(MODES), mode, "mode")
        by_mode = _draw(world, self.pairs, self.seed)
        if self.digest(world) != self.digests[world]:
            import numpy

            raise ConfigError(
                f"NumPy {numpy.__version__} draws other tasks in {world} than those of {self.name},"
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
    return hash_tasks(task for mode in MODES for task in by_mode[mode])


SUITES = {
    "langrl/AmbiguousInstructions-v1": Suite(
        name="langrl/AmbiguousInstructions-v1",
        seed=17,
        pairs=144,
        digests={
            "street-fork": ("346ab5612e307be178c1ae591ae360b9dd02e92f7a0ed2fb4d89a5f27b999f28"),
            "street-blank": ("b42ebd79ecb25bce1b488dce4977c6bd9e16ca185327b167b031b4ffe86480ce"),
            "street-island": ("db58f60ded938ea2fda6df20aeb936353c7e884b3545fc63b015877f145ef51a"),
            "street-slit": ("473025e64504f3b28fda76b989c3ba769f91816dbbc3701fdf7a8a1c8a38b0e9"),
            "street-blocker": ("b15a7be0e3e6b22d5dfd23c86e12a48b101f0efab950ac66a403d59b764cc8a1"),
            "grid-goto": ("7012a7a191719a7099fdda446e1f5c6ae7fa89ea5100c746c19c947f11180521"),
            "grid-crowded": ("9931c557a6f821417742ceb7c961bdd142f0efd76399e0b5617e53d46c49421e"),
            "grid-rooms": ("f7c16f9906a89336e4ee828babb9fadfe2a19d1e753f6b58504803d4efe93402"),
            "grid-relations": ("4dd856633b481c5279e6492c75656607b11d73b624100be023b41999c495625d"),
            "grid-nine-rooms": ("6a2fa6c86c1085a57765ec69ddae627b1c61605d9864d8b340a002a3d075917d"),
        },
    ),
}


def suite_named(name: str) -> Suite:
    """Return a suite; raises UnknownNameError, naming the closest one, if there is none."""
    return lookup(SUITES, name, "benchmark suite")
