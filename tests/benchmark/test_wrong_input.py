"""What is wrong with agents, names and folders is said in one line, and nothing is lost."""

import json
import shutil

import pytest
from command_line import run_langrl
from small_benchmark import GRID, STREET, outcomes_of

from langrl.benchmark import evaluating, families, running
from langrl.benchmark.results import load_results

RUN = ("benchmark", "run", "--profile", "small", "--workers", 1)
MODULE = """
import numpy as np

class Still:
    def reset(self, generator=None, mask=None):
        pass

    def act(self, observations, instructions=None):
        return np.zeros((len(observations["observation"]), 2), np.float32)

class Words(Still):
    def act(self, observations, instructions=None):
        return np.array([["up", "left"]] * len(observations["observation"]))

class Silent(Still):
    def act(self, observations, instructions=None):
        return None

class Lost(Still):
    def act(self, observations, instructions=None):
        return np.full((len(observations["observation"]), 2), np.nan, np.float32)

class Empty(Still):
    def act(self, observations, instructions=None):
        return {}["weights"]

class Unread(Still):
    def __init__(self):
        open("weights.pt")

class NoAct:
    def reset(self, generator=None, mask=None):
        pass

class Asks(Still):
    def ask(self, observations, instructions=None):
        return np.full(len(observations["observation"]), 99)
"""
OF_CELLS = {
    "Words": "act of Words gave <U4 [4, 2] for 4 observations, and actions are float32 [4, 2]",
    "Silent": "act of Silent gave object [] for 4",
    "Lost": "an action is not finite; give a direction (row, column)",
    "Empty": "seed 0: KeyError: 'weights' (",
    "Unread": "FileNotFoundError: [Errno 2] No such file or directory: 'weights.pt' (",
    "Asks": "there are 4 questions, and 'ask' is [99, 99, 99, 99]",
}
OF_FLAGS = {
    "--agent agents:NoAct": "the class NoAct has no method act; write one",
    "--agent agents:Stil": "no agent in agents named 'Stil'; did you mean 'Still'?",
    "--agent agents:X": "Silent, Lost, Empty, Unread, NoAct, Asks\n",
    "--agent agents.py:Still": "--agent takes an import path as in mypackage:MyAgent",
    "--agent fails:A": "cannot import 'fails' (ZeroDivisionError: division by zero); python -c",
    "--agent leaves:A": "cannot import 'leaves' (SystemExit: 3); python -c 'import leaves' shows",
    "--agent nowhere.at.all:A": "(No module named 'nowhere'); install it, or start the command in",
    "--agents runs/fork": "--agents runs/fork: there is no such run folder; check the path",
    "--agents orcle": "no entrant named 'orcle'; did you mean 'oracle'?",
    "--worlds street-slt": "did you mean 'street-slit'?",
    "--profile fst": "no profile named 'fst'; did you mean 'fast'?",
    "--engine ray --ray-address 127.0.0.1:1": "no Ray cluster answers at 127.0.0.1:1; start a",
    "--seeds 0": "--seeds: input should be greater than or equal to 1, got 0",
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, small):
    (tmp_path / "agents.py").write_text(MODULE)
    (tmp_path / "fails.py").write_text("1 / 0\n")
    (tmp_path / "leaves.py").write_text("raise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


def run_small(out, *flags):
    assert run_langrl(*RUN, "--out", out, *flags) == 0
    return out


@pytest.mark.parametrize("name", OF_CELLS)
def test_an_agent_that_does_wrong_is_named_and_the_others_are_kept(name, tmp_path, fails):
    error = fails(*RUN, "--out", "out", "--agents", "oracle", "--agent", f"agents:{name}")
    assert "1 of 2 cells failed; the same command computes them again." in error
    assert f"{name} in {STREET}, seed 0" in error
    assert OF_CELLS[name] in error
    trace = tmp_path / "out" / "cells" / name / f"{STREET}-seed-0.error.txt"
    assert "Traceback" in trace.read_text()
    assert load_results(tmp_path / "out").entrants == ("oracle",)


@pytest.mark.parametrize("flags", OF_FLAGS)
def test_what_is_wrong_with_a_flag_is_said_before_anything_is_computed(flags, tmp_path, fails):
    if "ray" in flags:
        pytest.importorskip("ray", reason="ray is not installed: the extra ray")
    named = () if "--agents" in flags else ("--agents", "oracle")
    assert OF_FLAGS[flags] in fails(*RUN, "--out", "out", *named, *flags.split())
    assert not (tmp_path / "out").exists()


@pytest.fixture
def two(tmp_path):
    """Two folders without a common task, small enough to be made for each test."""
    run_small("first", "--agents", "oracle")
    run_small("second", "--agents", "oracle", "--worlds", GRID)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("first second", "oracle and oracle have no task in common; run both in the same worlds"),
        ("first nowhere", "nowhere has no results, which would be in cells/ENTRANT"),
        ("first", "Missing from langrl benchmark compare: PATH"),
        ("first first/cells/orcle", "no entrant with results named 'orcle'; did you mean 'oracle'"),
    ],
)
def test_what_cannot_be_compared_is_said(two, arguments, message, fails):
    assert message in fails("benchmark", "compare", *arguments.split())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is damaged: Expecting value"),
        (b'{"schema": "langrl-', "is damaged: Unterminated string"),
        (b"\xff\x00", "is damaged: 'utf-8' codec can't decode byte 0xff"),
        (b"[]", "is damaged: it is no object but a list"),
        (b'{"schema": "langrl-cell-0"}', "has schema 'langrl-cell-0', and this langrl reads"),
    ],
)
def test_a_damaged_result_is_named_and_made_anew(tmp_path, content, message, fails):
    out = run_small(tmp_path / "out", "--agents", "oracle")
    before = outcomes_of(out)
    path = out / "cells" / "oracle" / f"{STREET}-seed-0.json"
    path.write_bytes(content)
    error = fails("benchmark", "compare", out, out)
    assert f"{path} {message}" in error
    assert "remove it and run the benchmark again, which makes it anew" in error
    path.unlink()
    assert outcomes_of(run_small(out, "--agents", "oracle")) == before


