import json

import numpy as np
import pytest
import torch

from langrl.envs.goal_words import GoalWords
from langrl.envs.maze.cells import CellFrame
from langrl.envs.regions import RegionFrame
from langrl.errors import CheckpointError, ConfigError, GroundingError, ShapeError
from langrl.evaluation.statistics import roc_auc
from langrl.grounding.config import GoalGroundingConfig, WordsConfig
from langrl.grounding.words import (
    build_words,
    describe_words,
    learn_words,
    learned_words,
    load_words,
    store_words,
)

QUICK = WordsConfig(pairs=2000, steps=3, batch_size=64)
MAZE = CellFrame(("#####", "#...#", "#.#.#", "#...#", "#####"), (1, 0), (0.5, 0.5), (1.5, 1.5), 2.0)


def reached(count, seed=0):
    """Places of a gripper as FetchReach has them: in metres, more in the middle than outside."""
    generator = np.random.default_rng(seed)
    apart = generator.uniform(-0.15, 0.15, (count, 3)) * generator.uniform(0, 1, (count, 1)) ** 0.5
    return (np.array([1.34, 0.75, 0.53]) + apart).astype(np.float32)


def reach_words(goals):
    return GoalWords(RegionFrame.of(goals, ("near-far", "right-left", "low-high")))


@pytest.fixture(scope="module")
def learned():
    goals = reached(5000)
    words = reach_words(goals)
    return words, learn_words(goals, words, WordsConfig(pairs=10_000, steps=250))


@torch.no_grad()
def scores(language, goals, text):
    """Return h [M] of goals [M, G]."""
    embedded = language.embed_goals(torch.zeros(1, 0), torch.from_numpy(goals)[None])[0]
    return language.score(embedded, language.encode_text([text]))[:, 0].numpy()


@pytest.mark.parametrize(("phrasing", "least"), [("seen", 0.95), ("held_out", 0.9)])
def test_the_language_side_tells_what_a_text_denotes(learned, phrasing, least):
    words, language = learned
    goals, generator = reached(2000, seed=1), np.random.default_rng(2)
    found = []
    for _ in range(60):
        text = words.draw_instruction(generator, phrasing=phrasing)
        found.append(roc_auc(scores(language, goals, text), words.denotation(goals, text)))
    assert np.mean(found) >= least


def test_the_best_goal_is_one_that_is_meant(learned):
    words, language = learned
    goals = reached(1000, seed=3)
    for text in ("go high on the left", "low and near", "very far away", "to the far right"):
        best = goals[scores(language, goals, text).argmax()]
        assert words.denotation(best[None], text)[0], text


def test_the_seed_decides_the_weights():
    goals = reached(100)
    words = reach_words(goals)
    one, two, other = (learn_words(goals, words, QUICK, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one if one[name].ndim)


@pytest.mark.parametrize(
    "change",
    [
        {"pairs": 2001}, {"steps": 4}, {"batch_size": 65}, {"learning_rate": 1e-3},
        {"kinds": ("half",)}, {"text": {"width": 32}},
    ],
)  # fmt: skip
def test_every_setting_changes_what_is_learned(change):
    goals = reached(100)
    words = reach_words(goals)
    changed = WordsConfig.model_validate(QUICK.model_dump() | change)
    before, after = (learn_words(goals, words, config).state_dict() for config in (QUICK, changed))
    assert before.keys() != after.keys() or any(
        before[name].shape != after[name].shape or not torch.equal(before[name], after[name])
        for name in before
    )


def test_axes_of_a_config_are_named():
    config = WordsConfig(axes=("left-right", "none"))
    assert config.named_axes == ("left-right", None)
    with pytest.raises(ValueError, match="no axis named 'left-rigth'; did you mean 'left-right"):
        WordsConfig(axes=("left-rigth",))
    assert GoalGroundingConfig().strategy == "nearest_goal"


@pytest.mark.parametrize("goals", [np.zeros((0, 3)), np.zeros(3)])
def test_without_goals_nothing_is_learned(goals):
    with pytest.raises(ShapeError, match=r"learned from goals \[M, G\]"):
        learn_words(goals, reach_words(reached(10)), QUICK)


@pytest.mark.parametrize("frame", [MAZE, reach_words(reached(50)).frame], ids=["cells", "regions"])
def test_words_are_the_same_after_their_description(frame):
    described = describe_words(GoalWords(frame))
    again = type(described).model_validate(json.loads(described.model_dump_json()))
    assert build_words(again).frame == frame


def test_a_frame_of_ones_own_is_not_stored():
    class Mine(CellFrame):
        pass

    with pytest.raises(GroundingError, match="Mine is a frame of your own"):
        describe_words(GoalWords(Mine(("..",))))


def test_what_is_stored_comes_back(tmp_path, learned):
    words, language = learned
    store_words(tmp_path / "words", words, language)
    found, again, _ = load_words(tmp_path / "words")
    goals, text = reached(200, seed=5), "travel low over the ground"
    np.testing.assert_array_equal(found.denotation(goals, text), words.denotation(goals, text))
    np.testing.assert_allclose(
        scores(again, goals, text), scores(language, goals, text), rtol=1e-4, atol=1e-4
    )
    store_words(tmp_path / "words", words, language)  # again: it is replaced


def test_what_was_learned_alike_is_not_learned_again(tmp_path, monkeypatch):
    goals = reached(100)
    words, folder = reach_words(goals), tmp_path / "words"
    learned_words(folder, goals, words, QUICK)
    digest = load_words(folder)[2]
    calls = []
    monkeypatch.setattr(
        "langrl.grounding.words.learn_words", lambda *given: calls.append(given) or learned
    )
    learned = learn_words(goals, words, QUICK)
    learned_words(folder, goals, words, QUICK)
    assert not calls
    for changed in ((goals[:50], words, QUICK, 0), (goals, words, QUICK, 1)):
        learned_words(folder, *changed)
        assert calls.pop()[0].shape == changed[0].shape
        assert load_words(folder)[2] != digest
    learned_words(None, goals, words, QUICK)
    assert calls


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda content: content | {"words": {"kind": "tones"}}, "words"),
        (lambda content: content | {"extra": 1}, "unknown key 'extra'"),
        (lambda content: content["words"].update(low=[3, 3, 3]) or content, "low below high"),
    ],
)
def test_a_damaged_folder_is_refused(tmp_path, damage, says):
    from langrl.checkpoint import Checkpoint, read_checkpoint, write_checkpoint

    goals = reached(100)
    folder = tmp_path / "words"
    store_words(folder, reach_words(goals), learn_words(goals, reach_words(goals), QUICK))
    held = read_checkpoint(folder)
    write_checkpoint(folder, Checkpoint({"words": damage(held.documents["words"])}, held.tensors))
    with pytest.raises(CheckpointError, match=says):
        load_words(folder)


def test_folders_of_something_else_are_neither_read_nor_replaced(tmp_path, learned):
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load_words(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds something else"):
        store_words(tmp_path, *learned)
