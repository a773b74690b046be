"""What stays in memory of embedded images is bounded in bytes, whatever the size of worlds."""

import numpy as np
import pytest
import torch

from langrl.models.language_image import language as module
from langrl.models.language_image.language import ImageLanguage
from langrl.models.language_image.model import load_language_image_model
from langrl.models.language_image.recent import RecentTensors


def made(calls, name, numbers):
    def make():
        calls.append(name)
        return torch.full((numbers,), float(len(calls)))

    return make


def test_the_tensors_that_were_used_of_late_are_kept():
    kept, calls = RecentTensors(200), []  # bytes: a block of 100 holds two tensors of 10 numbers
    for key in (b"a", b"b", b"c", b"a", b"d"):  # c begins the second block, where a is, too, now
        kept.get(key, made(calls, key, 10))
    assert calls == [b"a", b"b", b"c", b"d"]
    assert (len(kept), kept.used) == (3, 144)  # a, c and d; each takes 48, and a has gone ahead
    assert kept.get(b"a", made(calls, b"a", 10)).tolist() == [1.0] * 10
    assert kept.get(b"c", made(calls, b"c", 10)).tolist() == [3.0] * 10
    kept.get(b"b", made(calls, b"b", 10))
    assert calls[4:] == [b"b"]


def test_one_that_is_larger_than_all_that_may_be_kept_is_kept_alone():
    kept, calls = RecentTensors(100), []
    kept.get(b"a", made(calls, b"a", 10))
    for key in (b"b", b"c"):
        kept.get(key, made(calls, key, 1000))
    assert len(kept) == 2
    kept.get(b"c", made(calls, b"c", 1000))
    assert calls == [b"a", b"b", b"c"]
    kept.clear()
    assert (len(kept), kept.used) == (0, 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bool, torch.complex128])
def test_tensors_of_any_dtype_and_shape_come_back_as_they_were(dtype):
    kept = RecentTensors(1000)
    given = [torch.ones(shape, dtype=dtype) for shape in ((), (3,), (0, 4), (2, 1, 3))]
    for number, tensor in enumerate(given):
        kept.get(bytes([number]), lambda tensor=tensor: tensor)
    for number, tensor in enumerate(given):
        found = kept.get(bytes([number]), lambda: pytest.fail("made anew"))
        assert found.dtype == dtype
        assert torch.equal(found, tensor)


def test_what_a_caller_holds_stays_what_it_was_when_it_is_no_longer_kept():
    kept = RecentTensors(200)
    first = kept.get(b"0", lambda: torch.zeros(10))
    for number in range(1, 20):
        kept.get(bytes([number]), lambda: torch.ones(10))
    assert first.tolist() == [0.0] * 10


def test_many_worlds_take_no_more_than_is_kept(tiny_language, monkeypatch):
    monkeypatch.setattr(module, "_CACHED", 20_000)

    def render(observation, goals):
        return np.full((len(goals), 24, 24, 3), int(observation[0]) % 256, np.uint8)

    language = ImageLanguage(load_language_image_model(tiny_language), render)
    goals = torch.arange(60.0)[None, :, None]
    first = language.embed_goals(torch.tensor([[0.0]]), goals)
    for number in range(100):
        language.embed_goals(torch.tensor([[float(number)]]), goals)
        assert language._cache.used <= 20_000
    assert len(language._cache) < 15
    assert torch.allclose(first, language.embed_goals(torch.tensor([[0.0]]), goals))
