import builtins
import io
import os
import socket

import numpy as np
import pytest
import torch
from PIL import Image

from langrl.errors import ConfigError, InstructionError, NonFiniteError, ShapeError
from langrl.models.config import ImageTowerConfig, TextTowerConfig
from langrl.models.language_image.image_inputs import read_images, read_texts
from langrl.models.language_image.towers import (
    CompactImageTower,
    CompactTextTower,
    PretrainedTextTower,
    TowerPair,
)

IMAGE = ImageTowerConfig(channels=16, depth=2)
TEXT = TextTowerConfig(width=16, buckets=512, max_words=128)
TEXTS = ["go to the red ball", "the green key, please", "a box"]
WORDS = ("go", "to", "the", "red", "ball", "green", "key")
HOSTILE = ["", " \n\t", "row\x00 3", "row\x1b[2J", "row \ud800", "x" * 1001, None, 3, b"row 3"]


def draw(count, height=32, width=32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (count, height, width, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


@pytest.fixture
def image():
    torch.manual_seed(0)
    return CompactImageTower(8, IMAGE)


@pytest.fixture
def text():
    torch.manual_seed(0)
    tower = CompactTextTower(WORDS, 8, TEXT, table_width=5)
    tower.set_table(torch.randn(len(WORDS), 5))
    return tower


# -- images --------------------------------------------------------------------------------


def kinds_of_image():
    tensor = draw(3)
    array = tensor.numpy()
    images = [Image.fromarray(image) for image in array]
    read_only = array.copy()
    read_only.setflags(write=False)
    return tensor, {
        "tensor": tensor,
        "array": array,
        "read-only": read_only,
        "strided": np.ascontiguousarray(array[:, ::-1])[:, ::-1],
        "floats": array / 255,
        "float32": torch.from_numpy(array / 255).float(),
        "images": images,
        "arrays": list(array),
        "tensors": tuple(tensor),
        "mixed": [images[0], array[1], tensor[2] / 255],
    }


@pytest.mark.parametrize("kind", kinds_of_image()[1])
def test_images_of_any_kind_are_read_alike(kind):
    expected, kinds = kinds_of_image()
    read = read_images(kinds[kind])
    assert read.dtype == torch.uint8
    assert torch.equal(read, expected)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1"])
def test_an_image_is_one_image_in_colour(mode):
    grey = Image.new("RGB", (24, 40), (255, 255, 255)).convert(mode)
    assert torch.equal(read_images(grey), torch.full((1, 40, 24, 3), 255, dtype=torch.uint8))


def test_a_single_array_is_one_image():
    assert read_images(draw(1)[0]).shape == (1, 32, 32, 3)
    assert read_images(draw(1)[0].numpy()).shape == (1, 32, 32, 3)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 3, 32, 32, dtype=torch.uint8), r"last axis"),
        (np.zeros((2, 32, 32, 4), np.uint8), r"\[M, H, W, 3\]"),
        (np.zeros((32, 32), np.uint8), r"\[M, H, W, 3\]"),
        (np.zeros((2, 32, 32, 3), np.int64), r"got int64"),
        (np.zeros((2, 32, 32, 3), bool), r"got bool"),
        (np.zeros((2, 32, 32, 3), object), r"got object"),
        (torch.zeros(2, 32, 32, 3, dtype=torch.int32), r"got int32"),
        (torch.full((1, 32, 32, 3), 255.0), r"divide by 255"),
        (np.full((1, 32, 32, 3), -0.1), r"in \[0, 1\], got -0.1"),
        ([], r"empty"),
        ([np.zeros((32, 32, 3), np.uint8), np.zeros((32, 40, 3), np.uint8)], r"image 1 is"),
        ([np.zeros((1, 32, 32, 3), np.uint8)], r"image 0 is"),
        ("image.png", r"got str"),
        (["image.png"], r"got str"),
        (None, r"got NoneType"),
        (Image.new("F", (32, 32)), r"mode F"),
        (Image.new("I", (32, 32)), r"mode I"),
    ],
)
def test_what_is_no_image_is_refused(images, message):
    with pytest.raises(ShapeError, match=message) as error:
        read_images(images)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_image_that_is_not_finite_is_refused(value):
    image = np.zeros((1, 32, 32, 3))
    image[0, 3, 4, 1] = value
    with pytest.raises(NonFiniteError):
        read_images(image)


@pytest.mark.parametrize("size", [(24, 24), (24, 256), (256, 24), (64, 64), (40, 56)])
def test_images_of_many_sizes_give_unit_embeddings(image, size):
    embedded = image(draw(3, *size))
    assert embedded.shape == (3, 8)
    assert torch.allclose(embedded.norm(dim=1), torch.ones(3), atol=1e-5)


@pytest.mark.parametrize("size", [(16, 32), (32, 16), (36, 32), (32, 264), (264, 264), (0, 32)])
def test_a_size_that_does_not_fit_is_refused(image, size):
    with pytest.raises(ShapeError, match=rf"{size[0]} x {size[1]}.*24 to 256.*multiples of 8"):
        image(draw(1, *size))


