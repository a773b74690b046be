"""The benchmark of acting under ambiguity, and measurements of speed.

    from langrl import benchmark

    benchmark.run(agents={"mine": agent}, profile="fast")

``langrl benchmark run`` does the same; docs/reference/benchmark.md says what is measured.
"""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def run(
    agents: Mapping[str, Any] | None = None,
    *,
    profile: str = "fast",
    entrants: Sequence[str] | None = None,
    worlds: Sequence[str] | None = None,
    seeds: int | None = None,
    out: str | Path | None = None,
    workers: int | None = None,
    suite: str | None = None,
) -> Any:
    """Run the benchmark, print its leaderboard and write its report.

    Args:
        agents: agents of your own, or functions that make one for a ``world``, by name. An agent
            has ``reset(generator, mask)`` and ``act(observations, instructions)``; with
            ``posterior``, what it believes is measured, and with ``ask``, what it asks.
        profile: how much: "smoke", "fast" or "full".
        entrants: who is run beside them, and run folders; the profile's if not given.
        worlds: names of worlds; the profile's if not given.
        seeds: of trainings and agents, how many; the profile's if not given.
        out: folder, in which a run that was cut off goes on; runs/benchmark-PROFILE if not given,
            or runs/benchmark-PROFILE-v2 of that version of the suite.
        workers: processes; one per core if not given.
        suite: of tasks; "langrl/AmbiguousInstructions-v1" if not given.

    Returns:
        The ``langrl.benchmark.results.Results`` in the folder.

    Raises:
        LangRLError: if something that is named does not exist, or an agent is none.
        CellError: if a training or evaluation failed; what was computed is kept.
    """
    running = importlib.import_module("langrl.benchmark.running")
    folder = default_folder(profile, suite) if out is None else Path(out)
    return running.run(folder, profile, agents, entrants, worlds, seeds, workers, suite)


def default_folder(profile: str, suite: str | None = None) -> Path:
    """Return the folder of a run of the benchmark where none is named."""
    version = (suite or "").rpartition("-")[2]
    own = f"-{version}" if version not in ("", "v1") else ""
    return Path("runs") / f"benchmark-{profile}{own}"
