"""What turns instructions into goals is kept without pickle, and is the same in a fresh process."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import pytest
import torch
from documents import ROOT, blocks
from safetensors.torch import load_file, save_file

from langrl.checkpoint import file_digest
from langrl.envs.goals import BoxGoals
from langrl.envs.wrappers.instructions import AddInstruction
from langrl.errors import (
    CheckpointError,
    ConfigError,
    DomainError,
    GroundingError,
    UnknownNameError,
)
from langrl.grounding.candidates import ListedCandidates, ReplayedCandidates, SampledCandidates
from langrl.grounding.chooser import GoalChooser
from langrl.grounding.instruction_to_goal import InstructionToGoal
from langrl.grounding.language_critic import EmbeddedImages, learn_language
from langrl.grounding.stored import load_grounding, save_grounding
from langrl.grounding.strategies import MaxGoal
from langrl.models.config import CriticConfig, TextConfig
from langrl.models.encoders import PretrainedTextEncoder
from langrl.models.language_image.model import load_language_image_model

PLACES = np.random.default_rng(0).uniform(-2, 2, (60, 1)).astype(np.float32)
TEXTS = ["go left" if place < 0 else "go right" for place in PLACES]
SIZES = CriticConfig(embedding=8, width=16, depth=1, goal_octaves=2)


@pytest.fixture(scope="module")
def language():
    return learn_language(
        PLACES, TEXTS, steps=20, batch_size=32, critic=SIZES, text=TextConfig(width=16)
    )


@pytest.fixture
def stored(language, tmp_path):
    save_grounding(tmp_path / "kept", language, "max_goal", ReplayedCandidates(PLACES, 20), 2.0)
    return tmp_path / "kept"


LISTED = ListedCandidates(np.array([[-1.0], [0.5], [1.5]]), np.float32([0, -1, -np.inf]))


@pytest.mark.parametrize(
    "candidates", [ReplayedCandidates(PLACES, 20), LISTED], ids=["replayed", "listed"]
)
@pytest.mark.parametrize("grounding", ["sampled_goal", MaxGoal()])
def test_what_was_stored_chooses_the_same_goals(language, candidates, grounding, tmp_path):
    save_grounding(tmp_path / "kept", language, grounding, candidates, language_weight=2.0)
    loaded = load_grounding(str(tmp_path / "kept"))
    assert type(loaded["candidates"]) is type(candidates)
    made = {"language": language, "grounding": grounding, "candidates": candidates}
    observations = np.zeros((4, 4), np.float32)
    texts = ["go left", "go right", "go right", "go left"]
    found = [
        GoalChooser(**parts).choose(observations, texts, np.random.default_rng(3))
        for parts in (made | {"language_weight": 2.0}, loaded)
    ]
    assert np.array_equal(found[0][0], found[1][0])
    assert found[0][0].dtype == found[1][0].dtype
    for one, other in zip(found[0][1], found[1][1], strict=True):
        assert np.allclose(one.probabilities, other.probabilities, atol=1e-6)


def test_a_folder_has_json_and_safetensors_and_can_be_replaced(language, stored):
    names = {path.name for path in stored.iterdir()}
    assert names == {
        "manifest.json", "grounding.json", "language.safetensors", "candidates.safetensors",
        "understood.json",
    }  # fmt: skip
    save_grounding(stored, language, "max_goal", LISTED)
    assert load_grounding(stored)["language_weight"] == 1.0
    assert [path.name for path in stored.parent.iterdir()] == ["kept"]


def test_the_language_of_a_trained_agent_can_be_stored(make_critics, tmp_path):
    _, trained = make_critics()
    save_grounding(tmp_path / "kept", trained, "max_goal", ListedCandidates(np.ones((2, 2))))
    loaded = load_grounding(tmp_path / "kept")["language"]
    texts = ["go to row 3", "column 2 or row 1"]
    assert torch.equal(loaded.encode_text(texts), trained.encode_text(texts))


def test_a_named_text_model_is_stored_by_its_name(tmp_path, monkeypatch):
    class Sentences:
        def encode(self, inputs, **options):
            return torch.tensor([[len(each["text"]), 1.0] for each in inputs])

        def get_embedding_dimension(self):
            return 2

    monkeypatch.setattr(PretrainedTextEncoder, "backbone", Sentences())
    (tmp_path / "sentences").mkdir()
    monkeypatch.chdir(tmp_path)
    text = TextConfig(model="sentences", width=8)
    language = learn_language(PLACES, TEXTS, steps=2, batch_size=8, critic=SIZES, text=text)
    save_grounding("kept", language, "max_goal", LISTED)
    monkeypatch.chdir(ROOT)
    loaded = load_grounding(tmp_path / "kept")["language"]
    assert loaded.text.name == str(tmp_path / "sentences")
    assert torch.equal(loaded.encode_text(["go left"]), language.encode_text(["go left"]))


def test_the_page_is_right_in_fresh_processes(tmp_path):
    page = (ROOT / "docs" / "how-to" / "your-environment.md").read_text()
    assert "## Keep what was learned" in page
    learn, follow = blocks(ROOT / "docs" / "how-to" / "your-environment.md", "python")[-2:]
    for code in (learn, follow):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 0.9


# -- what is refused --------------------------------------------------------------------------


def changed(folder, document):
    """Change the JSON of a stored folder, with a digest that fits."""
    path = folder / "grounding.json"
    content = json.loads(path.read_text())
    document(content)
    path.write_text(json.dumps(content))
    sign(folder, path)


def sign(folder, path):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"][path.name] = file_digest(path)
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "name", ["manifest.json", "grounding.json", "language.safetensors", "candidates.safetensors"]
)
@pytest.mark.parametrize("how", ["missing", "cut off", "another byte"])
def test_damaged_folders_are_refused(stored, name, how):
    path = stored / name
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "cut off":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.write_bytes(content[:-9] + b"\0" + content[-8:])
    with pytest.raises(CheckpointError):
        load_grounding(stored)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.update(grounding="max_gaol"), "did you mean 'max_goal'"),
        (lambda c: c.update(grounding="log_sum_exp"), "needs a critic"),
        (lambda c: c.update(language_weight=-1), "language_weight"),
        (lambda c: c.update(count=0), "count"),
        (lambda c: c.update(candidates="listed"), "lacks 'log_weights'"),
        (lambda c: c.update(candidates="os.system"), "candidates"),
        (lambda c: c.update(more=1), "unknown key 'more'"),
        (lambda c: c.pop("language"), "language"),
        (lambda c: c["language"].update(high=[1.0, 2.0]), "one length"),
        (lambda c: c["language"]["critic"].update(embedding=4), "the weight"),
        (lambda c: c["language"].update(vocabulary=["go"]), "the weight"),
    ],
)
def test_documents_that_do_not_fit_are_refused(stored, change, says):
    changed(stored, change)
    with pytest.raises(CheckpointError, match=says) as caught:
        load_grounding(stored)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("goals", "says"),
    [
        (torch.zeros(3, 2), r"candidates \[3, 2\] are no goals"),
        (torch.full((3, 1), torch.nan), "not finite"),
        (None, "lacks 'goals'"),
    ],
)
def test_candidates_that_do_not_fit_are_refused(stored, goals, says):
    path = stored / "candidates.safetensors"
    assert set(load_file(path)) == {"goals"}
    save_file({"other": torch.zeros(1)} if goals is None else {"goals": goals}, path)
    sign(stored, path)
    with pytest.raises(CheckpointError, match=says):
        load_grounding(stored)


@pytest.mark.parametrize("what", ["nothing", "an empty folder", "an agent"])
def test_other_folders_are_refused(tmp_path, what):
    folder = tmp_path / "kept"
    if what == "an empty folder":
        folder.mkdir()
    elif what == "an agent":
        shutil.copytree(ROOT / "tests" / "fixtures" / "checkpoint-format-1", folder)
    with pytest.raises(CheckpointError, match="kept"):
        load_grounding(folder)


@dataclass
class Own:
    needs: frozenset = frozenset()


def test_parts_that_cannot_be_stored_are_refused_by_name(language, tiny_language, tmp_path):
    model = load_language_image_model(tiny_language)

    def save(language=language, grounding="max_goal", candidates=LISTED, **more):
        save_grounding(tmp_path / "kept", language, grounding, candidates, **more)

    sampled = SampledCandidates(lambda count, generator: np.zeros((count, 1)), 4)
    own = type("Mine", (ListedCandidates,), {})(np.ones((2, 1)))
    for arguments, error, says in (
        ({"language": EmbeddedImages(model)}, GroundingError, "EmbeddedImages is not what learn"),
        ({"candidates": sampled}, GroundingError, "SampledCandidates are drawn by a function"),
        ({"candidates": own}, GroundingError, "candidates of Mine"),
        ({"grounding": "log_sum_exp"}, GroundingError, "needs a critic"),
        ({"grounding": "max_gaol"}, UnknownNameError, "did you mean 'max_goal'"),
        ({"grounding": Own()}, GroundingError, "a strategy of your own"),
        ({"language_weight": float("nan")}, DomainError, "language_weight"),
    ):
        with pytest.raises(error, match=says):
            save(**arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("what", ["files", "a file", "below a file"])
def test_nothing_else_is_overwritten(language, tmp_path, what):
    other = tmp_path / "other"
    if what == "files":
        other.mkdir()
        (other / "notes.txt").write_text("keep me")
    else:
        other.write_text("keep me")
    target = other / "kept" if what == "below a file" else other
    with pytest.raises(ConfigError, match="folder"):
        save_grounding(target, language, "max_goal", LISTED)
    kept = other / "notes.txt" if what == "files" else other
    assert kept.read_text() == "keep me"


def test_a_folder_with_files_of_others_beside_is_not_replaced(language, stored):
    (stored / "notes.txt").write_text("keep me")
    with pytest.raises(ConfigError, match="holds something else; give a new folder"):
        save_grounding(stored, language, "max_goal", LISTED)
    assert (stored / "notes.txt").read_text() == "keep me"


def test_an_environment_takes_what_was_stored(stored):
    env = AddInstruction(gym.make("CartPole-v1"), ["go left", "go right"])
    env = InstructionToGoal(env, goals=BoxGoals([-2], [2], 0.1), **load_grounding(stored))
    observation, info = env.reset(seed=0, options={"instruction": "go left"})
    assert observation["desired_goal"] in info["candidates"]
    assert env._chooser.language_weight == 2.0
