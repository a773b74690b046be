import shutil

import numpy as np
import pytest
from documents import STORED_CHECKPOINT

from langrl.agents.grounded import GroundedAgent
from langrl.errors import CheckpointError
from langrl.tasks.loading import agents_of_run
from langrl.tasks.registry import config_beside
from langrl.tasks.run import resume_run
from langrl.training.run_folder import read_newest


def test_a_checkpoint_of_the_first_format_is_read_and_acts_as_it_did():
    agent = GroundedAgent.load(STORED_CHECKPOINT)
    agent.reset(np.random.default_rng(0))
    observations = {"observation": np.array([[8.5, 8.5], [1.5, 5.5], [5.0, 2.0]], np.float32)}
    actions = agent.act(observations, ["go to row 3", "go to column 2", "row 1 or column 9"])
    angles = np.rad2deg(np.arctan2(actions[:, 1], actions[:, 0]))
    np.testing.assert_allclose(angles, [45, -90, 90], atol=1e-3)
    posterior = GroundedAgent.load(STORED_CHECKPOINT).posterior(
        {"observation": np.array([8.5, 8.5])}, "go to row 3"
    )
    assert posterior.entropy_bits == pytest.approx(6.3966, abs=0.02)


RUNS = STORED_CHECKPOINT.parent / "runs-0.1"  # written by version 0.1, and how it acted
AGREEING = 0.9  # actions are drawn, and another processor may round a chance across a draw


@pytest.mark.parametrize("name", ["grid", "grid-partial", "dqn"])
def test_runs_of_version_0_1_act_as_they_did(name):
    if name == "dqn":
        pytest.importorskip("stable_baselines3")
    agent = agents_of_run(RUNS / name, config_beside(RUNS / name))()
    with np.load(RUNS / "acted.npz") as acted:
        observations, actions = acted[f"{name}/observations"], acted[f"{name}/actions"]
        texts = acted[f"{name}/instructions"].tolist()
    agent.reset(np.random.default_rng(5))
    again = [agent.act({"observation": step}, texts) for step in observations]
    assert (np.stack(again) == actions).mean() >= AGREEING


def test_a_policy_that_reads_by_the_bundled_model_of_0_1_is_refused():
    pytest.importorskip("stable_baselines3")
    run = RUNS / "ppo"
    with pytest.raises(CheckpointError, match="reads texts by another bundled model"):
        agents_of_run(run, config_beside(run))


@pytest.mark.parametrize("name", ["grid", "grid-partial", "cpc"])
def test_runs_of_version_0_1_are_resumed(name, tmp_path):
    run = shutil.copytree(RUNS / name, tmp_path / name)
    assert read_newest(run)[1].documents["state"]["step"] == 2
    resume_run(run, "resume")
    assert read_newest(run)[1].documents["state"]["step"] == 4


@pytest.mark.parametrize("trusted", [False, True])
def test_a_zip_of_version_0_1_is_read(trusted):
    pytest.importorskip("stable_baselines3")
    run = RUNS / "dqn"
    agent = agents_of_run(run, config_beside(run), policy=run / "policy.zip", trust_pickle=trusted)(
        strategy="max_goal"
    )
    with np.load(RUNS / "acted.npz") as acted:
        observations, actions = acted["dqn/observations"], acted["dqn/actions"]
        texts = acted["dqn/instructions"].tolist()
    agent.reset(np.random.default_rng(5))
    assert (agent.act({"observation": observations[0]}, texts) == actions[0]).mean() >= 2 / 3
