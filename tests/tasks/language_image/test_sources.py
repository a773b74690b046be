from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

from langrl.checkpoint import Checkpoint, write_checkpoint
from langrl.tasks.language_image import sources
from langrl.tasks.language_image.config import LanguageImageRunConfig
from langrl.tasks.language_image.run import word_table
from langrl.words import WordLimit, split_words

RED = {"thing": {"colour": "red", "type": None}}


def config(**texts):
    given = {"worlds": ["goto"], "words": None, "label_weight": 0.5, "steps": 10, "texts": texts}
    return LanguageImageRunConfig.model_validate(given | {"rooms_per_batch": 4})


def source(**texts):
    return sources.GridSource(config(plain_until=0.2, **texts))


def test_composed_texts_come_after_the_plain_ones_and_have_no_labels():
    drawn = [source(composed=1.0).draw(step) for step in (0, 1, 2, 9)]
    labelled = [(batch.meant >= 0).all() for batch in drawn]
    assert labelled == [True, True, False, False]
    assert all(batch.positives.any(1).all() for batch in drawn)
    assert (source().draw(9).meant >= 0).all()


def test_composed_texts_that_are_too_long_are_drawn_again():
    free = source(composed=1.0)
    bound = sources.GridSource(free.config, limit=WordLimit(12))
    for each, longest in ((free, 20), (bound, 12)):
        lengths = [len(split_words(text)) for step in range(2, 8) for text in each.draw(step).texts]
        assert (max(lengths) > 12) == (longest > 12)


def test_understanding_is_fitted_to_composed_texts_as_well(monkeypatch):
    numbers = count()
    monkeypatch.setattr(sources, "compose", lambda *given: (f"composed {next(numbers)}", RED))
    shares = [
        np.mean(["composed" in text for text in source(composed=share).understood_sample()[0]])
        for share in (0.0, 0.3)
    ]
    assert shares[0] == 0
    assert shares[1] == pytest.approx(0.3, abs=0.08)


def test_a_word_table_of_an_earlier_version_is_read(tmp_path: Path):
    stored = {
        "rows": torch.ones(2, 3),
        "embeddings": torch.ones(2, 4).half(),
        "colours": torch.zeros(2, 11),
    }
    write_checkpoint(
        tmp_path / "word_table", Checkpoint({"words": ["red", "ball"]}, {"table": stored})
    )
    table = word_table(LanguageImageRunConfig(), tmp_path)
    assert table is not None
    assert table.words == ("red", "ball")
    assert table.kinds.shape == (2, 0)
    assert table.coined == 0
