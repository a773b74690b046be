import math

import gymnasium as gym
import numpy as np
import pytest
import torch

from langrl.envs.goals import BoxGoals, FrameGoals
from langrl.envs.wrappers.instructions import AddInstruction
from langrl.errors import DomainError, InstructionError, NonFiniteError, ShapeError
from langrl.grounding.candidates import ListedCandidates, ReplayedCandidates
from langrl.grounding.instruction_to_goal import InstructionToGoal
from langrl.grounding.language_critic import EmbeddedImages, learn_language
from langrl.models import encoders
from langrl.models.config import TextConfig
from langrl.models.critics import build
from langrl.models.critics.maze import GoalCritic, LanguageCritic
from langrl.models.encoders import StateActionEncoder
from langrl.models.language_image.model import load_language_image_model

GRID = np.linspace(-1, 1, 201, dtype=np.float32)[:, None]
TRUE = {"go left": lambda x: x < 0, "go right": lambda x: x >= 0, "go anywhere": lambda x: x < 2}


def described(count=2000, seed=0):
    """Goals uniform on [-1, 1], each with one of the two texts that are true of it."""
    generator = np.random.default_rng(seed)
    goals = generator.uniform(-1, 1, (count, 1)).astype(np.float32)
    sides = np.where(goals[:, 0] < 0, "go left", "go right")
    return goals, np.where(generator.random(count) < 0.5, sides, "go anywhere").tolist()


@pytest.fixture(scope="module")
def language():
    return learn_language(*described(), steps=300)


@torch.no_grad()
def scores(language, texts, goals=GRID):
    """Return h [M, K] of goals [M, G]."""
    embedded = language.embed_goals(torch.zeros(1, 0), torch.from_numpy(goals)[None])
    return language.score(embedded, language.encode_text(texts))[0]


def test_the_belief_is_where_a_text_is_true(language):
    belief = scores(language, list(TRUE)).softmax(0).numpy()
    for column, true in zip(belief.T, TRUE.values(), strict=True):
        assert column[true(GRID[:, 0])].sum() > 0.97


def test_scores_are_log_density_ratios_up_to_a_constant(language):
    # p(left | g) / p(left) = 0.5 / 0.25 on the left, p(anywhere | g) / p(anywhere) = 1 everywhere
    h = scores(language, ["go left", "go anywhere"])[:90]
    assert (h[:, 0] - h[:, 1]).mean().item() == pytest.approx(math.log(2), abs=0.15)
    assert scores(language, ["go anywhere"]).std() < 0.15


def test_an_unseen_word_is_read_past(language):
    belief = scores(language, ["walk left"]).softmax(0).numpy()[:, 0]
    assert belief[GRID[:, 0] < 0].sum() > 0.9


def test_a_seed_decides_everything_and_nothing_else_does():
    before = torch.get_rng_state()
    one, two, other = (learn_language(*described(), steps=3, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    for name, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[name]), name
    assert not torch.equal(scores(one, ["go left"]), scores(other, ["go left"]))


def test_a_number_that_never_changes_does_no_harm():
    goals, texts = described(500)
    flat = np.concatenate([goals, np.full_like(goals, 7)], 1)
    language = learn_language(flat, texts, steps=3)
    assert scores(language, texts[:5], flat).isfinite().all()


def test_a_learned_language_chooses_goals(language):
    env = gym.make("MountainCarContinuous-v0")
    told = AddInstruction(env, ["go right"], BoxGoals([-1], [1], 0.1))
    chosen = InstructionToGoal(told, language, "max_goal", ListedCandidates(GRID))
    observation, info = chosen.reset(seed=0)
    assert observation["desired_goal"] > 0
    assert info["posterior"][GRID[:, 0] >= 0].sum() > 0.97


def test_a_named_text_model_is_frozen_and_never_sees_a_plain_string(monkeypatch):
    heard = []

    class Frozen:
        def get_embedding_dimension(self):
            return 3

        def encode(self, inputs, **options):
            heard.extend(inputs)
            return torch.tensor([[len(one["text"]), "left" in one["text"], 1.0] for one in inputs])

    monkeypatch.setattr(encoders, "load_sentence_transformer", lambda name: Frozen())
    language = learn_language(*described(500), steps=100, text=TextConfig(model="named"))
    told = [one["text"] for one in heard]
    assert sorted(told[: len(TRUE)]) == sorted(TRUE)
    assert len(set(told)) == len(told)  # each once, those that P(understood) is fitted to as well
    belief = scores(language, ["file:///left"]).softmax(0).numpy()[:, 0]
    assert belief.sum() == pytest.approx(1, abs=1e-4)
    assert heard[-1] == {"text": "file:///left"}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"goals": [0.0, 1.0]}, ShapeError, r"got goals \[2\] and 2 texts; give goals \[P, G\]"),
        ({"texts": ["go left"]}, ShapeError, "and 1 texts"),
        ({"texts": "go left"}, ShapeError, "and one text;"),
        ({"goals": [], "texts": []}, ShapeError, r"got goals \[0\]"),
        ({"goals": [[0.0], [1.0, 2.0]]}, ShapeError, "not numbers of one shape"),
        ({"goals": [[0.0], [np.nan]]}, NonFiniteError, "a goal is NaN or infinite; leave it out"),
        ({"texts": ["go left"] * 2}, DomainError, "all texts are the same"),
        ({"texts": ["go left", " "]}, InstructionError, "the instruction is empty"),
        ({"steps": 0}, DomainError, "steps is 0 and batch_size 256; give at least 1 and 2"),
        ({"batch_size": 1}, DomainError, "batch_size 1; give at least 1 and 2"),
    ],
)
def test_pairs_that_cannot_be_learned_from_are_refused(change, error, message):
    arguments = {"goals": [[0.0], [1.0]], "texts": ["go left", "go right"], "steps": 1} | change
    with pytest.raises(error, match=message):
        learn_language(**arguments)


