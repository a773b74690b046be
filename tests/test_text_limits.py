"""Texts longer than a model reads are refused everywhere: none is cut off without a word."""

import json
from dataclasses import replace
from functools import partial

import gymnasium as gym
import numpy as np
import pytest

from langrl.data.images.augment import NO_WORDS, NearWords
from langrl.data.state_text_pairs import maze_pairs
from langrl.envs.grid.grammar import write
from langrl.envs.grid.rooms import GRID_WORLDS
from langrl.envs.maze.world import StreetMaze
from langrl.envs.wrappers.instructions import AddInstruction, EmbedInstruction
from langrl.errors import ConfigError, InstructionError, LangRLError
from langrl.evaluation.image_text import sample_rooms
from langrl.grounding.language_critic import learn_language
from langrl.models.config import TextConfig
from langrl.models.encoders import PretrainedTextEncoder
from langrl.models.language_image.model import load_language_image_model
from langrl.tasks.language_image import run as pretraining
from langrl.tasks.language_image import sources
from langrl.tasks.language_image.config import LanguageImageRunConfig
from langrl.tasks.maze import run as maze
from langrl.tasks.maze.config import MazeRunConfig
from langrl.words import TokenLimit, WordLimit, split_words


def small(**changes):
    settings = {"words": None, "rooms_per_batch": 2, "images_per_room": 2, "texts_per_room": 4}
    return LanguageImageRunConfig.model_validate(settings | changes)


class Words:
    model_max_length = 8

    def __call__(self, text, truncation, verbose):
        assert not truncation
        return {"input_ids": [0] * (len(text.split()) + 2)}


class Tokeniser:
    """A SentenceTransformer of which only the limit is real: a token for each word, and two."""

    max_seq_length = 8
    tokenizer = Words()

    def encode(self, inputs, **options):
        return np.array([[len(inputs[0]["text"]), 1.0]], np.float32)

    def get_embedding_dimension(self):
        return 2


def test_a_text_beyond_the_words_that_are_learned_is_refused():
    goals, texts = np.float32([[0], [1]] * 8), ["go left", "go right"] * 8
    language = learn_language(goals, texts, steps=1, batch_size=4)
    please = "please " * 30
    assert language.encode_text([please + "go right"]).isfinite().all()
    with pytest.raises(InstructionError, match="33 words, of which the first 32 would be read"):
        language.encode_text(["please " + please + "go right"])
    with pytest.raises(InstructionError, match="raise max_words"):
        learn_language(goals, [please + " " + please + text for text in texts], steps=1)
    long = learn_language(
        goals,
        [please + please + text for text in texts],
        steps=1,
        batch_size=4,
        text=TextConfig(max_words=64),
    )
    left, right = (long.encode_text([please + please + f"go {way}"]) for way in ("left", "right"))
    assert (left - right).abs().max() > 0


def test_the_bundled_model_refuses_what_it_does_not_read():
    model = load_language_image_model("bundled")
    one, other = model.encode_text(["well " * 45 + "the red ball", "well " * 45 + "the blue key"])
    assert (one - other).abs().max() > 1e-3
    for what in ("the red ball", "the blue key"):
        with pytest.raises(InstructionError, match="49 words, of which the first 48 would be read"):
            model.encode_text("well " * 46 + what)


def test_a_named_model_refuses_more_tokens_than_it_reads():
    encoder = PretrainedTextEncoder("a stand-in", 4, TextConfig(), Tokeniser())
    with pytest.raises(InstructionError, match=r"9 tokens .* the first 8 would be read"):
        encoder.features(["go to the red ball or key"])
    env = AddInstruction(gym.make("CartPole-v1"), ["go to the red ball"])
    env = EmbedInstruction(env, Tokeniser())
    assert env.reset(seed=0)[0]["instruction"].tolist() == [18, 1]
    with pytest.raises(InstructionError, match="9 tokens"):
        env.reset(options={"instruction": "go to the red ball or key"})


def test_a_model_that_names_no_limit_has_none():
    assert TokenLimit(object())("word " * 150) is None


def test_an_encoder_of_ones_own_may_split_words_by_any_function():
    class Own:
        max_seq_length = 8
        tokenizer = staticmethod(str.split)

    assert TokenLimit(Own())("word " * 150) is None


@pytest.mark.parametrize("name", ["captions.jsonl", "captions.csv"])
def test_a_caption_that_is_too_long_is_refused_with_its_line_before_training(tmp_path, name):
    from PIL import Image

    pairs = [(f"{n}.png", f"number {n} " * (20 if n == 6 else 1)) for n in range(8)]
    for image, _ in pairs:
        Image.new("RGB", (24, 24)).save(tmp_path / image)
    lines = [json.dumps({"image": image, "text": text}) for image, text in pairs]
    if name.endswith("csv"):
        lines = ["image,text", *(",".join(pair) for pair in pairs)]
    (tmp_path / name).write_text("\n".join(lines))
    folder = {"folder": str(tmp_path), "image_size": 24}
    line = 8 if name.endswith("csv") else 7
    with pytest.raises(ConfigError, match=f"{name}, line {line}: the text has 40 words"):
        pretraining.build(small(**folder, model={"text": {"max_words": 20}}), tmp_path)
    assert len(pretraining.build(small(**folder), tmp_path).source.parts) == 3


# -- texts of our own -------------------------------------------------------------------------


def longest(texts):
    return max(len(split_words(text)) for text in texts)


@pytest.mark.parametrize("phrasing", ["seen", "held_out"])
def test_no_text_of_grid_worlds_is_longer_than_is_asked_of_a_model(phrasing):
    write_text = partial(write, phrasing=phrasing)
    samples = sample_rooms(list(GRID_WORLDS), 10, write_text, np.random.default_rng(0))
    assert longest(text for sample in samples for text in sample.texts) <= sources._LONGEST_TEXT
    assert small().model.text.max_words >= sources._LONGEST_TEXT


@pytest.mark.parametrize("phrasing", ["seen", "held_out"])
def test_no_text_of_mazes_is_longer_than_is_asked_of_a_model(phrasing):
    texts = maze_pairs(StreetMaze("fork"), 2000, np.random.default_rng(0), phrasing=phrasing).texts
    assert longest(texts) <= maze._LONGEST_TEXT <= TextConfig().max_words


def test_training_texts_that_are_too_long_are_drawn_again():
    texts = {"paraphrases": 1.0, "idle_words": 1.0, "asides": 1.0, "plain_until": 0.0}
    words = NearWords(NO_WORDS.near, tuple("abcdefgh"))
    source = sources.GridSource(small(texts=texts, texts_per_room=16), words)
    free, bound = source, source.for_reader(WordLimit(40))
    drawn = [[t for step in range(6) for t in s.draw(step).texts] for s in (free, bound)]
    assert longest(drawn[1]) <= 40
    tight = replace(source, limit=WordLimit(20))
    assert longest(tight.draw(0).texts) <= 20 < longest(drawn[0])


@pytest.mark.parametrize(
    ("build", "config", "says"),
    [
        (
            pretraining.build,
            small(model={"text": {"max_words": 20}}),
            "grid worlds have up to 40 words.*raise max_words",
        ),
        (
            maze.build,
            MazeRunConfig.model_validate(
                {"text": {"max_words": 8}, "data": {"num_trajectories": 2, "num_pairs": 4}}
            ),
            "mazes have up to 24 words.*raise max_words",
        ),
    ],
)
def test_a_model_that_reads_too_few_words_is_refused_before_training(build, config, says, tmp_path):
    with pytest.raises(LangRLError, match=says):
        build(config, tmp_path)
