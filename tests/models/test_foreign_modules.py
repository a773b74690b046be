"""A model's folder names the classes of its modules; only those of the library are loaded."""

import json
import shutil
import sys
from importlib import metadata

import pytest
from payloads import FOREIGN, STOWAWAY, stow

from langrl.errors import ConfigError, LangRLError, MissingExtraError
from langrl.models import hub
from langrl.models.encoders import load_sentence_transformer
from langrl.models.language_image.model import load_language_image_model
from langrl.models.language_image.sentence_pair import load_pair

pytest.importorskip("sentence_transformers")
LOADERS = {
    "text": lambda folder: load_sentence_transformer(str(folder)),
    "pair": lambda folder: load_pair(str(folder)),
    "language": load_language_image_model,
}


@pytest.fixture
def model(tmp_path, clip, monkeypatch):
    """A CLIP with a module of its own beside it, and where that would leave a file."""
    folder, canary = tmp_path / "model", tmp_path / "canary"
    shutil.copytree(clip, folder)
    stow(folder, STOWAWAY, canary)
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])  # as it might be found
    load_sentence_transformer.cache_clear()
    return folder, canary


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS)
def test_a_foreign_class_is_refused_by_name_and_not_imported(load, name, model):
    folder, canary = model
    (folder / "modules.json").write_text(json.dumps(FOREIGN[name]))
    with pytest.raises(ConfigError, match=r"modules\.json"):
        load(folder)
    assert not canary.exists()
    assert STOWAWAY not in sys.modules


def test_a_router_is_read_as_well(model):
    folder, _ = model
    (folder / "0_Router").mkdir()
    router = {"types": {"text": "stowaway.Module"}}
    (folder / "0_Router" / "router_config.json").write_text(json.dumps(router))
    with pytest.raises(ConfigError, match=r"router_config\.json names 'stowaway\.Module'"):
        load_pair(str(folder))


def test_a_list_of_modules_of_megabytes_is_not_read(model):
    folder, _ = model
    with (folder / "modules.json").open("wb") as file:
        file.truncate(1 << 40)  # sparse
    with pytest.raises(ConfigError, match="larger than 1 MB"):
        load_pair(str(folder))


def test_the_library_s_own_classes_are_taken(model):
    hub.check_modules(model[0])
    assert load_pair(str(model[0])) is not None


def test_an_older_library_is_refused(model, monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda _: "5.4.1")
    for load in LOADERS.values():
        with pytest.raises(LangRLError, match="need sentence-transformers 6") as caught:
            load(model[0])
        assert isinstance(caught.value, MissingExtraError)
