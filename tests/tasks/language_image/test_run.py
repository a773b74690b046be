import json
import shutil

import numpy as np
import pytest
import torch
from command_line import read_results
from pydantic import ValidationError
from small_runs import pretrain, resume

from langrl.checkpoint import read_checkpoint
from langrl.errors import CheckpointError, ConfigError
from langrl.evaluation.image_text import calibration_error, reliability
from langrl.models.language_image.model import load_language_image_model
from langrl.settings import dump_config
from langrl.tasks.language_image.config import LanguageImageRunConfig
from langrl.tasks.presets import load_config
from langrl.tasks.run import build_run

TINY = {
    "worlds": ["goto"],
    "words": None,
    "steps": 6,
    "rooms_per_batch": 4,
    "images_per_room": 6,
    "texts_per_room": 3,
    "evaluation_rooms": 2,
    "model": {
        "embedding": 16,
        "image": {"channels": 16, "depth": 1},
        "text": {"width": 16, "depth": 1, "buckets": 64},
    },
    "logging": {"log_every": 2, "checkpoint_every": 3},
}


def tiny(**changes):
    return LanguageImageRunConfig.model_validate(TINY | changes)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("runs") / "run"
    rows = pretrain(tiny(), out, "langrl pretrain")
    return out, rows


def test_a_run_folder_has_everything(run):
    out, rows = run
    assert load_config(str(out / "config.yaml"), LanguageImageRunConfig) == tiny()
    assert [json.loads(line)["step"] for line in (out / "metrics.jsonl").open()] == [2, 4, 6]
    results = read_results(out)
    assert [row["phrasing"] for row in results["rows"]] == ["seen", "held_out"]
    assert {"auc.png", "curves.png", "reliability.png"} <= {
        path.name for path in (out / "figures").iterdir()
    }
    assert any(path.stat().st_size > 10_000 for path in (out / "tensorboard").iterdir())
    assert rows[0]["texts"] > 10


def test_the_model_of_a_run_loads_and_carries_a_card_with_its_numbers(run):
    out, rows = run
    model = load_language_image_model(out / "model")
    assert model.encode_text(["the red ball"]).shape == (1, 16)
    card = (out / "model" / "README.md").read_text()
    assert f"{rows[0]['auc']:.3f}" in card
    assert "langrl pretrain" in card


def test_a_run_that_was_cut_off_ends_with_the_same_bits(run, tmp_path):
    out, _ = run
    cut = tmp_path / "cut"
    shutil.copytree(out, cut)
    for name in ("checkpoints/step-6", "model", "figures"):
        shutil.rmtree(cut / name)
    resume(cut, "langrl pretrain --resume")
    one, other = (
        read_checkpoint(folder / "checkpoints" / "step-6").tensors["weights"]
        for folder in (out, cut)
    )
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    stored = [(folder / "model" / "weights.safetensors").read_bytes() for folder in (out, cut)]
    assert stored[0] == stored[1]


def test_a_folder_that_is_not_empty_is_left_alone(run):
    out, _ = run
    with pytest.raises(ConfigError, match="not empty"):
        pretrain(tiny(), out, "langrl pretrain")
    with pytest.raises(ConfigError, match="give a run folder"):
        resume(out / "checkpoints" / "step-6", "langrl pretrain")


def images(folder, count=16):
    from PIL import Image

    folder.mkdir()
    lines = []
    for n in range(count):
        colour = ("red", "lime", "blue", "yellow")[n % 4]
        Image.new("RGB", (24, 24), colour).save(folder / f"{n}.png")
        lines.append(json.dumps({"image": f"{n}.png", "text": f"a plain {colour} square"}))
    (folder / "captions.jsonl").write_text("\n".join(lines))
    return folder


