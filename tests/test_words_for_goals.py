"""The example of words-for-goals.md, with a critic and a policy that know the robot's hand."""

import gymnasium as gym
import numpy as np
import pytest
from documents import ROOT, blocks
from goal_plane import PlaneCritic

HAND = 3  # the first numbers of FetchReach's observations, and its goals: where the hand is


class HandCritic(PlaneCritic):
    def embed_actions(self, context, observations, actions):
        return observations[:, None, :HAND] + 0.03 * actions[..., :HAND]


def policy(seen):
    apart = 10 * (seen["desired_goal"] - seen["observation"][:, :HAND])
    return np.clip(np.pad(apart, [(0, 0), (0, 1)]), -1, 1).astype(np.float32)


@pytest.mark.documents
def test_the_python_of_the_page_runs_as_it_stands(capsys):
    gym.register_envs(pytest.importorskip("gymnasium_robotics", reason='"langrl[robotics]"'))
    middle = np.array([1.34, 0.75, 0.53])
    goals = middle + np.random.default_rng(0).uniform(-0.15, 0.15, (2000, 3))
    (code,) = blocks(ROOT / "docs" / "how-to" / "words-for-goals.md", "python")
    given = {"goals": goals.astype(np.float32), "critic": HandCritic(), "policy": policy}
    exec(compile(code, "words-for-goals.md", "exec"), given)
    assert float(capsys.readouterr().out) >= 0.9
    assert (given["episodes"].steps < 20).mean() > 0.9
