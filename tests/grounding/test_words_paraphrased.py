import numpy as np
import torch

from langrl.envs.goal_words import GoalWords
from langrl.envs.maze.cells import street_frame
from langrl.envs.maze.world import StreetMaze
from langrl.grounding.config import WordsConfig
from langrl.grounding.words import learn_words, load_words, store_words

QUICK = WordsConfig(pairs=300, steps=3, batch_size=16, text={"width": 8})


def learned(**changes):
    world = StreetMaze("blank")
    goals = world.sample_states(200, np.random.default_rng(0))
    words = GoalWords(street_frame(world))
    return words, learn_words(
        goals, words, WordsConfig.model_validate(QUICK.model_dump() | changes)
    )


def test_words_of_a_maze_are_learned_from_further_texts_where_that_is_asked():
    (_, plain), (_, further) = learned(), learned(paraphrases=0.8)
    assert len(further.description.vocabulary) > 2 * len(plain.description.vocabulary)
    assert "seven" in further.description.vocabulary


def test_a_language_side_with_the_word_table_is_stored_and_read_back(tmp_path):
    words, language = learned(text={"width": 8, "words": "distilled"})
    store_words(tmp_path / "words", words, language)
    _, again, _ = load_words(tmp_path / "words")
    texts = ["walk to the topmost row", "go to row 3", "strole to colmun 2", "ukn xq"]
    assert torch.equal(again.encode_text(texts), language.encode_text(texts))
    stored = sum(file.stat().st_size for file in (tmp_path / "words").iterdir())
    assert stored < 200_000  # the table is not in it
