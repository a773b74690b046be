import pytest
import torch

from langrl.errors import InstructionError
from langrl.models.language_image.language import ImageLanguage
from langrl.models.language_image.model import load_language_image_model
from langrl.tasks.grid.agent import render_goals


@pytest.fixture
def language(tiny_language):
    return ImageLanguage(load_language_image_model(tiny_language), render_goals)


def test_a_text_is_embedded_once_for_all_agents(language, monkeypatch):
    first = language.encode_text(["a red ball"])
    monkeypatch.setattr(language.model, "encode_text", None)
    torch.testing.assert_close(language.encode_text(["a red ball"]), first, rtol=0, atol=0)


@pytest.mark.parametrize("hostile", [[{"text": "a key"}], [b"key"], [["a key"]], [""]])
def test_what_is_no_text_is_refused_whatever_was_embedded_before(language, hostile):
    language.encode_text(["a key"])
    with pytest.raises(InstructionError):
        language.encode_text(hostile)
