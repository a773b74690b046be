import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml
from command_line import read_results, read_weights, run_langrl
from documents import STORED_CHECKPOINT
from hub_stand_in import asked_by, files_of
from small_goal_runs import tiny

from langrl.agents.grounded import GroundedAgent
from langrl.checkpoint import add_document, find_checkpoint
from langrl.errors import CheckpointError, ConfigError
from langrl.tasks.hub import fetch, upload
from langrl.tasks.loading import agents_of_run
from langrl.tasks.registry import config_beside
from langrl.tasks.run import train_run
from langrl.tasks.sharing import SHARED, gather, write_list

pytest.importorskip("huggingface_hub")
RUNS = STORED_CHECKPOINT.parent / "runs-0.1"
NAME = "someone/maze"
ACTS = """
import json, sys
import numpy as np
from langrl.agents.grounded import GroundedAgent
from langrl.training.jobs import flushed_subnormals
import torch
torch.set_num_threads(1)
for source in sys.argv[1:]:
    agent = GroundedAgent.load(source)
    agent.reset(np.random.default_rng(0))
    observations = {"observation": np.array([[0.5, 0.5], [4.5, 2.5]], np.float32)}
    actions = agent.act(observations, ["go to row 1", "go to row 0 or column 3"])
    print(json.dumps(np.asarray(actions, np.float64).tolist()))
"""


