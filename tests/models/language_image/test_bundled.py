"""The model in the wheel: it loads alone, is small, and is as good as its card says."""

import json
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from langrl.envs.grid.grammar import HELD_OUT_WORDS
from langrl.envs.grid.rooms import GRID_WORLDS
from langrl.evaluation.image_text import evaluate_worlds
from langrl.models.language_image.model import load_language_image_model

FOLDER = Path(str(resources.files("langrl.models"))) / "bundled"
ROOMS, SEED = 12, 4321  # of each world, and not of the card's seed
TOLERANCE = {"auc": 0.015, "auc_levels": 0.015, "ece": 0.015}  # room for fewer rooms


@pytest.fixture(scope="module")
def measured():
    model = load_language_image_model("bundled")
    return {row["phrasing"]: row for row in evaluate_worlds(model, list(GRID_WORLDS), ROOMS, SEED)}


def test_it_loads_without_sentence_transformers_and_without_a_network():
    code = """
import socket, sys
def refuse(*_, **__): raise OSError("no network in this test")
socket.socket.connect = refuse
sys.modules["sentence_transformers"] = None
from langrl.models.language_image.model import load_language_image_model
model = load_language_image_model("bundled")
import numpy as np
print(model.calibrated, float(model.log_ratio(np.zeros((1, 64, 64, 3), np.uint8), "a key").sum()))
assert sys.modules["sentence_transformers"] is None
"""
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert output.startswith("True ")
    assert np.isfinite(float(output.split()[1]))


def test_it_is_at_most_ten_megabytes():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 10_000_000


def test_its_card_names_the_preset_and_says_what_its_numbers_say():
    card = (FOLDER / "README.md").read_text()
    assert "langrl pretrain --config pretrain-bundled" in card
    numbers = json.loads((FOLDER / "numbers.json").read_text())
    for row in numbers["rows"]:
        row_of_card = re.search(rf"\| {row['phrasing'].replace('_', '-')} \|.*", card)
        assert row_of_card is not None
        assert f"{row['auc']:.3f}" in row_of_card[0]
        assert f"{row['ece']:.3f}" in row_of_card[0]


@pytest.mark.parametrize("phrasing", ["seen", "held_out"])
def test_its_cards_numbers_hold_on_fresh_rooms(measured, phrasing):
    numbers = json.loads((FOLDER / "numbers.json").read_text())
    (stored,) = (row for row in numbers["rows"] if row["phrasing"] == phrasing)
    for name, tolerance in TOLERANCE.items():
        assert measured[phrasing][name] == pytest.approx(stored[name], abs=tolerance), name


def test_it_knows_most_held_out_words(measured):
    words = {w: v for w, v in measured["held_out"]["words"].items() if w in HELD_OUT_WORDS}
    assert len(words) > 25
    assert np.mean([value > 0.8 for value in words.values()]) > 0.85
