"""Figures as SVG elements that stand in a page of HTML and take the page's colours and font."""

import io
import re
from html import escape

import matplotlib
from matplotlib.figure import Figure

from langrl.plots.text import make_legible

INK, MUTED, GRID = "#1b1f24", "#5c6670", "#d9dee3"
SERIES = (
    "#0b62c4", "#c8510a", "#15803d", "#7c3aed", "#be185d", "#0e7490", "#92650a", "#4b5563",
)  # fmt: skip
PLAIN = "#b4bcc5"  # lines that stand behind the one that is shown
_VARIABLES = (
    {INK: "--ink", MUTED: "--muted", GRID: "--rule", PLAIN: "--plain"}
    | {"#000000": "--ink", "#ffffff": "--paper"}
    | {colour: f"--series-{number}" for number, colour in enumerate(SERIES)}
)
_FONTS = re.compile(r"(font(?:-family)?:[^;\"]*?)'DejaVu Sans'[^;\"]*")
_NAMES = re.compile(r"((?:\bid=\"|href=\"#|url\(#))([^\")]+)")
_SPACES = re.compile(r"\s+xmlns(?::\w+)?=\"[^\"]*\"")
_LEFT_OUT = re.compile(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", re.DOTALL)
_SIZE = re.compile(r"(<svg[^>]*?) width=\"([\d.]+)pt\" height=\"[\d.]+pt\"|$^")


def to_svg(figure: Figure, name: str, description: str) -> str:
    """Return a figure as an SVG element, the same at each call.

    It holds no address and no style sheet, and each of its ids begins with ``name``. Its colours
    of this module are CSS variables (``--ink``, ``--series-0``), which a page may define twice,
    for light and for dark; its texts are texts, in the font that the page gives to ``--font``.

    Args:
        figure: of which the colours outside its images are those of this module.
        name: an HTML id, which no other figure of the page has.
        description: what the figure shows, for whoever does not see it.
    """
    make_legible(figure)
    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(
            file, format="svg", facecolor="none", metadata={"Date": None, "Creator": None}
        )
    text = file.getvalue()
    text = _LEFT_OUT.sub("", text[text.index("<svg") :])
    text = _SPACES.sub("", text).replace("xlink:href", "href")
    text = _NAMES.sub(rf"\g<1>{name}-\g<2>", text)
    text = _FONTS.sub(r"\1var(--font)", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(f": {colour}", f": var({variable})")
    label = f'<svg role="img" aria-label="{escape(description)}"'
    return _SIZE.sub(r"\1", text).replace("<svg", label, 1).strip()
