"""Payloads that would run code are refused in one line, or left alone; none of them runs."""

import json
import pickle
import shutil
import sys

import pytest
import yaml
from mutations import copied
from payloads import FOREIGN, PICKLES, STOWAWAY, TAGS, silent, stow
from small_goal_runs import write_line
from tally import counted, tally

from langrl.checkpoint import MANIFEST, file_digest, find_checkpoint
from langrl.errors import CheckpointError, LangRLError
from langrl.settings import CONFIG_FILE
from langrl.tasks.loading import agents_of_run, load_agent
from langrl.tasks.registry import config_beside
from langrl.tasks.sharing import SHARED, gather, write_list

FILES = ("weights.safetensors", "goals.safetensors", "agent.json", "state.json", MANIFEST)
OF_RUNS = {
    "evaluate": "evaluate RUN",
    "go on": "train --resume RUN",
    "start": "train --start RUN --out OUT",
    "push": "push RUN someone/agent --dry-run OUT",
    "render": "render RUN --instruction x --out OUT.html",
    "diagnose": "diagnose RUN --out OUT",
    "benchmark": "benchmark run --profile smoke --workers 1 --agents RUN --out OUT",
}
OF_DATA = (
    "data describe FILE.npz",
    "data describe FILE.hdf5",
    "train --config crl --data.file FILE.npz --out OUT",
    "train --config street-blank --data.trajectories FILE.npz --out OUT",
    "train --config grid-goto --data.trajectories FILE.npz --out OUT",
    "diagnose FILE.npz --out OUT",
    "diagnose FILE.npy --out OUT",
    "diagnose FILE.npy GOOD.npy --out OUT",
)
OF_MODELS = (
    "diagnose MODEL --out OUT",
    "pretrain --start MODEL --out OUT",
    "pretrain --calibrate MODEL --out OUT",
    "train --config grid-goto --language MODEL --out OUT",
)
OF_CONFIGS = (
    "train --config FILE.yaml --print-config",
    "pretrain --config FILE.yaml --print-config",
    "pretrain --method cpc --config FILE.yaml --print-config",
    "demo --config FILE.yaml --out OUT",
    "sweep --config FILE.yaml --grid seed=1,2 --out OUT",
)
PLACES = {
    "a value": "seed: {}",
    "in a list": "evaluation: {{methods: [{}]}}",
    "a key": "? {}\n: 1",
    "a merge": "<<: {}",
    "all of it": "--- {}",
    "a second document": "seed: 1\n--- {}",
}
IMPORTS = {
    "env": f"task: goal-reaching\nenv: '{STOWAWAY}:Env-v0'",
    "environments": f"task: language-image\nenvironments: ['{STOWAWAY}:Env-v0']",
    "world": f"task: sb3\nworld: '{STOWAWAY}:Env-v0'",
    "a file as a module": f"task: goal-reaching\nenv: './{STOWAWAY}.py:Env-v0'",
    "a field of another name": f"import_module: {STOWAWAY}",
}


def some(cases, many):
    """Return so many cases, from all of them."""
    cases = list(cases)
    return cases[:: max(1, len(cases) // many)]


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """Where payloads would leave a file; the module of a payload is one that could be imported."""
    (tmp_path / "modules").mkdir()
    stow(tmp_path / "modules", STOWAWAY, tmp_path / "canary")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "modules")])
    monkeypatch.chdir(tmp_path)
    return tmp_path / "canary"


def words_of(command, **places):
    """Return a command's words with paths in the places of names in capitals."""
    for name, path in places.items():
        command = command.replace(name, str(path))
    return command.split()


def test_the_payloads_run_where_they_are_trusted(canary):
    def sings(do):
        with pytest.raises(Exception):  # noqa: B017, PT011, PT012
            do()
            raise ValueError("what is made of a payload is of no use")
        sang = canary.exists()
        canary.unlink(missing_ok=True)
        sys.modules.pop(STOWAWAY, None)
        return sang

    for name in ("a pickle", "a pickle of text"):
        assert sings(lambda name=name: pickle.loads(PICKLES[name](canary))), name
    for name, value in TAGS.items():
        text = value.replace("CANARY", str(canary))
        assert sings(lambda text=text: yaml.unsafe_load(text)) or "a new type" in name, name
    assert sings(lambda: __import__(STOWAWAY))


