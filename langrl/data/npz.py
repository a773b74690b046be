"""Arrays in .npz files: a header may claim any size, and is checked before an array is made."""

import io
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from langrl.checkpoint import write_atomically
from langrl.protocols import Array

Arrays = dict[str, Array]

_FREE = 1 << 28  # bytes that are never too many
_RATIO = 200  # of an array's bytes to those of its file; plain numbers reach a tenth of it


def check_npz(path: Path) -> None:
    """Refuse an .npz whose arrays are much larger than what is in the file.

    Raises:
        ValueError: naming the array.
        BadZipFile: if it is no zip.
    """
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        check_ratio(sum(member.file_size for member in members), path.stat().st_size)
        for member in members:
            if not member.filename.endswith(".npy"):
                continue
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                read = (
                    np.lib.format.read_array_header_1_0
                    if version == (1, 0)
                    else np.lib.format.read_array_header_2_0
                )
                shape, _, dtype = read(file)
            if not dtype.hasobject and math.prod(shape) * dtype.itemsize > member.file_size:
                raise ValueError(
                    f"{member.filename.removesuffix('.npy')} claims {list(shape)} of {dtype}, and"
                    f" the file has {member.file_size} bytes of it"
                )


def check_ratio(claimed: int, stored: int) -> None:
    """Raise ValueError if arrays of so many bytes come from too few in a file."""
    if claimed > _FREE and claimed > _RATIO * stored:
        raise ValueError(f"{claimed >> 20} MB are packed into {stored >> 10} kB")


def kept_arrays(file: Path, key: str, make: Callable[[], Arrays]) -> Arrays:
    """Return arrays from a file of them, or make them and write it.

    A file that was written with another key, or a damaged one, is written anew.
    """
    try:
        check_npz(file)
        with np.load(file, allow_pickle=False) as stored:
            if str(stored["key"]) == key:
                return {name: stored[name] for name in stored.files if name != "key"}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass
    arrays = make()
    file.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    named: dict[str, Any] = arrays | {"key": np.array(key)}
    np.savez_compressed(content, **named)
    write_atomically(file, content.getvalue())
    return arrays
