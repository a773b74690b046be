import pytest
import torch
from goal_line import make_critic, world

from langrl.functional.energies import ENERGIES
from langrl.models.goal_networks import InputDescription
from langrl.models.protocols import Critic, StateEncoder

JOINS = ["early", "late"]
IMAGES = {
    "observation": InputDescription(shape=(6, 6, 3)),
    "goal": InputDescription(shape=(6, 6, 3)),
    "actions": 3,
    "discrete": True,
}


def drawn(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(len(shape))) * 2 - 1


@pytest.mark.parametrize("joins", JOINS)
@pytest.mark.parametrize("critics", [1, 2])
@pytest.mark.parametrize("residual", [False, True])
def test_embeddings_agree_whichever_way_they_are_made(joins, critics, residual):
    sides = world(states=4, goals=2, actions=3)
    critic = make_critic(
        sides=sides, action_joins=joins, critics=critics, depth=4, residual=residual
    )
    assert isinstance(critic, Critic)
    assert isinstance(critic, StateEncoder)
    states, actions, goals = drawn(5, 4), drawn(5, 7, 3), drawn(5, 6, 2)
    context = critic.initial_context(states)
    every = critic.embed_actions(context, states, actions)
    assert every.shape == (5, 7, critics * 8)
    torch.testing.assert_close(every[:, 2], critic.embed_pairs(states, actions[:, 2]))
    embedded = critic.embed_goals(context, goals)
    torch.testing.assert_close(embedded, critic.goal(goals).detach())
    assert not embedded.requires_grad
    assert critic.score(every, embedded).shape == (5, 7, 6)
    assert critic.features(states, goals[:, 0]).ndim == 2
    assert torch.equal(critic.update_memory(context, states, actions, states > 0), context)
    assert not critic.scene_changed(states, states + 1).any()


@pytest.mark.parametrize("energy", ENERGIES)
def test_scores_are_the_least_energy_times_the_scale(energy):
    critic = make_critic(energy=energy, critics=2, scale=0.25, temperature="fixed")
    left, right = drawn(4, 16), drawn(3, 16)
    one, two = (
        ENERGIES[energy](a, b) for a, b in zip(left.split(8, -1), right.split(8, -1), strict=True)
    )
    torch.testing.assert_close(critic.score(left, right), 0.25 * torch.minimum(one, two))
    torch.testing.assert_close(critic.member_scores(left, right)[1], 0.25 * two)


@pytest.mark.parametrize(("temperature", "learned"), [("learned", True), ("fixed", False)])
def test_the_scale_starts_as_the_config_says_and_is_learned_or_fixed(temperature, learned):
    critic = make_critic(temperature=temperature, scale=3.0)
    assert critic.scale.log_scale.exp().item() == pytest.approx(3)
    assert critic.scale.log_scale.requires_grad == learned


@pytest.mark.parametrize("joins", JOINS)
def test_discrete_actions_are_told_apart(joins):
    critic = make_critic(sides=world(discrete=True), action_joins=joins)
    embedded = critic.embed_actions(drawn(5, 0), drawn(5, 1), torch.tensor([0, 1, 0]))
    assert embedded.shape == (5, 3, 8)
    assert torch.equal(embedded[:, 0], embedded[:, 2])
    assert not torch.allclose(embedded[:, 0], embedded[:, 1])
    pairs = critic.embed_pairs(drawn(5, 1), torch.ones(5, dtype=torch.int64))
    torch.testing.assert_close(pairs, embedded[:, 1])


def test_images_are_read():
    critic = make_critic(sides=IMAGES)
    assert critic.observation_axes == 3
    assert make_critic().observation_axes == 1
    images = torch.randint(
        0, 256, (4, 5, 6, 6, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    seen, goals = images[:, 0], images[:, 1:]
    context = critic.initial_context(seen)
    assert context.shape == (4, 0)
    embedded = critic.embed_goals(context, goals)
    assert embedded.shape == (4, 4, 8)
    torch.testing.assert_close(embedded[:, 2], critic.goal(goals[:, 2]).detach())
    actions = critic.embed_actions(context, seen, torch.arange(3).expand(4, 3))
    assert critic.score(actions, embedded).shape == (4, 3, 4)


def test_late_actions_cost_no_more_passes_of_the_state():
    critic, seen = make_critic(sides=world(states=4), action_joins="late"), []
    for member in critic.members:
        member.state.register_forward_hook(lambda _, given, __: seen.append(given[0].shape))
    critic.embed_actions(drawn(5, 0), drawn(5, 4), drawn(5, 50, 1))
    assert seen == [(5, 4)]


def test_critics_side_by_side_share_no_layer():
    critic = make_critic(critics=2)
    loss = critic.member_scores(
        critic.embed_pairs(drawn(4, 1), drawn(4, 1)), critic.goal(drawn(4, 1))
    )
    loss[0].sum().backward()
    other = [*critic.members[1].parameters(), *critic.goal.members[1].parameters()]
    assert all(weight.grad is None or not weight.grad.any() for weight in other)
    assert any(weight.grad.any() for weight in critic.members[0].parameters())


def test_the_same_seed_gives_the_same_weights_and_another_one_others():
    one, two, other = (make_critic(seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)
