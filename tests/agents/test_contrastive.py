import numpy as np
import pytest
import torch

from langrl.agents.config import LearnerConfig
from langrl.agents.contrastive import ContrastiveLearner
from langrl.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from langrl.data.maze.experts import maze_experts
from langrl.data.replay import TrajectoryReplay
from langrl.errors import NonFiniteError
from langrl.training.learner import OfflineReplay

FLOATS = ("state", "action", "goal", "other_actions", "described")


@pytest.fixture
def make_learner(world, pairs, make_critics):
    def make(weights=0, seed=0, action_negatives="uniform", device="cpu", **settings):
        trajectories = maze_experts(world.layout, 100, np.random.default_rng(0))
        rows, columns = np.floor(trajectories.observations).astype(int).T
        replay = TrajectoryReplay(
            trajectories,
            discount=0.9,
            tail="clip",
            action_negatives=action_negatives,
            count=4,
            cells=torch.from_numpy(world.layout.cell_index[rows, columns]),
            device=torch.device(device),
        )
        sizes = {"steps": 50, "batch_size": 32, "language_batch_size": 16}
        config = LearnerConfig(**(sizes | settings))
        generator = torch.Generator(device).manual_seed(seed)
        critic, language = (critic.to(device) for critic in make_critics(weights))
        experience = OfflineReplay(replay.sample, config.batch_size, generator)
        return ContrastiveLearner(critic, language, experience, pairs, config, generator)

    return make


def train(learner, steps):
    return [learner.update(learner.batch()) for _ in range(steps)]


def weights(learner):
    return {name: value.detach().clone() for name, value in learner.optimiser.parameters.items()}


def equal(left, right):
    """Compare bit for bit; NaN is equal to itself."""
    return left.keys() == right.keys() and all(
        left[name].cpu().numpy().tobytes() == right[name].cpu().numpy().tobytes() for name in left
    )


def copied(state):
    return {
        file: {key: value.detach().clone() for key, value in tensors.items()}
        for file, tensors in state.items()
    }


def goal_gradients(learner):
    return [parameter.grad.clone() for parameter in learner.critic.goal.parameters()]


@pytest.mark.parametrize("negatives", ["uniform", "behaviour", "none"])
def test_both_losses_fall(make_learner, negatives):
    metrics = train(make_learner(action_negatives=negatives, steps=80), 80)
    for name in ("critic/information", "language/information"):  # bounds, in nats
        first, last = (
            np.mean([m[name].item() for m in part]) for part in (metrics[:10], metrics[-10:])
        )
        assert last > first + 0.3
    first, last = (
        np.mean([m["loss"].item() for m in part]) for part in (metrics[:10], metrics[-10:])
    )
    assert last < first - 0.3


def test_metrics_are_finite_scalars_and_count_steps(make_learner):
    learner = make_learner()
    metrics = train(learner, 2)[-1]
    assert learner.step == 2
    assert {"loss", "gradient_norm", "critic/scale", "language/scale"} <= set(metrics)
    for value in metrics.values():
        assert value.ndim == 0
        assert not value.requires_grad
        assert value.isfinite()


def test_the_reported_scale_is_the_one_in_use(make_learner):
    learner = make_learner()
    learner.critic.scale.log_scale.data.fill_(8.0)
    used = learner.critic.scale(torch.ones(())).item()
    assert train(learner, 1)[0]["critic/scale"].item() == pytest.approx(used)


@pytest.mark.parametrize("negatives", ["uniform", "behaviour", "none"])
def test_training_is_reproducible_bit_for_bit(make_learner, negatives):
    one, two, other = (make_learner(seed=s, action_negatives=negatives) for s in (1, 1, 2))
    for number, learner in enumerate((one, two, other)):
        torch.manual_seed(number)  # the global generator does not matter
        train(learner, 5)
    assert equal(weights(one), weights(two))
    assert not equal(weights(one), weights(other))


@pytest.mark.parametrize("stored", [False, True], ids=["in memory", "in a checkpoint"])
def test_a_resumed_learner_goes_on_bit_for_bit(make_learner, tmp_path, stored):
    learner = make_learner()
    train(learner, 4)
    state = copied(learner.state())
    if stored:
        write_checkpoint(tmp_path / "saved", Checkpoint({}, learner.state()))
        state = read_checkpoint(tmp_path / "saved").tensors
    resumed = make_learner(weights=7, seed=7)
    train(resumed, 2)
    resumed.load_state(state)
    assert resumed.step == 4
    train(learner, 4)
    train(resumed, 4)
    assert equal(weights(learner), weights(resumed))
    assert equal(learner.state()["optimizer"], resumed.state()["optimizer"])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_learner_resumes_on_a_gpu_from_a_checkpoint(make_learner, tmp_path):
    learner, resumed = make_learner(device="cuda"), make_learner(weights=7, device="cuda")
    train(learner, 2)
    write_checkpoint(tmp_path / "saved", Checkpoint({}, learner.state()))
    resumed.load_state(read_checkpoint(tmp_path / "saved").tensors)
    train(learner, 2)
    train(resumed, 2)
    assert equal(weights(learner), weights(resumed))


def test_the_state_before_the_first_step_can_be_restored(make_learner):
    learner, resumed = make_learner(), make_learner(weights=7, seed=7)
    resumed.load_state(copied(learner.state()))
    train(learner, 2)
    train(resumed, 2)
    assert equal(weights(learner), weights(resumed))


