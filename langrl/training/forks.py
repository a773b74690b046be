"""Threads of torch in processes that are forked from this one, such as those of AsyncVectorEnv."""

import os
import sys
from functools import cache


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
