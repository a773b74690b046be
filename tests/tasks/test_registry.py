import importlib
import subprocess
import sys

import pytest

from langrl.tasks.config import RunConfig
from langrl.tasks.presets import load_config
from langrl.tasks.registry import TASKS, demos, tasks_of

MODULES = {"train": ("config", "run", "agent", "suite"), "pretrain": ("config", "run", "suite")}


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_a_family_is_one_folder_with_the_same_file_names(task):
    assert issubclass(task.config_class, RunConfig)
    assert task.config_class.model_fields["task"].default == task.name
    if task.extra is not None:
        pytest.importorskip(task.extra[0])
    for name in MODULES[task.command]:
        importlib.import_module(f"{task.folder}.{name}")
    assert callable(task.module("run").build)
    assert callable(task.module("suite").of)
    assert task.command == "pretrain" or callable(task.module("agent").load)


def test_each_command_trains_families_of_its_own():
    assert set(tasks_of("train")) | set(tasks_of("pretrain")) == set(TASKS)
    assert next(iter(tasks_of("train"))) == "street-maze"
    assert next(iter(tasks_of("pretrain"))) == "language-image"


def test_a_demo_names_a_preset_of_its_family():
    assert set(demos()) == {"street", "grid", "babyai"}
    for task, demo in demos().values():
        assert load_config(demo.preset, task.config_class).task == task.name


def test_the_registry_imports_no_family_before_it_is_used():
    code = (
        "import sys, langrl.tasks.registry\n"
        "print([n for n in sys.modules if n.startswith('langrl.tasks.') and n.count('.') > 2])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
