"""Results of the benchmark, read from a folder: one file for each entrant, world and seed."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from langrl.benchmark.outcomes import Outcomes
from langrl.errors import ResultsError, lookup

CELLS = "cells"
ABOUT = "benchmark.json"  # of a folder: which suite and profile it holds
SCHEMA = "langrl-cell-1"
_ROLES = ("method", "reference")
_FIELDS: dict[str, type] = {"suite": str, "hash": str, "agent": str, "world": str, "seed": int}


@dataclass(frozen=True, eq=False, kw_only=True)
class CellResult:
    """What one entrant did in one world, with one seed.

    Args:
        entrant: its name.
        world: of the suite.
        seed: of training and acting.
        outcomes: one entry a task.
        role: "method", or "reference" for what methods are compared with.
        about: what else the file says: versions, seconds of training and so on.
        path: of the file.
    """

    entrant: str
    world: str
    seed: int
    outcomes: Outcomes
    role: str
    about: Mapping[str, Any]
    path: Path


@dataclass(frozen=True, eq=False, kw_only=True)
class Results:
    """Results of a suite.

    Args:
        suite: its name.
        digest: hash of its tasks.
        cells: one for each entrant, world and seed.
    """

    suite: str
    digest: str
    cells: tuple[CellResult, ...]

    @property
    def entrants(self) -> tuple[str, ...]:
        """Names of the entrants, in alphabetical order."""
        return tuple(sorted({cell.entrant for cell in self.cells}))

    @property
    def worlds(self) -> tuple[str, ...]:
        """Names of the worlds, in alphabetical order."""
        return tuple(sorted({cell.world for cell in self.cells}))

    def role(self, entrant: str) -> str:
        """Return whether an entrant is a "method" or a "reference"; errors as ``runs``."""
        return self.only(entrant).cells[0].role

    def runs(self, entrant: str) -> dict[tuple[str, int], Outcomes]:
        """Return an entrant's outcomes by world and seed; UnknownNameError if it has none."""
        return {(cell.world, cell.seed): cell.outcomes for cell in self.only(entrant).cells}

    def only(self, entrant: str) -> "Results":
        """Return the results of one entrant; UnknownNameError if there are none."""
        lookup(dict.fromkeys(self.entrants), entrant, "entrant with results")
        return replace(self, cells=tuple(cell for cell in self.cells if cell.entrant == entrant))


def load_results(folder: Path, digest: str | None = None) -> Results:
    """Return the results in ``folder``/cells/ENTRANT/WORLD-seed-S.json.

    Args:
        folder: that ``langrl benchmark run`` wrote.
        digest: hash of the suite that they must be of; if it is not given, all must be of the
            same.

    Raises:
        ResultsError: if there are none, a file is damaged or is of another suite, or two are of
            the same entrant, world and seed; names the files.
    """
    paths = sorted((Path(folder) / CELLS).glob("*/*.json"))
    if not paths:
        raise ResultsError(
            f"{folder} has no results, which would be in {CELLS}/ENTRANT/WORLD-seed-S.json; make"
            f" them with: langrl benchmark run --out {folder}"
        )
    cells: dict[tuple[str, str, int], CellResult] = {}
    first: tuple[str, str, Path] | None = None
    for path in paths:
        content = _read(path)
        suite, own = content["suite"], content["hash"]
        if digest is not None and own != digest:
            raise ResultsError(
                f"{path} is of tasks {own[:16]} of {suite}, and this langrl has {digest[:16]};"
                " remove it, or name another folder by --out"
            )
        first = first or (suite, own, path)
        if (suite, own) != first[:2]:
            raise ResultsError(
                f"{path} is of {suite}, tasks {own[:16]}, and {first[2]} is of {first[0]}, tasks"
                f" {first[1][:16]}; keep the results of each in a folder of its own"
            )
        cell = _cell(path, content)
        key = (cell.entrant, cell.world, cell.seed)
        if key in cells:
            raise ResultsError(
                f"{path} and {cells[key].path} are both of {cell.entrant} in {cell.world}, seed"
                f" {cell.seed}; remove one"
            )
        cells[key] = cell
    assert first is not None
    return Results(suite=first[0], digest=first[1], cells=tuple(cells.values()))


def check_same_suite(first: Results, second: Results) -> None:
    """Raise ResultsError if two results are of other tasks; names a file of each."""
    one, other = (results.cells[0].path for results in (first, second))
    if (first.suite, first.digest) != (second.suite, second.digest):
        raise ResultsError(
            f"{one} is of {first.suite}, tasks {first.digest[:16]}, and {other} is of"
            f" {second.suite}, tasks {second.digest[:16]}; run both with one version of langrl and"
            " one --suite"
        )


def _read(path: Path) -> dict[str, Any]:
    """Return what a file says, with the fields that every one has."""
    try:
        content = json.loads(path.read_text("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    except OSError as error:
        raise ResultsError(f"{path} cannot be read: {error.strerror}") from error
    if not isinstance(content, dict):
        raise _damaged(path, f"it is no object but a {type(content).__name__}")
    if content.get("schema") != SCHEMA:
        raise ResultsError(
            f"{path} has schema {content.get('schema')!r}, and this langrl reads {SCHEMA!r}; remove"
            " it and run the benchmark again, which makes it anew"
        )
    for problem in _problems(content):
        raise _damaged(path, problem)
    return content


def _problems(content: Mapping[str, Any]) -> Iterator[str]:
    for name, kind in _FIELDS.items():
        value = content.get(name)
        if not isinstance(value, kind) or isinstance(value, bool) or value == "":
            yield f"{name} is {'a text' if kind is str else 'a whole number'}, got {value!r}"
    if content["seed"] < 0:
        yield f"seed is at least 0, got {content['seed']}"
    if content.get("role", "method") not in _ROLES:
        yield f"role is one of: {', '.join(_ROLES)}, got {content['role']!r}"
    if "outcomes" not in content:
        yield "it has no outcomes"


def _cell(path: Path, content: dict[str, Any]) -> CellResult:
    try:
        outcomes = Outcomes.from_json(content["outcomes"])
    except ResultsError as error:
        raise _damaged(path, str(error)) from error
    if not len(outcomes):
        raise _damaged(path, "its outcomes have no task")
    known = {*_FIELDS, "schema", "role", "outcomes"}
    return CellResult(
        entrant=content["agent"],
        world=content["world"],
        seed=content["seed"],
        outcomes=outcomes,
        role=content.get("role", "method"),
        about={name: value for name, value in content.items() if name not in known},
        path=path,
    )


def _damaged(path: Path, problem: str) -> ResultsError:
    return ResultsError(
        f"{path} is damaged: {problem[:200]}; remove it and run the benchmark again, which makes it"
        " anew"
    )


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON; write null")
