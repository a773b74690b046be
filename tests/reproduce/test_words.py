import json
from dataclasses import replace

import numpy as np
import pytest
from command_line import read_results
from PIL import Image

from langrl.data.word_sets import read_written
from langrl.errors import ConfigError
from langrl.reproduce import word_cells, words
from langrl.reproduce.arguments import WordsArguments
from langrl.reproduce.word_scores import (
    ScoredText,
    summarise_levels,
    summarise_understood,
    summarise_words,
)
from langrl.settings import with_changes
from langrl.tasks.presets import load_config

MAZE = {
    "data": {"num_trajectories": 20, "num_pairs": 60},
    "critic": {"embedding": 4, "width": 8, "depth": 1},
    "learner": {"batch_size": 8, "language_batch_size": 8, "steps": 2},
    "grounding": {"candidates": 20, "directions": 4},
}
TINY = {
    "street-blank": MAZE,
    "street-words": MAZE,
    "grid-all": {
        "data": {"rooms": 10, "trajectories_per_room": 2},
        "critic": {"embedding": 8, "channels": 8, "depth": 1, "width": 16},
        "learner": {"steps": 2, "rooms": 2, "states": 4, "warmup": 1},
    },
}


@pytest.fixture
def tiny(monkeypatch):
    """Agents that learn next to nothing, and few texts in the maze."""

    def load(name, kind):
        config = load_config(name, kind)
        changed = {
            field: with_changes(getattr(config, field), changes, field)
            for field, changes in TINY[name].items()
        }
        return config.model_copy(update=changed)

    monkeypatch.setattr(word_cells, "load_config", load)
    monkeypatch.setattr(word_cells, "_TEXTS_PER_KIND", 3)


def test_every_tower_has_a_row_for_every_group_of_texts(tiny, tiny_language, tmp_path, capsys):
    options = WordsArguments(
        out=tmp_path, seeds=1, worlds=("street-blank", "grid-goto"),
        languages=(str(tiny_language),), rooms=2, episodes=2, workers=1,
    )  # fmt: skip
    words.reproduce(options, "langrl reproduce words")
    results = read_results(tmp_path)
    rows = results["rows"]
    groups = {(row["world"], row["phrasing"]) for row in rows}
    phrasings = ("seen", "held_out", "development", "blind")
    assert groups == {(w, p) for w in ("street-blank", "grid-goto") for p in phrasings}
    levels = {row["level"] for row in rows if row["phrasing"] == "development"}
    assert {"negation", "spelling", "numbers_in_words", "contraction"} <= levels
    for row in rows:
        assert row["auc"] is None or 0 <= row["auc"] <= 1
        assert row["information_bits"] >= 0
        followed = row["log_sum_exp"], row["nearest_goal"]
        assert row["success"] == max(followed, key=lambda value: -1 if value is None else value)
    assert any(row["success"] is not None for row in rows if row["world"] == "grid-goto")
    assert all(row["success"] is not None for row in rows if row["world"] == "street-blank")
    measured = {row["phrasing"] for row in results["summary"] if row["understood_auc"] is not None}
    assert measured == {"development", "blind"}
    known = {row["world"] for row in results["summary"] if row["p_understood_auc"] is not None}
    assert "street-blank" in known
    assert {row["phrasing"] for row in results["words"]} == {"seen", "held_out", "development"}
    image = Image.open(tmp_path / "figures" / "words.png")
    assert np.asarray(image.convert("L")).std() > 5
    # No blind text is written or printed.
    said = capsys.readouterr().out + json.dumps(results)
    for stored in (tmp_path / "cells").iterdir():
        said += stored.read_text()
    told = sum(each.text in said for each in read_written("grid", "blind") if len(each.text) > 20)
    assert told == 0
    # What is measured is not measured again.
    words.reproduce(options, "langrl reproduce words")
    assert "cells are there already" in capsys.readouterr().out
    assert read_results(tmp_path)["rows"] == rows


def test_an_unknown_world_is_named(tmp_path):
    with pytest.raises(ConfigError, match="worlds: 'street-fork' is none of street-blank, grid-"):
        words.reproduce(WordsArguments(out=tmp_path, worlds=("street-fork",)), "")


def scored(level, auc, bits, probabilities, matches, words=()):
    return ScoredText(level, words, auc, bits, np.array(probabilities), np.array(matches))


def test_levels_and_words_are_summarised_by_hand():
    texts = [
        scored("plain", 1.0, 2.0, [1.0, 0.0], [True, False], ("red",)),
        scored("plain", 0.5, 1.0, [0.5, 0.5], [True, False], ("red", "orb")),
        scored("other", float("nan"), 0.0, [0.2, 0.2], [False, False]),
    ]
    plain, other = summarise_levels(texts)
    assert plain == {
        "level": "plain", "texts": 2, "auc": 0.75, "ece": 0.0, "information_bits": 1.5,
    }  # fmt: skip
    assert other["auc"] is None
    assert other["ece"] == pytest.approx(0.2)
    assert summarise_words(texts) == [
        {"word": "orb", "texts": 1, "auc": 0.5},
        {"word": "red", "texts": 2, "auc": 0.75},
    ]
    told = summarise_understood(texts[:2], texts[2:])
    assert told == {"auc": 1.0, "p_auc": None, "p_ece": None}


def test_what_is_understood_is_summarised_by_hand():
    told, untold = (
        [replace(scored("plain", 1.0, bits, [], []), understood=p) for bits, p in pairs]
        for pairs in ([(1.0, 0.9), (0.2, 0.9)], [(0.5, 0.1)])
    )
    found = summarise_understood(told, untold)
    assert (found["auc"], found["p_auc"]) == (0.5, 1.0)
    assert found["p_ece"] == pytest.approx(0.1)
