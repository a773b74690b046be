"""Every field of every config, and what each preset sets."""

from collections.abc import Iterator
from typing import Any

from generators.plain import code, default, kind, table
from langrl.settings import Settings
from langrl.tasks.presets import load_config, preset_names
from langrl.tasks.registry import TASKS, Task

HEAD = ("field", "takes", "default", "meaning")


def leaves(model: type[Settings], before: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Yield a row for each field of a config, those of its groups too."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Settings):
            yield from leaves(inner, f"{before}{name}.")
        else:
            values = kind(inner, field.metadata)
            yield f"`{before}{name}`", values, default(field), field.description or ""


def render(model: type[Settings]) -> str:
    """Return a table of a config's fields."""
    return table(HEAD, list(leaves(model)))


def render_tasks() -> str:
    """Return a section for each task family."""
    return "\n".join(_section(task) for task in TASKS.values())


def _section(task: Task) -> str:
    model = task.config_class
    names = ", ".join(f"[`{name}`](presets.md#{name})" for name in preset_names(model))
    trained = f"langrl {task.command}" + f" --method {task.name}" * (task.command == "pretrain")
    extra = f" It needs the extra `langrl[{task.extra[1]}]`." if task.extra else ""
    return f"## {task.name}\n\nTrained by `{trained}`.{extra} Presets: {names}.\n\n{render(model)}"


def render_presets() -> str:
    """Return a section for each preset, with the fields in which it differs from the defaults."""
    return "\n".join(
        _preset(task, name) for task in TASKS.values() for name in preset_names(task.config_class)
    )


def _preset(task: Task, name: str) -> str:
    model = task.config_class
    config, plain = load_config(name, model), model.model_validate({})
    rows = [
        (f"`{path}`", code(value), code(before))
        for path, value, before in _differences(config, plain)
    ]
    title = f"## {name}\n\nOf [{task.name}](configs.md#{task.name}).\n\n"
    if not rows:
        return title + "The defaults of its family.\n"
    return title + table(("field", "value", "default of the family"), rows)


def _differences(one: Settings, other: Any, before: str = "") -> Iterator[tuple[str, Any, Any]]:
    for name in type(one).model_fields:
        mine, theirs = getattr(one, name), getattr(other, name, None)
        if isinstance(mine, Settings):
            yield from _differences(mine, theirs, f"{before}{name}.")
        elif mine != theirs:
            yield f"{before}{name}", mine, theirs
