"""What error messages tell people to do works: calls are made, names are looked up, flags exist."""

import ast
import importlib
import re
import tomllib
from functools import cache, partial

import gymnasium as gym
import minigrid.wrappers
import numpy as np
import pytest
from command_line import run_langrl
from documents import ROOT
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import langrl  # noqa: F401  registers the worlds
from langrl.envs.wrappers import instructions, vector
from langrl.errors import LangRLError
from langrl.evaluation.rollouts import run_episodes
from langrl.reproduce.arguments import REPRODUCTIONS
from langrl.tasks.maze.baselines import OracleAgent

WORLD, OTHER = "langrl/StreetMaze-Fork-v0", "CartPole-v1"
COMMANDS = (
    "train", "train --config crl", "pretrain", "evaluate", "demo", "push", "play", "render",
    "diagnose", "benchmark speed", "benchmark run", "benchmark compare", "sweep", "data describe",
    "data make",
    *(f"reproduce {name}" for name in REPRODUCTIONS),
)  # fmt: skip
LONGEST_REPAIR = 180  # characters: the line has 300, and says what is wrong before
_FILLED_IN = 10  # characters of what a message fills in
# Words in messages that look like classes; all others are ones.
NOT_CLASSES = {
    "AdamW", "AdroitHand", "AmbiguousInstructions", "BabyAI", "BabyAIBot", "D4RL", "DejaVu",
    "FrankaKitchen", "GridGoTo", "HandManipulate", "HandReach", "InfoNCE", "MiniGrid", "MiniLM",
    "MyAgent", "NaN", "NextStep", "NumPy", "OrderedDict", "PointMaze", "PyTorch", "SameStep",
    "SentenceTransformer", "SigLIP", "SymSpell", "VecNormalize", "ViT",
    "WordNet",
}  # fmt: skip


@cache
def sources():
    """Return the syntax trees of the tree's files, by name."""
    folders = (ROOT / name for name in ("langrl", "envs", "agents"))
    paths = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in paths}


def texts_of(tree):
    """Return the texts of a module that are no docstrings; \0 stands for what is filled in."""
    bodies = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = list(ast.walk(tree))
    apart = {id(statement.value) for node in nodes if isinstance(node, bodies)
             for statement in node.body if isinstance(statement, ast.Expr)}  # fmt: skip
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            apart |= {id(part) for part in ast.walk(node)}
            yield "".join(getattr(part, "value", "") if isinstance(part, ast.Constant) else "\0"
                          for part in node.values)  # fmt: skip
        elif isinstance(getattr(node, "value", None), str) and id(node) not in apart:
            yield node.value


def found(pattern):
    """Return what matches in the sentences of the tree, with the file of each."""
    for file, tree in sources().items():
        for text in texts_of(tree):
            if " " in text:
                yield from ((match, file) for match in re.findall(pattern, text))


def calls_in(text):
    """Return the calls of ``make_vec`` that a text has, complete ones."""
    for start in re.finditer(r"gym(?:nasium)?\.make_vec\(\.\.\., ", text):
        depth = 0
        for end in range(start.start(), len(text)):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            if text[end] == ")" and not depth:
                yield text[start.start() : end + 1]
                break


def do(call, name):
    """Make what a message says, of an environment; "..." stands for it and for how many."""
    code = call.replace("...", f"{name!r}, 2", 1)
    return eval(code, {"gym": gym, "gymnasium": gym})


# -- calls ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [WORLD, OTHER])
def test_a_vector_environment_that_an_adapter_refuses_can_be_made_as_it_says(name):
    pytest.importorskip("stable_baselines3")
    from langrl.agents.sb3.vector_env import VectorAdapter

    wrap = (lambda envs: vector.EmbedInstruction(envs, _encode)) if name == WORLD else lambda e: e
    with pytest.raises(LangRLError) as caught:
        VectorAdapter(wrap(gym.make_vec(name, 2)))
    own, *others = calls_in(str(caught.value))  # of worlds of langrl, and of others
    call = own if name == WORLD else [own, *others][-1]
    assert VectorAdapter(wrap(do(call, name))).num_envs == 2


