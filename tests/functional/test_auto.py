import pytest
import torch

from langrl.errors import DomainError, NonFiniteError, ShapeError
from langrl.functional.auto import choose
from langrl.functional.energies import cosine, dot, neg_half_sq_l2, neg_l2
from langrl.functional.retrieval import recall_at_1

SIZE = 6


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def unit(*shape, seed=0):
    return torch.nn.functional.normalize(torch.randn(*shape, generator=seeded(seed)), dim=-1)


def directions_near(goals, concentration, seed):
    """Directions near each goal [n, D], about as von Mises-Fisher noise gives them."""
    noise = torch.randn(goals.shape, generator=seeded(seed)) / concentration**0.5
    return torch.nn.functional.normalize(goals + noise, dim=-1)


def sphere_world(draw, scale=40.0, n=512, k=2048):
    """A state-action and an instruction lie around their goal, all in one embedding space."""
    left_goals, texts, goals = draw(n, 1), draw(k, 2), draw(300, 3)
    return choose(
        directions_near(left_goals, scale, 2), left_goals, directions_near(texts, scale, 3), goals,
        generator=seeded(4), energy=cosine, left_scale=scale, right_scale=scale,
    )  # fmt: skip


def gaussian_world(encode, candidates=200, n=512, k=2048, **options):
    """Goals are Gaussian, a state-action and an instruction noisy goals; h sees encode(goal)."""
    goals = torch.randn(candidates, SIZE, generator=seeded(0))
    left_goals = torch.randn(n, SIZE, generator=seeded(1))
    texts = torch.randn(k, SIZE, generator=seeded(2))
    noise = [0.3 * torch.randn(len(x), SIZE, generator=seeded(3 + i)) for i, x in
             enumerate((left_goals, texts))]  # fmt: skip
    scale = 1 / 0.3**2
    return choose(
        left_goals + noise[0], encode(left_goals), encode(texts + noise[1]), goals,
        None if encode(goals) is goals else encode(goals),
        generator=seeded(5), left_scale=scale, right_scale=scale, **options,
    )  # fmt: skip


def test_uniform_directions_with_a_shared_encoder_need_no_candidates():
    choice = sphere_world(lambda count, seed: unit(count, SIZE, seed=seed))
    assert choice.estimator == "von_mises_fisher"
    assert not any(test.rejects for test in choice.tests)
    assert choice.rehearsed["direct"][0] >= choice.rehearsed["monte_carlo"][0]


def test_crowded_directions_are_reported_as_not_uniform():
    pole = 1.5 * unit(1, SIZE, seed=9)
    choice = sphere_world(
        lambda count, seed: torch.nn.functional.normalize(unit(count, SIZE, seed=seed) + pole)
    )
    assert any(test.rejects for test in choice.tests)
    assert choice.estimator in ("direct", "gaussian", "monte_carlo")
    assert any("goal embeddings are not uniform on the sphere" in line for line in choice.reasons)


def test_separate_encoders_rule_direct_comparison_out():
    turn = torch.linalg.qr(torch.randn(SIZE, SIZE, generator=seeded(7)))[0]
    choice = gaussian_world(lambda x: x @ turn)
    assert "direct" not in choice.rehearsed
    assert choice.estimator == "gaussian"
    assert any("direct comparison is meaningless" in line for line in choice.reasons)


def test_one_encoder_passed_twice_counts_as_shared():
    choice = gaussian_world(lambda x: x.clone())
    assert "direct" in choice.rehearsed


def test_monte_carlo_is_chosen_where_goals_are_neither_gaussian_nor_shared():
    # Two clusters, far apart, that the language side's encoder folds onto one another.
    generator = seeded(0)

    def goals(count):
        side = torch.randint(0, 2, (count, 1), generator=generator) * 2.0 - 1
        return torch.cat([3 * side, torch.randn(count, 2, generator=generator)], 1)

    def fold(x):
        return torch.stack([x[:, 0].abs(), x[:, 0] * x[:, 1]], 1)

    left_goals, texts, candidates = goals(512), goals(2048), goals(4000)
    choice = choose(
        left_goals + 0.1 * torch.randn(512, 3, generator=generator), fold(left_goals),
        fold(texts) + 0.1 * torch.randn(2048, 2, generator=generator), candidates, fold(candidates),
        generator=generator, left_scale=100.0, right_scale=100.0,
    )  # fmt: skip
    assert choice.estimator == "monte_carlo"
    assert any(test.rejects for test in choice.tests)


