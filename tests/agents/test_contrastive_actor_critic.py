import math

import numpy as np
import pytest
import torch
from goal_line import make_learner, share_towards_goals
from pydantic import ValidationError

from langrl.agents.config import LOSS_NAMES, PENALISED, GoalLearnerConfig
from langrl.agents.contrastive_actor_critic import _ignored, _without
from langrl.errors import NonFiniteError
from langrl.functional.energies import ENERGIES
from langrl.functional.losses import LOSSES
from langrl.protocols import Learner

MODES = [(discrete, kind) for discrete in (False, True) for kind in ("actor", "compare")]


def train(learner, steps):
    return [learner.update(learner.batch()) for _ in range(steps)]


def weights(learner):
    return {name: value.detach().clone() for name, value in learner.state()["weights"].items()}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# -- it learns -----------------------------------------------------------------------------------


@pytest.mark.parametrize("energy", ENERGIES)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_and_energy_learns_which_way_a_goal_is(loss, energy):
    learner = make_learner(loss=loss, critic={"energy": energy}, logsumexp_penalty=0.0)
    train(learner, 70)
    assert share_towards_goals(learner) > 0.9


@pytest.mark.parametrize(("discrete", "kind"), MODES)
@pytest.mark.parametrize("joins", ["early", "late"])
def test_every_kind_of_actor_learns_which_way_a_goal_is(discrete, kind, joins):
    learner: Learner = make_learner(
        discrete, actor={"kind": kind}, critic={"action_joins": joins}, action_weight=1.0
    )
    before = share_towards_goals(learner)
    metrics = train(learner, 70)
    assert share_towards_goals(learner) > max(0.9, before)
    told_apart = [float(each["critic/accuracy_action"]) for each in metrics]
    assert np.mean(told_apart[-10:]) > told_apart[0]
    assert all(math.isfinite(float(value)) for value in metrics[-1].values())


def test_deep_residual_networks_train():
    deep = {"depth": 64, "residual": True, "width": 16}
    learner = make_learner(critic=deep, actor=deep, batch_size=32)
    assert len(learner.optimiser.parameters) > 3 * 64
    losses = [float(metrics["critic/loss"]) for metrics in train(learner, 12)]
    assert np.isfinite(losses).all()
    assert min(losses[-3:]) < losses[0]


# -- the actor's loss ----------------------------------------------------------------------------


@pytest.mark.parametrize("discrete", [False, True])
@pytest.mark.parametrize("goals", ["relabelled", "random", "both", "uniform"])
def test_the_actors_loss_leaves_the_critic_alone(discrete, goals):
    learner = make_learner(discrete, actor_goals=goals, behaviour_cloning=0.1)
    batch = learner.batch()
    critic, actor = learner.critic, learner.actor
    features, embedded = critic.read(batch["state"]), critic.goal(batch["goal"])
    loss, _ = learner._actor_loss(batch, features.detach(), embedded.detach())
    loss.backward()
    assert all(weight.grad is None for weight in critic.parameters())
    assert all(weight.grad.isfinite().all() for weight in actor.parameters())
    assert any(weight.grad.any() for weight in actor.parameters())
    assert all(weight.requires_grad for weight in critic.parameters())


def test_a_step_on_the_whole_loss_moves_the_critic_as_its_own_loss_does():
    alone, whole = make_learner(actor={"kind": "compare"}), make_learner()
    batch = alone.batch()
    for learner in (alone, whole):
        learner.update(batch)
    ours, theirs = weights(whole), weights(alone)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert set(ours) > set(theirs)


def test_a_fixed_scale_stays_fixed():
    learner = make_learner(critic={"temperature": "fixed", "scale": 0.5})
    train(learner, 2)
    assert learner.critic.scale.log_scale.exp().item() == pytest.approx(0.5)
    assert not learner.critic.scale.log_scale.requires_grad
    assert "critic.scale.log_scale" in learner.state()["weights"]


def follow(learner, scores, densities, target=0.0):
    loss, metrics = learner._follow(torch.tensor(scores), torch.tensor(densities), target)
    return loss.item(), {name: value.item() for name, value in metrics.items()}