def test_a_loss_that_is_not_finite_stops_learning_before_a_weight_changes(monkeypatch):
    built = []

    class Built(LanguageCritic):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            built.append((self, {name: v.clone() for name, v in self.state_dict().items()}))

        def score(self, goals, texts, trust=1.0):
            return super().score(goals, texts) * torch.nan

    monkeypatch.setattr(build, "LanguageCritic", Built)
    with pytest.raises(NonFiniteError, match="the loss is nan"):
        learn_language(*described(50), steps=3)
    [(critic, before)] = built
    assert all(torch.equal(value, before[name]) for name, value in critic.state_dict().items())


def test_a_gradient_that_is_not_finite_is_refused():
    with pytest.raises(NonFiniteError, match="lower the learning rate"):
        learn_language(*described(50), steps=20, learning_rate=1e30)


def test_no_critic_of_actions_is_built(monkeypatch):
    def refuse(*arguments):
        raise AssertionError("a critic of actions was built")

    for owner in (GoalCritic, StateActionEncoder):
        monkeypatch.setattr(owner, "__init__", refuse)
    assert learn_language(*described(50), steps=1).training is False


# -- images ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tiny_language):
    return load_language_image_model(tiny_language)


def images(count=6):
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def test_embedded_images_score_as_their_model_does(model):
    texts = ["go to the red ball", "go to the key"]
    goals = model.encode_image(images())
    language = EmbeddedImages(model)
    embedded = language.embed_goals(torch.zeros(1, 0), goals[None])
    encoded = language.encode_text(texts)
    assert encoded.shape == (2, 1, 8)
    expected = model.log_ratio(images(), texts)
    torch.testing.assert_close(language.score(embedded, encoded)[0], expected)


def test_an_instruction_becomes_the_image_that_fits_best(model):
    env = gym.make("CartPole-v1", render_mode="rgb_array")
    known = model.encode_image(images()).numpy()
    goals = FrameGoals(env, lambda frames: model.encode_image(frames[:, :32, :32]), images())
    told = AddInstruction(env, ["go to the key"], goals)
    candidates = ReplayedCandidates(known, 50)
    chosen = InstructionToGoal(told, EmbeddedImages(model), "max_goal", candidates)
    observation, _ = chosen.reset(seed=0)
    best = int(model.log_ratio(images(), "go to the key").argmax())
    np.testing.assert_array_equal(observation["desired_goal"], known[best])


def test_embeddings_of_another_model_and_texts_that_are_none_are_refused(model):
    language = EmbeddedImages(model)
    with pytest.raises(ShapeError):
        language.score(torch.zeros(1, 5, 3), language.encode_text(["go to the key"]))
    with pytest.raises(InstructionError, match="the instruction is empty"):
        language.encode_text([" "])
