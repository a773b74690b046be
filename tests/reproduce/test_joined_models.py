import numpy as np
import pytest
import torch
from command_line import read_results
from PIL import Image

from langrl.agents.language_image import LanguageImageLearner
from langrl.data.grid.sounds import draw_sound_images
from langrl.data.images.grid_scenes import ImageTexts
from langrl.envs.grid.grammar import parse, write
from langrl.envs.grid.rooms import RoomSpec
from langrl.errors import ConfigError
from langrl.evaluation.image_text import RoomSample, calibrate_on
from langrl.models.config import ImageTowerConfig, LanguageImageConfig, TextTowerConfig
from langrl.models.language_image.model import TowersDescription, build_language_image_model
from langrl.models.language_image.patch_init import whiten_patches
from langrl.reproduce import joined_models
from langrl.reproduce.arguments import JoinedModelsArguments
from langrl.reproduce.joined_models import CHANCE, KINDS

SMALL = RoomSpec(4, (1, 1))  # two cells by two, one object
IMAGE = ImageTowerConfig(channels=16, depth=2, queries=2)


@pytest.fixture(scope="module", autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joined_models, "WORLD", SMALL)
        patch.setattr(joined_models, "IMAGE", IMAGE)
        patch.setattr(joined_models, "COUNTS", (20, 400))
        patch.setattr(joined_models, "ROOMS", 32)
        patch.setattr(joined_models, "IMAGES", 4)
        patch.setattr(joined_models, "GROUPS", 12)
        patch.setattr(joined_models, "_RATE", 5e-3)  # the model is small, too
        yield


def draw(step):
    """Return images and the texts of all objects that are faced in them."""
    generator = np.random.default_rng([9, step])
    pairs = draw_sound_images(SMALL, 32, 4, generator)
    matches = (pairs.faced == joined_models.FACED[:, None]).all(-1)  # [K, M]
    described = np.flatnonzero(matches.any(1))
    texts = [write(("thing", *KINDS[k]), generator, "seen") for k in described]
    return ImageTexts(pairs.images, texts, matches[described])


@pytest.fixture(scope="module")
def language(tmp_path_factory, small):
    """Return the folder of an image-text model that was trained for some seconds."""
    torch.set_num_threads(1)
    config = LanguageImageConfig(
        embedding=32, image=IMAGE, text=TextTowerConfig(width=32, depth=0, buckets=2048)
    )
    model = build_language_image_model(TowersDescription(config=config), seed=0)
    whiten_patches(model.pair.image, torch.from_numpy(draw(0).images), torch.Generator())
    learner = LanguageImageLearner(model, draw, steps=70, learning_rate=5e-3)
    for _ in range(70):
        learner.update(learner.batch())
    held_out = [draw(step) for step in range(1000, 1004)]
    calibrate_on(
        model,
        [RoomSample("small", d.images, d.texts, [], d.positives.T) for d in held_out],
    )
    folder = tmp_path_factory.mktemp("language") / "model"
    model.save(folder, "", {})
    return str(folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory, language):
    folder = tmp_path_factory.mktemp("joined")
    options = JoinedModelsArguments(out=folder, seeds=1, steps=100, language=language, workers=1)
    joined_models.reproduce(options, "langrl reproduce joined-models")
    return folder, read_results(folder)


def test_there_is_a_row_for_each_method_and_number_of_candidates(run):
    rows = run[1]["rows"]
    found = [(row["method"], row["candidates"]) for row in rows]
    assert found == [
        ("direct", None), ("marginalised", 20), ("marginalised", 400),
        ("marginalised_normalised", 20), ("marginalised_normalised", 400),
        ("trained_on_pairs", None),
    ]  # fmt: skip
    assert all(set(row) == {"method", "candidates", "recall", "sem", "chance"} for row in rows)
    assert all(row["chance"] == pytest.approx(1 / 18) for row in rows)
    assert all(row["sem"] is None for row in rows)  # of one seed
    assert run[1]["config"]["seeds"] == 1


def test_joined_models_find_the_text_and_embeddings_do_not(run):
    recall = {(row["method"], row["candidates"]): row["recall"] for row in run[1]["rows"]}
    assert recall["direct", None] < 4 * CHANCE  # 1, give or take 1: all sounds of an object agree
    assert recall["marginalised", 400] > 8 * CHANCE
    assert recall["marginalised_normalised", 400] > 8 * CHANCE
    assert recall["marginalised_normalised", 400] > recall["marginalised_normalised", 20]
    assert recall["trained_on_pairs", None] > 0.8


def test_there_is_a_figure(run):
    image = Image.open(run[0] / "figures" / "joined-models.png").convert("L")
    assert np.asarray(image).std() > 5


def test_missing_model_is_refused_before_anything_is_trained(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(joined_models, "run_parts", lambda *_: pytest.fail("trained"))
    options = JoinedModelsArguments(out=tmp_path / "out", language=str(tmp_path / "empty"))
    with pytest.raises(ConfigError, match="holds no model"):
        joined_models.reproduce(options, "")


def test_texts_say_the_objects_in_the_order_of_the_sounds():
    sounds, texts = joined_models.draw_queries(0)
    assert [parse(text) for text in texts] == [("thing", *kind) for kind in KINDS]
    assert len(sounds) == 12 * len(KINDS)
    assert len(set(KINDS)) == 18


def test_a_seed_decides_what_is_trained_and_measured():
    one, same, other = (joined_models.train_on_images(seed, 2, 8) for seed in (0, 0, 1))
    values = [
        torch.cat([v.flatten() for v in critic.parameters()]) for critic in (one, same, other)
    ]
    assert torch.equal(values[0], values[1])
    assert not torch.equal(values[0], values[2])
    few, many = joined_models.draw_candidates(0, 8), joined_models.draw_candidates(0, 9)
    assert few.shape == (8, 32, 32, 3)
    assert len(many) == 9
