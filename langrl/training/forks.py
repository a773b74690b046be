"""Processes that this one starts: threads of torch after a fork, and their end with this one."""

import multiprocessing
import os
import sys
import threading
from functools import cache
from multiprocessing.connection import wait


@cache
def use_one_thread_after_fork() -> None:
    """Let processes that are forked from now on compute on one thread.

    torch keeps a pool of threads once it has computed on several. A fork copies the pool and not
    the threads, and the first computation on several threads would wait for them for ever.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_use_one_thread)


def _use_one_thread() -> None:
    if torch := sys.modules.get("torch"):  # not imported for this
        torch.set_num_threads(1)


def end_with_parent() -> None:
    """Let this process, which multiprocessing started, end with the one that started it."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])  # a pipe that the system closes, at kill -9 as well
    os._exit(1)
