"""The examples in docstrings give what they say."""

import doctest
import importlib

import pytest
from documents import ROOT

FOLDERS = {"langrl": "langrl", "envs": "langrl.envs", "agents": "langrl.agents"}


def with_examples():
    for folder, package in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            if ">>> " in path.read_text():
                parts = path.relative_to(ROOT / folder).with_suffix("").parts
                yield ".".join((package, *parts))


MODULES = list(with_examples())


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_docstrings_hold(module):
    failed, tried = doctest.testmod(
        importlib.import_module(module), optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert tried > 0
    assert failed == 0
