"""Acting in rounds: who acts, how often, and going on from a stored state."""

import numpy as np
import pytest
import torch
from toy_goal_worlds import LIMIT

from langrl.data.collection import OnlineExperience
from langrl.data.config import CollectConfig, GoalReplayConfig
from langrl.data.goal_replay import GoalReplay
from langrl.envs.goal_vector import GoalVector
from langrl.errors import NonFiniteError

N = 3


class Acted:
    """A policy that notes what it was shown, and always does the same."""

    def __init__(self):
        self.seen = []

    def __call__(self, observations):
        assert set(observations) == {"observation", "desired_goal"}
        self.seen.append({name: values.copy() for name, values in observations.items()})
        return np.full((N, 2), 0.25, np.float32)


def make(seed=0, updates=3, env="toys/Line-v0", explore=None, **settings):
    config = CollectConfig(**{"envs": N, "unroll": 2, "warmup": 8} | settings)
    vector = GoalVector(env, N, seed=seed)
    replay = GoalReplay(vector.spaces, N, GoalReplayConfig(capacity=400))
    generator = torch.Generator().manual_seed(1)
    return OnlineExperience(
        vector,
        replay,
        config,
        updates=updates,
        sample=lambda: replay.sample(5, generator),
        seed=seed,
        explore=explore,
    )


def test_rounds_of_steps_and_updates_alternate():
    experience, policy = make(), Acted()
    steps, calls = [], []
    for _ in range(7):
        assert experience.draw(policy)["state"].shape == (5, 3)
        steps.append(experience.steps)
        calls.append(len(policy.seen))
    # Warm-up: 8 steps of all environments, which are three of each; then two of each in a round.
    assert steps == [15] * 3 + [21] * 3 + [27]
    assert calls == [2] * 3 + [4] * 3 + [6]


def test_the_warm_up_is_random_and_the_policy_acts_after_it():
    experience, policy = make(), Acted()
    for _ in range(4):
        experience.draw(policy)
    actions = [action for _, _, action in transitions(experience)]
    same = [np.array_equal(action, [0.25, 0.25]) for action in actions]
    assert sum(same) == 4 * N
    assert len(actions) == 7 * N
    assert len({tuple(action) for action in actions}) == 3 * N + 1


def transitions(experience):
    """Return (episode, state, action) of all that is stored, drawn until all are there."""
    generator = torch.Generator().manual_seed(2)
    batch = experience.replay.sample(5000, generator)
    found = {
        (int(episode), *state.tolist()): action.numpy()
        for episode, state, action in zip(
            batch["episode"], batch["state"], batch["action"], strict=True
        )
    }
    assert len(found) == len(experience.replay)
    return [(key[0], key[1:], action) for key, action in found.items()]


def test_the_policy_sees_what_is_stored():
    experience, policy = make(), Acted()
    for _ in range(4):
        experience.draw(policy)
    stored = {state for _, state, _ in transitions(experience)}
    shown = {tuple(row) for seen in policy.seen for row in seen["observation"].tolist()}
    assert shown <= stored
    assert len(shown) == 4 * N


@pytest.mark.parametrize(("chance", "low", "high"), [(0.0, 0, 0), (0.5, 0.3, 0.7), (1.0, 1, 1)])
def test_actions_are_random_as_often_as_asked(chance, low, high):
    experience, policy = make(random_actions=chance, unroll=60, warmup=1), Acted()
    experience.draw(policy)
    actions = [action for _, _, action in transitions(experience)]
    others = sum(not np.array_equal(action, [0.25, 0.25]) for action in actions) - N
    assert low <= others / (60 * N) <= high


def test_random_actions_can_be_drawn_in_another_way():
    experience = make(explore=lambda count, _: np.full((count, 2), 0.75, np.float32))
    experience.draw(Acted())
    values = {float(value) for _, _, action in transitions(experience) for value in action}
    assert values == {0.25, 0.75}


def test_what_was_collected_is_reported():
    experience = make(unroll=LIMIT)
    assert experience.metrics() == {"collect/env_steps": 0.0, "collect/states": 0.0}
    experience.draw(Acted())
    metrics = experience.metrics()
    assert metrics["collect/env_steps"] == 3 * N + LIMIT * N
    assert metrics["collect/states"] == len(experience.replay)
    assert 0 <= metrics["collect/success"] <= 1


@pytest.mark.parametrize("env", ["toys/Line-v0", "langrl/StreetMaze-Fork-v0"])
@pytest.mark.parametrize("draws", [0, 1, 2, 3, 10])
def test_a_stored_state_goes_on_bit_for_bit(env, draws):
    first, second, policy = make(env=env), make(seed=5, env=env), Acted()
    for _ in range(draws):
        first.draw(policy)
    state = {name: value.clone() for name, value in first.state().items()}
    if draws == 0:
        second = make(env=env)  # before the first step there is nothing but the seed
    second.load_state(state)
    second.seed = first.seed
    assert second.metrics() == first.metrics()
    for _ in range(8):
        one, two = first.draw(policy), second.draw(policy)
        assert first.steps == second.steps
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    one, two = (
        each.replay.sample(50, generator)
        for each, generator in zip((first, second), generators, strict=True)
    )
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert all(torch.equal(v, second.state()[name]) for name, v in first.state().items())


@pytest.mark.parametrize("name", ["observation", "achieved"])
def test_nan_stops_before_it_is_stored(name, monkeypatch):
    experience = make()
    experience.draw(Acted())
    before = len(experience.replay)
    step = experience.vector.step

    def broken(actions):
        moved = step(actions)
        getattr(moved, f"final_{name}")[1] = np.inf
        return moved

    monkeypatch.setattr(experience.vector, "step", broken)
    with pytest.raises(NonFiniteError, match=f"environment 1 shows NaN or inf as its {name}"):
        [experience.draw(Acted()) for _ in range(4)]
    assert len(experience.replay) == before
