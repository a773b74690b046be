import numpy as np
import pytest
import torch
from pydantic import ValidationError
from small_runs import pretrain

from langrl.errors import CheckpointError, ConfigError, MissingExtraError
from langrl.models import encoders
from langrl.models.language_image.model import load_language_image_model
from langrl.tasks.language_image import frequent_words as words_list
from langrl.tasks.language_image.config import LanguageImageRunConfig
from langrl.tasks.language_image.frequent_words import frequent_words
from langrl.tasks.language_image.named_words import near_words_of, with_named_words
from langrl.tasks.presets import load_config


class Frozen:
    """A text model of 12 numbers: letters, counted in classes."""

    def get_embedding_dimension(self):
        return 12

    def encode(self, inputs, **options):
        counts = [np.bincount([ord(c) % 12 for c in one["text"]], minlength=12) for one in inputs]
        return torch.tensor(np.array(counts)).float()


@pytest.fixture
def named(monkeypatch):
    monkeypatch.setattr(encoders, "load_sentence_transformer", lambda name: Frozen())


def config(start, **changes):
    fields = {
        "worlds": ["goto"], "start": str(start), "train": "words", "words": "named", "steps": 2,
        "rooms_per_batch": 2, "images_per_room": 6, "texts_per_room": 3, "evaluation_rooms": 2,
        "model": {"text": {"width": 8}}, "logging": {"log_every": 2},
    }  # fmt: skip
    return LanguageImageRunConfig.model_validate(fields | changes)


def test_a_new_text_tower_is_trained_and_the_image_tower_stays(named, tiny_language, tmp_path):
    pretrain(config(tiny_language), tmp_path / "run", "langrl pretrain")
    start, model = (load_language_image_model(path) for path in (tiny_language, tmp_path / "run"))
    before, after = (m.pair.image.state_dict() for m in (start, model))
    assert all(torch.equal(before[name].half().float(), after[name]) for name in before)
    untrained, _ = with_named_words(config(tiny_language))
    head = model.pair.text.state_dict()
    assert any(not torch.equal(v.half().float(), head[n])
               for n, v in untrained.pair.text.state_dict().items())  # fmt: skip
    assert model.encode_text(["go to the red ball", "a key"]).shape == (2, 8)
    assert model.description.config.text.model == "named"
    card = (tmp_path / "run" / "model" / "README.md").read_text()
    assert "texts are embedded by named, frozen" in card
    assert not list((tmp_path / "run").rglob("*.pkl"))


def test_another_text_model_in_the_same_folder_is_refused(named, tiny_language, tmp_path):
    words = tmp_path / "words"
    words.mkdir()
    (words / "weights").write_text("one")
    model, _ = with_named_words(config(tiny_language, words=str(words)))
    model.save(tmp_path / "model", "", {})
    assert load_language_image_model(tmp_path / "model").description.text_sha256 is not None
    (words / "weights").write_text("other")
    with pytest.raises(CheckpointError, match=r"another model than .*words holds now; put"):
        load_language_image_model(tmp_path / "model")


def test_the_bundled_table_gives_words_that_replace_others_in_training_texts():
    near = near_words_of(load_language_image_model("bundled").pair.text)
    words, shares = near.near["purple"]
    assert "lilac" in words
    assert shares[-1] == pytest.approx(1.0)
    assert near_words_of(object()).near == {}


@pytest.mark.parametrize(
    "changes", [{"start": None}, {"words": None}, {"words": "compact"}, {"words": ""}]
)
def test_what_is_missing_is_named(changes):
    with pytest.raises(ValidationError, match=r"set start|at least 1 character"):
        LanguageImageRunConfig.model_validate({"train": "words", "start": "bundled"} | changes)


def test_a_text_model_that_is_not_there_is_named(tiny_language, tmp_path, monkeypatch):
    pytest.importorskip("sentence_transformers")
    with pytest.raises(ConfigError, match=r"no folder .*none; give a SentenceTransformer's folder"):
        with_named_words(config(tiny_language, words=str(tmp_path / "none")))
    monkeypatch.setitem(__import__("sys").modules, "sentence_transformers", None)
    with pytest.raises(MissingExtraError, match=r'pip install "langrl\[offline\]"'):
        with_named_words(config(tiny_language, words="another-name"))


def test_the_preset_keeps_the_bundled_image_tower():
    preset = load_config("pretrain-words", LanguageImageRunConfig)
    assert (preset.start, preset.train, preset.words) == ("bundled", "words", "all-MiniLM-L6-v2")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("größe 12\n".encode("latin-1"), "it is not UTF-8"),
        (b"one two three\n", "a line is not a word and its count"),
        (b"", "it has no words"),
    ],
)
def test_a_damaged_list_of_words_is_told_in_one_line(tmp_path, monkeypatch, content, problem):
    (tmp_path / words_list._FILE).write_bytes(content)
    monkeypatch.setattr(words_list.resources, "files", lambda package: tmp_path)
    with pytest.raises(ConfigError, match=f"damaged: {problem}.*; reinstall symspellpy"):
        frequent_words(10)