def test_no_images_have_no_embeddings(image):
    assert image(draw(0)).shape == (0, 8)


def test_floats_are_embedded_as_bytes(image):
    assert torch.equal(image(draw(2) / 255), image(draw(2)))


def test_a_image_has_its_embedding_whatever_is_beside_it(image):
    together = image(draw(4))
    assert torch.allclose(together[2:3], image(draw(4)[2:3]), atol=1e-5)


def test_a_tile_says_where_it_is(image):
    images = torch.zeros(2, 64, 64, 3, dtype=torch.uint8)
    images[0, :8, :8, 0] = 255
    images[1, 24:32, 24:32, 0] = 255
    one, two = image(images)
    assert (one - two).norm() > 1e-3


# -- texts -----------------------------------------------------------------------------------


def test_texts_give_unit_embeddings(text):
    embedded = text.encode(TEXTS)
    assert embedded.shape == (3, 8)
    assert torch.allclose(embedded.norm(dim=1), torch.ones(3), atol=1e-5)
    assert torch.pdist(embedded).min() > 1e-2


def test_a_single_text_is_one_text(text):
    assert read_texts("a box") == ["a box"]
    assert torch.equal(text.encode("a box"), text.encode(["a box"]))


def test_no_texts_have_no_embeddings(text):
    assert text.encode([]).shape == (0, 8)
    with torch.no_grad():
        assert text.eval().encode([]).shape == (0, 8)


@pytest.mark.parametrize("training", [True, False])
def test_padding_does_not_change_an_embedding(text, training):
    text.train(training)
    with torch.set_grad_enabled(training):
        together = text.encode(TEXTS)
        for row, alone in enumerate(TEXTS):
            assert torch.allclose(together[row], text.encode(alone)[0], atol=1e-5)


def test_what_texts_are_embedded_with_does_not_change_them(text, monkeypatch):
    generator = np.random.default_rng(0)
    texts = [" ".join(generator.choice(WORDS, n)) for n in generator.integers(1, 20, 30)]
    together = text.encode(texts)
    monkeypatch.setattr("langrl.models.language_image.towers._TOGETHER", 4)
    assert torch.allclose(text.encode(texts), together, atol=1e-5)


def test_tokens_are_words_and_trigrams(text):
    tokens = text.tokenise(["Go zork", "a"])
    assert tokens["words"].tolist() == [[2, 1], [1, 0]]
    assert tokens["trigrams"].shape == (2, 2, 12)
    assert (tokens["trigrams"] > 0).sum(2).tolist() == [[0, 4], [1, 0]]  # of unknown words only
    assert tokens["trigrams"].max() <= 512


def test_trigrams_are_the_same_in_every_process():
    # crc32 of "<re", "red" and "ed>", each modulo 512, and 1 for the padding
    tokens = CompactTextTower((), 8, TEXT).tokenise("red")
    assert tokens["trigrams"][0, 0, :3].tolist() == [326, 400, 466]


def test_a_misspelt_word_shares_trigrams_with_it_alone(text):
    def parts(word):
        return set(text.tokenise(word)["trigrams"].flatten().tolist()) - {0}

    assert len(parts("purple") & parts("purpel")) >= 3
    assert len(parts("purple") & parts("yellow")) <= 1


def test_unknown_words_differ_by_their_trigrams(text):
    one, two = text.encode(["go to zork", "go to quux"])
    assert (one - two).norm() > 1e-3


def test_the_order_of_words_matters(text):
    one, two = text.encode(["red ball green key", "green ball red key"])
    assert (one - two).norm() > 1e-3


def test_case_and_spaces_do_not_change_an_embedding(text):
    assert torch.equal(text.encode("Go  to\tTHE ball"), text.encode("go to the ball"))


def test_longer_texts_than_are_read_are_refused_and_trigrams_cut_off():
    tower = CompactTextTower((), 8, TEXT.model_copy(update={"max_words": 2}))
    assert tower.encode(["go to", "go"]).isfinite().all()
    with pytest.raises(InstructionError, match="has 4 words, of which the first 2 would be read"):
        tower.encode(["go to", "go to the ball"])
    assert tower.tokenise("x" * 1000)["trigrams"].shape == (1, 1, 12)


def test_without_a_table_there_is_nothing_to_project():
    tower = CompactTextTower((), 8, TEXT)
    assert tower.project is None
    assert tower.encode(TEXTS).isfinite().all()


def test_the_table_is_frozen_and_close_to_what_was_given(text):
    rows = 0.01 * torch.randn(len(WORDS), 5, generator=torch.Generator().manual_seed(1))
    rows[3] *= 50  # each row has a scale of its own
    text.set_table(rows)
    kept = text._rows(torch.arange(2, 2 + len(WORDS)).unsqueeze(0))[0]
    assert kept.square().mean().sqrt() == pytest.approx(1, rel=0.01)
    wanted = rows / rows.square().mean().sqrt()
    assert ((kept - wanted).abs() <= wanted.abs().amax(1, keepdim=True) * 0.006).all()
    assert text.table.dtype == torch.int8
    assert not {"table", "table_scale"} & {name for name, _ in text.named_parameters()}


