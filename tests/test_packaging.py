import re
import subprocess
import sys
import tomllib
import zipfile

import pytest
from documents import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    build = [
        sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q",
        "--wheel-dir", str(out), str(ROOT),
    ]  # fmt: skip
    subprocess.run(build, check=True, capture_output=True)
    return zipfile.ZipFile(next(out.glob("langrl-*.whl")))


@pytest.mark.wheel
def test_the_wheel_has_every_module_and_preset(wheel):
    names = set(wheel.namelist())
    folders = {
        "langrl": "langrl",
        "envs": "langrl/envs",
        "agents": "langrl/agents",
        "configs": "langrl/configs",
    }
    expected = {
        f"{inside}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, inside in folders.items()
        for pattern in ("*.py", "*.yaml", "py.typed", "bundled/*", "report_page/*", "*_schema.json")
        for path in (ROOT / folder).rglob(pattern)
    }
    assert len(expected) > 40
    assert expected <= names


@pytest.mark.wheel
def test_the_wheel_has_the_licence_and_the_console_script(wheel):
    texts = {name: wheel.read(name).decode() for name in wheel.namelist() if ".dist-info/" in name}
    assert any("MIT License" in text for name, text in texts.items() if name.endswith("LICENSE"))
    entry = next(text for name, text in texts.items() if name.endswith("entry_points.txt"))
    assert "langrl = langrl.cli.main:main" in entry


@pytest.mark.wheel
def test_the_installed_wheel_runs_outside_the_checkout(wheel, tmp_path):
    wheel.extractall(tmp_path / "site")
    code = (
        "import sys; sys.path.insert(0, 'site')\n"
        "import langrl, gymnasium\n"
        "from langrl.tasks.maze.config import MazeRunConfig\n"
        "from langrl.tasks.presets import load_config, preset_names\n"
        "import langrl.envs.maze.layouts, langrl.agents.config\n"
        "assert 'site' in langrl.envs.maze.layouts.__file__, langrl.envs.maze.layouts.__file__\n"
        "assert len(preset_names()) >= 5\n"
        "print(load_config('street-fork', MazeRunConfig).world.layout)\n"
        "print(gymnasium.spec('langrl/StreetMaze-v0'), gymnasium.spec('langrl/GridGoTo-v0'))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith("fork")


def test_every_dependency_is_pinned_in_the_constraints():
    pinned = {
        re.split("[=<>]", line)[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    project = PROJECT["project"]
    extras = project["optional-dependencies"]
    wanted = {
        re.split(r"[\[<>=]", name)[0].lower()
        for name in [*project["dependencies"], *(n for names in extras.values() for n in names)]
    }
    assert wanted - pinned == {"langrl"}


@pytest.mark.parametrize("command", ["import langrl", "import langrl.cli.main"])
def test_importing_the_package_or_the_command_line_loads_nothing_heavy(command):
    code = f"import sys; {command}; print(' '.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert "langrl" in loaded
    assert not loaded & {"torch", "matplotlib", "scipy", "sentence_transformers", "tensorboard"}
