import numpy as np
import pytest
import torch

from langrl.agents.config import RecurrentLearnerConfig
from langrl.agents.recurrent_contrastive import RecurrentContrastiveLearner
from langrl.data.grid.exploration import ExplorationReplay, planner_trajectories
from langrl.envs.grid.rooms import ACTIONS, GRID_WORLDS, draw_rooms
from langrl.errors import NonFiniteError
from langrl.grounding.config import GridGroundingConfig
from langrl.models.config import CpcConfig, RecurrentCriticConfig
from langrl.models.cpc import CpcDescription
from langrl.protocols import Learner
from langrl.tasks.grid_partial.agent import GridPartialAgentDescription, build_recurrent_critic
from langrl.training.learner import OfflineReplay


def learner_of(
    seed=0, steps=30, memory=True, frozen=False, **settings
) -> RecurrentContrastiveLearner:
    generator = np.random.default_rng(seed)
    explorations = planner_trajectories(
        draw_rooms(GRID_WORLDS["goto"], 20, generator), 2, 2, generator
    )
    replay = ExplorationReplay(
        [explorations], view=7, length=20, discount=0.9, tail="clip", device=torch.device("cpu")
    )
    sizes = CpcConfig(embedding=16, context=16, horizon=2, width=32, depth=1)
    description = GridPartialAgentDescription(
        world="goto",
        history=CpcDescription(observation=(7, 7, 3), actions=len(ACTIONS), config=sizes),
        memory=memory,
        critic=RecurrentCriticConfig(embedding=16, width=32, depth=1),
        language="bundled",
        grounding=GridGroundingConfig(),
    )
    config = RecurrentLearnerConfig(
        **{"steps": steps, "explorations": 8, "states": 12, "pairs": 64, "warmup": 5, "anchors": 32}
        | settings
    )
    draw = torch.Generator().manual_seed(seed)
    experience = OfflineReplay(replay.sample, config.explorations, config.states, draw)
    return RecurrentContrastiveLearner(
        build_recurrent_critic(description, seed), experience, config, draw, frozen
    )


def train(learner: Learner, steps: int) -> list[dict[str, float]]:
    metrics = [learner.update(learner.batch()) for _ in range(steps)]
    return [{name: float(value) for name, value in each.items()} for each in metrics]


@pytest.mark.parametrize("memory", [True, False])
def test_loss_falls(memory):
    learner: Learner = learner_of(memory=memory)
    metrics = train(learner, 30)
    first, last = (np.mean([m["loss"] for m in part]) for part in (metrics[:5], metrics[-5:]))
    assert last < first


def test_same_seed_gives_the_same_bits():
    one, two = learner_of(steps=4), learner_of(steps=4)
    train(one, 4)
    train(two, 4)
    for name, value in one.critic.named_parameters():
        assert torch.equal(value, dict(two.critic.named_parameters())[name])


@pytest.mark.parametrize("frozen", [True, False])
def test_training_goes_on_to_the_bits_of_an_uninterrupted_one(frozen):
    whole = learner_of(steps=6, frozen=frozen)
    train(whole, 6)
    begun = learner_of(steps=6, frozen=frozen)
    train(begun, 3)
    state = {
        part: {name: value.clone() for name, value in tensors.items()}
        for part, tensors in begun.state().items()
    }
    resumed = learner_of(steps=6, frozen=frozen)
    resumed.load_state(state)
    train(resumed, 3)
    for name, value in whole.critic.named_parameters():
        assert torch.equal(value, dict(resumed.critic.named_parameters())[name]), name


def changed(learner: RecurrentContrastiveLearner) -> set[str]:
    before = {name: value.clone() for name, value in learner.critic.named_parameters()}
    train(learner, 3)
    return {
        name.split(".")[1] if name.startswith("history") else name.split(".")[0]
        for name, value in learner.critic.named_parameters()
        if not torch.equal(value, before[name])
    }


def test_every_part_learns_and_predictive_coding_only_where_it_counts():
    heads = {"state_action", "stay", "goal", "scale"}
    assert changed(learner_of()) == heads | {"encoder", "gru", "ahead"}
    assert changed(learner_of(cpc_weight=0.0)) == heads | {"encoder", "gru"}
    assert changed(learner_of(memory=False)) == heads | {"encoder"}
    assert changed(learner_of(frozen=True)) == heads


def test_weight_of_telling_actions_apart_counts():
    with_it, without = learner_of(), learner_of(action_weight=0.0)
    batch = with_it.batch()
    one, two = with_it.update(batch), without.update(without.batch())
    expected = two["loss"] + 2.0 * two["action_loss"]
    assert float(one["loss"]) == pytest.approx(float(expected), rel=1e-5)


def test_batch_without_a_goal_that_is_an_object_still_teaches():
    learner = learner_of()
    batch = learner.batch()
    batch["goal"][..., 0] = 1
    assert torch.isfinite(learner.update(batch)["loss"])


def test_diverging_training_stops_before_harm():
    learner = learner_of()
    with torch.no_grad():
        learner.critic.goal[0].weight.fill_(float("nan"))
    before = {name: value.clone() for name, value in learner.critic.named_parameters()}
    with pytest.raises(NonFiniteError):
        learner.update(learner.batch())
    for name, value in learner.critic.named_parameters():
        assert torch.equal(value.nan_to_num(), before[name].nan_to_num())


def test_it_learns_when_float64_is_the_default(float64):
    learner = learner_of()
    assert np.isfinite([metrics["loss"] for metrics in train(learner, 2)]).all()
    assert {p.dtype for p in learner.critic.parameters()} == {torch.float64}
