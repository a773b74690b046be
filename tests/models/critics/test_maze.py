import pytest
import torch

from langrl.functional.energies import ENERGIES
from langrl.models.config import TextConfig
from langrl.models.critics.build import build_critics
from langrl.models.critics.maze import GoalCritic, LanguageCritic


@pytest.mark.parametrize("energy", ENERGIES)
def test_scores_are_the_energy_times_the_learned_scale(energy, description):
    config = description.critic.model_copy(update={"energy": energy})
    critic, language = build_critics(description.model_copy(update={"critic": config}), 0)
    left, right = torch.randn(2, 4, 8), torch.randn(2, 3, 8)
    texts = torch.randn(2, 3, 2, 8)  # two alternatives each
    expected = ENERGIES[energy](left, right)
    first, second = (ENERGIES[energy](left, texts[:, :, j]) for j in (0, 1))
    for scale in (0.0, 1.5):
        critic.scale.log_scale.data.fill_(scale)
        language.scale.log_scale.data.fill_(scale)
        factor = torch.tensor(scale).exp()  # 1 at first
        assert torch.allclose(critic.score(left, right), factor * expected, atol=1e-5)
        either = torch.logaddexp(factor * first, factor * second)
        assert torch.allclose(language.score(left, texts), either, atol=1e-4)


def test_a_text_of_two_alternatives_fits_goals_of_either(make_critics):
    _, language = make_critics()
    goals = torch.eye(8)[:3] * 20
    either = torch.stack([goals[0], goals[1]]).unsqueeze(0)  # [K = 1, J = 2, D]
    fit = language.score(goals, either).squeeze(1).detach()
    assert fit[0] == pytest.approx(fit[1].item(), abs=1e-4)
    assert fit[0] > fit[2] + 100


@pytest.mark.parametrize(("which", "right"), [(0, (3, 8)), (1, (3, 2, 8))])
def test_the_scale_is_trained(which, right, make_critics):
    model = make_critics()[which]
    model.score(torch.randn(4, 8), torch.randn(right)).sum().backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert list(gradients) == ["scale.log_scale"]
    assert gradients["scale.log_scale"].abs() > 0


def test_the_scale_is_positive_and_bounded(make_critics):
    critic, _ = make_critics()
    left, right = torch.zeros(1, 8), torch.ones(1, 8)
    for value, smallest, largest in ((-50.0, 0, 1e-9), (50.0, 900, 1100)):
        critic.scale.log_scale.data.fill_(value)
        critic.scale.bound()
        ratio = (critic.score(left, right) / critic.energy(left, right)).item()
        assert smallest < ratio < largest


def test_a_scale_at_its_bound_can_come_down_again(make_critics):
    critic, _ = make_critics()
    optimizer = torch.optim.Adam([critic.scale.log_scale], lr=0.1)
    critic.scale.log_scale.data.fill_(7.5)
    left, right = torch.zeros(1, 8), torch.ones(1, 8)
    before = critic.score(left, right).item()
    for _ in range(20):
        optimizer.zero_grad()
        critic.score(left, right).square().sum().backward()
        optimizer.step()
    assert abs(critic.score(left, right).item()) < 0.5 * abs(before)


def test_both_critics_have_the_same_goal_encoder(make_critics):
    critic, language = make_critics()
    assert critic.goal is language.goal
    assert isinstance(critic, GoalCritic)
    assert isinstance(language, LanguageCritic)


def test_the_whole_way_from_states_and_texts_to_scores(make_critics):
    critic, language = make_critics()
    goals = critic.goal(torch.rand(6, 2) * 5)
    state_actions = critic.state_action(torch.rand(4, 2) * 5, torch.randn(4, 2))
    texts = language.encode_text(["go to row 1", "the top half", "column 4"])
    assert critic.score(state_actions, goals).shape == (4, 6)
    assert language.score(goals, texts).shape == (6, 3)


def test_a_named_text_model_is_built_without_loading_it(description):
    text = TextConfig(model="/no/such/model", width=16)
    changes = {"text": text, "vocabulary": (), "text_width": 12}
    _, language = build_critics(description.model_copy(update=changes), 0)
    assert language.text(torch.zeros(2, 12)).shape == (2, 2, 8)
