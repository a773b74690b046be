"""What a config refers to by path: the same from any folder, and no other model of that name."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from langrl.checkpoint import (
    Checkpoint,
    content_digest,
    find_checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from langrl.errors import CheckpointError
from langrl.grounding.config import GroundingConfig
from langrl.models.config import (
    CriticConfig,
    ImageTowerConfig,
    LanguageImageConfig,
    TextConfig,
    TextTowerConfig,
)
from langrl.models.critics.build import CriticsDescription
from langrl.models.language_image.model import TowersDescription, build_language_image_model
from langrl.models.language_image.model import load_language_image_model as load
from langrl.settings import references, with_absolute_paths
from langrl.tasks.grid.config import GridRunConfig
from langrl.tasks.loading import agents_of, agents_of_run
from langrl.tasks.maze.agent import MazeAgentDescription
from langrl.tasks.maze.config import MazeRunConfig
from langrl.tasks.presets import load_config
from langrl.tasks.registry import TASKS, config_beside
from langrl.tasks.run import Run, resume_run, train_run


def test_every_field_that_names_a_file_is_known():
    found = {}
    for name, task in TASKS.items():
        config = task.config_class()
        marked = {field for field, *_ in references(_filled(config))}
        found[name] = marked
    assert found == {
        "street-maze": {"start", "world.layout", "data.trajectories", "text.model"},
        "grid": {"start", "language"},
        "grid-partial": {"start", "language", "history.start"},
        "goal-reaching": {"start", "data.file", "words.text.model"},
        "sb3": {"start", "language", "critics"},
        "language-image": {"start", "folder", "words", "thesaurus", "model.text.model"},
        "cpc": {"start"},
    }


def _filled(config):
    """Return a config in which every field that may name a file names one."""
    values = {}
    for name in type(config).model_fields:
        value = getattr(config, name)
        if hasattr(value, "model_fields_set"):
            values[name] = _filled(value)
        elif name in type(config).refers:
            values[name] = "some/where"
    return config.model_copy(update=values)


def test_a_path_is_looked_for_beside_the_file_and_then_in_the_working_directory(
    tmp_path, monkeypatch
):
    for folder in ("configs", "work"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    config = tmp_path / "configs" / "mine.yaml"
    config.write_text("data: {trajectories: mine.npz}")
    assert load_config(str(config), MazeRunConfig).data.trajectories == "mine.npz"  # nowhere
    (tmp_path / "work" / "mine.npz").touch()
    here = load_config(str(config), MazeRunConfig).data.trajectories
    assert here == str(tmp_path / "work" / "mine.npz")
    (tmp_path / "configs" / "mine.npz").touch()
    beside = load_config(str(config), MazeRunConfig).data.trajectories
    assert beside == str(tmp_path / "configs" / "mine.npz")


@pytest.mark.parametrize(
    ("field", "value"),
    [("language", "bundled"), ("language", "openai/clip-vit-base-patch32"), ("start", None)],
)
def test_names_are_left_as_they_are(field, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bundled").mkdir()  # a name of ours comes before a folder
    config = GridRunConfig(**{field: value})
    assert getattr(with_absolute_paths(config, tmp_path), field) == value


@pytest.mark.parametrize("layout", ["fork", ".", "..", "..\n..", "#.#\n..."])
def test_maps_and_published_mazes_are_no_paths(layout, tmp_path):
    (tmp_path / "fork").touch()
    config = MazeRunConfig(world={"layout": layout})
    assert with_absolute_paths(config, tmp_path) == config


TINY = {
    "language": "model-of-mine",
    "data": {"rooms": 4, "trajectories_per_room": 2},
    "critic": {"embedding": 8, "channels": 4, "depth": 1, "width": 6},
    "learner": {"steps": 1, "rooms": 3, "states": 4, "warmup": 2},
    "evaluation": {"episodes": 1},
}


@pytest.fixture
def folder(tiny_language, tmp_path, monkeypatch):
    """A folder with a run of a grid world, that was given its model by a relative path."""
    shutil.copytree(tiny_language, tmp_path / "first" / "model-of-mine")
    monkeypatch.chdir(tmp_path / "first")
    train_run(GridRunConfig.model_validate(TINY), tmp_path / "first" / "run", "train")
    return tmp_path / "first"


def save_model(folder, seed):
    config = LanguageImageConfig(
        embedding=8,
        image=ImageTowerConfig(channels=8, depth=1, queries=1),
        text=TextTowerConfig(width=8, depth=1, queries=1, buckets=64),
    )
    model = build_language_image_model(TowersDescription(config=config), seed=seed)
    model.save(folder, "another one", {})


def test_a_run_with_a_relative_path_is_used_from_another_folder(folder, tmp_path, monkeypatch):
    stored = yaml.safe_load((folder / "run" / "config.yaml").read_text())
    assert stored["language"] == str(folder / "model-of-mine")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    save_model(elsewhere / "model-of-mine", seed=1)
    agent = agents_of(folder / "run")()
    mine, other = (load(place / "model-of-mine") for place in (folder, elsewhere))
    said = agent.language.encode_text(["go to a ball"])[0]
    torch.testing.assert_close(said, mine.encode_text(["go to a ball"]))
    assert not torch.allclose(said, other.encode_text(["go to a ball"]), atol=1e-3)


def test_another_model_under_the_same_path_is_refused(folder, fails):
    shutil.rmtree(folder / "model-of-mine")
    save_model(folder / "model-of-mine", seed=1)
    path = find_checkpoint(folder / "run")
    expected = f"{path} was trained with another model than {folder / 'model-of-mine'} (language)"
    with pytest.raises(CheckpointError) as caught:
        agents_of(folder / "run")
    assert expected in str(caught.value)
    assert expected in fails("evaluate", folder / "run")
    (folder / "run" / "config.yaml").write_text(
        (folder / "run" / "config.yaml").read_text().replace("steps: 1", "steps: 2")
    )
    with pytest.raises(CheckpointError, match="another model"):
        resume_run(folder / "run", "resume")


def test_a_model_that_was_moved_is_the_same_model(folder):
    (folder / "model-of-mine").rename(folder / "moved")
    file = folder / "run" / "config.yaml"
    text = file.read_text().replace("model-of-mine", "moved").replace("steps: 1", "steps: 2")
    file.write_text(text)
    run, _ = resume_run(folder / "run", "resume")
    assert run.learner.step == 2
    state = json.loads((find_checkpoint(folder / "run") / "state.json").read_text())
    assert state["references"]["language"]["path"] == str(folder / "moved")


def test_training_a_model_on_does_not_change_what_its_digest_is_of(small_run, tmp_path):
    run = small_run("critics")
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    assert content_digest(copy) == content_digest(run) == content_digest(find_checkpoint(run))
    (copy / "results.json").unlink()
    assert content_digest(copy) == content_digest(run)


def test_the_digest_of_a_folder_is_that_of_all_its_files(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_text("1")
    before = content_digest(tmp_path / "a")
    (tmp_path / "a" / "b" / "c").write_text("2")
    assert content_digest(tmp_path / "a") != before
    assert content_digest(tmp_path / "a" / "b" / "c") != before


def test_a_policy_is_not_used_with_other_critics_than_its_own(small_run, tmp_path):
    pytest.importorskip("stable_baselines3")
    copy = shutil.copytree(small_run("sac"), tmp_path / "sac")
    config = config_beside(copy)
    assert Path(config.critics).is_absolute()
    assert agents_of_run(copy, config)(strategy="max_goal") is not None
    path = find_checkpoint(copy)
    checkpoint = read_checkpoint(path)
    checkpoint.documents["state"]["references"]["critics"]["sha256"] = "0"
    write_checkpoint(path, checkpoint)
    with pytest.raises(CheckpointError, match=r"than .*critics \(critics\) holds now"):
        agents_of_run(copy, config)
    trusted = {"policy": copy / "policy.zip", "trust_pickle": True}
    with pytest.raises(CheckpointError, match="another model"):
        agents_of_run(copy, config, **trusted)


def described(model):
    text = TextConfig(model=model)
    critics = CriticsDescription(
        low=(0.0, 0.0), high=(3.0, 3.0), action_size=2, critic=CriticConfig(), text=text,
        vocabulary=(), text_width=4,
    )  # fmt: skip
    return MazeAgentDescription(layout="...", critics=critics, grounding=GroundingConfig())


def test_where_a_text_model_is_does_not_make_another_critic():
    run = Run(MazeRunConfig(), None, described("/now/here"), "", compared=("layout", "critics"))

    def check(model, **changes):
        stored = described(model).model_dump(mode="json")
        stored["critics"] |= changes
        run.check(Checkpoint({run.document: stored}, {}), Path("before"))

    check("models/here")  # as a run of before has stored it
    check("/moved/here")
    with pytest.raises(CheckpointError, match="its critics is another one"):
        check("/now/here", action_size=3)
