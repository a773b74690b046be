"""A policy of Stable-Baselines3 that is no longer finite ends its training, in one line."""

import pytest
import torch
from mutations import finite
from small_runs import DQN, PPO

from langrl.checkpoint import find_checkpoint

pytest.importorskip("stable_baselines3")

from langrl.agents.sb3.callbacks import Recording


@pytest.mark.parametrize("name", ["dqn", "ppo"])
def test_nothing_that_is_not_finite_is_stored(name, tiny_language, tmp_path, monkeypatch, fails):
    call, run = Recording._on_step, tmp_path / "run"
    flags = [*DQN, "--language", tiny_language] if name == "dqn" else PPO

    def broken(self):
        goes_on = call(self)
        if self.num_timesteps >= 128:  # after the first checkpoint
            with torch.no_grad():
                for weight in self.model.policy.parameters():
                    weight.fill_(torch.nan)
        return goes_on

    monkeypatch.setattr(Recording, "_on_step", broken)
    error = fails("train", *flags, "--out", run)
    assert "training stopped at step " in error
    assert "is not finite; lower policy.learning_rate" in error
    newest = find_checkpoint(run)
    assert int(newest.name.removeprefix("step-")) <= 144
    assert finite(newest / "weights.safetensors")
