import ast
import importlib
import itertools
import json
import re
import shlex
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from documents import ROOT, STORED_CHECKPOINT, blocks

from langrl.benchmark import speed as benchmark
from langrl.checkpoint import find_checkpoint
from langrl.cli import benchmark as benchmark_commands
from langrl.cli import commands, data, diagnose, play, push
from langrl.cli import main as cli
from langrl.cli import sweep as sweep_cli
from langrl.play import rendering, serving
from langrl.reproduce import (
    babyai,
    cpc,
    grid_goto,
    joined_models,
    law,
    law_auto,
    law_independence,
    modality_gap,
    relating,
    sb3_zero_shot,
    street_mazes,
)
from langrl.reproduce import words as word_claims
from langrl.tasks import registry

REPRODUCED = (
    street_mazes, grid_goto, joined_models, sb3_zero_shot, law, law_independence, law_auto,
    modality_gap, cpc, relating, babyai, word_claims,
)  # fmt: skip
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


def code_lines(code):
    return len([line for line in code.splitlines() if line])


def test_the_readmes_first_commands_are_the_two_that_set_everything_up():
    text = (ROOT / "README.md").read_text()
    assert re.findall(r"^    (.+?)\s+#", text, re.MULTILINE)[:2] == ["make demo", "make test"]