def test_a_vector_environment_that_a_wrapper_refuses_can_be_made_as_it_says():
    single = partial(gym.make, WORLD)
    envs = SyncVectorEnv([single] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    for wrap in (
        partial(vector.EmbedInstruction, text_encoder=_encode),
        partial(vector.TokenizeInstruction, tokeniser=_tokeniser()),
    ):
        with pytest.raises(LangRLError) as caught:
            wrap(envs)
        calls = list(calls_in(str(caught.value)))
        assert [wrap(do(call, WORLD)).num_envs for call in calls] == [2, 2]
    around_each = [lambda: instructions.EmbedInstruction(single(), _encode)] * 2
    assert SyncVectorEnv(around_each, autoreset_mode=AutoresetMode.SAME_STEP).num_envs == 2


@pytest.mark.parametrize("mode", ["SameStep", "never"])
def test_a_mode_that_a_world_refuses_can_be_replaced_by_those_that_it_names(mode):
    with pytest.raises(LangRLError) as caught:
        gym.make_vec(WORLD, 2, autoreset_mode=mode)
    named = re.search(r"is (\w+) or (\w+), got", str(caught.value)).groups()
    for other in named:
        assert gym.make_vec(WORLD, 2, autoreset_mode=other).num_envs == 2


def test_a_mode_that_is_not_said_can_be_set_as_the_error_says():
    envs = SyncVectorEnv([partial(gym.make, "langrl/StreetMaze-Slit-v0")] * 2)
    envs.metadata = {}
    oracle = OracleAgent(envs.envs[0].unwrapped.world)
    with pytest.raises(LangRLError) as caught:
        run_episodes(envs, oracle, seed=0)
    named = re.findall(r"AutoresetMode\.(\w+)", str(caught.value))
    assert set(named) == set(AutoresetMode.__members__)
    envs.metadata = {"autoreset_mode": AutoresetMode[named[0]]}
    assert run_episodes(envs, oracle, seed=0).success.all()


def test_a_call_of_make_vec_in_any_message_works():
    calls = [(call, file) for text, file in found(r"(?s).*make_vec.*") for call in calls_in(text)]
    assert calls
    for call, file in calls:
        if "\0" not in call:
            assert do(call, WORLD).num_envs == 2, file
            if "vector_kwargs" in call:
                assert do(call, OTHER).num_envs == 2, file


def _encode(texts):
    return np.array([[len(text), text.count("o")] for text in texts])


def _tokeniser():
    return importlib.import_module("langrl.words").WordTokeniser.learn(["go to row 3"])


# -- names ------------------------------------------------------------------------------------


def test_an_extra_that_a_message_names_exists():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = dict(found(r"langrl\[([\w,]+)\]"))
    for file, tree in sources().items():  # check_extra(module, extra) writes the others
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "check_extra":
                extra = node.args[-1]
                named |= {extra.value: file} if isinstance(extra, ast.Constant) else {}
    assert len(named) > 2
    for names, file in named.items():
        assert set(names.split(",")) <= set(extras["optional-dependencies"]), file


def test_an_import_path_that_a_message_names_resolves():
    paths = dict(found(r"(?<![\w./-])(?:langrl|gymnasium|gym)(?:\.[A-Za-z]\w*)+"))
    assert len(paths) > 10
    for path, file in paths.items():
        parts = path.replace("gym.", "gymnasium.", 1).split(".")
        assert _resolves(parts), f"{path} of {file}"


def _resolves(parts):
    for length in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            value = getattr(value, part, None)
        return value is not None
    return False


def test_a_class_that_a_message_names_exists():
    known = {
        *dir(gym.wrappers),
        *dir(gym.wrappers.vector),
        *dir(gym.spaces),
        *dir(gym.vector),
        *dir(minigrid.wrappers),
        *NOT_CLASSES,
    }
    for tree in sources().values():
        known |= {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    names = dict(found(r"(?<![\w-])[A-Z][a-z0-9]+(?:[A-Z][a-z0-9]*)+\b"))
    assert len(names) > 15
    assert {name: file for name, file in names.items() if name not in known} == {}


def test_a_flag_that_a_message_names_exists(capsys):
    known = {"--help", "--head"}  # of `ray start`
    for command in COMMANDS:
        run_langrl(*command.split(), "--help")
        known |= set(re.findall(r"--[a-z][\w.-]*", capsys.readouterr().out))
    flags = dict(found(r"(?<![\w-])--[a-z][\w.-]*[a-z]"))
    assert len(flags) > 5
    assert {flag: file for flag, file in flags.items() if flag not in known} == {}


def test_no_repair_fills_a_line_of_the_terminal():
    long = {}
    for file, tree in sources().items():
        calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
        for call in calls:
            if getattr(call.func, "id", "").endswith("Error"):
                repairs = (text.rpartition("; ")[2] for text in texts_of(call) if "; " in text)
                long |= {
                    f"{file}:{call.lineno}": repair
                    for repair in repairs
                    if len(repair) + _FILLED_IN * repair.count("\0") > LONGEST_REPAIR
                }
    assert long == {}
