import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from langrl.errors import DomainError, NonFiniteError, ShapeError
from langrl.functional import gap, geometry
from langrl.functional.gap import (
    best_scale,
    mismatched_circles,
    mixed_recall,
    shift,
    shift_curve,
    toy_loss,
    toy_minimum,
)
from langrl.functional.geometry import (
    alignment,
    cone,
    cosine_histogram,
    effective_rank,
    gap_noise,
    modality_gap,
    separability,
    uniformity,
)

CLIP = Path(__file__).resolve().parents[2] / "../shared/data/modality_gap"
CROSS = torch.tensor([[1.0, 0.0], [0.0, 1.0]])


def cloud(n=40, size=5, seed=0, offset=0.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, size, generator=generator, dtype=torch.float64) + offset


def pairs_of(x):
    unit = normalize(x, dim=1)
    return [(unit[i], unit[j]) for i, j in combinations(range(len(x)), 2)]


# -- hand-worked -----------------------------------------------------------------------------


def test_gap_of_two_crosses_is_the_difference_of_their_means():
    x, y = CROSS, -CROSS
    assert modality_gap(x, y).tolist() == [1.0, 1.0]
    assert modality_gap(3 * x, 7 * y).tolist() == [1.0, 1.0]  # only directions count


def test_cone_of_three_directions():
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])  # cosines 0, -1 and 0
    found = cone(x)
    assert found.mean == pytest.approx(-1 / 3)
    assert found.std == pytest.approx(math.sqrt(2) / 3)
    assert found.minimum == -1
    assert found.median == pytest.approx(0, abs=1e-4)


def test_alignment_and_uniformity_of_right_angles():
    assert alignment(CROSS, CROSS.flip(0)) == pytest.approx(2)
    assert uniformity(CROSS) == pytest.approx(-4)  # exp(-2 * 2)
    assert uniformity(CROSS, t=0.5) == pytest.approx(-1)


def test_effective_rank_counts_directions():
    axes = torch.cat([torch.eye(3), -torch.eye(3)])
    assert effective_rank(axes) == pytest.approx(3)
    line = torch.tensor([[1.0, 0.0, 0.0]] * 3 + [[-1.0, 0.0, 0.0]])
    assert effective_rank(line) == pytest.approx(1)


def test_half_closed_gap_of_two_directions():
    x, y = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    left, right = shift(x, y, 0.5)  # (1, 0) - (1, -1) / 4 = (3, 1) / 4
    torch.testing.assert_close(left, torch.tensor([[3.0, 1.0]]).double() / math.sqrt(10))
    torch.testing.assert_close(right, torch.tensor([[1.0, 3.0]]).double() / math.sqrt(10))


def test_loss_of_a_curve_is_that_of_the_softmax():
    point = shift_curve(CROSS, CROSS, 2.0, [0.0])[0]
    assert point.loss == pytest.approx(math.log(1 + math.exp(-2)))
    assert (point.recall_right, point.recall_left, point.gap) == (1, 1, 0)


# -- oracles ---------------------------------------------------------------------------------


def test_cones_and_uniformity_are_those_of_all_pairs(monkeypatch):
    monkeypatch.setattr(geometry, "_ROWS", 7)  # several pieces, the last one short
    x = cloud()
    cosines = np.array([float(a @ b) for a, b in pairs_of(x)])
    found = cone(x)
    assert found.mean == pytest.approx(cosines.mean())
    assert found.std == pytest.approx(cosines.std())
    assert found.minimum == pytest.approx(cosines.min())
    quantiles = np.quantile(cosines, [0.05, 0.5, 0.95], method="inverted_cdf")
    assert [found.low, found.median, found.high] == pytest.approx(quantiles, abs=1e-4)
    assert uniformity(x) == pytest.approx(math.log(np.exp(-2 * (2 - 2 * cosines)).mean()))
    shares = cosine_histogram(x, bins=8)
    expected, _ = np.histogram(cosines, 8, (-1, 1))
    assert shares.numpy() == pytest.approx(expected / expected.sum())


def test_histogram_between_modalities_leaves_pairs_out():
    shares = cosine_histogram(CROSS, CROSS, bins=4)  # two cosines of 0, and none of 1
    assert shares.tolist() == [0, 0, 1, 0]


def test_effective_rank_is_the_entropy_of_singular_values():
    x = cloud(30, 4, offset=1.0)
    unit = normalize(x, dim=1)
    for centred in (True, False):
        matrix = (unit - unit.mean(0) if centred else unit).numpy()
        shares = np.linalg.svd(matrix, compute_uv=False)
        shares /= shares.sum()
        entropy = -(shares * np.log(shares)).sum()
        assert effective_rank(x, centred=centred) == pytest.approx(math.exp(entropy))