def test_a_compact_model_is_fine_tuned_on_a_folder(run, tmp_path):
    out, _ = run
    config = tiny(
        folder=str(images(tmp_path / "images")), start=str(out / "model"), image_size=24,
        steps=40, learning_rate=5e-3, held_out=0.5, logging={"log_every": 20},
    )  # fmt: skip
    (row,) = pretrain(config, tmp_path / "tuned", "langrl pretrain")
    assert row["phrasing"] == "captions"
    assert row["auc"] > 0.95
    tuned = load_language_image_model(tmp_path / "tuned" / "model")
    assert tuned.calibrated


def test_heads_need_a_sentence_transformer(run, tmp_path):
    out, _ = run
    with pytest.raises(ConfigError, match="SentenceTransformer"):
        build_run(tiny(start=str(out / "model"), train="heads"), tmp_path)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"worlds": ["go-to"]}, "did you mean 'goto'"),
        ({"worlds": ["goto", "goto"]}, "twice"),
        ({"train": "heads"}, "set start"),
        ({"stepps": 3}, "stepps"),
        ({"label_weight": 1.0, "environments": ["langrl/GridGoTo-v0"]}, "label_weight needs"),
        ({"frequent_words": 9, "words": None}, "set words"),
        ({"thesaurus": "wordnet", "words": None}, "thesaurus joins the words of a new model"),
        ({"coined_words": 2, "start": "bundled"}, "coined_words joins the words of a new model"),
    ],
)
def test_a_wrong_config_is_told(changes, problem):
    with pytest.raises(ValidationError, match=problem):
        tiny(**changes)


def test_the_preset_of_the_bundled_model_is_a_config():
    config = load_config("pretrain-bundled", LanguageImageRunConfig)
    assert LanguageImageRunConfig.model_validate(config.model_dump()) == config
    assert "task: language-image" in dump_config(config)


# -- measuring -----------------------------------------------------------------------------


def test_calibration_error_is_the_gap_weighed_by_bins():
    probabilities = np.array([0.01, 0.03, 0.5, 0.5, 1.0])
    matches = np.array([False, False, True, False, True])
    bins = reliability(probabilities, matches)
    assert [round(row["share"], 2) for row in bins] == [0.4, 0.4, 0.2]
    assert calibration_error(bins) == pytest.approx(0.4 * 0.02)


def test_images_come_from_any_world_that_draws_its_goals(tmp_path):
    rows = pretrain(tiny(environments=["langrl/GridGoTo-v0"]), tmp_path / "run", "langrl pretrain")
    assert [row["phrasing"] for row in rows] == ["instructions"]
    assert rows[0]["texts"] > 1
    assert "langrl/GridGoTo-v0" in (tmp_path / "run" / "model" / "README.md").read_text()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("langrl/StreetMaze-v0", "langrl/StreetMaze-v0 has no render_goal"),
        ("langrl/GridGoto-v0", "cannot make 'langrl/GridGoto-v0'"),
        ("CartPole-v1", "CartPole-v1 has no render_goal and no denotation"),
    ],
)
def test_a_world_without_images_of_goals_is_refused_before_the_training(tmp_path, name, says):
    with pytest.raises(ConfigError, match=says):
        pretrain(tiny(environments=[name]), tmp_path / "run", "langrl pretrain")
    assert not (tmp_path / "run").exists()


def test_a_run_whose_images_have_changed_is_not_resumed(run, tmp_path):
    from PIL import Image

    folder = tmp_path / "images"
    folder.mkdir()
    lines = []
    for number in range(12):
        Image.new("RGB", (24, 24), (20 * number, 0, 0)).save(folder / f"{number}.png")
        lines.append(json.dumps({"image": f"{number}.png", "text": f"shade {number % 3}"}))
    (folder / "captions.jsonl").write_text("\n".join(lines) + "\n")
    config = tiny(folder=str(folder), image_size=24, pairs_per_batch=4)
    pretrain(config, tmp_path / "run", "langrl pretrain")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "step-6")
    Image.new("RGB", (24, 24), (0, 250, 0)).save(folder / "3.png")
    with pytest.raises(CheckpointError, match="was trained on other data"):
        resume(tmp_path / "run", "langrl pretrain --resume")