def test_the_actors_loss_by_hand():
    fixed = make_learner(entropy="fixed", entropy_coefficient=0.5)
    loss, metrics = follow(fixed, [1.0, 3.0], [0.25, 0.75])
    assert loss == pytest.approx(-2 + 0.5 * 0.5)
    assert metrics == pytest.approx({"score": 2, "entropy": -0.5})
    greedy = make_learner(entropy="fixed", entropy_coefficient=0.0, normalise_scores=True)
    assert follow(greedy, [-1.0, 3.0], [9.0, 9.0])[0] == pytest.approx(-1 / 2, abs=1e-5)
    learned = make_learner(entropy_coefficient=2.0)
    # 2 log p - score, and 2 (entropy - target) of the coefficient's own
    assert follow(learned, [1.0], [0.25], target=-1.0)[0] == pytest.approx(-1 + 0.5 + 2 * 0.75)


@pytest.mark.parametrize("discrete", [False, True])
def test_the_entropy_coefficient_rises_where_there_is_too_little_entropy(discrete):
    name = "discrete_target_entropy" if discrete else "target_entropy"
    for target, rises in ((0.99, True), (0.0 if discrete else -9.0, False)):
        learner = make_learner(discrete, entropy_learning_rate=0.1, **{name: target})
        first, *_, last = (float(m["actor/coefficient"]) for m in train(learner, 8))
        assert first == pytest.approx(1)
        assert (last > 1.2) == rises
        assert (last < 0.9) == (not rises)


def test_cloning_brings_the_actor_to_the_datas_actions():
    learner = make_learner(
        entropy="fixed", entropy_coefficient=0.0, behaviour_cloning=100.0, normalise_scores=True
    )
    batch = learner.batch() | {"action": torch.full((64, 1), 0.7)}
    for _ in range(60):
        learner.update(batch)
    found = learner.actor.mean(batch["state"], batch["goal"])
    assert (found - 0.7).abs().mean() < 0.1


def test_the_least_of_several_critics_is_followed():
    learner = make_learner(critic={"critics": 2})
    batch = learner.batch()
    pairs = learner.critic.embed_pairs(batch["state"], batch["action"])
    one, two = learner.critic.member_scores(pairs, learner.critic.goal(batch["goal"]))
    assert not torch.allclose(one, two)
    train(learner, 70)
    assert share_towards_goals(learner) > 0.9


# -- the critic's loss ---------------------------------------------------------------------------


@pytest.mark.parametrize("critics", [1, 2])
def test_the_critics_loss_is_that_of_its_name(critics):
    learner = make_learner(
        critic={"critics": critics}, actor={"kind": "compare"}, loss="sigmoid", sigmoid_bias=-3.0
    )
    batch, critic = learner.batch(), learner.critic
    scores = critic.member_scores(
        critic.embed_pairs(batch["state"], batch["action"]), critic.goal(batch["goal"])
    )
    expected = sum(LOSSES["sigmoid"](square, -3.0)[0] for square in scores) / critics
    assert learner.loss(batch)[0].item() == pytest.approx(expected.item(), rel=1e-5)


def test_pairs_of_one_episode_or_of_equal_goals_are_no_negatives():
    by_hand = torch.tensor([[0.0, 1.0, 2.0, 3.0]] * 4) + torch.eye(4)
    batch = {"episode": torch.tensor([5, 5, 6, 7]), "goal": torch.tensor([[1.0], [2], [1], [3]])}
    same = _without(by_hand, _ignored("same_episode", batch)).isinf()
    assert same.nonzero().tolist() == [[0, 1], [1, 0]]
    alike = _without(by_hand, _ignored("equal_goals", batch)).isinf()
    assert alike.nonzero().tolist() == [[0, 2], [2, 0]]
    assert torch.equal(_without(by_hand, _ignored("none", batch)), by_hand)
    one = batch | {"episode": torch.zeros(4, dtype=torch.int64)}  # nothing would be left
    assert torch.equal(_without(by_hand, _ignored("same_episode", one)), by_hand)


def test_other_actions_are_any_or_those_of_the_data():
    uniform = make_learner(action_weight=1.0, action_negatives=500)
    taken = torch.tensor([[0.1], [0.2]])
    drawn = uniform._other_actions(taken)
    assert drawn.shape == (2, 500, 1)
    assert drawn.abs().max() <= 1
    assert drawn.mean().abs() < 0.1
    behaviour = make_learner(action_weight=1.0, other_actions="behaviour", action_negatives=30)
    assert (
        sorted(set(behaviour._other_actions(taken).flatten().tolist())) == taken.flatten().tolist()
    )
    discrete = make_learner(True, action_weight=1.0)
    assert discrete._other_actions(torch.tensor([0, 1, 0])).tolist() == [[1], [0], [1]]


