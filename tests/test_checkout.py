"""A checkout can be imported where Python is started in it, however langrl is installed."""

import subprocess
import sys
from pathlib import Path

from documents import ROOT

CODE = """
import sys
sys.meta_path[:] = [each for each in sys.meta_path if "editable" not in repr(each).lower()]
sys.path.insert(0, "")
import langrl
from importlib import resources
import langrl.agents.config, langrl.envs.maze.layouts
print(langrl.agents.config.__file__)
print(langrl.envs.maze.layouts.LAYOUTS["blank"].count("."))
print((resources.files("langrl.configs") / "street-fork.yaml").is_file())
"""


def test_a_script_that_is_run_in_the_checkout_finds_agents_and_envs():
    run = subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, check=True
    )
    file, free, preset = run.stdout.splitlines()
    assert Path(file).samefile(ROOT / "agents" / "config.py")
    assert (free, preset) == ("100", "True")