def test_the_readmes_python_trains(small_run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, *_ = blocks(ROOT / "README.md", "python")
    small = registry.load_run_config(str(small_run("critics") / "config.yaml"))
    assert registry.load_run_config("street-fork").task == small.task
    monkeypatch.setattr(registry, "load_run_config", lambda name: small)
    exec(compile(code, "README.md", "exec"), {})
    assert find_checkpoint(tmp_path / "runs" / "fork").is_dir()


@pytest.mark.parametrize(("number", "printed"), [(1, "float32"), (2, "nearest_goal")])
def test_the_readmes_python_runs_as_it_stands(number, printed, small_run, capsys):
    if number == 1:
        pytest.importorskip("stable_baselines3")
    codes = blocks(ROOT / "README.md", "python")
    assert len(codes) == 3
    statements = ast.parse(codes[number]).body
    imports = (ast.Import, ast.ImportFrom)
    assert len([each for each in statements if not isinstance(each, imports)]) <= 5
    code = codes[number].replace('"runs/fork"', repr(str(small_run("critics"))))
    assert code != codes[number]
    exec(compile(code.replace("=100)", "=3)"), "README.md", "exec"), {})
    assert printed in capsys.readouterr().out


def test_the_python_about_following_runs_as_it_stands(capsys):
    (code,) = blocks(ROOT / "docs" / "how-to" / "follow-an-instruction.md", "python")
    assert '"runs/demo/run"' in code
    exec(
        compile(code.replace('"runs/demo/run"', repr(str(STORED_CHECKPOINT))), "follow", "exec"),
        {},
    )
    assert "(100, 2)" in capsys.readouterr().out


def test_the_readme_fits_a_screen_and_shows_the_playground():
    text = (ROOT / "README.md").read_text()
    picture = ROOT / "docs" / "images" / "playground.webp"
    assert f"](docs/images/{picture.name})" in text
    assert picture.stat().st_size < 1_500_000
    assert len(text.splitlines()) < 120


def test_the_python_about_the_law_runs_as_it_stands(capsys):
    first, proposal = blocks(ROOT / "docs" / "explanation" / "law.md", "python")
    exec(compile(first, "law.md", "exec"), {})
    assert capsys.readouterr().out.count("tensor") == 6
    found: dict[str, Any] = {}
    exec(compile(proposal, "law.md", "exec"), found)
    a, c, plain = found["queries"], found["instructions"], torch.Generator().manual_seed(1)
    goals = found["b"].std(0) * torch.randn(200_000, 2, generator=plain)  # from p(b)
    f, h = -torch.cdist(a / 0.1, goals / 0.1).square() / 2, -torch.cdist(goals, c).square() / 2
    error = found["estimate"].value.squeeze(1) - found["monte_carlo"](f, h).value
    assert error.abs().max() < 0.4  # nats
    assert found["estimate"].effective_sample_size.min() > 50  # of 500


def test_the_python_about_cpc_runs_as_it_stands(capsys):
    (code,) = blocks(ROOT / "docs" / "explanation" / "cpc.md", "python")
    assert len(code.strip().splitlines()) <= 16
    exec(compile(code, "cpc.md", "exec"), {})
    assert "torch.Size([8, 20, 128])" in capsys.readouterr().out


def test_the_python_about_relating_runs_as_it_stands(capsys):
    train, use = blocks(ROOT / "docs" / "explanation" / "relating.md", "python")
    exec(compile(train, "relating.md", "exec"), {})
    assert "torch.Size([3, 5, 192])" in capsys.readouterr().out
    exec(compile(use, "relating.md", "exec"), {})
    assert "(8, 3)" in capsys.readouterr().out


SB3_BLOCKS = 5


@pytest.mark.documents
@pytest.mark.parametrize("number", range(SB3_BLOCKS))
def test_the_python_about_sb3_runs_as_it_stands(number, capsys, monkeypatch, tmp_path):
    pytest.importorskip("stable_baselines3")
    monkeypatch.chdir(tmp_path)
    codes = blocks(ROOT / "docs" / "how-to" / "sb3.md", "python")
    assert len(codes) == SB3_BLOCKS
    assert all(code_lines(code) <= 45 for code in codes)
    code = codes[number].replace('"runs/fork"', repr(str(STORED_CHECKPOINT)))
    agent = json.loads((STORED_CHECKPOINT / "agent.json").read_text())
    layout = agent["layout"]  # where it was trained
    home = f'gym.make("langrl/StreetMaze-v0", layout={layout!r})'
    code = code.replace('gym.make("langrl/StreetMaze-Fork-v0")', home)
    exec(compile(code, "sb3.md", "exec"), {})
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize(
    "page", ["reference/grid-worlds.md", "how-to/joining.md", "how-to/diagnose.md"]
)
def test_the_python_about_the_bundled_model_runs_as_it_stands(page, capsys):
    (code,) = blocks(ROOT / "docs" / page, "python")
    exec(compile(code, page, "exec"), {})
    printed = [float(n) for n in re.findall(r"-?\d+\.\d+", capsys.readouterr().out)]
    assert printed
    if page == "reference/grid-worlds.md":  # the belief on what is denoted
        assert 0.5 < printed[0] <= 1.001


def documented_commands():
    for page in PAGES:
        for line in page.read_text().splitlines():
            if match := re.match(r"    (langrl .+?)(\s{2,}#.*)?$", line):
                yield match[1]


@pytest.mark.parametrize("command", sorted(set(documented_commands())))
def test_a_documented_command_is_understood(command, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # folders of results are made at once
    words = shlex.split(command)
    for before, run in itertools.pairwise(words):
        diagnosed = before == "diagnose" and run.startswith("runs/")
        if diagnosed or before in (
            "evaluate",
            "push",
            "render",
            "--resume",
            "--start",
        ):
            shutil.copytree(STORED_CHECKPOINT.parent / "runs-0.1" / "grid", run, dirs_exist_ok=True)
            if words[1] == "pretrain":  # a run of the command's own family
                (tmp_path / run / "config.yaml").write_text("task: cpc\n")
    called = []
    monkeypatch.setattr(cli, "local_folder", Path)  # no hub is asked
    nothing = SimpleNamespace(title="", walks=())
    monkeypatch.setattr(play, "_open", lambda *_: nothing)
    monkeypatch.setattr(rendering, "play_episode", lambda *_: nothing)
    for module, name in (
        (push, "share"),
        (serving, "serve"),
        (rendering, "write_episode"),
        (commands, "train"),
        (commands, "calibrate"),
        (commands, "evaluate"),
        (commands, "evaluate_own"),
        (commands, "demo"),
        *((module, "reproduce") for module in REPRODUCED),
        (diagnose, "run"),
        (data, "describe"),
        (data, "make"),
        (benchmark, "speed"),
        *((benchmark_commands, name) for name in ("run", "show", "compare")),
        (sweep_cli, "sweep"),
    ):
        monkeypatch.setattr(module, name, lambda *args, **kwargs: called.append(args))
    monkeypatch.setattr(sys, "argv", words)
    cli.main()
    assert len(called) == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    for text, target in re.findall(r"\[([^\]]*)\]\(([^)#]+)[)#]", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target
            assert not text.endswith(".md"), f"{target}: a link says the page's title"


# -- what the documents name ------------------------------------------------------------------

REFERENCE = ROOT / "docs" / "reference" / "import-paths.md"
RENAMED = ROOT / "docs" / "reference" / "renamed.md"
NEEDS_EXTRA = {"langrl.agents.sb3": "stable_baselines3", "langrl.tasks.sb3": "stable_baselines3"}


def without_old_paths(page):
    """Return a page's text, without the first column of the tables of old names."""
    text = page.read_text()
    return re.sub(r"^\|[^|]*\|", "|", text, flags=re.MULTILINE) if page == RENAMED else text


def named_paths():
    """Return the import paths that the pages name, and one page of each."""
    found = {}
    for page in PAGES:
        for path in re.findall(r"\blangrl(?:\.[A-Za-z]\w*)+", without_old_paths(page)):
            found[path] = page.name
    return found


def resolve(path):
    """Import the module that a dotted path begins with, and return what the rest of it names."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError as error:
            if not path.startswith(error.name or " "):
                raise
            continue
        for name in parts[length:]:
            found = getattr(found, name)
        return found
    raise AssertionError(f"no module of {path}")


@pytest.mark.parametrize("path", sorted(named_paths()))
def test_an_import_path_that_a_page_names_resolves(path):
    for package, extra in NEEDS_EXTRA.items():
        if path.startswith(package):
            pytest.importorskip(extra)
    assert resolve(path) is not None, named_paths()[path]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_file_that_a_page_names_exists(page):
    files = re.findall(
        r"\b(?:langrl|envs|agents|configs|tests)/[\w/.-]+\.(?:py|md)\b", page.read_text()
    )
    for file in files:
        assert (ROOT / file).is_file(), file


def test_the_reference_lists_each_import_path_once():
    rows = re.findall(r"^\| `(langrl[\w.]+)` \|", REFERENCE.read_text(), re.M)
    assert len(rows) > 50
    assert len(set(rows)) == len(rows)
