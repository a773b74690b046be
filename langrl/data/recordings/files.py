"""Files of arrays: what they are is read from their first bytes, and nothing in them is run.

Pickled objects are refused, and so are HDF5's references to other files.
"""

import contextlib
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from langrl.data.npz import check_npz, check_ratio
from langrl.errors import LangRLError, TrajectoryError, check_extra
from langrl.protocols import Array

MAIN_FILE = "main_data.hdf5"  # of a Minari folder
EPISODE = "episode_"  # the groups of Minari are called so, with a number
_ZIP, _HDF5, _NPY = b"PK", b"\x89HDF\r\n\x1a\n", b"\x93NUMPY"
_SAVE = "save an .npz with np.savez, or an .hdf5"
_UNREADABLE = (OSError, ValueError, RuntimeError, EOFError, KeyError, BadZipFile, zlib.error)


class Arrays(Mapping[str, Array]):
    """The arrays of an open file by name (HDF5: "group/name"), read when they are asked for.

    Args:
        source: an ``NpzFile``, or datasets of HDF5 by name.
    """

    def __init__(self, source: Mapping[str, Any]) -> None:
        self._source = source

    def __getitem__(self, name: str) -> Array:
        try:
            values = np.asarray(self._source[name][()])
        except ValueError as error:
            if "allow_pickle" not in str(error):
                raise
            raise TrajectoryError(
                f"{name} is an array of Python objects, which langrl never reads; save numbers: all"
                " trajectories one after another (np.concatenate), with 'terminals' to part them"
            ) from error
        if values.dtype.kind == "O":
            raise TrajectoryError(
                f"{name} is an array of Python objects or of images as JPEG, which langrl does not"
                " read; save numbers (Minari: jpeg_encoding=False)"
            )
        return values

    def __iter__(self) -> Iterator[str]:
        return iter(self._source)

    def __len__(self) -> int:
        return len(self._source)


def numbers(arrays: Mapping[str, Array], name: str) -> Array:
    """Return an array of numbers; raises TrajectoryError if it holds something else."""
    values = arrays[name]
    if values.dtype.kind not in "fiub":
        raise TrajectoryError(f"{name} holds {values.dtype}, not numbers; save numbers")
    if not values.ndim:
        raise TrajectoryError(f"{name} is a single number; save an array with a row for each state")
    return values


@contextlib.contextmanager
def open_arrays(path: Path) -> Iterator[Arrays]:
    """Open an .npz file, an .hdf5 file or a folder of Minari, whatever it is called.

    Raises:
        TrajectoryError: if there is no such file, it is something else, or it is damaged.
    """
    file = _main_file(path) if path.is_dir() else path
    if not file.is_file():
        raise TrajectoryError("no such file or folder; check the path")
    with file.open("rb") as stream:
        start = stream.read(len(_HDF5))
    try:
        if start.startswith(_ZIP):
            check_npz(file)
            with np.load(file, allow_pickle=False) as arrays:
                yield Arrays(arrays)
        elif start == _HDF5:
            check_extra("h5py", "minari")
            import h5py

            with h5py.File(file, "r") as content:
                yield Arrays(dict(_datasets(content)))
        else:
            raise TrajectoryError(_what_else(start))
    except LangRLError:  # of what is in the arrays, too
        raise
    except _UNREADABLE as error:
        reason = str(error).strip("'\"") or type(error).__name__
        raise TrajectoryError(
            f"the file is damaged or was cut off ({reason}); copy or save it again"
        ) from error


def _what_else(start: bytes) -> str:
    if not start:
        return f"the file is empty; {_SAVE}"
    if start.startswith(_NPY):
        return "the file is a single array (.npy); save an .npz of several with np.savez"
    if start.startswith(b"\x80"):
        return f"the file looks pickled, and langrl never reads pickles; {_SAVE}"
    return f"the file is neither .npz nor .hdf5; {_SAVE}"


def _main_file(folder: Path) -> Path:
    """Return the file of a Minari folder that holds the episodes."""
    for file in (folder / "data" / MAIN_FILE, folder / MAIN_FILE):
        if file.is_file():
            return file
    found = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
    # Not at every depth: the folder may be anything, such as that of all files.
    if any(any(folder.glob(f"{at}*.arrow")) for at in ("", "*/", "data/*/")):
        found = "Arrow files, which langrl does not read: make the set with data_format='hdf5'"
    raise TrajectoryError(
        f"the folder is no data set of Minari: there is no data/{MAIN_FILE} in it, but {found};"
        " name a file, or the folder of one version of a set, as in D4RL/pointmaze/umaze-v2"
    )


def _datasets(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the datasets of an HDF5 group by name, those of groups in it too."""
    import h5py

    for name in group:
        if name == "infos" and before.startswith(EPISODE):
            continue  # Minari keeps many small arrays in each, and none of them is needed
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise TrajectoryError(
                f"{before}{name} is a link; save the arrays themselves in this file"
            )
        member = group[name]
        if isinstance(member, h5py.Group):
            yield from _datasets(member, f"{before}{name}/")
        elif member.external or member.is_virtual:
            raise TrajectoryError(
                f"{before}{name} lies in another file; save the arrays themselves in this one"
            )
        else:
            check_ratio(member.nbytes, member.id.get_storage_size())
            yield before + name, member
