import json

import numpy as np
import pytest
import torch

from langrl.checkpoint import MANIFEST
from langrl.evaluation.image_text import measure_understood
from langrl.grounding.candidates import ListedCandidates
from langrl.grounding.chooser import GoalChooser, TextCache
from langrl.grounding.language_critic import EmbeddedImages, learn_language
from langrl.grounding.stored import load_grounding, save_grounding
from langrl.grounding.understanding import learn_understanding, sample_texts, vary
from langrl.models.language_image.language import ImageLanguage
from langrl.models.language_image.model import load_language_image_model
from langrl.models.understanding import p_understood

GOALS = np.stack(np.meshgrid(np.arange(6.0), np.arange(6.0)), -1).reshape(-1, 2) + 0.5
PLAIN = ("go to row {}", "walk to row number {}", "find row {} please")


@pytest.fixture(scope="module")
def language():
    goals = GOALS.repeat(30, 0)
    texts = [PLAIN[n % 3].format(int(goal[0])) for n, goal in enumerate(goals)]
    return learn_language(goals, texts, steps=150, seed=0)


def test_what_was_learned_is_understood_and_other_texts_are_not(language):
    meant = p_understood(language, ["go to row 4", "please walk to row 2", "find row number 1"])
    other = p_understood(language, ["it will snow on Sunday", "où est la gare", "he sold a horse"])
    assert min(meant) > 0.5 > max(other)


def test_the_same_is_learned_from_the_same_texts(language):
    sample = sample_texts([PLAIN[n % 3].format(n % 6) for n in range(18)], seed=3)
    assert learn_understanding(language, sample) == learn_understanding(language, sample)
    assert sample == sample_texts([PLAIN[n % 3].format(n % 6) for n in range(18)], seed=3)
    assert not set(sample.meant) & set(sample.meaningless)


def test_weights_of_the_language_side_are_left_alone(language):
    before = {name: value.clone() for name, value in language.state_dict().items()}
    learn_understanding(language, sample_texts(["go to row 1", "go to row 2"]))
    assert all(torch.equal(before[n], v) for n, v in language.state_dict().items())


def test_too_few_texts_teach_nothing(language):
    assert sample_texts(["go to row 1"]) is None
    assert learn_understanding(language, None) is None


def test_texts_are_varied_and_still_have_most_of_their_words():
    generator, words = np.random.default_rng(0), {"walk", "row", "number", "three"}
    varied = [vary("walk to row number three", frozenset(words), generator) for _ in range(200)]
    assert len(set(varied)) > 100
    kept = np.mean([sum(word in text for word in words) for text in varied])
    assert 3 < kept < 4


def test_a_posterior_has_the_probability_of_its_text(language):
    text, candidates = "go to row 4", ListedCandidates(GOALS.astype(np.float32))
    expected = p_understood(language, [text])[0]
    chooser = GoalChooser(language, "max_goal", candidates)
    _, found = chooser.choose(np.zeros((2, 2), np.float32), [text] * 2, np.random.default_rng(0))
    assert [each.p_understood for each in found] == pytest.approx([expected] * 2, abs=1e-6)
    assert chooser.p_understood(text) == pytest.approx(expected, abs=1e-6)
    assert TextCache(object()).p_understood(text) is None


def test_a_stored_language_side_has_it_and_an_earlier_one_has_none(language, tmp_path):
    folder = tmp_path / "stored"
    candidates = ListedCandidates(GOALS.astype(np.float32))
    save_grounding(folder, language, "max_goal", candidates)
    save_grounding(folder, language, "max_goal", candidates)  # in its place
    assert load_grounding(folder)["language"].understanding == language.understanding
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["sha256"].pop("understood.json")
    (folder / MANIFEST).write_text(json.dumps(manifest))
    (folder / "understood.json").unlink()
    assert load_grounding(folder)["language"].understanding is None


def test_the_bundled_model_tells_a_question_from_an_instruction():
    model = load_language_image_model("bundled")
    side = ImageLanguage(model, render=lambda observation, goals: goals)
    told, untold = "go to the red ball", "will it snow in Paris tomorrow?"
    assert side.understanding == EmbeddedImages(model).understanding == model.understanding
    assert p_understood(side, [told])[0] > 0.9
    assert p_understood(side, [untold])[0] < 0.1
    assert p_understood(model, [told, untold]) == pytest.approx(p_understood(side, [told, untold]))


def test_it_is_measured_with_both_sorts_alike():
    found = measure_understood([0.9, 0.9, 0.9, 0.1], [0.1])
    assert found["auc"] == pytest.approx((3 + 0.5) / 4)
    # The bin of 0.1: half of a sort's weight 1/4 each of the meant, 1 of the others.
    assert found["ece"] == pytest.approx((0.75 * 0.1 + 1.25 * abs(0.1 - 0.25 / 1.25)) / 2)