@pytest.fixture(scope="module")
def shared(small_run, tmp_path_factory):
    """The folder that ``langrl push`` writes of a small run in a maze."""
    folder = tmp_path_factory.mktemp("push") / "shared"
    assert run_langrl("push", small_run("maze"), NAME, "--dry-run", folder) == 0
    return folder


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A hub on the loopback address that huggingface_hub asks, with a cache of its own."""
    with asked_by(monkeypatch, tmp_path / "cache") as found:
        yield found


def test_what_is_shared_is_what_loads_the_agent_and_what_shows_it(shared, small_run):
    files = files_of(shared)
    assert {name for name in files if "/" not in name} == {
        "README.md", "config.yaml", "shared.json", "replay.gif", *(
            {"replay.mp4"} if "replay.mp4" in files else ()
        ),
    }  # fmt: skip
    (checkpoint,) = (shared / "checkpoints").iterdir()
    assert {path.name for path in checkpoint.iterdir()} == {
        "agent.json", "goals.safetensors", "manifest.json", "state.json", "understood.json",
        "weights.safetensors",
    }  # fmt: skip
    assert files["figures/posterior.png"][:4] == b"\x89PNG"
    listed = json.loads(files["shared.json"])["sha256"]
    assert listed.keys() == {
        name
        for name in files
        if name not in ("README.md", "shared.json") and not name.startswith(".eval_results/")
    }
    home = str(small_run("maze").parent).encode()
    assert not [name for name, content in files.items() if home in content]


def test_the_card_says_how_it_was_trained_and_how_well_it_does(shared, small_run):
    card = (shared / "README.md").read_text()
    _, head, text = card.split("---\n", 2)
    assert yaml.safe_load(head)["license"] == "mit"
    assert yaml.safe_load(head)["library_name"] == "langrl"
    assert "langrl train --config street-blank" in text
    assert "torch 2" in text
    assert "(figures/posterior.png)" in text
    assert "(replay.gif)" in text
    row = next(row for row in read_results(small_run("maze"))["rows"] if row["method"] == "direct")
    value, low, high = re.search(r"\| direct \| (\S+) \[(\S+), (\S+)\]", text).groups()
    assert float(value) == pytest.approx(row["success"], abs=1e-3)
    assert float(low) <= float(value) <= float(high)
    measured = {path.stem for path in (shared / ".eval_results").iterdir()}
    assert "direct" in measured
    assert not measured & {"oracle", "random"}


def test_a_fresh_process_elsewhere_gets_the_same_actions_to_the_bit(
    shared, small_run, server, tmp_path
):
    server.put(NAME, files_of(shared))
    sources = [str(small_run("maze")), str(shared), f"hf:{NAME}"]
    environment = {
        **os.environ,
        "HF_ENDPOINT": server.address,
        "HF_HUB_CACHE": str(tmp_path / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    (tmp_path / "elsewhere").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", ACTS, *sources], cwd=tmp_path / "elsewhere", env=environment,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = done.stdout.strip().splitlines()
    assert lines[0] == lines[1] == lines[2]
    agent = GroundedAgent.load(small_run("maze"))
    agent.reset(np.random.default_rng(0))
    observations = {"observation": np.array([[0.5, 0.5], [4.5, 2.5]], np.float32)}
    actions = agent.act(observations, ["go to row 1", "go to row 0 or column 3"])
    np.testing.assert_array_equal(np.asarray(actions, np.float64), json.loads(lines[0]))


@pytest.mark.usefixtures("blank_images")
def test_a_pushed_agent_is_evaluated_by_its_name(small_run, server, tmp_path, monkeypatch, capsys):
    assert run_langrl("push", small_run("maze"), NAME) == 0
    assert f"hf:{NAME}" in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    flags = ["--episodes", 2, "--kinds", "row", "--methods", "max_goal", "--phrasings", "seen"]
    assert run_langrl("evaluate", f"hf:{NAME}@main", *flags) == 0
    (out,) = (tmp_path / "runs" / "evaluate").iterdir()  # and not in the hub's cache
    assert run_langrl("evaluate", small_run("maze"), *flags, "--out", tmp_path / "own") == 0
    assert read_results(out)["rows"] == read_results(tmp_path / "own")["rows"]


def test_a_checkpoint_of_a_run_is_shared_by_its_step(small_run, tmp_path):
    run = small_run("maze")
    best = shutil.copytree(
        run / "checkpoints" / "step-20", tmp_path / "run" / "checkpoints" / "best"
    )
    shutil.copy(run / "config.yaml", tmp_path / "run")
    gather(best, tmp_path / "shared")
    assert find_checkpoint(tmp_path / "shared").name == "step-20"
    assert read_weights(tmp_path / "shared") == read_weights(best)


@pytest.mark.parametrize("name", ["grid", "grid-partial", "ppo"])
def test_agents_of_every_family_act_the_same_once_shared(name, tmp_path):
    run = shutil.copytree(RUNS / name, tmp_path / "run")
    if name == "ppo":
        pytest.importorskip("stable_baselines3")
        from langrl.tasks.sb3.agent import describe

        # as if it had learned to read by the bundled model of today
        add_document(find_checkpoint(run), "agent", describe(config_beside(run)))
    gather(run, tmp_path / "shared")
    write_list(tmp_path / "shared")
    with np.load(RUNS / "acted.npz") as acted:
        seen, texts = acted[f"{name}/observations"][0], acted[f"{name}/instructions"].tolist()
    actions = []
    for folder in (run, tmp_path / "shared"):
        agent = agents_of_run(folder, config_beside(folder))()
        agent.reset(np.random.default_rng(5))
        actions.append(agent.act({"observation": seen}, texts))
    np.testing.assert_array_equal(*actions)


def test_the_language_side_of_a_goal_reaching_run_goes_along_and_its_data_does_not(tmp_path):
    run, shared = tmp_path / "run", tmp_path / "shared"
    train_run(tiny(), run, "train")
    config = config_beside(run)
    agents_of_run(run, config)().act({"observation": np.zeros((1, 3), np.float32)}, ["go left"])
    assert (run / "words").is_dir()
    gather(run, shared)
    assert (shared / "words" / "language.safetensors").is_file()
    assert not list(shared.rglob("experience*"))
    assert not list(shared.rglob("optimizer*"))


def test_an_agent_that_needs_a_folder_of_this_machine_is_not_shared(small_run, tmp_path, capsys):
    out = tmp_path / "shared"
    assert run_langrl("push", small_run("grid"), "me/grid", "--dry-run", out) == 2
    told = capsys.readouterr().err
    assert "language is" in told
    assert told.count("\n") == 1
    assert not out.exists()


WRONG = {
    "no run": (("nowhere", NAME), "no checkpoint in nowhere"),
    "no repository": (("RUN", "maze"), "name it as user/name"),
    "a repository elsewhere": (("RUN", "../maze"), "name it as user/name"),
    "no name": (("RUN", ""), "name it as user/name"),
    "a licence": (("RUN", NAME, "--licence", "a\nb"), "such as mit"),
    "no licence": (("RUN", NAME, "--licence", ""), "such as mit"),
    "a folder in a file": (
        ("RUN", NAME, "--dry-run", f"{__file__}/shared"),
        "name a folder that can be made and written to",
    ),
    "a file": (("RUN", NAME, "--dry-run", __file__), "not a directory; name a folder"),
    "a full folder": (("RUN", NAME, "--dry-run", "RUN"), "is not empty"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_pushed_is_one_line(name, small_run, capsys):
    arguments, message = WRONG[name]
    run = small_run("maze")
    assert run_langrl("push", *(run if each == "RUN" else each for each in arguments)) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


# -- repositories of others -------------------------------------------------------------------


def without(files, name):
    return {path: content for path, content in files.items() if path != name}


def relisted(files, **more):
    """Return files with more of them, listed as if they belonged."""
    content = json.loads(files[SHARED])
    content["sha256"] |= dict.fromkeys(more, "0" * 64)
    return files | {SHARED: json.dumps(content).encode()} | more


REPOSITORIES = {
    "no list": (lambda files: without(files, SHARED), "has no list of its files"),
    "a pickle": (lambda files: files | {"policy.pkl": b"x"}, "holds 'policy.pkl'"),
    "code": (lambda files: files | {"agent.py": b"x"}, "holds 'agent.py'"),
    "more weights": (lambda files: files | {"w.safetensors": b"x"}, "not in its list"),
    "a listed pickle": (lambda files: relisted(files, **{"a.pkl": b"x"}), "holds 'a.pkl'"),
    "a way out": (lambda files: relisted(files, **{"../a.json": b"x"}), "holds '../a.json'"),
    "a changed file": (
        lambda files: files | {"config.yaml": files["config.yaml"] + b"\n"},
        "config.yaml is not what was shared",
    ),
    "a missing file": (lambda files: without(files, "config.yaml"), "lacks config.yaml"),
    "a damaged list": (lambda files: files | {SHARED: b"{"}, "shared.json is damaged"),
    "a huge list": (lambda files: files | {SHARED: b" " * (2 << 20)}, "has no list"),
    "another format": (
        lambda files: files | {SHARED: b'{"format": 9, "sha256": {}}'}, "is of format 9",
    ),
    "an empty list": (
        lambda files: files | {SHARED: b'{"format": 1, "sha256": {}}'}, "no config",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REPOSITORIES)
def test_a_repository_with_anything_else_is_refused(name, shared, server):
    change, message = REPOSITORIES[name]
    server.put(NAME, change(files_of(shared)))
    with pytest.raises(CheckpointError, match=re.escape(message)) as caught:
        fetch(f"hf:{NAME}")
    assert f"hf:{NAME}" in str(caught.value)


def test_a_card_that_was_edited_and_the_hubs_own_files_are_fine(shared, server):
    more = {"README.md": b"# mine", ".gitattributes": b"x", ".eval_results/other.yaml": b"[]"}
    server.put(NAME, files_of(shared) | more)
    assert (fetch(f"hf:{NAME}") / "config.yaml").is_file()


def test_a_revision_is_the_agent_of_then(shared, server):
    first = server.put(NAME, files_of(shared))
    server.put(NAME, {"README.md": b"gone"})
    assert (fetch(f"hf:{NAME}@{first}") / "config.yaml").is_file()
    with pytest.raises(CheckpointError, match="has no list"):
        fetch(f"hf:{NAME}")


SOURCES = {
    f"hf:{NAME}@v9": "has no revision 'v9'",
    "hf:someone/else": "no such repository",
    "hf:maze": "name it as user/name",
    "hf:a/b/c": "name it as user/name",
    f"hf:{NAME}@../x": "is no revision",
    f"hf:{NAME}@": "is no revision",
}


@pytest.mark.parametrize("source", SOURCES)
def test_what_is_not_there_is_one_line(source, shared, server, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    server.put(NAME, files_of(shared))
    assert run_langrl("evaluate", source) == 2
    told = capsys.readouterr().err
    assert SOURCES[source] in told
    assert told.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_hub_that_is_away_is_said_unless_the_agent_is_in_the_cache(shared, server, capsys):
    server.put(NAME, files_of(shared))
    folder = fetch(f"hf:{NAME}")
    server.away = True
    assert fetch(f"hf:{NAME}") == folder
    assert "read from the local cache" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="the hub does not answer"):
        fetch("hf:someone/else")
    with pytest.raises(ConfigError, match="the hub did not take it"):
        upload(shared, NAME, private=False)


def test_a_second_push_replaces_the_first_and_nothing_of_others(shared, server, tmp_path):
    server.put(NAME, relisted(files_of(shared), **{"checkpoints/step-9/state.json": b"{}"}))
    upload(shared, NAME, private=False)
    assert files_of(shared).keys() == server.commits[NAME][-1].keys()
    others = {"model.safetensors": b"theirs", "config.json": b"{}"}
    server.put("someone/model", others)
    with pytest.raises(ConfigError, match=r"holds 'config\.json'.*nothing was sent"):
        upload(shared, "someone/model", private=False)
    assert server.commits["someone/model"] == [others]


def test_without_huggingface_hub_the_extra_is_named(monkeypatch, small_run, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert run_langrl("push", small_run("maze"), NAME) == 2
    assert 'pip install "langrl[hub]"' in capsys.readouterr().err


def test_a_shared_folder_is_not_written_to_when_it_is_loaded(shared, tmp_path):
    copy = shutil.copytree(shared, tmp_path / "copy")
    GroundedAgent.load(copy)
    assert files_of(copy) == files_of(shared)
