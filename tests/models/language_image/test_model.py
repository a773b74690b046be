import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from langrl import words
from langrl.errors import CheckpointError, ConfigError, DomainError, InstructionError, ShapeError
from langrl.functional.losses import symmetric_info_nce
from langrl.models.config import ImageTowerConfig, LanguageImageConfig, TextTowerConfig
from langrl.models.language_image import image_inputs, towers
from langrl.models.language_image import model as language_image
from langrl.models.language_image.image_inputs import read_images
from langrl.models.language_image.model import (
    BUNDLED,
    TowersDescription,
    build_language_image_model,
    load_language_image_model,
)
from langrl.models.logistic import fit_logistic
from langrl.protocols import check_instruction

WORDS = ("go", "to", "the", "red", "ball", "green", "key")
TEXTS = ["go to the red ball", "the green key, please", "a box"]
CONFIG = LanguageImageConfig(
    embedding=16,
    image=ImageTowerConfig(channels=16, depth=1),
    text=TextTowerConfig(width=16, depth=1, buckets=512),
)
DESCRIPTION = TowersDescription(config=CONFIG, vocabulary=WORDS, table_width=5)


def draw(count, size=32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, size, size, 3), dtype=torch.uint8, generator=generator)


def unit(*shape, seed=0):
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(values, dim=-1)


@pytest.fixture
def model():
    built = build_language_image_model(DESCRIPTION, seed=0)
    built.pair.text.set_table(torch.randn(7, 5, generator=torch.Generator().manual_seed(0)))
    return built


def calibrated(model, count=300):
    """Return the model, calibrated on pairs whose matches follow slope 2 and offset -2."""
    images, texts = unit(count, 16, seed=1), unit(40, 16, seed=2)
    with torch.no_grad():
        chance = (2 * model.logits(images, texts) - 2).sigmoid()
    matches = torch.rand(chance.shape, generator=torch.Generator().manual_seed(3)) < chance
    model.calibrate(images, texts, matches)
    return model


# -- building and encoding -------------------------------------------------------------------


