from functools import partial

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv
from gymnasium.wrappers import TransformObservation
from minigrid.wrappers import ImgObsWrapper
from wrapped_environments import (
    TEXTS,
    TOKENISER,
    URL,
    cart,
    encode,
    equal,
    is_there,
    left_or_right,
    place_goals,
    refused,
    small_maze,
    text_cart,
)

from langrl.envs.wrappers.instructions import AddInstruction, EmbedInstruction, TokenizeInstruction
from langrl.errors import (
    ConfigError,
    GroundingError,
    InstructionError,
    LangRLError,
    NonFiniteError,
    ShapeError,
)
from langrl.words import WordTokeniser

# -- AddInstruction ------------------------------------------------------------------------------


def test_an_instruction_is_drawn_of_the_list_at_each_reset():
    env = text_cart()
    texts = [env.reset(seed=seed)[0]["instruction"] for seed in range(30)]
    assert set(texts) == set(TEXTS)
    observation, _ = env.reset(seed=3)
    assert observation["instruction"] == texts[3]
    assert env.step(0)[0]["instruction"] == texts[3]


def test_a_function_writes_an_instruction_for_what_is_observed():
    env = text_cart(left_or_right)
    for seed in range(8):
        observation, _ = env.reset(seed=seed)
        right = observation["observation"][0] > 0
        assert observation["instruction"] == ("go right" if right else "go left")
    env.observation_space.seed(0)
    samples = {env.observation_space["instruction"].sample() for _ in range(20)}
    assert samples == {"go left", "go right"}


def test_a_function_may_hand_on_a_mission_that_the_environment_has():
    def make():
        base = ImgObsWrapper(gymnasium.make("MiniGrid-Fetch-5x5-N2-v0"))
        return AddInstruction(base, lambda seen, generator: base.unwrapped.mission)

    env, envs = make(), SyncVectorEnv([make] * 6)
    missions = []
    for seed in range(6):
        missions.append(env.reset(seed=seed)[0]["instruction"])
        assert missions[-1] == env.unwrapped.mission
    assert len(set(missions)) > 1
    assert envs.reset(seed=0)[0]["instruction"] == tuple(missions)


def test_reset_takes_an_instruction_and_hands_other_options_on():
    env = text_cart()
    options = {"instruction": "stay", "low": -0.001, "high": 0.001}
    observation, _ = env.reset(seed=0, options=options)
    assert observation["instruction"] == "stay"
    assert np.abs(observation["observation"]).max() <= 0.001
    assert options == {"instruction": "stay", "low": -0.001, "high": 0.001}


def test_without_a_denotation_reward_and_end_are_the_environments_own():
    env, bare = text_cart(), cart()
    observation, info = env.reset(seed=0)
    seen, _ = bare.reset(seed=0)
    assert np.array_equal(observation["observation"], seen)
    assert "is_success" not in info
    terminated = False
    while not terminated:
        (observation, *told), (seen, *own) = env.step(1), bare.step(1)
        assert np.array_equal(observation["observation"], seen)
        assert told == own
        terminated = told[1]
    assert told[0] == 1


def denoted_cart(instruction, denotation=is_there):
    env = text_cart(goals=place_goals(), denotation=denotation)
    _, info = env.reset(seed=0, options={"instruction": instruction, "low": 0, "high": 0})
    assert info["is_success"] is False
    return env


def test_with_a_denotation_an_episode_ends_where_the_instruction_is_satisfied():
    env = denoted_cart("go right, far")
    for _ in range(60):
        observation, reward, terminated, _, info = env.step(1)
        there = observation["observation"][0] > 0.1
        assert info["is_success"] is bool(there)
        assert reward == float(there)
        if there or terminated:
            break
    assert terminated


def test_with_a_denotation_the_environments_own_reward_is_0():
    env = denoted_cart("go left")
    _, reward, terminated, _, info = env.step(1)  # which moves it to the right at the next step
    assert (reward, terminated, info["is_success"]) == (0.0, False, False)


@pytest.mark.parametrize("denotation", [is_there, lambda goals, text: None])
def test_text_that_is_not_understood_is_satisfied_nowhere(denotation):
    env = denoted_cart("sing", denotation)
    for _ in range(5):
        _, reward, terminated, _, info = env.step(1)
        assert (reward, terminated, info["is_success"]) == (0.0, False, False)


@pytest.mark.parametrize("text", ["", " ", "x" * 1001, "row\x00 3", 3, ["go left"]], ids=repr)
def test_what_is_no_instruction_is_refused_and_the_episode_goes_on(text):
    env, same = text_cart(), text_cart()
    for each in (env, same):
        each.reset(seed=0)
        each.step(0)
    with pytest.raises(InstructionError):
        env.reset(options={"instruction": text})
    assert equal(env.step(1), same.step(1))


