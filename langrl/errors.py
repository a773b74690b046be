"""Every error class of langrl, and the one look-up that names the repair.

Each message is one line that says which file, field or argument is wrong and what to do about
it; the command line prints that line and exits with status 2.
"""

import difflib
import errno
import importlib.util
import reprlib
from collections.abc import Iterable, Mapping, Set
from typing import TypeVar

T = TypeVar("T")
_LONGEST = 1000  # characters of a message; the command line prints fewer
_LONGEST_WORDS = (160, 80, 48, 32)  # characters of a path; fewer where there are many words
_CUT = " [...] "
OF_THE_MACHINE = frozenset(
    {
        errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT,
        errno.EIO, errno.EFBIG,
    }
)  # fmt: skip
"""Numbers of the OSErrors that are about a disk and its rights; commands say so in one line."""


class LangRLError(Exception):
    """Base of every error that langrl raises on purpose; its text is one line for a person."""

    def __str__(self) -> str:
        return one_line(super().__str__())


class ShapeError(LangRLError, ValueError):
    """An array or tensor has a shape, width or dtype that the function does not take."""


class NonFiniteError(LangRLError, ValueError):
    """A value is NaN or infinite where a finite one is needed."""


class DomainError(LangRLError, ValueError):
    """A number is outside the range where the function is defined."""


class UnknownNameError(LangRLError, ValueError):
    """A name is not in its table."""


class ConfigError(LangRLError, ValueError):
    """A config file, a preset or a flag is wrong."""


class NothingToDoError(ConfigError):
    """Every episode starts where its instruction is satisfied, or its goal reached."""


class InstructionError(LangRLError, ValueError):
    """A text cannot serve as an instruction, or denotes nothing in this world."""


class LayoutError(LangRLError, ValueError):
    """A maze layout cannot be used."""


class TrajectoryError(LangRLError, ValueError):
    """A trajectory file or array does not follow the schema."""


class CheckpointError(LangRLError, ValueError):
    """A checkpoint is missing, damaged, of another format or of another world."""


class PickledError(CheckpointError):
    """What is needed of a file is only in its pickle, which is not read: it runs code."""


class ResultsError(LangRLError, ValueError):
    """A file of results is damaged, of another suite, or its columns do not fit together."""


class GroundingError(LangRLError, ValueError):
    """A grounding strategy is composed without something that it needs."""


class CellError(LangRLError, RuntimeError):
    """Cells of a long computation have no result; the others are stored."""


class MissingExtraError(LangRLError, ImportError):
    """An optional dependency is needed and not installed."""


def one_line(text: str, longest: int = _LONGEST) -> str:
    """Return a text as one line for a terminal, without its middle if it is too long.

    What stays is the beginning, which says what is wrong, and what follows the last semicolon: what
    to do. Words lose their middles first, such as paths, or a name of thousands of letters; then
    what is between the beginning and the repair; a repair of over two thirds loses its middle, too.

    What is quoted may come from anyone's file: characters that a terminal does not show, or that
    steer it, are written as Python writes them.
    """
    if len(text) > 8 * longest:  # most of it is not looked at
        text = text[: 2 * longest] + _CUT + text[-2 * longest :]
    words, line = [_visible(word) for word in text.split()], ""
    for most in _LONGEST_WORDS:
        line = " ".join(_cut(word, most, most // 2) for word in words)
        if len(line) <= longest:
            return line
    return _shortened(line, longest)


def _shortened(line: str, longest: int) -> str:
    """Return a line without the middle of what is wrong, and of the repair if that is too long."""
    wrong, mark, repair = line.rpartition("; ")
    least = min(len(wrong), longest // 3)  # of what is wrong: its beginning names the file or field
    most = longest - least
    repair = _cut(mark + repair, most, most // 3)
    room = longest - len(repair)
    return _cut(wrong, room, (room - least) // 3).rstrip() + repair


def _visible(word: str) -> str:
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in word)
    return "".join(shown)


def _cut(text: str, longest: int, last: int) -> str:
    """Return a text without its middle if it is too long; so many of its last characters stay."""
    if len(text) <= longest:
        return text
    return text[: longest - last - len(_CUT)] + _CUT + text[len(text) - last :]


def quoted(value: object, longest: int = 80) -> str:
    """Return ``repr(value)`` for a message, cut short; values may be of any size."""
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxother, short.maxlong = 2, longest, longest, longest
    try:
        return one_line(short.repr(value), longest)
    except ValueError:  # a number of thousands of digits
        return type(value).__name__


def lookup(table: Mapping[str, T], name: str, kind: str) -> T:
    """Return ``table[name]``.

    Args:
        table: what the names stand for.
        name: the name asked for.
        kind: what the table holds, for the message ("energy", "layout").

    Raises:
        UnknownNameError: if there is no such name; says which one is closest.
    """
    if name in table:
        return table[name]
    raise UnknownNameError(f"no {kind} named {quoted(name)}; {suggestion(name, table)}")


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return "did you mean ...?" for the closest known name, or the list of all of them."""
    names = sorted(known) if isinstance(known, Set) else list(known)
    close = difflib.get_close_matches(name[:100], names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"choose one of: {', '.join(names)}"


def check_extra(module: str, extra: str) -> None:
    """Raise MissingExtraError, naming the extra to install, if a module is not there."""
    if importlib.util.find_spec(module) is None:
        raise MissingExtraError(f'this needs {module}; pip install "langrl[{extra}]"')
