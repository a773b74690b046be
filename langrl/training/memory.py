"""What the C library does with memory that training frees at every step."""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_* of glibc's malloc.h
_KEPT = 1 << 30  # bytes at the end of the heap that are not given back
_LARGEST = 32 << 20  # bytes of the largest block that comes from the heap: glibc takes no more


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, up to a gigabyte, for the next step.

    glibc gives blocks of megabytes back to the system as they are freed, and at the next step the
    system clears every page of them anew: a third of the time of a critic's update at batch 1,024.
    Numbers stay the same.

    Returns:
        Whether it did; other C libraries are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc
        return False
    kept = mallopt(_TRIM_THRESHOLD, _KEPT)
    return bool(kept and mallopt(_MMAP_THRESHOLD, _LARGEST))
