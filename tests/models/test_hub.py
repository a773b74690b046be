"""A hub that is away is asked once; what the hub would do is stood in for."""

import pytest

from langrl.errors import ConfigError
from langrl.models import hub
from langrl.models.encoders import load_sentence_transformer
from langrl.models.language_image.sentence_pair import load_pair

sentence_transformers = pytest.importorskip("sentence_transformers")


@pytest.fixture
def asked(monkeypatch):
    """A hub that is away, and the names that it was asked for."""
    import huggingface_hub

    names = []

    def away(self, name, timeout):
        names.append((name, timeout))
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", away)
    load_sentence_transformer.cache_clear()
    return names


@pytest.mark.parametrize("load", [load_sentence_transformer, load_pair])
@pytest.mark.parametrize("name", ["nowhere", "runs/nowhere"])
def test_a_hub_that_is_away_is_asked_once(load, name, asked):
    says = rf"no folder {name}, no such model in the local cache.*\(OSError: no route to host\)"
    with pytest.raises(ConfigError, match=says):
        load(name)
    assert asked == [(name, 10.0)]
    with pytest.raises(ConfigError, match=says):
        load(name)
    assert len(asked) == 2  # it may be back


@pytest.mark.parametrize("load", [load_sentence_transformer, load_pair])
@pytest.mark.parametrize("name", ["./nowhere", "/no/where", "a/b/c", "~/nowhere"])
def test_a_name_that_can_only_be_a_folder_is_not_asked_for(load, name, asked):
    with pytest.raises(ConfigError, match=f"no folder {name}"):
        load(name)
    assert asked == []


def test_a_cached_model_is_loaded_without_the_hub(asked, monkeypatch):
    given = []
    monkeypatch.setattr(
        sentence_transformers,
        "SentenceTransformer",
        lambda name, **options: given.append((name, options)) or "model",
    )
    assert hub.open_sentence_transformer("mine", model_kwargs={"a": 1}) == "model"
    assert given == [
        ("mine", {"device": "cpu", "local_files_only": True, "model_kwargs": {"a": 1}})
    ]


def test_a_hub_that_answers_is_used(monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: None)
    given = []
    monkeypatch.setattr(
        sentence_transformers,
        "SentenceTransformer",
        lambda name, **options: given.append(options["local_files_only"]),
    )
    hub.open_sentence_transformer("mine")
    assert given == [False]


def test_a_name_that_the_hub_does_not_take_is_an_answer():
    assert hub._why_away("a name with blanks") is None


def test_a_folder_needs_no_hub(asked, clip):
    assert load_pair(str(clip)) is not None
    assert asked == []
