import os
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

import pytest
import small_cells

from langrl.training.cells import run_cells, stored_result
from langrl.training.engines.base import Failed, pack
from langrl.training.engines.local import LocalEngine, _Worker

STARTS_WORKERS = """
import sys
from small_cells import sleep_for_ever
from langrl.training.engines.local import LocalEngine
if __name__ == "__main__":
    list(LocalEngine(2).map(sleep_for_ever, [(sys.argv[1],), (sys.argv[1],)]))
"""

DRAWS = """
import sys
from small_cells import draw_cells
from langrl.training.cells import run_cells
from langrl.training.engines.local import LocalEngine
if __name__ == "__main__":
    run_cells(draw_cells(sys.argv[1], range(300)), LocalEngine(2), "draws")
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


def test_a_script_without_a_guard_is_told_of_it(tmp_path):
    script = DRAWS.replace('if __name__ == "__main__":', "if True:").replace("300", "2")
    parent = start(tmp_path, script, tmp_path / "out", stderr=subprocess.PIPE)
    said = parent.communicate(timeout=120)[1].decode()
    assert parent.returncode == 1
    assert "2 of 2 cells failed" in said
    assert "under `if __name__ ==" in said


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


def start(tmp_path, script, folder, **options):
    file = tmp_path / "start.py"
    file.write_text(script)
    folder.mkdir()
    path = os.pathsep.join(place for place in sys.path if place)
    environment = os.environ | {"PYTHONPATH": path}
    return subprocess.Popen(
        [sys.executable, str(file), str(folder)],
        env=environment,
        stdout=subprocess.DEVNULL,
        **options,
    )


def kill_when(parent, condition):
    try:
        wait_until(condition)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()


def test_workers_end_with_a_process_that_is_killed(tmp_path):
    folder = tmp_path / "processes"
    parent = start(tmp_path, STARTS_WORKERS, folder)
    kill_when(parent, lambda: len(list(folder.iterdir())) == 2)
    workers = [int(path.name) for path in folder.iterdir()]
    wait_until(lambda: not any(is_running(worker) for worker in workers))


def test_after_a_kill_every_result_file_is_whole_and_the_rest_is_computed(tmp_path):
    folder = tmp_path / "killed"
    parent = start(tmp_path, DRAWS, folder)
    kill_when(parent, lambda: len(list(folder.glob("*.json"))) > 3)
    cells = small_cells.draw_cells(folder, range(300))
    there = [cell for cell in cells if cell.output.exists()]
    assert 3 < len(there) < 300
    assert all(stored_result(cell) is not None for cell in there)
    run_cells(cells[:20], LocalEngine(1), "test")
    whole = small_cells.draw_cells(tmp_path / "whole", range(20))
    run_cells(whole, LocalEngine(1), "test")
    for one, two in zip(cells, whole, strict=False):
        assert one.output.read_bytes() == two.output.read_bytes()


def test_an_interrupt_does_not_reach_a_process_that_is_starting():
    worker = _Worker()
    os.kill(worker._process.pid, signal.SIGINT)  # as the terminal does, long before it is ready
    worker.give(0, pack(os.getcwd, ()), 1)
    try:
        assert worker.connection.poll(60)
        assert list(worker.finished(deque())) == [(0, os.getcwd())]
    finally:
        worker.end()
        worker.join()
