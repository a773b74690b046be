import math

import pytest
import torch
from goal_line import make_actor, make_critic, world

from langrl.models.actors import CategoricalActor, ComparingActor, compared_actions


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(*shape):
    return torch.rand(shape, generator=generator(len(shape))) * 2 - 1


def with_outputs(actor, *values):
    """Make an actor give these numbers, whatever it reads."""
    last = actor.trunk.net[-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.tensor(values))
    return actor


LOG_ROOT = 0.5 * math.log(2 * math.pi)


def test_the_density_of_an_action_by_hand():
    """Mean 0.5, deviation 1: log N(x) - log(1 - tanh(x)^2), x = artanh(a)."""
    actor = with_outputs(make_actor(log_std_low=-1.0, log_std_high=1.0), 0.5, 0.0)
    for action in (0.0, 0.6, -0.8):
        before = math.atanh(action)
        expected = -0.5 * (before - 0.5) ** 2 - LOG_ROOT - math.log(1 - action**2)
        found = actor.log_density(drawn(1, 1), drawn(1, 1), torch.tensor([[action]]))
        assert found.item() == pytest.approx(expected, abs=1e-5)


def test_a_clipped_gaussian_has_the_density_before_the_clip():
    actor = with_outputs(make_actor(bounds="clip", log_std_low=0.0, log_std_high=0.0), 2.0)
    found = actor.log_density(drawn(1, 1), drawn(1, 1), torch.tensor([[1.0]]))
    assert found.item() == pytest.approx(-0.5 - LOG_ROOT)
    assert actor.mean(drawn(1, 1), drawn(1, 1)).item() == 1
    draws, density = actor.sample(drawn(1000, 1), drawn(1000, 1), generator())
    assert draws.min() < 1 == draws.max()
    assert density.mean().item() == pytest.approx(-0.5 - LOG_ROOT, abs=0.1)  # minus the entropy


@pytest.mark.parametrize("actions", [1, 3])
def test_the_density_of_a_draw_is_that_of_its_action(actions):
    actor = make_actor(sides=world(actions=actions), log_std_low=-2.0, log_std_high=0.0)
    states, goals = drawn(50, 1), drawn(50, 1)
    draws, density = actor.sample(states, goals, generator())
    assert draws.shape == (50, actions)
    assert density.shape == (50,)
    torch.testing.assert_close(
        actor.log_density(states, goals, draws), density, atol=1e-3, rtol=1e-3
    )


def test_the_density_integrates_to_1():
    actor = make_actor(log_std_low=-1.0, log_std_high=0.0)
    edges = torch.linspace(-1, 1, 20_001).unsqueeze(1)
    middles = (edges[1:] + edges[:-1]) / 2
    one = drawn(1, 1).expand(20_000, 1)
    density = actor.log_density(one, one, middles).exp()
    assert (density * 2 / 20_000).sum().item() == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("mean", [0.0, 30.0, -300.0])
def test_densities_and_gradients_stay_finite_at_the_edge(mean):
    actor = with_outputs(make_actor(log_std_low=-5.0, log_std_high=2.0), mean, 3.0)
    states = drawn(64, 1)
    draws, density = actor.sample(states, states, generator())
    cloned = actor.log_density(states, states, torch.ones(64, 1))
    (draws.sum() + density.sum() + cloned.sum()).backward()
    assert density.isfinite().all()
    assert cloned.isfinite().all()
    assert all(weight.grad.isfinite().all() for weight in actor.parameters())


def test_log_deviations_stay_in_their_range():
    actor = make_actor(log_std_low=-3.0, log_std_high=0.5)
    for value, expected in ((-50.0, -3.0), (0.0, -1.25), (50.0, 0.5)):
        found = with_outputs(actor, 0.0, value)(drawn(2, 1), drawn(2, 1))[1]
        torch.testing.assert_close(found, torch.full((2, 1), expected))
    fixed = make_actor(log_std_low=-1.0, log_std_high=-1.0)
    assert fixed(drawn(2, 1), drawn(2, 1))[1].tolist() == [[-1], [-1]]


def test_draws_follow_their_generator_and_the_best_action_needs_none():
    for sides in (world(), world(discrete=True)):
        for kind in ("actor", "compare"):
            actor, states = make_actor(sides=sides, kind=kind), drawn(100, 1)
            one, two, other = (actor.act(states, states, generator(seed)) for seed in (0, 0, 1))
            assert torch.equal(one, two)
            assert not torch.equal(one, other)
            best = actor.act(states, states)
            assert torch.equal(best, actor.act(states, states))
            assert best.shape == ((100,) if sides["discrete"] else (100, 1))
            assert best.dtype == (torch.int64 if sides["discrete"] else torch.float32)


def test_a_gradient_goes_through_a_draw():
    actor = make_actor()
    actor.sample(drawn(4, 1), drawn(4, 1), generator())[0].sum().backward()
    assert all(weight.grad is not None for weight in actor.parameters())


def test_a_categorical_actor_draws_by_its_probabilities():
    actor = with_outputs(make_actor(sides=world(discrete=True)), math.log(3.0), 0.0)
    assert isinstance(actor, CategoricalActor)
    states = drawn(4000, 1)
    torch.testing.assert_close(actor(states, states)[0].exp(), torch.tensor([0.75, 0.25]))
    share = actor.act(states, states, generator()).float().mean().item()
    assert share == pytest.approx(0.25, abs=0.03)
    assert actor.act(states, states).sum() == 0


@pytest.mark.parametrize("size", [1, 2, 5])
def test_compared_actions_are_in_the_box_and_always_the_same(size):
    actions = compared_actions(size, 8)
    assert actions.shape == (8, size)
    assert actions.abs().max() <= 1
    assert len(actions.unique(dim=0)) == 8
    assert torch.equal(actions, compared_actions(size, 8))
    if size == 2:
        torch.testing.assert_close(actions.norm(dim=1), torch.ones(8))


def test_comparing_takes_the_action_that_the_critic_scores_highest():
    critic = make_critic()
    actor = make_actor(critic=critic, kind="compare", compared=5)
    assert isinstance(actor, ComparingActor)
    states, goals = drawn(20, 1), drawn(20, 1)
    every = compared_actions(1, 5).expand(20, 5, 1)
    embedded = critic.embed_actions(states[:, :0], states, every)
    scores = critic.score(embedded, critic.goal(goals).unsqueeze(1)).squeeze(-1)
    assert torch.equal(actor.act(states, goals), every[0][scores.argmax(1)])


def test_a_high_temperature_compares_less_strictly():
    sides, states = world(discrete=True), drawn(400, 1)
    critic = make_critic(sides=sides)
    with torch.no_grad():
        critic.scale.log_scale.fill_(4.0)
    best = make_actor(critic=critic, sides=sides, kind="compare").act(states, states)
    shares = []
    for temperature in (0.05, 100.0):
        actor = make_actor(critic=critic, sides=sides, kind="compare", temperature=temperature)
        shares.append((actor.act(states, states, generator()) == best).float().mean().item())
    assert shares[0] > 0.9
    assert 0.4 < shares[1] < 0.6
