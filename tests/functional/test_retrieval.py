import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from langrl.errors import NonFiniteError, ShapeError
from langrl.functional.retrieval import recall_at_1

INF, NAN = float("inf"), float("nan")


def scores_with_ties(*shape, seed=0, values=4):
    """Whole numbers, few of them: most rows have ties."""
    return torch.randint(values, shape, generator=torch.Generator().manual_seed(seed)).float()


def one_by_one(scores):
    """The chance of each query, by counting."""
    chances = []
    for query, row in enumerate(scores.tolist()):
        best = max(row)
        chances.append(1 / row.count(best) if row[query] == best else 0.0)
    return chances


def test_hand_worked_group_of_three():
    scores = torch.tensor([[3.0, 1.0, 2.0], [5.0, 4.0, 3.0], [0.0, -1.0, 7.0]])
    assert recall_at_1(scores).tolist() == [1.0, 0.0, 1.0]


def test_hand_worked_ties_share_the_first_place():
    scores = torch.tensor([[2.0, 2.0, 2.0], [0.0, 1.0, 1.0], [5.0, 3.0, 3.0]])
    torch.testing.assert_close(recall_at_1(scores), torch.tensor([1 / 3, 1 / 2, 0.0]))


def test_answers_are_columns_not_rows():
    scores = torch.tensor([[1.0, 0.0], [2.0, 3.0]])
    assert recall_at_1(scores).tolist() == [1.0, 1.0]
    assert recall_at_1(scores.T).tolist() == [0.0, 1.0]


def test_infinite_scores_are_ranked_and_tied_like_any_other():
    scores = torch.tensor([[-INF, -INF, -INF], [-INF, -INF, 0.0], [1.0, INF, INF]])
    torch.testing.assert_close(recall_at_1(scores), torch.tensor([1 / 3, 0.0, 1 / 2]))


def test_single_answer_is_always_found():
    assert recall_at_1(torch.tensor([[-7.0]])).tolist() == [1.0]


def test_leading_axes_are_groups_of_their_own():
    scores = scores_with_ties(2, 3, 5, 5)
    chances = recall_at_1(scores)
    assert chances.shape == (2, 3, 5)
    expected = [[one_by_one(group) for group in groups] for groups in scores]
    torch.testing.assert_close(chances, torch.tensor(expected))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64])
def test_scores_of_other_dtypes_are_ranked_alike(dtype):
    scores = scores_with_ties(6, 6)
    torch.testing.assert_close(recall_at_1(scores.to(dtype)), recall_at_1(scores))


@given(st.integers(0, 2**31), st.integers(1, 8), st.integers(1, 6))
@settings(deadline=None, max_examples=50)
def test_chances_are_those_of_counting_one_by_one(seed, size, values):
    scores = scores_with_ties(size, size, seed=seed, values=values)
    torch.testing.assert_close(recall_at_1(scores), torch.tensor(one_by_one(scores)))


@given(st.integers(0, 2**31), st.permutations(range(6)))
@settings(deadline=None, max_examples=25)
def test_order_of_the_group_and_increasing_functions_of_a_row_change_nothing(seed, order):
    scores = scores_with_ties(6, 6, seed=seed)
    chances = recall_at_1(scores)
    torch.testing.assert_close(recall_at_1(scores[order][:, order]), chances[order])
    rows = torch.arange(6.0).unsqueeze(1)
    torch.testing.assert_close(recall_at_1((rows + 1) * scores - 3 * rows), chances)


def test_ties_broken_at_random_find_the_answer_as_often_as_the_chance_says():
    scores = scores_with_ties(8, 8, seed=3)
    noise = np.random.default_rng(0).uniform(0, 0.5, (20_000, 8, 8))
    found = (scores.numpy() + noise).argmax(-1) == np.arange(8)
    np.testing.assert_allclose(found.mean(0), recall_at_1(scores).numpy(), atol=0.015)


def test_scores_without_a_meaning_recall_one_in_as_many_as_there_are():
    scores = torch.randn(2000, 16, 16, generator=torch.Generator().manual_seed(0))
    assert recall_at_1(scores).mean().item() == pytest.approx(1 / 16, abs=0.004)


@pytest.mark.parametrize("shape", [(), (4,), (3, 4), (5, 4, 3)])
def test_scores_that_are_not_square_are_refused(shape):
    message = (
        r"^recall_at_1 needs scores \[..., K, K\], got \[.*\]; score every query against every"
    )
    with pytest.raises(ShapeError, match=message) as caught:
        recall_at_1(torch.zeros(shape))
    assert type(caught.value) is ShapeError


def test_nan_is_refused():
    scores = torch.zeros(3, 3)
    scores[0, 2] = NAN
    with pytest.raises(NonFiniteError, match=r"^recall_at_1 got NaN in scores; fix the"):
        recall_at_1(scores)