def test_mixed_recall_is_found_by_counting():
    x, y = cloud(12, 3), cloud(12, 3, seed=1)
    points = normalize(torch.cat([x, y]), dim=1)
    cosines = points @ points.mT
    hits = 0
    for row in range(24):
        others = [column for column in range(24) if column != row]
        hits += max(others, key=lambda c, r=row: float(cosines[r, c])) == (row + 12) % 24
    assert mixed_recall(x, y) == pytest.approx(hits / 24)


def test_what_else_matches_counts_as_right():
    x = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    y = x[[1, 0, 2]]  # the first two are exchanged
    assert shift_curve(x, y, 1.0, [0.0])[0].recall_right == pytest.approx(1 / 3)
    matches = torch.eye(3, dtype=torch.bool)
    matches[0, 1] = matches[1, 0] = True
    assert shift_curve(x, y, 1.0, [0.0], matches=matches)[0].recall_left == 1
    assert mixed_recall(x, y, matches=matches) == 1


@pytest.mark.parametrize("noise", [0.3, 1.0, 3.0])
def test_best_scale_is_that_of_a_fine_grid(noise):
    x = cloud(60)
    y = x + noise * cloud(60, seed=1)
    found = best_scale(x, y)
    scales = np.geomspace(found.scale / 3, found.scale * 3, 41)
    losses = [shift_curve(x, y, s, [0.0])[0].loss for s in scales]
    assert found.loss <= min(losses) + 1e-12
    assert abs(int(np.argmin(losses)) - 20) <= 1
    assert not found.at_bound


def test_best_scale_of_perfect_and_of_opposite_pairs_is_a_bound():
    perfect = best_scale(CROSS, CROSS)
    assert (perfect.at_bound, perfect.scale) == (True, pytest.approx(gap.HIGHEST_SCALE))
    opposite = best_scale(CROSS, -CROSS)
    assert (opposite.at_bound, opposite.scale) == (True, pytest.approx(gap.LOWEST_SCALE))


def test_gap_by_chance_is_what_equal_modalities_show():
    x, y = cloud(400, 8), cloud(400, 8, seed=1)
    lengths = [modality_gap(cloud(400, 8, s), cloud(400, 8, s + 50)).norm() for s in range(50)]
    expected = torch.stack(lengths).square().mean().sqrt()
    assert gap_noise(x, y) == pytest.approx(float(expected), rel=0.1)


def test_separability_is_chance_where_there_is_no_gap_and_one_where_there_is():
    few = cloud(40, 200), cloud(40, 200, seed=1)  # a plane through these very points would do
    assert abs(separability(*few) - 0.5) < 0.2
    assert separability(cloud(offset=5.0), cloud(seed=1, offset=-5.0)) == 1


def test_a_shift_closes_the_gap_and_back_widens_it():
    x, y = cloud(offset=2.0), cloud(seed=1, offset=-0.5)
    gaps = [point.gap for point in shift_curve(x, y, 1.0)]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 0.4 * gaps[3]  # not 0: the sphere is not flat


def test_huge_and_tiny_embeddings_keep_their_directions():
    x = cloud()
    for factor in (1e200, 1e-200):
        torch.testing.assert_close(modality_gap(x * factor, -x), modality_gap(x, -x))


# -- the toy ---------------------------------------------------------------------------------

MINIMA = [(1.0, 0.0), (0.1, 0.0), (0.02, 0.71), (0.01, 0.87), (0.002, 0.97)]


@pytest.mark.parametrize(("temperature", "height"), MINIMA)
def test_mismatched_pairs_keep_a_gap_at_low_temperature(temperature, height):
    assert toy_minimum(temperature, swapped=True) == pytest.approx(height, abs=6e-3)


@pytest.mark.parametrize("temperature", [1.0, 0.01])
def test_right_pairs_close_the_gap(temperature):
    assert toy_minimum(temperature, swapped=False) == 0


def test_circles_are_on_the_sphere_and_two_partners_are_exchanged():
    height = torch.tensor(0.6, dtype=torch.float64)
    x, y = mismatched_circles(height, swapped=True)
    torch.testing.assert_close(x.norm(dim=1), torch.ones(9).double())
    assert modality_gap(x, y).norm() == pytest.approx(1.2)
    flat = normalize(x[:, :2], dim=1) @ normalize(y[:, :2], dim=1).mT
    angle = math.cos(math.radians(5.4))
    expected = torch.tensor([1, 1, 1, 1, 1, 1, angle, 1, angle]).double()
    torch.testing.assert_close(flat.diagonal(), expected)


def test_the_toy_has_gradients():
    height = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    toy_loss(height, 0.01, swapped=True).backward()
    assert height.grad < 0  # the least loss is at 0.87


