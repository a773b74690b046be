import ctypes
import platform
from types import SimpleNamespace

import pytest

from langrl.training.memory import keep_freed_memory


def test_glibc_is_told_to_keep_blocks_and_the_end_of_the_heap(monkeypatch):
    calls = []
    library = SimpleNamespace(mallopt=lambda option, size: calls.append((option, size)) or 1)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    assert keep_freed_memory()
    assert calls == [(-1, 1 << 30), (-3, 32 << 20)]  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc")
def test_glibc_takes_it():
    assert keep_freed_memory()


@pytest.mark.parametrize("error", [AttributeError, OSError, TypeError])
def test_other_libraries_are_left_alone(error, monkeypatch):
    def missing(name):
        raise error

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert not keep_freed_memory()


def test_a_refusal_is_reported(monkeypatch):
    library = SimpleNamespace(mallopt=lambda option, size: 0)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    assert not keep_freed_memory()