@pytest.mark.parametrize(
    "kind",
    ["maze", *(pytest.param(each, marks=pytest.mark.torture) for each in ("grid", "goals"))],
)
@counted(5, 1000)
def test_pickles_in_the_place_of_a_checkpoint_s_files(
    many, kind, quick_runs, fails, canary, tmp_path
):
    source = quick_runs(kind)
    names = [each for each in FILES if (find_checkpoint(source) / each).is_file()]
    commands = OF_RUNS if kind != "goals" else ("evaluate", "go on", "render")
    cases = [(name, made, call) for name in names for made in PICKLES for call in commands]
    with tally(f"8 payloads, pickles as files of checkpoints, {kind}") as check:
        for name, made, call in some(cases, many):
            run = copied(source, tmp_path / "run")
            (find_checkpoint(run) / name).write_bytes(PICKLES[made](canary))
            with silent(check, f"{made} as {name}, {call}", canary):
                fails(*words_of(OF_RUNS[call], RUN=run, OUT=tmp_path / "out"))


@counted(2, 100)
def test_pickles_beside_a_checkpoint_s_files_are_left_alone(many, quick_runs, canary, tmp_path):
    names = ("weights.pt", "optimizer.pt", "agent.pkl", "weights.bin", "replay.npz")
    cases = [(name, made) for name in names for made in PICKLES]
    with tally("8 payloads, pickles beside the files of a checkpoint") as check:
        for name, made in some(cases, many):
            run = copied(quick_runs("maze"), tmp_path / "run")
            (find_checkpoint(run) / name).write_bytes(PICKLES[made](canary))
            with silent(check, f"{made} as {name}", canary):
                load_agent(run)


@counted(6, 1000)
def test_pickles_as_data(many, fails, canary, tmp_path):
    cases = [(made, call) for made in PICKLES for call in OF_DATA]
    write_line(tmp_path / "GOOD.npz")
    shutil.copy(tmp_path / "GOOD.npz", tmp_path / "GOOD.npy")
    with tally("8 payloads, pickles as trajectories and embeddings") as check:
        for made, call in some(cases, many):
            for suffix in ("npz", "npy", "hdf5"):
                (tmp_path / f"data.{suffix}").write_bytes(PICKLES[made](canary))
            with silent(check, f"{made}, {call}", canary):
                fails(*words_of(call, FILE=tmp_path / "data", OUT=tmp_path / "out"))


@counted(4, 1000)
def test_pickles_in_the_place_of_a_model_s_files(many, tiny_language, fails, canary, tmp_path):
    names = ("weights.safetensors", "model.json", MANIFEST)
    cases = [(name, made, call) for name in names for made in PICKLES for call in OF_MODELS]
    with tally("8 payloads, pickles as files of language-image models") as check:
        for name, made, call in some(cases, many):
            model = copied(tiny_language, tmp_path / "model")
            (model / name).write_bytes(PICKLES[made](canary))
            with silent(check, f"{made} as {name}, {call}", canary):
                fails(*words_of(call, MODEL=model, OUT=tmp_path / "out"))


@counted(12, 1000)
def test_tags_of_yaml_in_configs(many, fails, canary, tmp_path):
    cases = [(tag, "a value", call) for tag in TAGS for call in OF_CONFIGS]
    cases += [(tag, place, OF_CONFIGS[0]) for tag in TAGS for place in PLACES]
    cases.remove(("an object", "a merge", OF_CONFIGS[0]))  # an empty table, of whatever tag
    with tally("8 payloads, tags of YAML in config files") as check:
        for tag, place, call in some(cases, many):
            text = PLACES[place].format(TAGS[tag].replace("CANARY", str(canary)))
            (tmp_path / "shared.yaml").write_text(text)
            with silent(check, f"{tag}, {place}, {call}", canary):
                fails(*words_of(call, FILE=tmp_path / "shared", OUT=tmp_path / "out"))


@counted(4, 1000)
def test_tags_of_yaml_in_the_configs_of_runs(many, quick_runs, fails, canary, tmp_path):
    cases = [(tag, call) for tag in TAGS for call in OF_RUNS if call != "benchmark"]
    run = copied(quick_runs("maze"), tmp_path / "run")
    with tally("8 payloads, tags of YAML in the configs of runs") as check:
        for tag, call in some(cases, many):
            text = "task: street-maze\nseed: " + TAGS[tag].replace("CANARY", str(canary))
            (run / CONFIG_FILE).write_text(text)
            with silent(check, f"{tag}, {call}", canary):
                fails(*words_of(OF_RUNS[call], RUN=run, OUT=tmp_path / "out"))