def test_what_a_function_writes_is_checked():
    with pytest.raises(InstructionError, match="got int"):
        text_cart(lambda seen, generator: 3).reset(seed=0)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: text_cart([]), InstructionError, "a list of texts, at least one"),
        (lambda: text_cart("go left"), InstructionError, "a list of texts"),
        (
            lambda: text_cart(None),
            InstructionError,
            "a list of texts, at least one; or a function",
        ),
        (lambda: text_cart({"go left"}), InstructionError, "a list of texts"),
        (lambda: text_cart(["go left", 3]), InstructionError, "got int"),
        (lambda: text_cart(["go left", ""]), InstructionError, "empty"),
        (lambda: AddInstruction(small_maze(), TEXTS), InstructionError, "has instructions already"),
        (lambda: AddInstruction(text_cart(), TEXTS), InstructionError, "reset.options="),
        (lambda: text_cart(denotation=is_there), GroundingError, "pass goals=.*BoxGoals"),
        (
            lambda: text_cart(goals=[1, 2]),
            GroundingError,
            "list does not say: it needs space",
        ),
        (
            lambda: text_cart(goals=place_goals(), denotation=["left"]),
            GroundingError,
            "denotation is a function",
        ),
        (
            lambda: denoted_cart("go left", lambda goals, text: True).step(0),
            ShapeError,
            r"denotation gives \[\] for goals \[1, 1\]",
        ),
        (
            lambda: denoted_cart("go left", lambda goals, text: 0.1 * np.ones(len(goals))),
            ShapeError,
            "as float64; let it return bool",
        ),
    ],
)
def test_wrong_instructions_goals_or_denotations_are_refused(make, error, says):
    refused(make, error, says)


# -- EmbedInstruction ----------------------------------------------------------------------------


class Encoder:
    """Stands in for any object with encode_text, and notes what it is asked."""

    def __init__(self, shape=(3,)):
        self.asked, self.shape = [], shape

    def encode_text(self, texts):
        self.asked += texts
        return torch.full((len(texts), *self.shape), 2.0, requires_grad=True)

    def encode(self, inputs):
        raise AssertionError("encode_text comes first")


class Sentences:
    """Stands in for a SentenceTransformer, and notes what it is asked."""

    def __init__(self):
        self.asked = []

    def encode(self, inputs, show_progress_bar=None):
        self.asked += inputs
        return encode([each["text"] for each in inputs])


def test_each_text_is_encoded_once():
    encoder = Encoder()
    env = EmbedInstruction(text_cart(), encoder)
    for seed in range(20):
        env.reset(seed=seed)
        env.step(0)
    assert set(TEXTS) <= set(encoder.asked)
    assert len(encoder.asked) == len(set(encoder.asked))
    env.reset(options={"instruction": "go to the goal"})  # of which the width was learned
    assert len(encoder.asked) == len(set(encoder.asked))


@pytest.mark.parametrize("shape", [(3,), (2, 3), (1, 1)])
def test_embeddings_are_vectors_however_an_encoder_arranges_them(shape):
    env = EmbedInstruction(text_cart(), Encoder(shape))
    observation, _ = env.reset(seed=0)
    assert observation["instruction"].tolist() == [2.0] * int(np.prod(shape))
    assert env.observation_space["instruction"].shape == (int(np.prod(shape)),)
    assert observation["instruction"].dtype == np.float32


@pytest.mark.parametrize(
    "encoder",
    [
        encode,
        Sentences(),
        lambda texts: torch.from_numpy(encode(texts)).bfloat16(),
        lambda texts: encode(texts).tolist(),
        lambda texts: encode(texts).astype(np.float64),
        lambda texts: encode(texts).astype(int),
    ],
)
def test_functions_and_sentence_transformers_are_encoders(encoder):
    env = EmbedInstruction(text_cart(), encoder)
    observation, _ = env.reset(options={"instruction": "go on"})
    assert observation["instruction"].tolist() == [5, 2, 1]
    assert observation["instruction"].dtype == np.float32


@pytest.mark.parametrize(
    "text", [URL, "/etc/passwd", "file:///etc/passwd", "data:image/png;base64,"]
)
def test_a_text_that_looks_like_an_address_is_only_ever_a_text(text):
    encoder = Sentences()
    EmbedInstruction(text_cart(), encoder).reset(options={"instruction": text})
    assert encoder.asked[-1] == {"text": text}
    assert all(isinstance(each, dict) for each in encoder.asked)


