import pytest
import torch
from torch import Generator

from langrl.errors import CheckpointError, InstructionError
from langrl.models.config import TextConfig
from langrl.models.critics import build
from langrl.models.critics.build import build_text_encoder, word_table_of
from langrl.models.encoders import CompactTextEncoder
from langrl.models.language_image.model import load_language_image_model
from langrl.models.word_front import (
    DistilledWords,
    SpellingCorrector,
    distilled_words,
    rows_of,
    spelling_neighbours,
)
from langrl.words import UNKNOWN

WORDS = ("upper", "lower", "topmost", "top", "row")


@pytest.fixture
def known():
    table = torch.tensor([[9, 1], [-9, 1], [9, 0], [9, 2], [0, 100]], dtype=torch.int8)
    return DistilledWords(WORDS, table, torch.full((5,), 0.5, dtype=torch.float16))


@pytest.fixture
def encoder(known):
    torch.manual_seed(0)
    config = TextConfig(width=8, unknown_rate=0.0, hidden_rate=0.5, words="distilled")
    made = CompactTextEncoder(("go", "top", "column"), 4, config, known)
    torch.nn.init.normal_(made.project.weight)
    return made


def test_a_misspelt_word_is_the_first_one_that_it_may_be():
    correct = SpellingCorrector({"door": 5, "doors": 3, "key": 0})
    assert correct("dooor") == 5
    assert correct("doord") == 3  # also one edit from "door", which comes later
    assert correct("kye") is None  # too short
    assert correct("window") is None
    assert "doro" in spelling_neighbours("door")


def test_rows_are_scaled_and_0_where_a_word_has_none(known):
    rows = rows_of(known.table, known.scale, torch.tensor([[3, -1]]), torch.zeros(1))
    assert rows.tolist() == [[[4.5, 1.0], [0.0, 0.0]]]


def test_a_word_is_its_own_or_in_the_table_or_corrected_or_unknown(encoder):
    own = 2 + 3
    texts = ["go", "top", "colmn", "topmost", "uper", "xyz"]
    numbers = [encoder.tokenise([text]).item() for text in texts]
    assert numbers == [2, 3, 4, own + 2, own + 0, UNKNOWN]


def test_words_of_like_rows_are_embedded_alike_once_their_own_part_is_hidden(encoder):
    top, topmost, lower, go = (encoder.tokenise([w]) for w in ("top", "topmost", "lower", "go"))
    hidden = torch.full_like(top, 5 + 3)  # the row of "top" alone
    embed = encoder._embed
    assert (embed(hidden) - embed(topmost)).norm() < (embed(lower) - embed(topmost)).norm()
    assert (embed(top) - embed(hidden)).norm() > 0
    without_row = encoder.words(go)
    assert torch.equal(embed(go), without_row)  # "go" is not in the table


def test_hiding_leaves_the_row_of_words_that_have_one(encoder):
    tokens = encoder.tokenise(["go top column"]).repeat(400, 1)
    corrupted = encoder.corrupt(tokens, Generator().manual_seed(0))
    assert torch.equal(corrupted[:, [0, 2]], tokens[:, [0, 2]])  # they have no row
    hidden = corrupted[:, 1] == 5 + 3
    assert hidden.float().mean().item() == pytest.approx(0.5, abs=0.1)
    assert torch.equal(corrupted[~hidden], tokens[~hidden])


def test_a_new_encoder_says_nothing_of_words_that_it_has_not_seen(known):
    encoder = CompactTextEncoder(("go",), 4, TextConfig(width=8, words="distilled"), known)
    one, other = encoder.encode(["go upper"]), encoder.encode(["go lower"])
    assert torch.equal(one, other)


def test_the_table_is_no_weight_and_is_not_stored(encoder):
    stored = set(encoder.state_dict())
    assert not {"table", "scale", "rows"} & stored
    assert "project.weight" in stored
    with pytest.raises(InstructionError):
        encoder.encode([""])


def test_the_bundled_table_is_the_one_of_the_bundled_model():
    known, tower = distilled_words(), load_language_image_model().pair.text
    assert known.words == tower.vocabulary
    assert torch.equal(known.table, tower.table)
    assert known.look_up("crimsn") == known.number["crimson"]
    assert known.look_up("qqzzqq") is None


def test_an_encoder_of_another_table_is_refused(monkeypatch, known):
    monkeypatch.setattr(build, "distilled_words", lambda: known)
    config = TextConfig(words="distilled")
    assert word_table_of(config) == known.digest
    assert word_table_of(TextConfig(words="own")) is None
    assert build_text_encoder(config, ("go",), 4, None, known.digest).project is not None
    with pytest.raises(CheckpointError, match="the word table of another langrl; install that"):
        build_text_encoder(config, ("go",), 4, None, "0" * 64)