def test_a_seed_decides_the_weights_and_leaves_torch_alone():
    before = torch.random.get_rng_state()
    one, two, other = (build_language_image_model(DESCRIPTION, seed) for seed in (0, 0, 1))
    assert torch.equal(before, torch.random.get_rng_state())
    weights = [model.state_dict() for model in (one, two, other)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not torch.equal(
        weights[0]["pair.image.pool.head.weight"], weights[2]["pair.image.pool.head.weight"]
    )


def test_embeddings_are_unit_vectors_without_gradients(model):
    model.train()
    images, texts = model.encode_image(draw(5)), model.encode_text(TEXTS)
    assert images.shape == (5, 16)
    assert texts.shape == (3, 16)
    for embedded in (images, texts):
        assert not embedded.requires_grad
        assert torch.allclose(embedded.norm(dim=1), torch.ones(len(embedded)), atol=1e-5)
    assert model.training


def test_many_inputs_are_encoded_as_in_one_go(model):
    images, texts = draw(300, 24), [f"go to {number}" for number in range(300)]
    with torch.no_grad():
        assert torch.allclose(
            model.encode_image(images), model.pair.image_embeddings(images), atol=1e-5
        )
        assert torch.allclose(
            model.encode_text(texts), model.pair.text_embeddings(texts), atol=1e-5
        )


def test_images_are_read_once_and_texts_checked_once(model, monkeypatch):
    read, checked = [], []

    def reading(images):
        read.append(len(images))
        return read_images(images)

    def checking(text):
        checked.append(text)
        return check_instruction(text)

    monkeypatch.setattr(towers, "read_images", reading)
    monkeypatch.setattr(image_inputs, "check_instruction", checking)
    monkeypatch.setattr(words, "check_instruction", checking)
    monkeypatch.setattr(image_inputs, "read_images", reading)
    model.encode_image(draw(300, 24).numpy())
    model.encode_image(list(draw(3, 24).numpy()))
    model.encode_image(draw(1, 24)[0])
    assert read == [256, 44, 3, 1]
    model.encode_text(TEXTS)
    model.encode_text("go")
    assert checked == [*TEXTS, "go"]


def test_nothing_has_no_embeddings(model):
    assert model.encode_image(draw(0)).shape == (0, 16)
    assert model.encode_text([]).shape == (0, 16)
    assert model.log_ratio(draw(2), []).shape == (2, 0)


def test_what_cannot_be_encoded_is_refused(model):
    with pytest.raises(ShapeError):
        model.encode_image(draw(1, 36))
    with pytest.raises(InstructionError):
        model.encode_text(["go", ""])
    with pytest.raises(ShapeError, match="embedding size"):
        model.score(unit(2, 16), unit(2, 8))


def test_a_table_and_its_words_go_together():
    for fields in ({"vocabulary": WORDS}, {"table_width": 5}):
        with pytest.raises(ValueError, match="go together"):
            TowersDescription(**fields)
    with pytest.raises(ValueError, match="twice"):
        TowersDescription(vocabulary=("a", "a"), table_width=5)


# -- scores ----------------------------------------------------------------------------------


def test_logits_are_scaled_cosines(model):
    images, texts = unit(4, 16), unit(3, 16, seed=1)
    expected = 5 * images @ texts.mT
    assert torch.allclose(model.logits(images, texts), expected, atol=1e-4)
    assert torch.allclose(model.score(2 * images, texts), expected, atol=1e-4)


def test_an_uncalibrated_model_has_no_probabilities(model):
    assert not model.calibrated
    with pytest.raises(DomainError, match="calibrate"):
        model.match_probability(unit(4, 16), unit(3, 16))


def test_calibration_recovers_slope_and_offset(model):
    calibrated(model, 1000)
    assert model.slope.item() == pytest.approx(2, abs=0.05)
    assert model.offset.item() == pytest.approx(-2, abs=0.05)
    assert model.reference.shape == (256, 16)


def test_calibration_agrees_with_torch_on_the_optimum():
    generator = torch.Generator().manual_seed(0)
    logits = 5 * torch.randn(200, generator=generator) + 30
    matches = torch.rand(200, generator=generator) < (logits - 32).sigmoid()
    weights = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    hits = matches.sum()
    target = torch.where(matches, (hits + 1) / (hits + 2), 1 / (202 - hits)).double()
    optimiser = torch.optim.LBFGS([weights], max_iter=500, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        z = weights[0] * (logits.double() - 30) + weights[1]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(z, target)
        loss.backward()
        return loss

    for _ in range(5):
        optimiser.step(closure)
    slope, offset = fit_logistic(logits, matches)
    assert slope == pytest.approx(weights[0].item(), rel=1e-4)
    assert offset + 30 * slope == pytest.approx(weights[1].item(), abs=1e-4)


def test_separable_pairs_have_a_finite_slope():
    slope, offset = fit_logistic(torch.tensor([-3.0, -2, 2, 3]), torch.arange(4) > 1)
    # The four targets are 3/4 and 1/4: at 2.5 on average, the logit is log 3.
    assert 0.3 < slope < 0.6
    assert offset == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("value", [0.0, 7.0, -900.0])
def test_logits_that_are_all_equal_are_refused(value):
    with pytest.raises(DomainError, match="train the model first"):
        fit_logistic(torch.full((10,), value), torch.arange(10) > 4)


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_logits_of_any_size_are_fitted(size):
    logits = torch.linspace(-1, 1, 11)
    one, other = (fit_logistic(factor * logits, logits > -0.3) for factor in (1.0, size))
    assert other[0] * size == pytest.approx(one[0], rel=1e-4)
    assert other[1] == pytest.approx(one[1], rel=1e-4)


def test_score_is_a_log_ratio_over_the_reference(model):
    calibrated(model)
    texts = unit(2, 3, 16, seed=4)
    ratio = model.score(model.reference, texts).exp()  # [2, 256, 3]
    assert torch.allclose(ratio.mean(1), torch.ones(2, 3), atol=1e-4)


def test_score_follows_bayes(model):
    calibrated(model)
    images, texts = unit(5, 16, seed=5), unit(3, 16, seed=6)
    chance = model.match_probability(images, texts)
    mean = model.match_probability(model.reference, texts).mean(0)
    assert torch.allclose(model.score(images, texts), (chance / mean).log(), atol=1e-4)


def test_scores_saturate_on_goals_that_match(model):
    calibrated(model)
    text = unit(1, 16)
    model.slope.fill_(10.0)
    close = torch.nn.functional.normalize(torch.cat([text, text + 0.1 * unit(1, 16, seed=1)]))
    assert model.logits(close, text).diff(dim=0).abs() > 0.01
    assert model.score(close, text).diff(dim=0).abs() < 1e-4


def test_a_text_that_no_reference_matches_has_finite_scores(model):
    calibrated(model)
    model.slope.fill_(1e6)
    model.offset.fill_(-1e7)
    score = model.score(unit(5, 16), unit(3, 16, seed=1))
    assert score.isfinite().all()


def test_leading_axes_broadcast(model):
    calibrated(model)
    images, texts = unit(4, 5, 16), unit(3, 16, seed=1)
    for function in (model.score, model.logits, model.match_probability):
        assert function(images, texts).shape == (4, 5, 3)
        assert function(images[0], texts.expand(4, 3, 16)).shape == (4, 5, 3)
        assert torch.allclose(function(images, texts)[2], function(images[2], texts), atol=1e-5)


def test_pairs_that_are_not_valid_do_not_count(model):
    images, texts = unit(50, 16, seed=1), unit(20, 16, seed=2)
    matches = model.logits(images, texts) > 2
    valid = torch.rand(matches.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    model.calibrate(images, texts, matches, valid)
    expected = model.slope.item(), model.offset.item()
    model.calibrate(images, texts, matches ^ ~valid, valid)
    assert (model.slope.item(), model.offset.item()) == expected
    assert model.reference.shape == (50, 16)


def test_calibration_refuses_what_it_cannot_fit(model):
    images, texts = unit(50, 16, seed=1), unit(20, 16, seed=2)
    matches = model.logits(images, texts) > 0
    with pytest.raises(DomainError, match="0 matches among 1000"):
        model.calibrate(images, texts, torch.zeros_like(matches))
    with pytest.raises(DomainError, match="train the model first"):
        model.calibrate(images, texts, ~matches)
    with pytest.raises(ShapeError, match=r"matches must be bool \[50, 20\]"):
        model.calibrate(images, texts, matches.float())
    with pytest.raises(ShapeError, match="valid"):
        model.calibrate(images, texts, matches, matches[1:])
    assert not model.calibrated


# -- training --------------------------------------------------------------------------------


OBJECTS = [f"{colour} {thing}" for colour in ("red", "green") for thing in ("ball", "box")]
COLOURS = {"red": (200, 30, 30), "green": (30, 200, 30)}


def scenes():
    """Return 8 images, 8 texts and which match: each object drawn at two places, named twice."""
    images = torch.zeros(8, 32, 32, 3, dtype=torch.uint8)
    for number in range(8):
        colour, thing = OBJECTS[number % 4].split()
        row, column = divmod(number * 3 % 16, 4)
        tile = torch.tensor(COLOURS[colour], dtype=torch.uint8).expand(8, 8, 3).clone()
        if thing == "ball":
            tile[:3], tile[-3:] = 0, 0
        images[number, row * 8 : row * 8 + 8, column * 8 : column * 8 + 8] = tile
    texts = [f"go to the {name}" for name in OBJECTS] + [f"a {name}, please" for name in OBJECTS]
    return images, texts, torch.arange(8).unsqueeze(1) % 4 == torch.arange(8) % 4


@pytest.fixture(scope="module")
def trained():
    model = build_language_image_model(TowersDescription(config=CONFIG), seed=0)
    images, texts, positives = scenes()
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(100):
        logits = model.logits(
            model.pair.image_embeddings(images), model.pair.text_embeddings(texts)
        )
        loss, _ = symmetric_info_nce(logits, positives=positives)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        model.scale.bound()
    return model


def test_a_tiny_model_learns_eight_images(trained):
    images, texts, positives = scenes()
    embedded_images, embedded = trained.encode_image(images), trained.encode_text(texts)
    logits = trained.logits(embedded_images, embedded).detach()
    assert logits[positives].min() > logits[~positives].max() + 3
    trained.calibrate(embedded_images, embedded, positives)
    chance = trained.match_probability(embedded_images, embedded)
    assert chance[positives].min() > 0.7
    assert chance[~positives].max() < 0.3
    ratio = trained.log_ratio(images, texts)
    assert ratio[positives].mean().item() == pytest.approx(math.log(4), abs=0.3)


def test_a_misspelt_word_stays_close_to_the_word(trained):
    right, wrong, other = trained.encode_text(["a green ball", "a grene ball", "a red box"])
    assert right @ wrong > right @ other + 0.3


# -- saving and loading ----------------------------------------------------------------------


def test_a_saved_model_gives_the_same_scores(model, tmp_path):
    calibrated(model)
    expected = model.log_ratio(draw(3), TEXTS)
    model.save(tmp_path / "model", "# Card\n", {"auc": 0.9})
    loaded = load_language_image_model(tmp_path / "model")
    assert torch.equal(loaded.log_ratio(draw(3), TEXTS), expected)
    assert not loaded.training
    assert loaded.calibrated
    assert loaded.description == DESCRIPTION
    assert (tmp_path / "model" / "README.md").read_text() == "# Card\n"
    assert json.loads((tmp_path / "model" / "numbers.json").read_text()) == {"auc": 0.9}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_an_uncalibrated_model_stays_so(model, tmp_path):
    model.save(tmp_path / "model", "", {})
    loaded = load_language_image_model(str(tmp_path / "model"))
    assert not loaded.calibrated
    assert torch.equal(loaded.log_ratio(draw(3), TEXTS), model.log_ratio(draw(3), TEXTS))


@pytest.mark.parametrize("half", [False, True])
def test_the_table_is_stored_in_eight_bits(model, tmp_path, half):
    calibrated(model)
    expected = model.log_ratio(draw(3), TEXTS)
    model.float().save(tmp_path / "model", "", {}, half=half)
    stored = load_file(tmp_path / "model" / "weights.safetensors")
    assert stored["pair.text.table"].dtype == torch.int8
    assert stored["pair.text.table_scale"].dtype == torch.float16
    assert stored["pair.image.patches.weight"].dtype == (torch.float16 if half else torch.float32)
    assert stored["slope"].dtype == torch.float32
    loaded = load_language_image_model(tmp_path / "model")
    assert torch.allclose(loaded.log_ratio(draw(3), TEXTS), expected, atol=0.1 if half else 1e-6)


def test_saving_again_replaces_the_model_and_nothing_else(model, tmp_path):
    folder = tmp_path / "model"
    model.save(folder, "one", {})
    model.save(folder, "two", {})
    assert (folder / "README.md").read_text() == "two"
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(ConfigError, match="something else"):
        model.save(tmp_path / "home", "", {})
    assert (tmp_path / "home" / "letter.txt").read_text() == "dear"


def test_saving_that_fails_leaves_the_model_as_it_was(model, tmp_path):
    model.save(tmp_path / "model", "one", {})
    with pytest.raises(TypeError):
        model.save(tmp_path / "model", "two", {"auc": object()})
    assert (tmp_path / "model" / "README.md").read_text() == "one"
    load_language_image_model(tmp_path / "model")


@pytest.mark.parametrize("name", ["weights.safetensors", "model.json", "numbers.json"])
def test_a_damaged_or_missing_file_is_named(model, tmp_path, name):
    folder = tmp_path / "model"
    model.save(folder, "", {})
    path = folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{name}.*damaged"):
        load_language_image_model(folder)
    path.unlink()
    with pytest.raises(CheckpointError, match=name):
        load_language_image_model(folder)


def rewrite(folder, change):
    """Change model.json and keep the manifest true, as a person might."""
    from langrl.checkpoint import Checkpoint, read_checkpoint, write_checkpoint

    stored = read_checkpoint(folder)
    change(stored.documents, stored.tensors)
    write_checkpoint(folder, Checkpoint(stored.documents, stored.tensors))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d, t: d["model"].update(kind="pickle"), "no language-image model"),
        (lambda d, t: d.pop("model"), "no language-image model"),
        (lambda d, t: d.update(model=[1]), "no language-image model"),
        (lambda d, t: t.pop("weights"), "no language-image model"),
        (lambda d, t: d["model"].update(code="os.system"), "unknown key 'code'"),
        (lambda d, t: d["model"]["config"].update(embedding=-1), "embedding"),
        (lambda d, t: d["model"]["config"].update(embedding=8), "the weight"),
        (lambda d, t: t["weights"].pop("slope"), "slope"),
        (lambda d, t: t["weights"].pop("reference"), "reference"),
        (lambda d, t: t["weights"]["offset"].fill_(torch.nan), "offset is not finite"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(model, tmp_path, change, message):
    model.save(tmp_path / "model", "", {})
    rewrite(tmp_path / "model", change)
    with pytest.raises(CheckpointError, match=message) as error:
        load_language_image_model(tmp_path / "model")
    assert "\n" not in str(error.value)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="holds no model"):
        load_language_image_model(tmp_path)
    with pytest.raises(ConfigError, match="no folder"):
        load_language_image_model(tmp_path / "none")
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"manifest\.json is missing"):
        load_language_image_model(tmp_path)


def test_the_bundled_model_loads_or_says_what_to_do():
    folder = Path(language_image.__file__).parents[1] / BUNDLED
    if folder.is_dir():
        assert load_language_image_model(BUNDLED).calibrated
    else:
        with pytest.raises(ConfigError, match="no bundled language-image model"):
            load_language_image_model(BUNDLED)


def test_compact_models_need_no_sentence_transformers(model, tmp_path):
    model.save(tmp_path / "model", "", {})
    code = (
        "import sys, torch\n"
        "from langrl.models.language_image.model import load_language_image_model\n"
        f"model = load_language_image_model({str(tmp_path / 'model')!r})\n"
        "model.log_ratio(torch.zeros(1, 32, 32, 3, dtype=torch.uint8), 'go')\n"
        "assert not {'sentence_transformers', 'transformers'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
