import math

import numpy as np
import pytest
import torch

from langrl.errors import GroundingError, NonFiniteError, ShapeError, UnknownNameError
from langrl.functional.energies import cosine, dot
from langrl.grounding.joining import JoinedModels, Side
from langrl.models.config import ImageTowerConfig, LanguageImageConfig, TextTowerConfig
from langrl.models.critics.maze import PairCritic, Scale
from langrl.models.language_image.model import TowersDescription, build_language_image_model

# A discrete world: b takes 3 values, a 4 and c 2, with a and c independent given b.

P_B = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
A_GIVEN_B = torch.tensor(
    [[0.7, 0.1, 0.1, 0.1], [0.1, 0.6, 0.2, 0.1], [0.2, 0.2, 0.1, 0.5]], dtype=torch.float64
)
C_GIVEN_B = torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]], dtype=torch.float64)
EVERY_A, EVERY_C = torch.arange(4), torch.arange(2)


def table_side(table, encode=None):
    """Return a side that looks log ratios up, table [B, X]; embeddings are one-hot."""
    one_hot = torch.nn.functional.one_hot

    def shared(values):
        return one_hot(values, len(table)).double()

    def other(values):
        return one_hot(values, table.shape[1]).double()

    return Side(encode or shared, other, lambda b, x: b @ table @ x.T)


def ratio(given_b):
    """Return log p(x|b)/p(x) [B, X]."""
    return (given_b / (P_B @ given_b)).log()


LEFT, RIGHT = table_side(ratio(A_GIVEN_B)), table_side(ratio(C_GIVEN_B))


def exact():
    """Return log p(c|a)/p(c) [A, C], from the joint law of all three."""
    joint = torch.einsum("b,ba,bc->ac", P_B, A_GIVEN_B, C_GIVEN_B)
    return (joint / (joint.sum(1, keepdim=True) * joint.sum(0))).log()


def test_two_models_by_hand():
    # b is 0 or 1, evenly; a is b, and c is b with chance 3/4: p(c|a)/p(c) = 1.5 or 0.5
    left = table_side(torch.tensor([[2.0, 1e-30], [1e-30, 2.0]], dtype=torch.float64).log())
    right = table_side(torch.tensor([[1.5, 0.5], [0.5, 1.5]], dtype=torch.float64).log())
    joined = JoinedModels(left, right, torch.arange(2))
    found = joined.log_ratio(torch.arange(2), torch.arange(2)).value.exp()
    torch.testing.assert_close(found, torch.tensor([[1.5, 0.5], [0.5, 1.5]], dtype=torch.float64))


def test_weighted_candidates_give_the_exact_ratio():
    joined = JoinedModels(LEFT, RIGHT, torch.arange(3), (3 * P_B).log())
    torch.testing.assert_close(joined.log_ratio(EVERY_A, EVERY_C).value, exact())


def test_candidates_in_the_proportions_of_p_give_the_exact_ratio():
    joined = JoinedModels(LEFT, RIGHT, torch.arange(3).repeat_interleave(torch.tensor([5, 3, 2])))
    assert joined.candidates == 10
    torch.testing.assert_close(joined.log_ratio(EVERY_A, EVERY_C).value, exact())


def test_gaussian_models_give_the_closed_form():
    # b ~ N(0, 1), a = b + noise, c = b + noise: (a, c) is Gaussian with correlation 1 / (1 + s^2)
    noise = 0.7
    variance = 1 + noise**2

    def score(b, x):
        return (
            math.log(variance / noise**2) / 2 - (x.T - b) ** 2 / (2 * noise**2)
            + x.T**2 / (2 * variance)
        )  # fmt: skip

    side = Side(lambda b: b, lambda x: x, score)
    candidates = torch.randn(200_000, 1, generator=torch.Generator().manual_seed(0)).double()
    points = torch.linspace(-1.5, 1.5, 5, dtype=torch.float64).unsqueeze(1)
    estimate = JoinedModels(side, side, candidates).log_ratio(points, points, error_bars=True)
    rho = 1 / variance
    a, c = points / math.sqrt(variance), points.T / math.sqrt(variance)
    expected = (
        -math.log(1 - rho**2) / 2
        - (rho**2 * (a**2 + c**2) - 2 * rho * a * c) / (2 * (1 - rho**2))
    )  # fmt: skip
    assert ((estimate.value - expected).abs() < 5 * estimate.standard_error).all()
    assert estimate.standard_error.max() < 0.02


# Models that are no density ratios.


