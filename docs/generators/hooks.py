"""What Sphinx does here beside reading pages: parts from the code, and links to public names.

A page asks for a part in a comment of its own line: ``<!-- generated: commands -->``. The part is
put there, as Markdown, when the site is built; it is in no file.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.nodes import make_refnode

from generators import commands, fields, files, names

GENERATED: dict[str, Callable[[str], str]] = {
    "commands": lambda _: commands.render(),
    "fields": lambda _: fields.render_tasks(),
    "presets": lambda _: fields.render_presets(),
    "names": names.render,
    "file": files.render,
}
"""Parts by name; each gets what stands after the name."""
_ASKED = re.compile(r"^<!-- generated: (\w+) ?(.*?) -->$", re.MULTILINE)
_ARRAY = re.compile(
    r"~?(?:numpy\.)?ndarray\[tuple\[[\w.~]*Any, \.\.\.\], [\w.~]*dtype(\[[\w.~]+\])\]"
)


def with_parts(text: str) -> str:
    """Return a page's Markdown with every part that it asks for."""
    return _ASKED.sub(lambda found: GENERATED[found[1]](found[2]), text)


def _read(app: Sphinx, page: str, source: list[str]) -> None:
    source[0] = files.with_pages(with_parts(source[0]), Path(app.srcdir), page)


def _link_names(app: Sphinx, tree: nodes.document, page: str) -> None:
    """Make every code span that is a public name a link to where the name is described."""
    known = app.env.domains.python_domain.objects
    for literal in list(tree.findall(nodes.literal)):
        entry = known.get(literal.astext())
        if entry is not None and not isinstance(literal.parent, nodes.reference):
            inner = literal.deepcopy()
            link = make_refnode(app.builder, page, entry.docname, entry.node_id, [inner])
            literal.replace_self(link)


def _escape(*arguments: Any) -> None:
    """Take bars and stars of a docstring as they are: its only markup is code."""
    lines: list[str] = arguments[-1]
    for number, line in enumerate(lines):
        if line.lstrip().startswith(">>>"):
            continue
        parts = line.split("``")
        parts[::2] = [re.sub(r"([|*])", r"\\\1", part) for part in parts[::2]]
        lines[number] = "``".join(parts)


def _shorten(*arguments: Any) -> tuple[str | None, ...]:
    """Return a signature and what is returned, with arrays of any shape as ``ndarray``."""
    return tuple(each and _plain_arrays(each) for each in arguments[-2:])


def _plain_arrays(text: str) -> str:
    return re.sub(r"ndarray\[[\w.~]*Any\]", "ndarray", _ARRAY.sub(r"ndarray\1", text))


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the parts to Sphinx."""
    app.connect("source-read", _read)
    app.connect("autodoc-process-docstring", _escape, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", _shorten)
    app.connect("doctree-resolved", _link_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
