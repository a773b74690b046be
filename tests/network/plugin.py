"""The part of ``other_hosts`` in pytest: it begins with the tests, and the count ends them."""

import os
import tempfile
from pathlib import Path

from network.other_hosts import NOTED, refuse

MADE_BY = "LANGRL_TESTS_ASKED_BY"  # the process that made the file, and removes it


def start():
    """Refuse to ask other machines, in this process and in every Python that it starts."""
    if NOTED not in os.environ:  # else, this process was started by tests
        os.environ[MADE_BY] = str(os.getpid())
        file, os.environ[NOTED] = tempfile.mkstemp(prefix="langrl-asked-")
        os.close(file)
        paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    refuse()


def noted():
    """Return a line for each time that another machine was asked for."""
    return Path(os.environ[NOTED]).read_text().splitlines()


def stop():
    """Remove the file; nothing may be asked for after this."""
    if os.environ[MADE_BY] == str(os.getpid()):
        Path(os.environ[NOTED]).unlink(missing_ok=True)
