import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import small_cells

from langrl.training.engines.base import Failed
from langrl.training.engines.local import LocalEngine

STARTS_WORKERS = """
import sys
from small_cells import sleep_for_ever
from langrl.training.engines.local import LocalEngine
if __name__ == "__main__":
    list(LocalEngine(2).map(sleep_for_ever, [(sys.argv[1],), (sys.argv[1],)]))
"""


def in_order(engine, function, jobs):
    results = dict(engine.map(function, jobs))
    return [results[number] for number in range(len(jobs))]


def is_running(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")  # a process that nobody waited for is still listed
    return not (status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z")


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_failures_are_results_and_do_not_stop_the_others(tmp_path):
    missing = tmp_path / "file"
    jobs = [(missing,), (tmp_path,)]
    for workers in (1, 2):
        failed, done = in_order(LocalEngine(workers), small_cells.fails_without, jobs)
        assert isinstance(failed, Failed)
        assert "write it" in str(failed.error)
        assert any("fails_without" in note for note in failed.error.__notes__)
        assert done == {"ok": True}


def test_a_process_that_was_ended_is_replaced_and_its_job_done_again(tmp_path):
    once, twice = tmp_path / "once", tmp_path / "twice"
    once.mkdir()
    twice.mkdir()
    again, lost = in_order(LocalEngine(2), small_cells.end_process, [(once, 1), (twice, 2)])
    assert again == {"ended": 1}
    assert "signal 9" in str(lost.error)
    assert "--workers" in str(lost.error)


def test_an_error_that_cannot_be_sent_arrives_as_its_text():
    for failed in in_order(LocalEngine(2), small_cells.raises_needs_two, [(), ()]):
        assert str(failed.error) == "NeedsTwo: salt and pepper"


def test_workers_stop_when_no_more_results_are_wanted(tmp_path):
    results = LocalEngine(2).map(small_cells.sleep_for_ever, [(tmp_path,), (tmp_path,)])
    with pytest.raises(KeyboardInterrupt):
        interrupt_when(lambda: len(list(tmp_path.iterdir())) == 2, results)
    assert not any(is_running(int(path.name)) for path in tmp_path.iterdir())


def interrupt_when(condition, results):
    def interrupt(*_):
        if condition():
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    try:
        next(results)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_workers_end_with_a_process_that_is_killed(tmp_path):
    script, folder = tmp_path / "start.py", tmp_path / "processes"
    script.write_text(STARTS_WORKERS)
    folder.mkdir()
    path = os.pathsep.join(place for place in sys.path if place)
    parent = subprocess.Popen(
        [sys.executable, str(script), str(folder)], env=os.environ | {"PYTHONPATH": path}
    )
    try:
        wait_until(lambda: len(list(folder.iterdir())) == 2)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    workers = [int(path.name) for path in folder.iterdir()]
    wait_until(lambda: not any(is_running(worker) for worker in workers))
