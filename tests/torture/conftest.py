"""The table of counts at the end of ``make torture``."""

from tally import ROWS


def pytest_terminal_summary(terminalreporter):
    """Print how many cases of each check passed, where all checks ran in this process."""
    if ROWS:
        terminalreporter.section("counts")
        for name, (passed, tried) in sorted(ROWS.items()):
            terminalreporter.write_line(f"{name}: {passed} of {tried}")
