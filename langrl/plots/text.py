"""The text of figures: lines that fit, and characters that the fonts of this machine have."""

import textwrap
import warnings
from collections.abc import Iterable
from functools import cache

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text

_CHARACTER = 0.58  # mean width of a character of the default font, as a share of its size
_POINTS = 72  # in an inch
_LINE = 40  # characters of a line of text that was escaped, at least
_HOLDS_NO_GLYPHS = "Last Resort"  # a font of boxes, one for each script


def wrap(text: str, width: float, size: float) -> str:
    """Break the lines of a text of a font size that are longer than a width in inches."""
    fits = max(1, int(width * _POINTS / (_CHARACTER * size)))
    return "\n".join(textwrap.fill(line, fits) for line in text.splitlines())


def make_legible(figure: Figure) -> None:
    """Have a figure's texts drawn in fonts that have their characters.

    Characters that no installed font has are replaced by their code points, with one warning.
    """
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        families = text.get_fontfamily()
        known = _characters(findfont(FontProperties(family=families)))
        missing = {char for char in text.get_text() if char != "\n" and ord(char) not in known}
        if not missing:
            continue
        fonts, lacking = _fonts_with(frozenset(missing))
        text.set_fontfamily([*families, *fonts])
        if lacking:
            text.set_text(_escape(text.get_text(), lacking))
            warnings.warn(
                "figures show code points, such as \\u4e16, where no installed font has a"
                " character; install one that has, for instance Noto Sans CJK",
                stacklevel=1,
            )


def _escape(text: str, lacking: Iterable[str]) -> str:
    """Replace characters by their code points, and break the lines that grow too long by it."""
    longest = max(_LINE, *map(len, text.splitlines()))
    table = {ord(char): ascii(char)[1:-1] for char in lacking}
    return "\n".join(textwrap.fill(line.translate(table), longest) for line in text.splitlines())


@cache
def _characters(path: str) -> frozenset[int]:
    return frozenset(get_font(path).get_charmap())


@cache
def _fonts_with(missing: frozenset[str]) -> tuple[list[str], frozenset[str]]:
    """Return families of installed fonts that have the characters, and what none has."""
    families, lacking = [], set(missing)
    for entry in fontManager.ttflist:
        if not lacking:
            break
        if entry.name.startswith(_HOLDS_NO_GLYPHS) or entry.name in families:
            continue
        drawn = {char for char in lacking if _draws(entry.fname, char)}
        if drawn:
            families.append(entry.name)
            lacking -= drawn
    return families, frozenset(lacking)


def _draws(path: str, char: str) -> bool:
    """Whether a font has a character and can draw it: fonts of coloured images cannot."""
    try:
        if ord(char) not in _characters(path):
            return False
        font = get_font(path)
        font.set_size(10, _POINTS)
        font.load_char(ord(char))
    except (OSError, RuntimeError):
        return False
    return True
