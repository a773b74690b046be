"""Each long loop ends within seconds of SIGINT and SIGTERM, and at once at a second signal."""

import shlex
import signal
import time
from pathlib import Path

import pytest
from commands_apart import end_all, start, wait_for_loop, write_configs
from leftovers import PATIENCE, below, lives, wait_until
from small_runs import DQN, GRID, MAZE, PARTIAL
from tally import tally

pytestmark = [
    pytest.mark.torture,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc"),
]
SECONDS = 5.0  # from the signal to the end, on a machine that has nothing else to do
BURNED = 0.3  # seconds of the processor that measure how busy it is
FOREVER = "--learner.steps 1000000 --logging.checkpoint-every 1000000"
ENDLESS_CPC = {"steps": 10**6, "logging": {"checkpoint_every": 10**6}}
ENDLESS = {"learner": {"env_steps": 10**6, "steps": 10**6}, "logging": {"checkpoint_every": 10**6}}
LOOPS = {
    "train, street maze": f"train {shlex.join(MAZE)} {FOREVER} --out out",
    "train, grid": f"train {shlex.join(GRID)} {FOREVER} --language LANGUAGE --out out",
    "train, partial": f"train {shlex.join(PARTIAL)} {FOREVER} --language LANGUAGE --out out",
    "train, goals": "train --config goals.yaml --import-module toy_goal_worlds --out out",
    "train, Stable-Baselines3":
        f"train {shlex.join(DQN)} --policy.steps 1000000 --language LANGUAGE --out out",
    "pretrain": "pretrain --config pretraining.yaml --out out",
    "pretrain, cpc": "pretrain --method cpc --config cpc.yaml --out out",
    "evaluate": "evaluate RUN --episodes 3000 --out out",
    "reproduce street-mazes": "reproduce street-mazes --steps 1000000 --seeds 1 --out out",
    "benchmark run": "benchmark run --profile smoke --out out",
    "benchmark speed": "benchmark speed --only street-maze --rounds 1000 --out out",
    "sweep": "sweep --config street-blank --grid learner.batch_size=16,32 --out out",
    "play": "play RUN --port 0",
}  # fmt: skip


def slowness():
    """Return how many seconds pass here for one that the processor works: 1 on an idle machine."""
    begin, worked = time.monotonic(), time.process_time()
    while time.process_time() < worked + BURNED:
        pass
    return max(1.0, (time.monotonic() - begin) / BURNED)


def stop(process, folder, number, second):
    """Send signals once the loop goes on; return the seconds to the end of all processes."""
    try:
        wait_for_loop(process, folder)
        assert process.poll() is None, (folder / "printed").read_text()[-400:]
        time.sleep(0.2)
        started, begin = below(process.pid), time.monotonic()
        process.send_signal(number)
        if second:
            time.sleep(0.1)  # less, and a terminal and a wrapper may both have passed one on
            process.send_signal(number)
        process.wait(PATIENCE)
        wait_until(lambda: not any(map(lives, started)), "processes outlive the one they are of")
        return time.monotonic() - begin
    finally:
        end_all(process)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_ends_at_signals(loop, quick_runs, tiny_language, tmp_path):
    if "Stable" in loop:
        pytest.importorskip("stable_baselines3")
    if loop == "play":
        pytest.importorskip("uvicorn")
    places = {"RUN": str(quick_runs("maze")), "LANGUAGE": str(tiny_language)}
    words = [places.get(word, word) for word in shlex.split(LOOPS[loop])]
    with tally(f"0 {loop}: ends at SIGINT, at SIGTERM, and at a second signal") as check:
        for name, number, second in (
            ("SIGINT", signal.SIGINT, False),
            ("SIGTERM", signal.SIGTERM, False),
            ("SIGINT twice", signal.SIGINT, True),
            ("SIGTERM twice", signal.SIGTERM, True),
        ):
            with check.case(name):
                folder = tmp_path / name
                write_configs(folder, ENDLESS, {"steps": 10**6}, ENDLESS_CPC)
                process = start(words, folder)
                busy = slowness()
                seconds = stop(process, folder, number, second)
                busy = (busy + slowness()) / 2
                print(f"{loop}, {name}: {seconds:.1f} s, here {busy:.1f} times as slow as idle")
                said = (folder / "printed").read_text()
                assert "Traceback" not in said, said[-300:]
                # A second signal may meet Python while it is ending, and ends it by itself then: a
                # shell shows the same status for both.
                served = loop == "play" and number == signal.SIGINT
                ends = {0 if served else 128 + number} | (
                    {128 + number, -number} if second else set()
                )
                assert process.returncode in ends, said[-300:]
                assert seconds <= SECONDS * busy, f"{seconds:.1f} s"