def test_a_sentence_transformer_embeds_instructions(clip):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(clip), device="cpu")
    env = EmbedInstruction(text_cart(), model)
    expected = model.encode([{"text": "go to the red ball"}])[0]
    observation, _ = env.reset(options={"instruction": "go to the red ball"})
    assert np.array_equal(observation["instruction"], expected)
    env.reset(options={"instruction": URL})


def test_a_critics_text_encoder_embeds_instructions(make_critics):
    _, language = make_critics()
    env = EmbedInstruction(small_maze(), language)
    observation, _ = env.reset(options={"instruction": "row 3"})
    with torch.no_grad():
        expected = language.encode_text(["row 3"])[0].flatten()
    assert np.array_equal(observation["instruction"], expected.numpy())


def test_what_else_is_observed_is_kept():
    env = gymnasium.make("CartPole-v1")
    space = spaces.Dict(
        {
            "observation": env.observation_space,
            "instruction": spaces.Text(1000),
            "battery": spaces.Box(0, 1, (1,), np.float32),
        }
    )
    told = TransformObservation(env, partial(_with_battery, "go left"), space)
    env = EmbedInstruction(told, encode)
    observation, _ = env.reset(seed=0)
    assert observation.keys() == env.observation_space.spaces.keys()
    assert observation in env.observation_space


def _with_battery(text, seen):
    return {"observation": seen, "instruction": text, "battery": np.ones(1, np.float32)}


def test_an_observation_that_is_changed_changes_no_later_one():
    env = EmbedInstruction(text_cart(["go left"]), encode)
    first, _ = env.reset(seed=0)
    first["instruction"][:] = 0
    assert env.step(0)[0]["instruction"].tolist() == [7, 1, 1]


def widening(texts):
    """An encoder whose width depends on the text."""
    return np.zeros((len(texts), len(texts[0])))


def embed_with(encoder, text="go left"):
    EmbedInstruction(text_cart(), encoder).reset(seed=0, options={"instruction": text})


@pytest.mark.parametrize(
    ("encoder", "error", "says"),
    [
        (widening, ShapeError, "gave 7 numbers, and 14 before.*keep their width"),
        ("all-MiniLM-L6-v2", ShapeError, "'all-MiniLM-L6-v2' only names a text encoder; load it"),
        (Sentences, ShapeError, "'Sentences' only names a text encoder"),
        (None, ShapeError, "NoneType encodes no texts; give something with encode_text"),
        (lambda texts: np.zeros(3), ShapeError, r"gives \[3\] for a list of 1 text"),
        (lambda texts: np.zeros((2, 3)), ShapeError, r"gives \[2, 3\] for a list of 1 text"),
        (lambda texts: np.zeros((1, 0)), ShapeError, r"\[1, 0\]"),
        (lambda texts: texts, ShapeError, "gives no array of numbers, but list"),
        (lambda texts: None, LangRLError, "the text encoder gives"),
        (lambda texts: np.full((1, 3), np.inf), NonFiniteError, "not finite"),
    ],
)
def test_a_wrong_text_encoder_is_refused(encoder, error, says):
    refused(lambda: embed_with(encoder), error, says)


# -- TokenizeInstruction -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("go red", [2, 3, 0, 0]),
        ("red, zork go", [3, 1, 1, 2]),
        ("go go go red", [2, 2, 2, 3]),
        ("zork", [1, 0, 0, 0]),
        ("GO", [2, 0, 0, 0]),
    ],
)
def test_words_are_numbers_padded_or_unknown(text, tokens):
    env = TokenizeInstruction(text_cart(), WordTokeniser(["go", "red"]), length=4)
    observation, _ = env.reset(options={"instruction": text})
    assert observation["instruction"].tolist() == tokens
    assert env.observation_space["instruction"] == spaces.Box(0, 3, (4,), np.int32)
    assert observation in env.observation_space


def test_32_words_are_read_by_default():
    env = TokenizeInstruction(text_cart(), TOKENISER)
    assert env.reset(options={"instruction": "go " * 32})[0]["instruction"].tolist() == [2] * 32
    with pytest.raises(InstructionError, match="33 words, of which the first 32 would be read"):
        env.reset(options={"instruction": "go " * 32 + "red"})


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ((["go", "left"],), ConfigError, "got list; make one with WordTokeniser.learn"),
        ((None,), ConfigError, "a langrl.words.WordTokeniser, got NoneType"),
        ((str.split,), ConfigError, "WordTokeniser"),
        ((TOKENISER, 0), ShapeError, "at least 1; got 0"),
        ((TOKENISER, 2.5), ShapeError, "got 2.5"),
        ((TOKENISER, "8"), ShapeError, "got '8'"),
    ],
)
def test_a_wrong_tokeniser_or_length_is_refused(arguments, error, says):
    refused(lambda: TokenizeInstruction(text_cart(), *arguments), error, says)
