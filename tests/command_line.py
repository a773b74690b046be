"""The command line in this process, for tests."""

import sys

import pytest

from langrl.cli import main as cli


def run_langrl(*arguments: object) -> object:
    """Run ``langrl`` with arguments and return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["langrl", *map(str, arguments)])
        try:
            cli.main()
        except SystemExit as stop:
            return stop.code
    return 0
