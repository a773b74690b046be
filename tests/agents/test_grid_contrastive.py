import numpy as np
import pytest
import torch

from langrl.agents.cloning import ClonedPolicy, CloningAgent, CloningLearner
from langrl.agents.config import GridLearnerConfig
from langrl.agents.grid_contrastive import GridContrastiveLearner
from langrl.data.grid.experts import GridReplay, grid_experts
from langrl.envs.grid.rooms import (
    ACTIONS,
    GRID_WORLDS,
    draw_rooms,
    facing,
    is_free,
    is_object,
    observe,
)
from langrl.errors import NonFiniteError
from langrl.models.config import GridCriticConfig
from langrl.protocols import Learner
from langrl.tasks.grid.agent import build_grid_critic
from langrl.training.learner import OfflineReplay

SIZES = GridCriticConfig(embedding=16, channels=16, depth=2, width=32)


def experts(count=40, seed=0, **options):
    generator = np.random.default_rng(seed)
    return grid_experts(draw_rooms(GRID_WORLDS["goto"], count, generator), 4, generator, **options)


def room_learner(seed=0, steps=40):
    replay = GridReplay([experts()], discount=0.95, tail="clip", device=torch.device("cpu"))
    config = GridLearnerConfig(steps=steps, rooms=8, states=8, warmup=5)
    generator = torch.Generator().manual_seed(seed)
    experience = OfflineReplay(replay.sample, config.rooms, config.states, generator)
    return GridContrastiveLearner(build_grid_critic(SIZES, seed), experience, config, generator)


def cloning_learner(seed=0, steps=40):
    """Two texts: "left objects" and "right objects", told apart by their embeddings."""
    generator = np.random.default_rng(3)
    rooms = draw_rooms(GRID_WORLDS["goto"], 40, generator)
    each = rooms.repeat(4, 0)
    half = np.zeros((8, 8), bool)
    half[:, :4] = True
    told = generator.integers(2, size=len(each))
    cells = is_object(each) & np.where(told[:, None, None] == 0, half, ~half)
    cells |= is_object(each) & ~cells.any((1, 2), keepdims=True)
    part = grid_experts(rooms, 4, generator, targets=facing(cells, is_free(each)))
    torch.manual_seed(seed)
    policy = ClonedPolicy(2, len(ACTIONS), SIZES)
    texts = torch.eye(2)[torch.from_numpy(told)]
    config = GridLearnerConfig(steps=steps, rooms=16, states=8, warmup=5)
    draw = torch.Generator().manual_seed(seed)
    return CloningLearner(policy, [part], [texts], config, draw)


MAKERS = {"critic": room_learner, "cloning": cloning_learner}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_short_training_learns_to_tell_actions_apart(make):
    learner: Learner = make(steps=150)
    accuracy = [learner.update(learner.batch())["accuracy_action"].item() for _ in range(150)]
    assert np.mean(accuracy[-20:]) > np.mean(accuracy[:20]) + 0.15
    assert learner.step == 150


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_resumed_learner_goes_on_bit_for_bit(make):
    whole, half, resumed = make(), make(), make(seed=9)
    for learner, steps in ((whole, 6), (half, 3)):
        for _ in range(steps):
            learner.update(learner.batch())
    state = half.state()
    copied = {f: {k: v.detach().clone() for k, v in t.items()} for f, t in state.items()}
    resumed.load_state(copied)
    for _ in range(3):
        resumed.update(resumed.batch())
    ours, theirs = whole.state()["weights"], resumed.state()["weights"]
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_the_same_seed_gives_the_same_bits_and_another_one_others(make):
    learners = [make(seed=seed) for seed in (0, 0, 1)]
    for learner in learners:
        for _ in range(3):
            learner.update(learner.batch())
    one, two, other = (learner.state()["weights"] for learner in learners)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_gradient_that_is_not_finite_changes_nothing(make):
    learner = make()
    batch = learner.batch()
    parameter = next(iter(learner.optimiser.parameters.values()))
    before = parameter.detach().clone()
    with torch.no_grad():
        last = list(learner.optimiser.parameters.values())[-1]
        last.fill_(torch.nan)
    with pytest.raises(NonFiniteError, match=r"lower the learning rate"):
        learner.update(batch)
    assert torch.equal(parameter, before)
    assert learner.step == 0


def test_the_learning_rate_rises_and_falls():
    learner = room_learner(steps=20)
    rates = []
    for _ in range(20):
        learner.update(learner.batch())
        rates.append(learner.optimiser.optimizer.param_groups[0]["lr"])
    assert rates[0] < rates[4] > rates[-1]
    assert max(rates) <= 3e-3
    assert rates[-1] < 1e-4


def test_negatives_come_from_the_same_room():
    batch = room_learner().batch()
    assert batch["room"].shape == (8, 8, 8, 2)
    assert batch["pose"].shape == batch["goal"].shape == (8, 8, 3)
    free = (batch["room"][..., 0] == 1).numpy()
    for name in ("pose", "goal"):
        rows, columns = batch[name][..., 0].numpy(), batch[name][..., 1].numpy()
        assert free[np.arange(8)[:, None], rows, columns].all()


def test_a_cloned_policy_acts_by_its_text():
    learner = cloning_learner(steps=1)
    words = {"left": torch.tensor([[1.0, 0.0]]), "right": torch.tensor([[0.0, 1.0]])}
    agent = CloningAgent(learner.policy, lambda texts: words[texts[0]], temperature=0.01)
    rooms = draw_rooms(GRID_WORLDS["goto"], 3, np.random.default_rng(0))
    poses = np.array([np.append(np.argwhere(room[..., 0] == 1)[0], 0) for room in rooms])
    seen = observe(rooms, poses)
    actions = agent.act({"observation": seen, "instruction": ["left", "right", "left"]})
    assert actions.shape == (3,)
    single = agent.act({"observation": seen[0], "instruction": "left"})
    assert single.shape == ()


def test_what_a_cloned_policy_has_read_is_dropped_with_the_episodes_that_are_over():
    learner = cloning_learner(steps=1)
    words = {"left": torch.tensor([[1.0, 0.0]]), "right": torch.tensor([[0.0, 1.0]])}
    agents = [
        CloningAgent(learner.policy, lambda texts: words[texts[0]], temperature=1e-4)
        for _ in range(2)
    ]
    rooms = draw_rooms(GRID_WORLDS["goto"], 6, np.random.default_rng(1))
    poses = np.array([np.append(np.argwhere(room[..., 0] == 1)[3], 1) for room in rooms])
    seen, texts = observe(rooms, poses), ["left", "right"] * 3
    agents[0].act({"observation": seen, "instruction": texts})
    mask = np.array([True, False, False, True, True, False])
    agents[0].keep(mask)
    rest = {"observation": seen[mask], "instruction": np.array(texts)[mask].tolist()}
    np.testing.assert_array_equal(agents[0].act(rest), agents[1].act(rest))
    elsewhere = {"observation": seen[::-1][:3], "instruction": rest["instruction"]}
    np.testing.assert_array_equal(agents[0].act(elsewhere), agents[1].act(elsewhere))


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_it_learns_when_float64_is_the_default(make, float64):
    learner = make()
    losses = [float(learner.update(learner.batch())["loss"]) for _ in range(2)]
    assert np.isfinite(losses).all()
    assert {p.dtype for p in learner.optimiser.parameters.values()} == {torch.float64}
