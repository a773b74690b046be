"""HTML from texts that are not trusted: whatever is not made here is escaped."""

from collections.abc import Iterable
from html import escape
from typing import Any

_EMPTY = frozenset({"br", "col"})


class Html(str):
    """Text that is HTML already; ``element`` does not escape it."""

    __slots__ = ()


def element(tag: str, *children: Any, **attributes: Any) -> Html:
    """Return an HTML element.

    Args:
        tag: its name.
        children: texts, which are escaped, ``Html``, or lists of either; None is nothing.
        attributes: their values are escaped; None leaves one out. ``class_`` is class, and other
            underscores are hyphens.
    """
    names = ((name.rstrip("_").replace("_", "-"), value) for name, value in attributes.items())
    given = "".join(f' {name}="{escape(str(value))}"' for name, value in names if value is not None)
    if tag in _EMPTY:
        return Html(f"<{tag}{given}>")
    return Html(f"<{tag}{given}>{join(children)}</{tag}>")


def join(children: Iterable[Any]) -> Html:
    """Return children of an element as one piece of HTML; see ``element``."""
    parts: list[str] = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, list | tuple):
            parts.append(join(child))
        else:
            parts.append(child if isinstance(child, Html) else escape(str(child)))
    return Html("".join(parts))
