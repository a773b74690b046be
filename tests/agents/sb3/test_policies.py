import sys

import gymnasium as gym
import numpy as np
import pytest
import torch

from langrl.agents.goal_policy import GoalPolicy, PolicyActions
from langrl.agents.grounded import GroundedAgent
from langrl.envs.maze.goals import MazeGoals
from langrl.envs.wrappers.instructions import EmbedInstruction
from langrl.errors import MissingExtraError, ShapeError
from langrl.grounding.candidates import SampledCandidates
from langrl.grounding.chooser import GoalChooser
from langrl.grounding.strategies import GROUNDINGS

pytest.importorskip("stable_baselines3")

from sb3_policies import (
    INSTRUCTED,
    encode,
    seeded,
    train,
)
from stable_baselines3 import DQN, PPO, SAC
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from langrl.agents.sb3.extractors import FourierExtractor, InstructionExtractor
from langrl.agents.sb3.replay import ContrastiveReplayBuffer


def test_a_maze_policy_follows_instructions_and_proposes_actions(worlds, world, make_critics):
    model = train("sac", worlds["maze goals"](), FourierExtractor)
    batch = {
        "observation": world.sample_states(5, seeded()),
        "instruction": ["go to row 0", "column 4", "row 2", "column 1", "dance"],
    }
    candidates = SampledCandidates(world.sample_states, 30)
    critic, language = make_critics()
    chooser = GoalChooser(language, "max_goal", candidates)
    follows = [GoalPolicy(model, chooser, MazeGoals(world), axes=1) for _ in "ab"]
    actions = [agent.act(batch) for agent in follows]
    assert np.array_equal(*actions)
    assert all(action in model.action_space for action in actions[0])
    for name in ("log_sum_exp", "nearest_goal", "max_goal", "sampled_goal", "direct"):
        agents = [
            GroundedAgent(
                critic,
                language,
                GROUNDINGS[name],
                candidates,
                actions=PolicyActions(model, 4, MazeGoals(world)),
            )
            for _ in "ab"
        ]
        before = torch.get_rng_state()
        actions = [agent.act(batch) for agent in agents]
        assert torch.equal(torch.get_rng_state(), before)
        assert np.array_equal(*actions)
        assert all(action in model.action_space for action in actions[0])


def test_without_the_library_the_extra_is_named(monkeypatch):
    import importlib
    import importlib.util

    known = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "stable_baselines3" else known(name, *rest),
    )
    for name in [name for name in sys.modules if name.startswith("langrl.agents.sb3")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingExtraError, match=r'pip install "langrl\[sb3\]"'):
        importlib.import_module("langrl.agents.sb3.extractors")


def test_a_policy_of_batched_worlds_is_saved_and_acts_in_single_ones(worlds, tmp_path):
    model = train("ppo", worlds["maze batched"](), InstructionExtractor, **INSTRUCTED)
    model.save(tmp_path / "policy")
    seen = worlds["maze embedded"]().reset(seed=0)[0]
    loaded = PPO.load(tmp_path / "policy")
    actions = [one.predict(seen, deterministic=True)[0] for one in (model, loaded)]
    assert np.array_equal(*actions)


@pytest.mark.parametrize("algorithm", [PPO, DQN])
def test_text_that_is_handed_straight_to_sb3_names_the_wrappers(algorithm):
    with pytest.raises(ShapeError, match="EmbedInstruction, TokenizeInstruction or Instruction"):
        algorithm("MultiInputPolicy", gym.make("langrl/GridGoTo-v0"))


def test_what_was_trained_on_normalised_observations_is_shown_such(tmp_path):

    from langrl.evaluation.policies import predict

    def make():
        return EmbedInstruction(gym.make("langrl/StreetMaze-Fork-v0"), encode)

    env = VecNormalize(DummyVecEnv([make]), norm_obs_keys=["observation"])
    model = PPO("MultiInputPolicy", env, n_steps=16, batch_size=16, seed=0)
    model.learn(32)
    seen, _ = make().reset(seed=0)
    batch = {name: part[None] for name, part in seen.items()}
    expected, _ = model.predict(env.normalize_obs(batch), deterministic=True)
    np.testing.assert_array_equal(predict(model, batch, None), expected)


def test_hindsight_without_goals_names_the_wrapper():
    env = EmbedInstruction(gym.make("langrl/StreetMaze-Fork-v0"), encode)
    with pytest.raises(ShapeError, match="GoalEnv"):
        SAC("MultiInputPolicy", env, replay_buffer_class=ContrastiveReplayBuffer)
