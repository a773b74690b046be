"""Files of embeddings, checked when they are read.

Axes: ``n`` pairs, ``D`` and ``E`` embedding sizes.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from langrl.data.npz import check_npz
from langrl.errors import ConfigError

_MOST = 1 << 28  # numbers: 2 GiB in float64
_SHAPE = "[2, n, D], the two modalities of n pairs"


def read_floats(path: Path, flag: str, shape: str) -> NDArray[Any]:
    """Return the array of floats in a .npy file, mapped, of any shape.

    Args:
        path: of the file; no pickle is read.
        flag: where the path was given, for messages.
        shape: that the array should have, for messages.

    Raises:
        ConfigError: if there is no such file, or it holds anything else.
    """
    where = f"{flag} {path}"
    if path.is_dir():
        raise ConfigError(f"{where}: a folder; give a .npy file of floats {shape}")
    try:
        # Mapped, not read: a header may claim any size.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise ConfigError(f"{where}: {reason}; give a .npy file of floats {shape}") from None
    except Exception:  # a damaged file may raise nearly anything
        raise ConfigError(
            f"{where}: no whole array of numbers (pickled objects are not read); save floats"
            f" {shape}, with np.save"
        ) from None
    if not isinstance(array, np.ndarray):
        raise ConfigError(f"{where}: several arrays in one file; save one of floats {shape}")
    if array.dtype not in (np.float16, np.float32, np.float64):
        raise ConfigError(f"{where}: holds {array.dtype}, not floats; save embeddings {shape}")
    return array


def read_embedding_pairs(path: Path, flag: str) -> tuple[Tensor, Tensor]:
    """Read both modalities [n, D] from a .npy file of floats [2, n, D]; row i of both is a pair.

    Arguments and errors as ``read_floats``; ConfigError also for NaN and infinities.
    """
    array, where = read_floats(path, flag, _SHAPE), f"{flag} {path}"
    shape = list(array.shape)
    if array.ndim == 2 or (array.ndim == 3 and shape[0] == 1):
        raise ConfigError(
            f"{where}: one modality only, {shape}; stack both to {_SHAPE}, or name the other"
            " modality's file after it (langrl diagnose)"
        )
    if array.ndim != 3 or shape[0] != 2 or 0 in shape:
        raise ConfigError(f"{where}: an array {shape}; save embeddings {_SHAPE}")
    pairs = _finite(array, where)
    return pairs[0], pairs[1]


def read_modalities(paths: Sequence[Path], flag: str) -> dict[str, Tensor]:
    """Read two modalities by name, [n, D] and [n, E] in float64; row i of both is a pair.

    Args:
        paths: of a .npy file [2, n, D], with the names x and y; of an .npz file of two arrays,
            under their names; or of two .npy files, one a modality, under theirs.
        flag: where the paths were given, for messages.

    Raises:
        ConfigError: if the files do not hold that, or not as many rows of each.
    """
    if len(paths) == 1 and paths[0].suffix == ".npy":
        return dict(zip("xy", read_embedding_pairs(paths[0], flag), strict=True))
    if len(paths) == 1:
        found, where = _read_arrays(paths[0], flag), f"{flag} {paths[0]}"
    else:
        stems = [path.stem for path in paths]
        names = stems if len(set(stems)) == len(paths) else list(map(str, paths))
        arrays = [read_floats(path, flag, "[n, D], one modality") for path in paths]
        found, where = dict(zip(names, arrays, strict=True)), f"{flag} {' '.join(map(str, paths))}"
    shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in found.items())
    if len(found) != 2 or any(array.ndim != 2 or not array.size for array in found.values()):
        raise ConfigError(f"{where}: {shapes or 'empty'}; give two arrays, each [n, D]")
    if len({len(array) for array in found.values()}) != 1:
        raise ConfigError(f"{where}: {shapes}; give as many rows of each, row i of both is a pair")
    return {name: _finite(array, where) for name, array in found.items()}


def _read_arrays(path: Path, flag: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of floats in an .npz file by name; ConfigError if it holds others."""
    where, found = f"{flag} {path}", {}
    try:
        check_npz(path)
        with np.load(path, allow_pickle=False) as file:
            # A header may claim any size; what the archive says of its members is cheap to read.
            sizes = [member.file_size for member in zipfile.ZipFile(path).infolist()]
            if sum(sizes) > 8 * _MOST:
                raise ConfigError(f"{where}: more than {_MOST:,} numbers; give fewer pairs")
            found = {name: file[name] for name in file.files}
        if not all(isinstance(array, np.ndarray) for array in found.values()):
            raise ValueError("a member is no array")  # np.load gives the bytes of such a one
    except ConfigError:
        raise
    except FileNotFoundError:
        raise ConfigError(f"{where}: no such file or directory; check the path") from None
    except Exception:  # a damaged file may raise nearly anything
        raise ConfigError(
            f"{where}: no whole arrays of numbers (pickled objects are not read); save two of"
            " floats [n, D], with np.savez"
        ) from None
    for name, array in found.items():
        if array.dtype not in (np.float16, np.float32, np.float64):
            raise ConfigError(f"{where}: {name} holds {array.dtype}, not floats; save embeddings")
    return found


def _finite(array: NDArray[Any], where: str) -> Tensor:
    """Return an array in float64; ConfigError if it is too large, or holds NaN or infinities."""
    if array.size > _MOST:
        raise ConfigError(f"{where}: {array.size:,} numbers; give fewer pairs, {_MOST:,} at most")
    values = torch.from_numpy(np.array(array, np.float64))
    if not values.isfinite().all():
        raise ConfigError(f"{where}: holds NaN or infinities; leave those pairs out")
    return values
