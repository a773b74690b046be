"""What an .npz file claims is checked before any of it is made: a header may claim any size."""

import math
import zipfile
from pathlib import Path

import numpy as np

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