def test_results_of_another_version_that_are_mixed_in_are_refused_and_stay(tmp_path, fails):
    out = run_small(tmp_path / "out", "--agents", "oracle")
    before = outcomes_of(out)
    path = out / "cells" / "mine" / f"{STREET}-seed-0.json"
    path.parent.mkdir()
    content = json.loads((out / "cells" / "oracle" / path.name).read_text())
    path.write_text(json.dumps(content | {"agent": "mine", "hash": "f" * 64}))
    error = fails(*RUN, "--out", out, "--agents", "oracle")
    assert f"{path} is of tasks ffffffffffffffff of langrl/Small-v1, and this langrl has" in error
    assert "remove it, or name another folder by --out" in error
    shutil.rmtree(path.parent)
    assert outcomes_of(out) == before
    run_small(out, "--agents", "oracle")


def test_the_folder_of_all_cells_stands_for_the_results(tmp_path, capsys):
    out = run_small(tmp_path / "out", "--agents", "oracle")
    assert run_langrl("benchmark", "compare", out / "cells", out) == 0
    assert "improvement" in capsys.readouterr().out


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Where the first test puts what an uninterrupted command leaves."""
    return tmp_path_factory.mktemp("whole") / "out"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (families, "train_or_resume"),
        (evaluating, "calibrate"),
        (evaluating, "roll_out"),
        (running, "write_report"),
    ],
)
def test_an_interrupt_in_any_wave_is_one_line_and_the_same_command_goes_on(
    module, name, whole, tmp_path, monkeypatch, capsys
):
    original, calls = getattr(module, name), []

    def interrupted(*arguments, **options):
        calls.append(name)
        if name in ("calibrate", "roll_out") and len(calls) == 1:
            return original(*arguments, **options)
        raise KeyboardInterrupt

    flags = (*RUN, "--agents", "posterior-pays", "offline-log_sum_exp", "--out")
    with monkeypatch.context() as patch:
        patch.setattr(module, name, interrupted)
        assert run_langrl(*flags, tmp_path / "out") == 130
    error = capsys.readouterr().err
    assert error.endswith("langrl: interrupted; the same command goes on with what is there\n")
    stored = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*seed-0.json")}
    assert run_langrl(*flags, tmp_path / "out") == 0
    assert all(path.stat().st_mtime_ns == when for path, when in stored.items())
    if not whole.exists():
        assert run_langrl(*flags, whole) == 0
    assert outcomes_of(tmp_path / "out") == outcomes_of(whole)