@counted(3, 1000)
def test_import_paths_in_configs(many, fails, canary, tmp_path):
    (tmp_path / "run").mkdir()
    commands = {
        "train": (OF_CONFIGS[0], OF_CONFIGS[3], OF_RUNS["go on"], OF_RUNS["evaluate"]),
        "pretrain": (OF_CONFIGS[1], "pretrain --resume RUN"),
    }
    cases = [
        (name, call)
        for name, text in IMPORTS.items()
        for call in commands["pretrain" if "language-image" in text else "train"]
    ]
    with tally("8 payloads, import paths in configs and in runs") as check:
        for name, call in some(cases, many):
            for path in (tmp_path / "shared.yaml", tmp_path / "run" / CONFIG_FILE):
                path.write_text(IMPORTS[name])
            places = {"FILE": tmp_path / "shared", "RUN": tmp_path / "run", "OUT": tmp_path / "out"}
            with silent(check, f"{name}, {call}", canary):
                fails(*words_of(call, **places))


# -- models of other libraries ----------------------------------------------------------------


OF_SENTENCE_MODELS = (
    "diagnose MODEL --out OUT",
    "pretrain --start MODEL --out OUT",
    "train --config grid-goto --language MODEL --out OUT",
    "train --config street-blank --text.model MODEL --out OUT",
)


def changed(path, **fields):
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def with_own_code(folder, canary):
    """Have a folder ask for a class of transformers that is in a module of its own."""
    stow(folder, STOWAWAY, canary)
    own = dict.fromkeys(("AutoConfig", "AutoModel", "AutoProcessor"), f"{STOWAWAY}.Module")
    changed(folder / "config.json", model_type="mine", auto_map=own, trust_remote_code=True)


def with_trust(folder, canary):
    """Have a folder say itself that it is to be trusted."""
    with_own_code(folder, canary)
    trust = {"trust_remote_code": True}
    names = ("model_args", "model_kwargs", "config_args", "config_kwargs", "processor_kwargs")
    settings = dict.fromkeys((*names, "tokenizer_args"), trust)
    changed(folder / "sentence_bert_config.json", **trust, **settings)


def of_modules(content):
    return lambda folder, canary: (
        stow(folder, STOWAWAY, canary),
        (folder / "modules.json").write_text(json.dumps(content)),
    )


def of_weights(made, name):
    def change(folder, canary):
        (folder / "model.safetensors").unlink()
        (folder / name).write_bytes(PICKLES[made](canary))

    return change


def with_router(folder, canary):
    stow(folder, STOWAWAY, canary)
    (folder / "0_Router").mkdir()
    router = {"types": {"text": f"{STOWAWAY}.Module"}}
    (folder / "0_Router" / "router_config.json").write_text(json.dumps(router))


SENTENCE_MODELS = {
    **{f"modules.json, {name}": of_modules(content) for name, content in FOREIGN.items()},
    **{f"{made} as {name}": of_weights(made, name)
       for made in PICKLES for name in ("model.safetensors", "pytorch_model.bin")},
    "a router": with_router, "auto_map": with_own_code, "trust_remote_code": with_trust,
}  # fmt: skip


@counted(3, 1000)
def test_folders_of_sentence_transformers(many, clip, fails, canary, tmp_path):
    from langrl.models.encoders import load_sentence_transformer

    cases = [(name, call) for name in SENTENCE_MODELS for call in OF_SENTENCE_MODELS]
    with tally("8 payloads, folders of sentence-transformers") as check:
        for name, call in some(cases, many):
            load_sentence_transformer.cache_clear()
            model = copied(clip, tmp_path / "model")
            SENTENCE_MODELS[name](model, canary)
            with silent(check, f"{name}, {call}", canary):
                fails(*words_of(call, MODEL=model, OUT=tmp_path / "out"))


OPTIMISERS = dict.fromkeys(("ppo", "a2c", "dqn"), "policy.optimizer.pth") | dict.fromkeys(
    ("sac", "td3", "ddpg"), "actor.optimizer.pth"
)  # of each algorithm, a file of its zips