def test_the_rehearsal_predicts_the_recall_on_pairs_nobody_saw():
    choice = gaussian_world(lambda x: x, candidates=2000, k=20_000)
    generator = seeded(11)
    goals = torch.randn(512, SIZE, generator=generator)
    a, c = (goals + 0.3 * torch.randn(512, SIZE, generator=generator) for _ in range(2))
    scores = choice.score(a.unflatten(0, (16, 32)), c.unflatten(0, (16, 32)))
    recall = recall_at_1(scores).mean().item()
    assert recall == pytest.approx(choice.rehearsed[choice.estimator][0], abs=0.06)


def test_reasons_name_the_encoder_the_law_the_sample_and_the_rehearsal():
    choice = gaussian_world(lambda x: x)
    text = str(choice)
    assert text.startswith(f"{choice.estimator}:")
    for part in ("shared", "isotropic Gaussian (Assumption 3)", "candidates are effective",
                 "rehearsed recall: direct", "would be found with probability 0.95"):  # fmt: skip
        assert part in text
    assert 1 <= choice.effective_sample_size <= 200


def test_few_effective_candidates_are_pointed_out():
    assert "a handful decides" in str(gaussian_world(lambda x: x, candidates=20))


def test_too_few_goals_are_not_tested():
    choice = gaussian_world(lambda x: x, candidates=SIZE)
    assert choice.tests == ()
    assert "too few goals" in str(choice)


@pytest.mark.parametrize("energy", [cosine, dot, neg_half_sq_l2])
def test_a_collapsed_encoder_is_no_error(energy):
    # what an encoder learns where goals do not matter; zeros have no direction
    collapsed = torch.zeros(200, SIZE) if energy is cosine else torch.full((200, SIZE), 0.1)
    left = torch.randn(64, SIZE, generator=seeded(1))
    choice = choose(
        left, torch.full((64, SIZE), 0.1), torch.randn(50, SIZE, generator=seeded(2)), collapsed,
        generator=seeded(), energy=energy,
    )  # fmt: skip
    assert choice.tests == ()
    assert "too much alike" in str(choice)
    assert torch.isfinite(choice.score(left[:3], left[:2])).all()


@pytest.mark.parametrize(("energy", "closed"), [(neg_l2, False), (dot, True)])
def test_a_closed_form_is_offered_only_for_energies_that_have_one(energy, closed):
    choice = gaussian_world(lambda x: x, energy=energy)
    assert ("gaussian" in choice.rehearsed) == closed


def test_two_energies_have_no_closed_form():
    choice = gaussian_world(lambda x: x.clone() * 1.0001, right_energy=dot)
    assert "gaussian" not in choice.rehearsed


def test_the_same_generator_gives_the_same_choice():
    assert gaussian_world(lambda x: x).rehearsed == gaussian_world(lambda x: x).rehearsed


GOOD = {
    "left": torch.zeros(64, 3), "left_goals": torch.zeros(64, 2), "right": torch.zeros(5, 2),
    "goals": torch.zeros(9, 3), "right_goals": torch.zeros(9, 2),
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"left": torch.zeros(40, 3)}, ShapeError, "N >= 64"),
        ({"left_goals": torch.zeros(63, 2)}, ShapeError, "left_goals"),
        ({"left": torch.zeros(64, 2)}, ShapeError, "left and goals of one embedding size"),
        ({"right": torch.zeros(5, 3)}, ShapeError, "right, left_goals and right_goals of one"),
        ({"right_goals": torch.zeros(8, 2)}, ShapeError, "same M >= 2 candidates"),
        ({"goals": torch.zeros(0, 3)}, ShapeError, "goals"),
        ({"goals": torch.full((9, 3), float("nan"))}, NonFiniteError, "goals"),
        ({"right": torch.zeros(2, 5, 2)}, ShapeError, "right"),
        ({"left_scale": -1.0}, DomainError, "left_scale"),
        ({"alternatives": 1}, DomainError, "alternatives"),
    ],
)
def test_wrong_arguments_are_named(changed, error, message):
    with pytest.raises(error, match=message) as caught:
        choose(**GOOD | changed, generator=seeded(), energy=neg_half_sq_l2)
    assert "\n" not in str(caught.value)
