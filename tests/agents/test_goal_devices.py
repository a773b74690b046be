"""Goal-reaching agents compute where their weights are."""

import numpy as np
import pytest
import torch
from goal_line import make_actor, make_critic, make_learner, moves, world
from stand_in_device import send, stand_in_device

from langrl.agents.contrastive_actor_critic import GoalConditionedPolicy
from langrl.training.learner import OfflineReplay

MODES = [(discrete, kind) for discrete in (False, True) for kind in ("actor", "compare")]
SEEN = dict(
    zip(
        ("observation", "desired_goal"),
        np.linspace(-1, 1, 12, dtype=np.float32).reshape(2, 6, 1),
        strict=True,
    )
)


@pytest.mark.parametrize(("discrete", "kind"), MODES)
def test_actions_are_the_same_on_another_device(discrete, kind, monkeypatch):
    sides = world(discrete)
    critic = make_critic(sides=sides)
    actor = make_actor(sides=sides, critic=critic, kind=kind)
    model = actor if kind == "actor" else critic

    def act(generator):
        return GoalConditionedPolicy(actor, model, generator)(SEEN)

    expected = act(None), act(torch.Generator().manual_seed(0))
    with stand_in_device(monkeypatch) as away:
        send(critic)
        if kind == "actor":
            send(actor)
        else:
            actor.to(away)
        found = act(None), act(torch.Generator(away).manual_seed(0))
    for one, other in zip(expected, found, strict=True):
        assert isinstance(other, np.ndarray)
        np.testing.assert_allclose(other, one, atol=1e-6)


@pytest.mark.parametrize(("discrete", "kind"), MODES)
@pytest.mark.parametrize("others", ["uniform", "behaviour"])
def test_losses_are_the_same_on_another_device(discrete, kind, others, monkeypatch):
    options = {
        "actor": {"kind": kind},
        "action_weight": 1.0,
        "other_actions": others,
        "ignored_negatives": "same_episode",
        "behaviour_cloning": 0.1,
    }
    learner = make_learner(discrete, **options)
    batch = moves(64, discrete, torch.Generator().manual_seed(1))
    expected = learner.loss(batch)[0].item()
    with stand_in_device(monkeypatch) as away:
        moved = make_learner(discrete, **options)
        send(moved.critic)
        if kind == "actor":
            send(moved.actor)
            moved._coefficient = moved._coefficient.detach().to(away)
        moved.generator = torch.Generator(away).manual_seed(0)
        there = {name: value.to(away) for name, value in batch.items()}
        assert moved.loss(there)[0].cpu().item() == pytest.approx(expected, rel=1e-5)
        assert isinstance(moved.experience, OfflineReplay)