def test_terms_of_their_own_are_taken_out_where_a_side_is_no_ratio():
    shifted = table_side(ratio(C_GIVEN_B) + torch.tensor([3.0, -2.0], dtype=torch.float64))
    weights = (3 * P_B).log()
    loose = Side(shifted.encode_shared, shifted.encode_other, shifted.score, is_ratio=False)
    found = JoinedModels(LEFT, loose, torch.arange(3), weights).log_ratio(EVERY_A, EVERY_C).value
    torch.testing.assert_close(found, exact())
    believed = JoinedModels(LEFT, shifted, torch.arange(3), weights)
    assert (believed.log_ratio(EVERY_A, EVERY_C).value.argmax(1) == 0).all()  # the larger term


def test_mass_says_how_far_a_side_is_from_a_ratio():
    shifted = table_side(ratio(C_GIVEN_B) + torch.tensor([3.0, -2.0], dtype=torch.float64))
    joined = JoinedModels(LEFT, shifted, torch.arange(3), (3 * P_B).log())
    expected = torch.tensor([3.0, -2.0], dtype=torch.float64)
    torch.testing.assert_close(joined.log_mass("right", EVERY_C), expected)
    nothing = torch.zeros(4, dtype=torch.float64)
    torch.testing.assert_close(joined.log_mass("left", EVERY_A), nothing)
    with pytest.raises(UnknownNameError, match="side"):
        joined.log_mass("middle", EVERY_C)


# What is called, and how often.


def counted(side):
    calls = []

    def encode(inputs):
        calls.append(inputs)
        return side.encode_shared(inputs)

    return Side(encode, side.encode_other, side.score), calls


def test_each_model_embeds_the_candidates_once():
    left, left_calls = counted(LEFT)
    right, right_calls = counted(RIGHT)
    joined = JoinedModels(left, right, torch.arange(3))
    first = joined.log_ratio(EVERY_A, EVERY_C)
    joined.log_ratio(EVERY_A[:1], EVERY_C)
    joined.log_mass("left", EVERY_A)
    assert torch.equal(first.value, joined.log_ratio(EVERY_A, EVERY_C).value)
    assert len(left_calls) == len(right_calls) == 1


def test_any_input_that_the_encoders_take_will_do():
    encode = {"dog": [1.0, 0.0], "cat": [0.0, 1.0]}
    side = Side(
        lambda words: torch.tensor([encode[word] for word in words]),
        lambda words: torch.tensor([[len(word), 1.0] for word in words]),
        dot,
    )
    joined = JoinedModels(side, side, ["dog", "cat", "cat"])
    assert joined.log_ratio(["a", "bb"], ["ccc"]).value.shape == (2, 1)


def test_no_gradients_are_kept():
    weight = torch.nn.Linear(3, 3)
    side = Side(weight, weight, lambda b, x: b @ x.T)
    joined = JoinedModels(side, side, torch.randn(4, 3))
    assert not joined.log_ratio(torch.randn(2, 3), torch.randn(2, 3)).value.requires_grad
    assert not joined.direct(torch.randn(2, 3), torch.randn(2, 3)).requires_grad


# Direct comparison.


def test_direct_is_the_cosine_of_embeddings():
    side = Side(lambda b: b, lambda x: x, dot)
    joined = JoinedModels(side, side, torch.ones(1, 2))
    found = joined.direct(torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 3.0]]))
    torch.testing.assert_close(found, torch.tensor([[1.0, 0.0]]))


def test_direct_refuses_embeddings_of_two_sizes():
    joined = JoinedModels(LEFT, RIGHT, torch.arange(3))
    with pytest.raises(GroundingError, match=r"4 on the left and 2 on the right; use log_ratio"):
        joined.direct(EVERY_A, EVERY_C)


# Refusals.


def test_no_candidates_are_refused():
    with pytest.raises(ShapeError, match=r"encode_shared of the left model.*at least one"):
        JoinedModels(LEFT, RIGHT, torch.arange(0))


def test_no_queries_are_refused():
    with pytest.raises(ShapeError, match="encode_other of the right model"):
        JoinedModels(LEFT, RIGHT, torch.arange(3)).log_ratio(EVERY_A, EVERY_C[:0])


@pytest.mark.parametrize("weights", [torch.zeros(2), torch.zeros(1, 3), torch.zeros(0)])
def test_weights_that_are_not_one_for_each_candidate_are_refused(weights):
    with pytest.raises(ShapeError, match=r"log_weights.*3"):
        JoinedModels(LEFT, RIGHT, torch.arange(3), weights)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_refused(bad):
    with pytest.raises(NonFiniteError, match="log_weights"):
        JoinedModels(LEFT, RIGHT, torch.arange(3), torch.tensor([0.0, bad, 0.0]))


