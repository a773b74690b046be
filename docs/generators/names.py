"""The public names of ``reference/import-paths.md``, each with what its docstring says."""

import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from generators import fields
from generators.plain import code
from langrl.settings import Settings

LISTED = Path(__file__).parents[1] / "reference" / "import-paths.md"
_ROW = re.compile(r"^\| `(langrl[\w.]+)` \| (.*) \|$", re.MULTILINE)


def sections() -> dict[str, str]:
    """Return the sections of the list of public names, by title."""
    _, *parts = re.split(r"^## (.+)\n", LISTED.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def public(section: str) -> Iterator[tuple[str, Any]]:
    """Yield the import path and the object of each public name in a section."""
    for path, meaning in _ROW.findall(sections()[section]):
        found = resolve(path)
        if not isinstance(found, ModuleType):
            yield path, found
            continue
        listed = [name for name in re.findall(r"`(\w+)`", meaning) if hasattr(found, name)]
        own = [
            name
            for name, value in vars(found).items()
            if getattr(value, "__module__", None) == path and not name.startswith("_")
        ]
        for name in listed if path.startswith("langrl.functional.") else own:
            yield f"{path}.{name}", getattr(found, name)


def resolve(path: str) -> Any:
    """Return the module, or the object of a module, that an import path names."""
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError:
        module, _, name = path.rpartition(".")
        return getattr(importlib.import_module(module), name)


def render(section: str) -> str:
    """Return a description of each public name in a section."""
    meanings = dict(_ROW.findall(sections()[section]))
    return "\n".join(
        _described(path, found, meanings.get(path, "")) for path, found in public(section)
    )


def _described(path: str, found: Any, meaning: str) -> str:
    if inspect.isclass(found) and issubclass(found, Settings):
        said = re.sub("``", "`", inspect.getdoc(found) or "")
        return f"````{{py:class}} {path}\n\n{said}\n\n{fields.render(found)}\n````\n"
    if inspect.isclass(found):
        return f"```{{eval-rst}}\n.. autoclass:: {path}\n   :members:\n```\n"
    if callable(found):
        return f"```{{eval-rst}}\n.. autofunction:: {path}\n```\n"
    said = meaning
    if isinstance(found, Mapping):
        said += f"\n\nBy name: {', '.join(code(key) for key in found)}."
    return f"````{{py:data}} {path}\n\n{said}\n````\n"
