"""A training of Stable-Baselines3 ends at the first number that is not finite, and says which."""

import gymnasium as gym
import numpy as np
import pytest
import torch

pytest.importorskip("stable_baselines3")

from stable_baselines3 import DQN, PPO, SAC

from langrl.agents.sb3.finite import FiniteTraining, check_finite_weights, finite_weights
from langrl.errors import NonFiniteError

MODELS = {
    "dqn": lambda env: DQN("MlpPolicy", env, learning_starts=8, train_freq=4, batch_size=4, seed=0),
    "ppo": lambda env: PPO("MlpPolicy", env, n_steps=16, batch_size=8, n_epochs=2, seed=0),
    "sac": lambda env: SAC("MlpPolicy", env, learning_starts=8, train_freq=4, batch_size=4, seed=0),
}
WORLDS = {"dqn": "CartPole-v1", "ppo": "CartPole-v1", "sac": "Pendulum-v1"}


class Faulty(gym.Wrapper):
    """Gives NaN or an infinite number from a step on."""

    def __init__(self, env, field, value, at=20):
        super().__init__(env)
        self.field, self.value, self.at, self.count = field, value, at, 0

    def reset(self, **options):
        seen, info = self.env.reset(**options)
        return (np.full_like(seen, self.value) if self.at == 0 else seen), info

    def step(self, action):
        seen, reward, *rest = self.env.step(action)
        self.count += 1
        if self.count >= self.at:
            if self.field == "reward":
                reward = self.value
            else:
                seen = np.full_like(seen, self.value)
        return seen, reward, *rest


def learn(model, steps=64):
    with finite_weights(model):
        model.learn(steps, callback=[FiniteTraining()])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("field", ["reward", "observation"])
@pytest.mark.parametrize("name", MODELS)
def test_what_an_environment_gives_is_refused_before_it_is_learned_from(name, field, value):
    model = MODELS[name](Faulty(gym.make(WORLDS[name]), field, value))
    with pytest.raises(NonFiniteError, match=f"at step 20: the {field} of environment 0"):
        learn(model)
    check_finite_weights(model)


@pytest.mark.parametrize("name", MODELS)
def test_a_first_observation_is_looked_at_too(name):
    model = MODELS[name](Faulty(gym.make(WORLDS[name]), "observation", np.nan, at=0))
    with pytest.raises(NonFiniteError, match="the observation of environment 0"):
        learn(model)


@pytest.mark.parametrize("name", MODELS)
def test_a_weight_is_found_within_one_update(name, monkeypatch):
    model = MODELS[name](gym.make(WORLDS[name]))
    train, calls = model.train, []

    def broken(*arguments, **options):
        train(*arguments, **options)
        calls.append(model.num_timesteps)
        with torch.no_grad():
            next(model.policy.parameters()).fill_(torch.nan)

    monkeypatch.setattr(model, "train", broken)
    with pytest.raises(NonFiniteError, match=r"the weight .* is not finite; lower") as caught:
        learn(model)
    assert len(calls) == 1
    assert len(str(caught.value)) < 300


def test_gradients_that_are_not_finite_are_found_within_the_update(monkeypatch):
    model = MODELS["ppo"](gym.make("CartPole-v1"))
    weight = next(model.policy.parameters())
    weight.register_hook(lambda gradient: torch.full_like(gradient, torch.nan))
    with pytest.raises(NonFiniteError, match="the weight"):
        learn(model)
    assert model.num_timesteps == 16


def test_other_errors_stay_what_they_are():
    model = MODELS["dqn"](gym.make("CartPole-v1"))
    with pytest.raises(ValueError, match="mine"), finite_weights(model):
        raise ValueError("mine")


@pytest.mark.parametrize("name", MODELS)
def test_a_training_of_finite_numbers_goes_on(name):
    model = MODELS[name](gym.make(WORLDS[name]))
    learn(model, 40)
    assert model.num_timesteps >= 40
