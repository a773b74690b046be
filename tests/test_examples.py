"""The examples run as they stand, in small."""

import ast
import importlib.util
import json
import re
import runpy

import pytest
from documents import ROOT

EXAMPLES = ROOT / "examples"
NOTEBOOK = EXAMPLES / "tour.ipynb"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cells(kind="code"):
    found = json.loads(NOTEBOOK.read_text())["cells"]
    return ["".join(cell["source"]) for cell in found if cell["cell_type"] == kind]


def test_an_agent_is_trained_and_then_compared(tmp_path, capsys):
    run = tmp_path / "run"
    load("train").main(str(run), steps=3)
    told = capsys.readouterr().out
    assert re.search(r"\d+ candidate goals, an entropy of \d+\.\d bits", told)
    assert re.search(r"success: (True|False), after \d+ steps", told)
    load("evaluate").main(str(run), episodes=2)
    rows = re.findall(r"^(\w+) +success \d\.\d\d .*SPL", capsys.readouterr().out, re.MULTILINE)
    assert rows == ["direct", "max_goal", "log_sum_exp", "oracle"]


def test_a_policy_of_sb3_follows_instructions(tmp_path, capsys):
    pytest.importorskip("stable_baselines3")
    load("plug_into_sb3").main(str(tmp_path / "policy.zip"), steps=260, episodes=2)
    assert re.findall(r"(\w+): success \d", capsys.readouterr().out) == ["policy", "random"]


@pytest.mark.parametrize("name", ["train", "evaluate", "law_in_pictures", "plug_into_sb3"])
def test_a_script_that_is_asked_for_help_does_nothing_else(name, tmp_path, monkeypatch, capsys):
    if name == "plug_into_sb3":
        pytest.importorskip("stable_baselines3")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [name, "--help"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    assert "usage:" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_the_notebook_runs_from_top_to_bottom(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    first, *rest = cells()
    small = re.sub(r"= \d[\d_]*", "= 3", first)
    assert small.count("= 3") == 2
    names = {}
    for code in (small, *rest):
        exec(compile(code, NOTEBOOK.name, "exec"), names)
    told = capsys.readouterr().out
    assert "success" in told
    assert "config.yaml" in told
    bits = re.findall(r"(\d+\.\d) bits", told)
    assert len(bits) == 3


def test_the_notebook_is_stored_without_outputs():
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    assert all(ast.parse(code) for code in cells())