def test_unknown_words_and_padding_have_no_row(text):
    assert not text._rows(torch.tensor([[0, 1]])).any()


def test_the_table_matters_to_an_embedding(text):
    before = text.encode(["go", "zork"])
    text.set_table(torch.randn(len(WORDS), 5))
    after = text.encode(["go", "zork"])
    assert (before - after)[0].norm() > 1e-3
    assert torch.equal(before[1], after[1])


def test_a_table_of_zeros_is_kept(text):
    text.set_table(torch.zeros(len(WORDS), 5))
    assert text.encode(TEXTS).isfinite().all()


def test_a_table_that_does_not_fit_is_refused(text):
    with pytest.raises(ShapeError, match=r"\[7, 5\], got rows \[6, 5\]"):
        text.set_table(torch.zeros(6, 5))
    with pytest.raises(NonFiniteError):
        text.set_table(torch.full((7, 5), torch.nan))


@pytest.mark.parametrize("hostile", HOSTILE, ids=repr)
def test_what_is_no_instruction_is_refused(text, hostile):
    with pytest.raises(InstructionError):
        text.encode(["go", hostile])


@pytest.mark.parametrize("odd", ["?", "_", "½", "é", "🙂", "row_3", "x" * 1000, "3 " * 128])
def test_any_text_has_an_embedding(text, odd):
    assert text.encode(odd).isfinite().all()


def test_nothing_in_a_text_is_opened(text, tmp_path, monkeypatch):
    image = tmp_path / "image.png"
    Image.new("RGB", (8, 8)).save(image)

    def refuse(*arguments, **settings):
        raise AssertionError(f"opened {arguments}")

    texts = ["https://example.com/x.png", f"file://{image}", str(image), "/etc/passwd"]
    text.encode(TEXTS)
    with monkeypatch.context() as closed:
        for module, name in [
            (builtins, "open"), (io, "open"), (os, "open"), (Image, "open"),
            (socket, "socket"), (socket, "getaddrinfo"),
        ]:  # fmt: skip
            closed.setattr(module, name, refuse)
        embedded = text.encode(texts)
    assert embedded.isfinite().all()


# -- both ------------------------------------------------------------------------------------


def test_gradients_reach_every_weight_of_both_towers(image, text):
    pair = TowerPair(image, text)
    (pair.image_embeddings(draw(3)) @ pair.text_embeddings(TEXTS).mT).square().sum().backward()
    for name, parameter in pair.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    "change", [{"patch": 4}, {"channels": 24}, {"depth": 3}, {"depth": 0}, {"queries": 2}]
)
def test_every_setting_of_the_image_tower_has_an_effect(image, change):
    other = CompactImageTower(8, IMAGE.model_copy(update=change))
    assert other(draw(2)).shape == (2, 8)
    shapes = [[tuple(p.shape) for p in tower.parameters()] for tower in (image, other)]
    assert shapes[0] != shapes[1]


@pytest.mark.parametrize(
    "change",
    [{"width": 24}, {"depth": 1}, {"depth": 0}, {"queries": 2}, {"buckets": 64}, {"max_words": 9}],
)
def test_every_setting_of_the_text_tower_has_an_effect(text, change):
    other = CompactTextTower(WORDS, 8, TEXT.model_copy(update=change), table_width=5)
    assert other.encode(TEXTS).shape == (3, 8)
    shapes = [[tuple(p.shape) for p in tower.parameters()] for tower in (text, other)]
    assert shapes[0] != shapes[1]


# -- a named text model ----------------------------------------------------------------------


class Backbone:
    """Stands in for a SentenceTransformer."""

    def __init__(self):
        self.inputs = []

    def get_embedding_dimension(self):
        return 5

    @torch.inference_mode()
    def encode(self, inputs, **settings):
        self.inputs += inputs
        return torch.stack([torch.full((5,), float(len(item["text"]))).sin() for item in inputs])


def test_a_named_text_model_gives_unit_embeddings_and_is_asked_once():
    backbone = Backbone()
    tower = PretrainedTextTower(8, TextTowerConfig(model="fake", width=16), backbone)
    embedded = tower.encode(TEXTS)
    assert embedded.shape == (3, 8)
    assert torch.allclose(embedded.norm(dim=1), torch.ones(3), atol=1e-5)
    assert torch.equal(tower(tower.tokenise(TEXTS)), embedded)
    assert backbone.inputs == [{"text": text} for text in TEXTS]


def test_a_named_text_model_that_is_not_there_is_refused(tmp_path):
    pytest.importorskip("sentence_transformers")
    with pytest.raises(ConfigError, match="no folder"):
        PretrainedTextTower(8, TextTowerConfig(model=str(tmp_path / "none")))
