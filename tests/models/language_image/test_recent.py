"""What stays in memory of embedded images is bounded in bytes, whatever the size of worlds."""

import numpy as np
import torch

from langrl.models.language_image import language as module
from langrl.models.language_image.language import ImageLanguage, RecentTensors
from langrl.models.language_image.model import load_language_image_model


def made(calls, name, numbers):
    def make():
        calls.append(name)
        return torch.full((numbers,), float(len(calls)))

    return make


def test_the_tensors_that_were_used_last_are_kept():
    kept, calls = RecentTensors(100), []  # bytes: of two tensors of 10 numbers with their keys
    for key in (b"a", b"b", b"a", b"c"):
        kept.get(key, made(calls, key, 10))
    assert calls == [b"a", b"b", b"c"]
    assert (len(kept), kept.bytes) == (2, 82)
    assert kept.get(b"a", made(calls, b"a", 10))[0] == 1  # b was the one that had to go
    kept.get(b"b", made(calls, b"b", 10))
    assert calls[3:] == [b"b"]


def test_one_that_is_larger_than_all_that_may_be_kept_is_kept_alone():
    kept, calls = RecentTensors(100), []
    kept.get(b"a", made(calls, b"a", 10))
    kept.get(b"b", made(calls, b"b", 1000))
    assert len(kept) == 1
    kept.get(b"b", made(calls, b"b", 1000))
    assert calls == [b"a", b"b"]
    kept.clear()
    assert (len(kept), kept.bytes) == (0, 0)


def test_many_worlds_take_no_more_than_is_kept(tiny_language, monkeypatch):
    monkeypatch.setattr(module, "_CACHED", 20_000)

    def render(observation, goals):
        return np.full((len(goals), 24, 24, 3), int(observation[0]) % 256, np.uint8)

    language = ImageLanguage(load_language_image_model(tiny_language), render)
    goals = torch.arange(60.0)[None, :, None]
    first = language.embed_goals(torch.tensor([[0.0]]), goals)
    for number in range(100):
        language.embed_goals(torch.tensor([[float(number)]]), goals)
        assert language._cache.bytes <= 20_000
    assert len(language._cache) < 15
    assert torch.allclose(first, language.embed_goals(torch.tensor([[0.0]]), goals))