@pytest.fixture(scope="module")
def zips(tmp_path_factory):
    """The zips of small policies by the names of their algorithms."""
    pytest.importorskip("stable_baselines3")
    from sb3_policies import build_small

    folder = tmp_path_factory.mktemp("zips")
    for name in OPTIMISERS:
        build_small(name).learn(20).save(folder / f"{name}.zip")
    return {name: folder / f"{name}.zip" for name in OPTIMISERS}


@counted(6, 1000)
def test_zips_of_six_algorithms(many, zips, canary, tmp_path):
    from sb3_policies import build_small
    from sb3_zips import rewritten, with_pickled_fields

    from langrl.agents.sb3.resumed import load_training
    from langrl.agents.sb3.zips import load_policy

    ways = {"act": load_policy, "go on": lambda path: load_training(path, build_small(name))}
    cases = [
        (name, way, file, made)
        for name in OPTIMISERS
        for way in ways
        for file in (
            "policy.pth",
            "data",
            "fields",
            *([OPTIMISERS[name]] if way == "go on" else []),
        )
        for made in PICKLES
    ]
    with tally("8 payloads, zips of six algorithms of Stable-Baselines3") as check:
        for name, way, file, made in some(cases, many):
            hostile, path = PICKLES[made](canary), tmp_path / "policy.zip"
            with silent(check, f"{name}, {way}, {made} in {file}", canary):
                if file == "fields":  # which are not read, so that the policy loads
                    ways[way](with_pickled_fields(zips[name], path, hostile))
                    continue
                with pytest.raises(CheckpointError):
                    ways[way](rewritten(zips[name], path, {file: hostile}))


@pytest.mark.torture
def test_zips_on_the_command_line(small_run, fails, canary, tmp_path):
    pytest.importorskip("stable_baselines3")
    from sb3_zips import rewritten

    source = small_run("dqn")
    with tally("8 payloads, zips of runs of Stable-Baselines3") as check:
        for made in PICKLES:
            for file in ("policy.pth", "policy.optimizer.pth", "data"):
                run = copied(source, tmp_path / "run")
                config = (run / CONFIG_FILE).read_text()
                (run / CONFIG_FILE).write_text(config.replace("steps: 240", "steps: 320"))
                path = run / "policy.zip"
                rewritten(source / "policy.zip", path, {file: PICKLES[made](canary)})
                with silent(check, f"{made} in {file}, go on", canary):
                    fails("train", "--resume", run)
                if file != "policy.optimizer.pth":  # which what acts has no use for
                    with silent(check, f"{made} in {file}, --policy", canary):
                        fails("evaluate", source, "--policy", path, "--out", tmp_path / "out")


ON_HUB = ("agent.py", "weights.pt", "policy.pkl", "config.yaml", "checkpoints/step-30/agent.json")


@pytest.mark.parametrize("listed", [False, True], ids=["unlisted", "listed"])
@counted(2, 1000)
def test_agents_on_a_hub(many, listed, small_run, canary, tmp_path, monkeypatch):
    pytest.importorskip("huggingface_hub")
    from hub_stand_in import asked_by, files_of

    from langrl.tasks.hub import fetch

    def load(name):
        folder = fetch(name)
        return agents_of_run(folder, config_beside(folder))()

    gather(small_run("maze"), tmp_path / "shared")
    write_list(tmp_path / "shared")
    tag = f"seed: {TAGS['apply']}".replace("CANARY", str(canary)).encode()
    cases = [(name, made) for name in ON_HUB for made in (*PICKLES, "a tag of YAML")]
    kind = "listed" if listed else "not listed"
    server = asked_by(monkeypatch, tmp_path / "cache")
    with tally(f"8 payloads, files of shared agents, {kind}") as check, server as hub:
        for name, made in some(cases, many):
            shared = copied(tmp_path / "shared", tmp_path / "sent")
            (shared / name).write_bytes(PICKLES[made](canary) if made in PICKLES else tag)
            if listed:
                content = json.loads((shared / SHARED).read_text())
                content["sha256"][name] = file_digest(shared / name)
                (shared / SHARED).write_text(json.dumps(content))
            hub.put("a/b", files_of(shared))
            with silent(check, f"{made} as {name}", canary), pytest.raises(LangRLError):
                load("hf:a/b")