# -- acting, storing, refusing -------------------------------------------------------------------


def observed(count=6):
    numbers = np.linspace(-0.9, 0.9, 2 * count, dtype=np.float64).reshape(2, count, 1)
    return {"observation": numbers[0], "desired_goal": numbers[1]}


@pytest.mark.parametrize(("discrete", "kind"), MODES)
def test_acting_explores_and_evaluating_draws_nothing_from_the_learner(discrete, kind):
    learner = make_learner(discrete, actor={"kind": kind})
    before = learner.generator.get_state()
    best = learner.policy(True)(observed())
    own = learner.policy(False, torch.Generator().manual_seed(3))
    drawn = own(observed(500))
    assert torch.equal(learner.generator.get_state(), before)
    assert np.array_equal(best, learner.policy(True)(observed()))
    assert len(np.unique(drawn)) > 1
    assert best.shape == ((6,) if discrete else (6, 1))
    assert best.dtype == (np.int64 if discrete else np.float32)
    taken = [learner.act(observed(40)) for _ in range(2)]
    assert not np.array_equal(*taken)
    if not discrete:
        assert np.abs(taken).max() <= 1


def test_observations_that_are_not_finite_are_refused():
    seen = observed()
    seen["desired_goal"][3] = np.nan
    with pytest.raises(NonFiniteError, match="desired_goal is not finite"):
        make_learner().act(seen)


@pytest.mark.parametrize(("discrete", "kind"), MODES)
def test_a_resumed_learner_goes_on_bit_for_bit(discrete, kind):
    options = {"actor": {"kind": kind}, "action_weight": 0.5, "schedule": "cosine"}
    whole, half, resumed = (make_learner(discrete, seed, **options) for seed in (0, 0, 9))
    train(whole, 6)
    train(half, 3)
    state = half.state()
    copied = {
        file: {k: v.detach().clone() for k, v in part.items()} for file, part in state.items()
    }
    resumed.load_state(copied)
    train(resumed, 3)
    assert equal(weights(whole), weights(resumed))
    assert np.array_equal(whole.act(observed()), resumed.act(observed()))


def test_the_same_seed_gives_the_same_bits_and_another_one_others():
    one, two, other = (make_learner(seed=seed) for seed in (0, 0, 1))
    for learner in (one, two, other):
        train(learner, 3)
    assert equal(weights(one), weights(two))
    assert not equal(weights(one), weights(other))


@pytest.mark.parametrize("where", ["critic", "actor", "entropy"])
def test_a_number_that_is_not_finite_anywhere_changes_nothing(where):
    learner = make_learner()
    train(learner, 1)
    name, parameter = next(
        (name, p) for name, p in learner.optimiser.parameters.items() if name.startswith(where)
    )
    parameter.register_hook(lambda gradient: torch.full_like(gradient, torch.nan))
    before, batch = weights(learner), learner.batch()
    with pytest.raises(NonFiniteError):
        learner.update(batch)
    assert equal(weights(learner), before), name


def test_it_learns_when_float64_is_the_default(float64):
    for discrete, kind in MODES:
        learner = make_learner(discrete, actor={"kind": kind}, action_weight=1.0)
        assert np.isfinite([float(metrics["loss"]) for metrics in train(learner, 2)]).all()
        assert {p.dtype for p in learner.optimiser.parameters.values()} == {torch.float64}
        assert learner.act(observed()).dtype == (np.int64 if discrete else np.float32)


# -- settings ------------------------------------------------------------------------------------


def test_the_names_of_losses_are_those_that_there_are():
    assert tuple(LOSSES) == LOSS_NAMES
    for name in LOSSES:
        takes = "logsumexp_penalty" in LOSSES[name].__wrapped__.__code__.co_varnames
        assert takes == (name in PENALISED)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"loss": "info_nce"}, "no loss named 'info_nce'; did you mean"),
        ({"loss": "triplet", "logsumexp_penalty": 0.5}, "no effect on triplet"),
        ({"sigmoid_bias": 1.0}, "no effect on symmetric_info_nce"),
        ({"entropy_coefficient": 0.0}, "set it above 0, or learner.entropy to fixed"),
    ],
)
def test_settings_without_an_effect_are_refused(fields, words):
    with pytest.raises(ValidationError, match=words):
        GoalLearnerConfig(**fields)
    assert GoalLearnerConfig(loss="triplet", logsumexp_penalty=0.0).loss == "triplet"
