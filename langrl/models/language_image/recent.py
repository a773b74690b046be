"""Tensors that are kept for the next time that somebody asks for them.

They lie side by side in two blocks of memory. Each in an allocation of its own would keep the heap
around it from being used again for large batches, and a process would grow without bound.
"""

import hashlib
import threading
from collections.abc import Callable

import torch
from torch import Tensor

_ALIGNED = 16  # bytes: of the largest dtype


class _Block:
    """Memory that is filled from its beginning.

    Args:
        size: in bytes.
        device: where the memory is.
    """

    def __init__(self, size: int, device: torch.device | str = "cpu") -> None:
        self.memory = torch.empty(size, dtype=torch.uint8, device=device)
        self.used = 0
        self.places = dict[bytes, tuple[int, torch.dtype, torch.Size]]()

    def get(self, key: bytes) -> Tensor | None:
        """Return a view of what is kept under a key."""
        place = self.places.get(key)
        if place is None:
            return None
        start, dtype, shape = place
        size = shape.numel() * dtype.itemsize
        return self.memory[start : start + size].view(dtype).view(shape)

    def put(self, key: bytes, tensor: Tensor) -> Tensor | None:
        """Copy a tensor, and return the view of it; None if it has no room, or lies elsewhere."""
        if tensor.device != self.memory.device or self.used + tensor.nbytes > len(self.memory):
            return None
        self.places[key] = self.used, tensor.dtype, tensor.shape
        self.used += -(-tensor.nbytes // _ALIGNED) * _ALIGNED
        view = self.get(key)
        assert view is not None
        return view.copy_(tensor)


class RecentTensors:
    """Keeps tensors that were used of late, by a key of bytes; for several threads.

    When the newer of two blocks is full, the older one goes, with what was not used since the newer
    one was begun. A copy keeps nothing yet.

    Args:
        most: how many bytes both blocks take; one is larger only if a single tensor is.
    """

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, threading.Lock()
        self._newer, self._older = _Block(0), _Block(0)

    def __reduce__(self) -> tuple[type["RecentTensors"], tuple[int]]:
        """Describe a copy."""
        return RecentTensors, (self._most,)

    def __len__(self) -> int:
        """Return how many are kept."""
        return len(self._newer.places.keys() | self._older.places.keys())

    @property
    def used(self) -> int:
        """How many bytes are in use."""
        return self._newer.used + self._older.used

    def get(self, key: bytes, make: Callable[[], Tensor]) -> Tensor:
        """Return the tensor of a key, which is made if it is not kept; not to be written to.

        Args:
            key: whatever the tensor depends on; only its digest is kept.
            make: returns the tensor.
        """
        digest = hashlib.sha256(key).digest()
        with self._lock:
            found = self._find(digest)
        if found is not None:
            return found
        made = make()  # others need not wait for it
        with self._lock:
            found = self._find(digest)  # another thread may have made it, too
            return self._keep(digest, made) if found is None else found

    def _find(self, key: bytes) -> Tensor | None:
        found = self._newer.get(key)
        if found is None and (older := self._older.get(key)) is not None:
            return self._keep(key, older)
        return found

    def _keep(self, key: bytes, tensor: Tensor) -> Tensor:
        kept = self._newer.put(key, tensor)
        if kept is None:
            self._older = self._newer
            self._newer = _Block(max(self._most // 2, tensor.nbytes), tensor.device)
            kept = self._newer.put(key, tensor)
        assert kept is not None
        return kept

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._newer, self._older = _Block(0), _Block(0)
