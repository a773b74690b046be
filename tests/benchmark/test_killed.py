"""The benchmark's smoke run, killed at random moments: `make test-slow` runs this."""

import random
import subprocess
import sys
import time

import pytest
from small_benchmark import outcomes_of

KILLS = 20


def start(out):
    code = "from langrl.cli.main import main; main()"
    words = ["benchmark", "run", "--profile", "smoke", "--workers", "2", "--out", str(out)]
    return subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_to_the_metrics_of_one_that_was_not(tmp_path):
    began = time.monotonic()
    assert start(tmp_path / "whole").wait() == 0
    took = time.monotonic() - began
    wanted, moments = outcomes_of(tmp_path / "whole"), random.Random(0)
    for number in range(KILLS):
        out = tmp_path / f"killed-{number}"
        process = start(out)
        time.sleep(moments.random() * took)
        process.kill()
        process.wait()
        again = start(out)
        printed = again.communicate()[0].decode()
        assert again.returncode == 0, printed
        assert outcomes_of(out) == wanted
