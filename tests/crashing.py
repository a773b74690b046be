"""Stops a process, or fills its disk, at the n-th operation on files of a folder.

Operations are opening for writing, making, renaming and removing, flushing to disk, and writing; a
write that is stopped leaves half of what was to be written.
"""

import errno
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch
from command_line import read_weights

from langrl.training.logs import MetricsLog, read_metrics

STOPPED = 9  # what a stopped process exits with
_CHANGES = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.chmod", "shutil.rmtree"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Operations:
    """Counts the operations of this process on a folder, and does something at one of them.

    Args:
        folder: what is outside of it does not count.
        at: number of the operation.
        full: whether the disk is full from there on; else, the process is stopped there.
    """

    def __init__(self, folder: Path, at: int | None = None, *, full: bool = False) -> None:
        self.folder, self.at, self.full = str(folder), at, full
        self.count = 0
        self.flushed: set[int] = set()  # inodes
        self.unflushed: list[str] = []  # files that were renamed before they were on disk

    def install(self) -> None:
        """Watch this process, to its end."""
        sys.addaudithook(self._audit)
        self._flush, os.fsync = os.fsync, self._fsync  # type: ignore[assignment]
        for name in ("write_text", "write_bytes"):
            setattr(Path, name, self._written(getattr(Path, name)))
        self._save = safetensors.torch.save_file
        safetensors.torch.save_file = self._saved  # type: ignore[assignment]
        self._log, MetricsLog.write = MetricsLog.write, self._logged()  # type: ignore[method-assign]

    def _is_here(self, path: Any) -> bool:
        return isinstance(path, str | bytes | Path) and os.fsdecode(path).startswith(self.folder)

    def _next(self, tear: Callable[[], object] | None = None) -> None:
        """Count an operation; at the one that is asked for, stop or raise."""
        self.count += 1
        if self.at is None or self.count <= self.at:
            return
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if tear is not None:
            tear()
        os._exit(STOPPED)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.rename" and self._is_here(arguments[0]):
            self._check_flushed(Path(os.fsdecode(arguments[0])))
        opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES
        removes = event in ("os.remove", "os.rmdir", "shutil.rmtree")
        if self.full and removes:  # removing takes no room
            return
        if (opened or event in _CHANGES) and self._is_here(arguments[0]):
            self._next()

    def _check_flushed(self, renamed: Path) -> None:
        for path in (renamed, *(renamed.rglob("*") if renamed.is_dir() else ())):
            if path.stat().st_ino not in self.flushed and ".lock" not in path.name:
                self.unflushed.append(str(path))

    def _fsync(self, descriptor: int) -> None:
        self._next()
        self._flush(descriptor)
        self.flushed.add(os.fstat(descriptor).st_ino)

    def _written(self, write: Callable[..., int]) -> Callable[..., int]:
        def written(path: Path, content: Any, *args: Any, **options: Any) -> int:
            if self._is_here(path):
                self._next(lambda: write(path, content[: len(content) // 2], *args, **options))
            return write(path, content, *args, **options)

        return written

    def _saved(self, tensors: Any, path: Any, *args: Any) -> None:
        def tear() -> None:
            self._save(tensors, path, *args)
            os.truncate(path, os.path.getsize(path) // 2)

        self._next(tear)
        self._save(tensors, path, *args)

    def _logged(self) -> Callable[..., None]:
        def logged(log: MetricsLog, step: int, values: Any) -> None:
            def tear() -> None:
                log._file.write(f'{{"step": {step}, "lo')
                log._file.flush()

            self._next(tear)
            self._log(log, step, values)

        return logged


def in_a_fork(do: Callable[[], object], errors: Path) -> int:
    """Do something in a forked process, and return its exit status; 1 if it raised.

    Args:
        do: what is done.
        errors: file for what is printed and raised.
    """
    process = os.fork()
    if process == 0:
        status = 1
        try:
            with errors.open("w") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            result = do()
            status = result if isinstance(result, int) else 0
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def check_same(folder: Path, whole: Path) -> None:
    """Compare a run that was stopped and went on with one that nothing stopped, to the bit."""
    assert read_weights(folder) == read_weights(whole)
    records, wanted = (read_metrics(each / "metrics.jsonl") for each in (folder, whole))
    assert [line["step"] for line in records] == [line["step"] for line in wanted]
    assert records == wanted
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == len(wanted)
    assert not list((folder / "checkpoints").glob(".*"))
    assert json.loads((folder / "times.jsonl").read_text().splitlines()[-1])["step"]
