"""Environments are registered whichever of Gymnasium and langrl is imported first."""

import subprocess
import sys

import pytest

import langrl

IDS = {*langrl.MAZE_IDS, *langrl.GRID_IDS, *langrl.PARTIAL_IDS}
COUNT = "print(sum(name.startswith('langrl/') for name in gymnasium.registry))"
MAKE = "print(gymnasium.make('langrl/GridGoTo-v0').reset(seed=0)[0]['instruction'] != '')"


def run(code):
    """Return what a fresh process prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    "imports",
    [
        "import gymnasium, langrl",
        "import langrl, gymnasium",
        "import langrl.functional; import gymnasium",
        "import langrl; from gymnasium.envs.registration import make; import gymnasium",
        "import importlib, langrl, gymnasium; importlib.reload(gymnasium)",
    ],
)
def test_both_orders_of_import_register_everything(imports):
    assert run(f"{imports}; {COUNT}; {MAKE}") == [str(len(IDS)), "True"]


def test_gymnasium_imports_the_package_that_an_id_names():
    code = "import gymnasium; print(gymnasium.make('langrl:langrl/GridGoTo-v0').spec.id)"
    assert run(code) == ["langrl/GridGoTo-v0"]


def test_neither_the_package_nor_the_mathematics_imports_gymnasium():
    code = (
        "import sys, langrl.functional, langrl.functional.losses; print('gymnasium' in sys.modules)"
    )
    assert run(code) == ["False"]


def test_a_spawned_process_registers_too(tmp_path):
    script = tmp_path / "spawn.py"
    script.write_text(
        "import multiprocessing\n"
        "import langrl\n"
        "import gymnasium\n"
        "def known(name):\n"
        "    return name in gymnasium.registry\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(*pool.map(known, ['langrl/GridGoTo-v0', 'langrl/StreetMaze-v0']))\n"
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.split() == ["True", "True"], done.stderr


def test_looking_for_gymnasium_changes_nothing():
    code = (
        "import langrl, sys, importlib.util\n"
        "print(importlib.util.find_spec('gymnasium').name, 'gymnasium' in sys.modules)\n"
        f"import gymnasium\n{COUNT}"
    )
    assert run(code) == ["gymnasium", "False", str(len(IDS))]


def test_without_gymnasium_the_error_is_pythons_own():
    code = (
        "import sys, langrl\n"
        "sys.path[:] = []\n"
        "try:\n    import gymnasium\nexcept ModuleNotFoundError as error:\n    print(error.name)\n"
    )
    assert run(code) == ["gymnasium"]
