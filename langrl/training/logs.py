"""What a run reports: progress, tables, metrics.jsonl, TensorBoard events, results.json."""

import json
import math
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from langrl.checkpoint import write_atomically

SCHEMA = "langrl-results-1"
_REPORT_EVERY = 10.0  # seconds, where there is no terminal to draw a bar on
# Not on a terminal (a file, a pipe), tables are as wide as they need to be read.
# No markup: folders and instructions are printed as they are, square brackets and all.
console = Console(
    width=None if sys.stdout.isatty() else 140, soft_wrap=True, markup=False, emoji=False
)


def write_board(
    folder: Path, step: int, settings: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Add a finished run's hyper-parameters and results to its TensorBoard events.

    Args:
        folder: the run folder.
        step: at which the rows were measured.
        settings: the config, as nested mappings; fields are named as their flags are.
        rows: results; those with ``method`` and ``success`` are shown beside the hyper-parameters.
    """
    from torch.utils.tensorboard import SummaryWriter
    from torch.utils.tensorboard.summary import hparams

    results = {
        f"results/{name}/{row['method']}": float(row[name])
        for row in rows
        for name in ("success", "spl")
        if row.get("method") is not None and row.get(name) is not None
    }
    with SummaryWriter(str(folder / "tensorboard")) as board:
        for summary in hparams(dict(_flat(settings)), results):
            board.file_writer.add_summary(summary)
        for name, value in results.items():
            board.add_scalar(name, value, step)


def _flat(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Name the fields of nested mappings as flags do; what is no number is text."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value if isinstance(value, int | float) else str(value)


TIMES = "times.jsonl"  # beside the metrics, which the same config and seed give again


class MetricsLog:
    """Writes metrics to ``metrics.jsonl``, which is read back, and to TensorBoard events.

    The seconds that training took until then, which whoever trains adds to ``seconds``, go to
    ``times.jsonl``.

    Args:
        folder: the run folder.
        step: where the run starts or resumes; records of later steps are removed.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.path = folder / "metrics.jsonl"
        self._file, _ = _reopen(self.path, step)
        self._times, before = _reopen(folder / TIMES, step)
        self.seconds = before[-1].get("seconds", 0.0) if before else 0.0
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write the scalars of a step."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._times.write(json.dumps({"step": step, "seconds": round(self.seconds, 3)}) + "\n")
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        self._times.close()
        self._board.close()


def _reopen(path: Path, step: int) -> tuple[TextIO, list[dict[str, float]]]:
    """Open a file of records to append to, without those of later steps; returns the others."""
    kept = [line for line in read_metrics(path) if line["step"] <= step]
    write_atomically(path, "".join(json.dumps(line) + "\n" for line in kept))
    return path.open("a", buffering=1), kept


def read_metrics(path: Path) -> list[dict[str, float]]:
    """Return the records of a metrics.jsonl, with growing steps.

    Lines that are no records are left out: one that was cut off, or a damaged one.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # there is none
        return []
    records: list[dict[str, float]] = []
    for line in lines:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if _is_record(record) and (not records or record["step"] > records[-1]["step"]):
            records.append(record)
    return records


def _is_record(record: Any) -> bool:
    """Whether a value holds numbers by name, with a step."""
    numbers = isinstance(record, dict) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in record.values()
    )
    return numbers and isinstance(record.get("step"), int) and record["step"] >= 0


@contextmanager
def progress(
    label: str, total: int, done: int = 0, *, estimate_from: float = 0.0
) -> Iterator["Bar"]:
    """Show a bar with rate and time left; without a terminal, a line every ten seconds.

    Args:
        label: what is done.
        total: how many there are.
        done: how many of them are done already.
        estimate_from: share of what is left to do from which lines say the rate and the time left.
            The first of many that are done side by side say little about when the others will be.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bars:
        yield Bar(bars, label, total, done, estimate_from)


class Bar:
    """One progress bar."""

    def __init__(
        self, bars: Progress, label: str, total: int, done: int, estimate_from: float = 0.0
    ) -> None:
        self._bars, self._label, self._total, self._first = bars, label, total, done
        self._least = estimate_from * (total - done)
        self._task = bars.add_task(label, total=total, completed=done, note="")
        self._reported = 0.0  # when a line was printed last

    def update(self, done: int, unit: str = "steps") -> None:
        """Show how many are done."""
        task = self._bars.tasks[0]
        elapsed = task.elapsed or 0.0
        new = done - self._first
        note = _rate(new, elapsed, unit)
        self._bars.update(self._task, completed=done, note="".join(note))
        due = done >= self._total or elapsed - self._reported > _REPORT_EVERY
        if due and not console.is_terminal:
            self._reported = elapsed
            said = [f"{self._label}: {done}/{self._total}"]
            if new > 0 and new >= self._least:  # of what nothing is done yet, there is no estimate
                said += [*note, f"{(self._total - done) * elapsed / new:.0f} s left"]
            console.print(", ".join(said))


def _rate(done: int, seconds: float, unit: str) -> list[str]:
    """Return the rate in words: steps a second or, where that is below 1, seconds a step."""
    if done <= 0 or seconds <= 0:
        return []
    if done >= seconds:
        return [f"{done / seconds:.0f} {unit}/s"]
    return [f"{seconds / done:.1f} s/{unit.removesuffix('s')}"]


def print_table(title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print rows as a table on the terminal."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        text = any(isinstance(row.get(column), str) for row in rows)
        table.add_column(column, justify="left" if text else "right")
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    console.print(table)


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) >= 10 else f"{value:.3f}"
    return str(value)


def versions() -> dict[str, str]:
    """Return the versions of the software that results depend on."""
    names = ("langrl", "torch", "numpy", "gymnasium")
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in names}


def write_results(
    folder: Path, command: str, config: Mapping[str, Any], rows: Sequence[Any], **tables: Any
) -> Path:
    """Write ``results.json``: {schema, command, config, versions, rows}, and further tables.

    Numbers that are not finite become null, which is what JSON has for them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "schema": SCHEMA,
        "command": command,
        "config": config,
        "versions": versions(),
        "rows": rows,
        **tables,
    }
    path = folder / "results.json"
    write_atomically(path, json.dumps(_finite(content), indent=1) + "\n")
    return path


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