# -- real embeddings -------------------------------------------------------------------------


@pytest.mark.skipif(not CLIP.is_dir(), reason="the embeddings are not beside this checkout")
@pytest.mark.parametrize(
    ("name", "length", "recalls", "cosines"),
    [
        ("clip", 0.851, (0.552, 0.506), (0.531, 0.515)),
        ("clip_random", 1.136, (0.002, 0.002), (0.681, 0.663)),
    ],
)
def test_clip_has_the_gap_that_is_known(name, length, recalls, cosines):
    x, y = torch.from_numpy(np.load(CLIP / f"{name}.npy"))
    assert float(modality_gap(x, y).norm()) == pytest.approx(length, abs=1e-3)
    assert (cone(x).mean, cone(y).mean) == pytest.approx(cosines, abs=1e-3)
    curve = shift_curve(x, y, 100.0)
    assert (curve[3].recall_right, curve[3].recall_left) == pytest.approx(recalls, abs=1e-3)
    if name == "clip":
        known = [2.285, 1.998, 1.860, 1.801, 1.907, 2.272, 3.801]
        assert [point.loss for point in curve] == pytest.approx(known, abs=1e-3)
        assert separability(x, y) == 1
        assert best_scale(x, y).scale == pytest.approx(85.5, abs=0.1)


# -- refusals --------------------------------------------------------------------------------

PAIRED = {
    "modality_gap": modality_gap,
    "gap_noise": gap_noise,
    "separability": separability,
    "alignment": alignment,
    "best_scale": best_scale,
    "mixed_recall": mixed_recall,
    "shift": lambda x, y: shift(x, y, 1.0),
    "shift_curve": lambda x, y: shift_curve(x, y, 1.0),
    "cosine_histogram": lambda x, y: cosine_histogram(x, y),
}
SINGLE = {"cone": cone, "uniformity": uniformity, "effective_rank": effective_rank}


@pytest.mark.parametrize("name", PAIRED)
def test_pairs_that_do_not_fit_are_refused_by_name(name):
    function, x = PAIRED[name], cloud()
    for other, words in (
        (x[:-1], "as many x as y, got 40 and 39"),
        (x[:, :-1], "one size, got 5 and 4"),
        (x[0], r"y \[n, D\] of floats, got \[5\]"),
        (x.long(), "int64"),
        (torch.cat([x[:1] * 0, x[1:]]), "zero embedding in y, row 0"),
    ):
        with pytest.raises((ShapeError, DomainError), match=f"{name} .*{words}"):
            function(x, other)
    with pytest.raises(NonFiniteError, match="in y"):
        function(x, x * math.nan)


@pytest.mark.parametrize("name", SINGLE)
def test_embeddings_that_say_nothing_are_refused_by_name(name):
    function, x = SINGLE[name], cloud()
    for bad, words in (
        (x[:1], "2 or more embeddings in x, got 1"),
        (x[None], r"x \[n, D\]"),
        (x * 0, "zero embedding in x, row 0"),
    ):
        with pytest.raises((ShapeError, DomainError), match=f"{name} .*{words}"):
            function(bad)
    with pytest.raises(NonFiniteError, match=name):
        function(x / 0)


def test_fewer_embeddings_than_dimensions_give_a_bound_only_if_asked():
    x = cloud(5, 8)
    with pytest.raises(DomainError, match="more than 8 pairs, or pass bounded=True"):
        effective_rank(x)
    assert 1 < effective_rank(x, bounded=True) <= 4


def test_embeddings_that_are_all_the_same_are_refused():
    with pytest.raises(DomainError, match="all the same; the encoder is constant"):
        effective_rank(torch.ones(9, 3))
    with pytest.raises(DomainError, match="moves an embedding of x to 0"):
        shift(torch.ones(3, 2), -torch.ones(3, 2), 1.0)
    with pytest.raises(DomainError, match="4 or more embeddings in x, got 3"):
        separability(cloud(3), cloud(3))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: uniformity(CROSS, t=0), "t above 0"),
        (lambda: shift(CROSS, CROSS, math.inf), "finite amount"),
        (lambda: shift_curve(CROSS, CROSS, -1.0), "scale >= 0"),
        (lambda: cosine_histogram(CROSS, bins=0), "1 or more bins"),
        (lambda: mismatched_circles(torch.tensor(1.5), swapped=True), "height in"),
        (lambda: toy_loss(torch.tensor(0.5), 0.0, swapped=True), "temperature above 0"),
        (lambda: mixed_recall(CROSS, CROSS, matches=torch.ones(3, 3)), "matches of torch.bool"),
    ],
)
def test_numbers_out_of_range_are_refused(call, words):
    with pytest.raises((DomainError, ShapeError), match=words):
        call()
