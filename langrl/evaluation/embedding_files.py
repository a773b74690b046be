"""Files of embeddings, checked when they are read.

Axes: ``n`` pairs, ``D`` embedding size.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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
        raise ConfigError(f"{where}: one modality only, {shape}; stack both to {_SHAPE}")
    if array.ndim != 3 or shape[0] != 2 or 0 in shape:
        raise ConfigError(f"{where}: an array {shape}; save embeddings {_SHAPE}")
    if array.size > _MOST:
        raise ConfigError(f"{where}: {array.size:,} numbers; give fewer pairs, {_MOST:,} at most")
    pairs = torch.from_numpy(np.array(array, np.float64))
    if not pairs.isfinite().all():
        raise ConfigError(f"{where}: holds NaN or infinities; leave those pairs out")
    return pairs[0], pairs[1]
