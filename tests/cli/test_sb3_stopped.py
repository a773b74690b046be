"""A policy of Stable-Baselines3 is stored at SIGTERM, wherever its training is."""

import signal

import pytest
from command_line import run_langrl
from small_runs import DQN

from langrl.checkpoint import find_checkpoint

pytest.importorskip("stable_baselines3")


@pytest.mark.parametrize("during", ["a step", "an evaluation"])
def test_a_policy_is_stored_before_its_first_checkpoint_is_due(
    during, tiny_language, tmp_path, monkeypatch
):
    from langrl.agents.sb3.callbacks import InstructionEvaluation, Recording

    kind, name = (
        (Recording, "_on_step") if during == "a step" else (InstructionEvaluation, "_evaluate")
    )
    call, sent = getattr(kind, name), []

    def stop(self):
        if self.num_timesteps >= 60 and not sent:
            sent.append(self.num_timesteps)
            signal.raise_signal(signal.SIGTERM)
        return call(self)

    run = tmp_path / "run"
    flags = [*DQN, "--language", tiny_language, "--evaluation.every", 60, "--out", run]
    with monkeypatch.context() as patch:
        patch.setattr(kind, name, stop)
        assert run_langrl("train", *flags) == 143
    assert find_checkpoint(run).name == f"step-{sent[0]}"
    assert (run / "policy.zip").is_file()
    assert not (run / ".lock").exists()