def test_encoders_that_drop_candidates_are_refused():
    short = table_side(ratio(C_GIVEN_B), lambda b: torch.eye(3)[b[1:]].double())
    with pytest.raises(ShapeError, match="3 embeddings on the left and 2 on the right"):
        JoinedModels(LEFT, short, torch.arange(3))


@pytest.mark.parametrize(
    ("embedded", "error", "said"),
    [
        (np.ones((3, 2)), GroundingError, "got ndarray; wrap arrays in torch.from_numpy"),
        (torch.ones(3), ShapeError, r"\[rows, D\], got \[3\]"),
        (torch.tensor([[1.0], [math.nan], [0.0]]), NonFiniteError, "right model"),
    ],
)
def test_embeddings_that_are_none_are_refused(embedded, error, said):
    with pytest.raises(error, match=said):
        JoinedModels(LEFT, Side(lambda b: embedded, RIGHT.encode_other, dot), torch.arange(3))


@pytest.mark.parametrize(
    ("scores", "error", "said"),
    [
        (lambda b, x: (b @ b.T).numpy(), GroundingError, "score of the right model"),
        (lambda b, x: torch.zeros(2, 3), ShapeError, r"\[3, 2\].*transpose"),
        (lambda b, x: torch.zeros(3, 2, dtype=torch.long), ShapeError, "floats"),
        (lambda b, x: torch.full((3, 2), math.nan), NonFiniteError, "score of the right model"),
        (lambda b, x: torch.full((3, 2), math.inf), NonFiniteError, "score of the right model"),
        (lambda b, x: torch.full((3, 2), -math.inf), NonFiniteError, "no candidate is possible"),
    ],
)
def test_scores_that_are_none_are_refused(scores, error, said):
    right = Side(RIGHT.encode_shared, RIGHT.encode_other, scores)
    with pytest.raises(error, match=said):
        JoinedModels(LEFT, right, torch.arange(3)).log_ratio(EVERY_A, EVERY_C)


def test_a_candidate_can_be_ruled_out():
    weights = torch.tensor([0.0, 0.0, -math.inf])
    found = JoinedModels(LEFT, RIGHT, torch.arange(3), weights).log_ratio(EVERY_A, EVERY_C).value
    expected = JoinedModels(LEFT, RIGHT, torch.arange(2)).log_ratio(EVERY_A, EVERY_C).value
    torch.testing.assert_close(found, expected + math.log(2 / 3))


# From models of langrl.


@pytest.mark.parametrize("shared", ["left", "right"])
def test_a_critic_scores_as_it_does_itself(shared):
    torch.manual_seed(0)
    critic = PairCritic(torch.nn.Linear(3, 5), torch.nn.Linear(4, 5), cosine, Scale(7.0)).eval()
    sizes = {"left": 3, "right": 4}
    ours = torch.randn(600, sizes[shared])
    theirs = torch.randn(2, sizes["right" if shared == "left" else "left"])
    side = Side.from_critic(critic, shared)
    found = side.score(side.encode_shared(ours), side.encode_other(theirs))
    expected = critic(ours, theirs) if shared == "left" else critic(theirs, ours).mT
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(side.encode_shared(ours.numpy()), side.encode_shared(ours))
    assert side.is_ratio
    assert not Side.from_critic(critic, shared, is_ratio=False).is_ratio


def test_a_critic_has_two_sides():
    critic = PairCritic(torch.nn.Identity(), torch.nn.Identity(), dot)
    with pytest.raises(UnknownNameError, match="side of a critic"):
        Side.from_critic(critic, "middle")


@pytest.fixture(scope="module")
def language():
    config = LanguageImageConfig(
        embedding=16,
        image=ImageTowerConfig(channels=8, depth=1),
        text=TextTowerConfig(width=8, depth=1, buckets=64),
    )
    return build_language_image_model(TowersDescription(config=config), seed=0).eval()


def test_a_language_image_model_shares_its_images(language):
    images = torch.randint(
        0, 256, (5, 32, 32, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    texts = ["the red ball", "a key"]
    side = Side.from_language_image(language)
    assert not side.is_ratio  # it is not calibrated
    joined = JoinedModels(side, side, images)
    h = language.log_ratio(images, texts).double()
    h = h - h.logsumexp(0) + math.log(5)
    expected = (h.unsqueeze(2) + h.unsqueeze(1)).logsumexp(0) - math.log(5)
    found = joined.log_ratio(texts, texts).value.double()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert joined.direct(texts, texts).shape == (2, 2)
