"""No file of the package calls what runs code that is in data, but where a user asked for it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from tally import tally
from test_layers import MODULES

PICKLES = {"pickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle"}
BETWEEN_PROCESSES = {
    f"langrl.training.engines.{name}" for name in ("base", "local", "ray", "slurm")
}
"""Modules that pickle jobs and results for processes that the same command started."""

OF_TRUSTED_ZIPS = "langrl.tasks.sb3.agent"  # read by --trust-pickle alone
SAFE_LOADERS = {"langrl.tasks.presets": "_Loader"}  # a subclass of yaml.SafeLoader
CODE = {"eval", "exec", "compile", "__import__"}
YAML = {"load", "load_all"}
UNSAFE_YAML = {
    "unsafe_load", "unsafe_load_all", "full_load", "full_load_all", "UnsafeLoader", "FullLoader",
    "Loader",
}  # fmt: skip


def keywords(call: ast.Call) -> dict[str, str]:
    return {each.arg: ast.unparse(each.value) for each in call.keywords if each.arg}


def imported(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        return {(node.module or "").partition(".")[0]}
    return set()


def faults(module: str, tree: ast.AST) -> Iterator[str]:
    """Yield each call and import in a module that may run code which is in data."""
    for node in ast.walk(tree):
        if imported(node) & PICKLES and module not in BETWEEN_PROCESSES:
            yield ast.unparse(node)
        if isinstance(node, ast.ImportFrom) and node.module in ("yaml", "builtins", "os"):
            yield from (a.name for a in node.names if a.name in UNSAFE_YAML | YAML | CODE)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "yaml":
            yield from {node.attr} & UNSAFE_YAML
        if isinstance(node, ast.Call):
            yield from called(module, node)


def called(module: str, call: ast.Call) -> Iterator[str]:
    name, given, text = ast.unparse(call.func), keywords(call), ast.unparse(call)
    if name in CODE | {"os.system", "os.popen"} or given.get("shell") == "True":
        yield text
    if "trust_remote_code" in given and given["trust_remote_code"] != "False":
        yield text
    if name == "torch.load" and given.get("weights_only") != "True":
        yield text
    if name in ("np.load", "numpy.load") and given.get("allow_pickle") != "False":
        yield text
    if name in ("yaml.load", "yaml.load_all") and given.get("Loader") not in (
        "yaml.SafeLoader",
        SAFE_LOADERS.get(module, "yaml.CSafeLoader"),
    ):
        yield text
    if name.startswith("ALGORITHMS[") and name.endswith(".load") and module != OF_TRUSTED_ZIPS:
        yield text


def test_no_file_of_the_package_runs_code_that_is_in_data():
    with tally("8 files that call no pickle, eval, exec, unsafe YAML or unsafe load") as check:
        for module, path in sorted(MODULES.items()):
            with check.case(module):
                assert list(faults(module, ast.parse(path.read_text()))) == []


UNSAFE = [
    "import pickle",
    "from pickle import loads",
    "import cloudpickle.fast",
    "eval('1')",
    "exec(text)",
    "__import__(name)",
    "yaml.load(text)",
    "yaml.load(text, Loader=_Loader)",
    "yaml.unsafe_load(text)",
    "yaml.load(text, Loader=yaml.UnsafeLoader)",
    "from yaml import full_load",
    "torch.load(path)",
    "torch.load(path, weights_only=False)",
    "torch.load(path, weights_only=trusted)",
    "np.load(path)",
    "np.load(path, allow_pickle=True)",
    "os.system(line)",
    "subprocess.run(line, shell=True)",
    "Model(name, trust_remote_code=True)",
    "ALGORITHMS[name].load(path)",
]


@pytest.mark.parametrize("code", UNSAFE)
def test_an_unsafe_call_is_found(code):
    assert list(faults("langrl.envs.goals", ast.parse(code)))


def test_safe_calls_are_not():
    code = (
        "import json\nre.compile('a')\nmodel.eval()\nyaml.safe_load(text)\n"
        "yaml.load(text, Loader=yaml.SafeLoader)\ntorch.load(path, weights_only=True)\n"
        "np.load(path, allow_pickle=False)\nsubprocess.run(words, check=True)"
    )
    assert list(faults("langrl.envs.goals", ast.parse(code))) == []


def test_the_module_that_loads_configs_has_a_safe_loader():
    from yaml import SafeLoader

    from langrl.tasks import presets

    assert issubclass(presets._Loader, SafeLoader)
    assert not {"!!python"} & set(map(str, presets._Loader.yaml_constructors))


def test_the_zip_of_a_policy_is_read_only_where_trust_was_asked_for():
    assert "read_zip" not in Path(MODULES["langrl.tasks.sb3.run"]).read_text()
    loading = Path(MODULES["langrl.tasks.sb3.agent"]).read_text()
    assert "read_zip(policy, config) if trust_pickle else read_policy(" in loading