def test_a_learner_that_restored_anothers_state_is_independent_of_it(make_learner):
    learner, twin, alone = make_learner(), make_learner(weights=7), make_learner(weights=7)
    train(learner, 3)
    alone.load_state(copied(learner.state()))
    twin.load_state(learner.state())
    train(learner, 3)
    train(twin, 3)
    train(alone, 3)
    assert equal(weights(twin), weights(alone))


@pytest.mark.parametrize("change", ["wider", "broadcastable", "missing"])
def test_weights_of_other_critics_are_not_restored(make_learner, change):
    learner = make_learner()
    state = copied(learner.state())
    name = next(name for name, value in state["weights"].items() if value.ndim == 2)
    if change == "missing":
        del state["weights"][name]
    else:
        value = state["weights"][name]
        state["weights"][name] = torch.cat([value, value]) if change == "wider" else value[:1]
    with pytest.raises((KeyError, ValueError, RuntimeError)):
        learner.load_state(state)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", FLOATS)
def test_a_batch_that_is_not_finite_changes_nothing(make_learner, name, bad):
    learner = make_learner()
    train(learner, 2)
    before = copied(learner.state())
    batch = learner.batch()
    drawn = learner.generator.get_state()
    spoiled = batch | {name: batch[name].clone()}
    spoiled[name].view(-1)[3] = bad
    with pytest.raises(NonFiniteError, match=f"'{name}' in the training batch"):
        learner.update(spoiled)
    assert learner.step == 2
    assert equal(weights(learner), before["weights"])
    before["optimizer"]["generator"] = drawn
    assert equal(learner.state()["optimizer"], before["optimizer"])
    learner.update(batch)
    assert learner.step == 3


def test_a_loss_that_is_not_finite_changes_nothing(make_learner):
    learner = make_learner()
    train(learner, 2)
    learner.language.scale.log_scale.data.fill_(float("nan"))
    before = weights(learner)
    with pytest.raises(NonFiniteError, match=r"the loss is nan.*lower the learning rate"):
        train(learner, 1)
    assert learner.step == 2
    assert equal(weights(learner), before)


def test_a_gradient_that_is_not_finite_changes_nothing(make_learner):
    learner = make_learner()
    train(learner, 2)
    before = copied(learner.state())
    parameter = list(learner.optimiser.parameters.values())[3]
    hook = parameter.register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(NonFiniteError, match="gradient norm nan"):
        train(learner, 1)
    hook.remove()
    assert learner.step == 2
    assert equal(weights(learner), before["weights"])
    before["optimizer"].pop("generator")
    after = learner.state()["optimizer"]
    after.pop("generator")
    assert equal(after, before["optimizer"])


def test_the_learning_rate_falls_to_almost_nothing(make_learner):
    learner = make_learner(steps=30, learning_rate=0.01)
    changes = []
    for _ in range(30):
        before = weights(learner)
        train(learner, 1)
        after = weights(learner)
        changes.append(max((after[name] - before[name]).abs().max().item() for name in before))
    assert changes[0] == pytest.approx(0.01, rel=0.02)  # Adam's first step is the learning rate
    assert changes[-1] < 0.0003


def test_the_shared_goal_encoder_is_optimised_once(make_learner):
    learner = make_learner()
    owned = {id(p) for m in (learner.critic, learner.language) for p in m.parameters()}
    listed = [id(parameter) for parameter in learner.optimiser.parameters.values()]
    assert len(listed) == len(set(listed))
    assert set(listed) == owned
    assert {id(p) for p in learner.critic.goal.parameters()} <= set(listed)
    optimised = [
        id(p) for group in learner.optimiser.optimizer.param_groups for p in group["params"]
    ]
    assert sorted(optimised) == sorted(listed)


@pytest.mark.parametrize("side", ["state", "text"])
def test_critic_and_language_both_train_the_goal_encoder(make_learner, side):
    learner = make_learner(learning_rate=1e-9)
    batch = learner.batch()
    learner.update(batch)
    before = goal_gradients(learner)
    learner.update(batch | {side: batch[side].flip(0)})  # other pairs, on one side only
    after = goal_gradients(learner)
    assert any((a - b).norm() > 1e-3 for a, b in zip(before, after, strict=True))


def test_the_language_weight_scales_the_language_gradient(make_learner):
    norms = []
    for weight in (1.0, 3.0):
        learner = make_learner(language_weight=weight)
        train(learner, 1)
        norms.append(learner.language.scale.log_scale.grad.item())
    assert norms[1] == pytest.approx(3 * norms[0], rel=1e-4)


def test_the_logsumexp_penalty_enters_the_loss(make_learner):
    losses = [
        train(make_learner(logsumexp_penalty=p), 1)[0]["loss"].item() for p in (0.0, 0.1, 0.2)
    ]
    assert losses[1] - losses[0] > 0.1
    assert losses[2] - losses[1] == pytest.approx(losses[1] - losses[0], rel=1e-3)


def test_it_learns_from_stored_float32_when_float64_is_the_default(make_learner, float64):
    learner = make_learner()
    assert learner.batch()["state"].dtype == torch.float32
    assert np.isfinite(float(train(learner, 2)[-1]["loss"]))
    assert {value.dtype for value in weights(learner).values()} == {torch.float64}
