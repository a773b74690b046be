"""The card that a shared agent carries: what it is, how it was trained, and how well it does."""

import json
import os.path
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from langrl.errors import one_line
from langrl.evaluation.intervals import CONFIDENCE, WILSON, Interval, wilson
from langrl.tasks.config import RunConfig

_GROUPS = ("method", "kind", "level", "phrasing")  # columns that say what a row is of
_LOADING = """```python
from langrl.agents.grounded import GroundedAgent

agent = GroundedAgent.load("hf:{}")
```

"""


def read_run_results(run: Path) -> dict[str, Any]:
    """Return ``results.json`` of a run folder; an empty table if there is none."""
    try:
        found = json.loads((run / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def measured(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what was measured of each method: what it is, and Intervals by name of the number.

    Success has Wilson's interval; SPL that of its standard error, if it is known.
    """
    found = []
    for row in results.get("rows") or ():
        numbers: dict[str, Any] = {
            name: row[name] for name in _GROUPS if isinstance(row, Mapping) and name in row
        }
        count, success = (row.get(name) for name in ("episodes", "success"))
        if isinstance(count, int) and count > 0 and isinstance(success, float):
            lowest, highest = wilson(success * count, count)
            numbers["success"] = Interval(success, float(lowest), float(highest), WILSON)
        spl, error = row.get("spl"), row.get("spl_sem")
        if isinstance(spl, float) and isinstance(error, float):
            low, high = max(0.0, spl - 1.96 * error), min(1.0, spl + 1.96 * error)
            numbers["spl"] = Interval(spl, low, high, "1.96 standard errors")
        found.append(numbers)
    return found


def public_command(results: Mapping[str, Any]) -> str:
    """Return the command that trained a run, without the folders of the machine that did."""
    try:
        words = shlex.split(str(results.get("command", "")))
    except ValueError:
        return ""
    named = (Path(word).name if os.path.isabs(word) else word for word in words)
    return one_line(shlex.join(named), 400)


def agent_card(
    repository: str,
    config: RunConfig,
    state: Mapping[str, Any],
    results: Mapping[str, Any],
    licence: str,
    pictures: Sequence[str],
    loads: bool,
) -> str:
    """Return a model card in Markdown, with what the hub reads on top.

    Args:
        repository: user/name.
        config: of the run.
        state: of the checkpoint: its step and versions.
        results: of the run.
        licence: of the weights, as the hub calls it.
        pictures: files in the shared folder to show.
        loads: whether ``GroundedAgent.load`` gives the agent; a policy alone has none.
    """
    head = {
        "license": licence,
        "library_name": "langrl",
        "pipeline_tag": "reinforcement-learning",
        "tags": ["reinforcement-learning", "language-conditioned", "langrl", config.task],
    }
    used = ", ".join(f"{name} {number}" for name, number in dict(state.get("versions", {})).items())
    lines = [
        "---",
        yaml.safe_dump(head, sort_keys=False).strip(),
        "---",
        f"# {repository.partition('/')[2]}",
        "",
        f"An agent of langrl ({config.task}) that follows instructions, also ambiguous ones: it"
        " holds a belief over the goals that a text may mean.",
        "",
        *(_LOADING.format(repository).splitlines() if loads else ()),
        f"    langrl evaluate hf:{repository}",
        "",
        *(f"![{Path(name).stem}]({name})\n" for name in pictures),
        "## Training",
        "",
        f"    {public_command(results) or 'langrl train --config config.yaml'}",
        "",
        f"{state.get('step', '?')} steps. The config is `config.yaml`. Trained with {used}.",
        "",
        *_table(measured(results)),
        "## Limits",
        "",
        "It knows the world that it was trained in, and instructions like those of its training."
        " The files are read without running code, and `shared.json` has the sha256 of each.",
        "",
        f"Licence of the weights: {licence}.",
        "",
    ]
    return "\n".join(lines)


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what was measured as a table, if anything was."""
    groups = [name for name in _GROUPS if any(name in row for row in rows)]
    names = [name for name in ("success", "spl") if any(name in row for row in rows)]
    if not names:
        return []
    lines = [
        f"## Measured, with {CONFIDENCE:.0%} intervals over tasks",
        "",
        "| " + " | ".join([*groups, *names]) + " |",
        "|" + "---|" * (len(groups) + len(names)),
    ]
    for row in rows:
        cells = [str(row.get(name, "")) for name in groups] + [
            _cell(row.get(name)) for name in names
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def _cell(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
