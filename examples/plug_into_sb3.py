"""Let a policy of Stable-Baselines3 follow instructions: python examples/plug_into_sb3.py

The policy is trained to reach goals and never sees a text.
"""

import argparse

import gymnasium as gym
from stable_baselines3 import DQN

import langrl  # noqa: F401  registers the environments
from langrl.agents.sb3.extractors import PoseExtractor
from langrl.agents.sb3.replay import ContrastiveReplayBuffer
from langrl.agents.sb3.zips import load_policy
from langrl.envs.wrappers.goals import GoalEnv
from langrl.evaluation.rollouts import follow
from langrl.grounding.candidates import ReachablePoses
from langrl.grounding.instruction_to_goal import InstructionToGoal
from langrl.tasks.grid.agent import image_language


def main(path: str = "policy.zip", steps: int = 20_000, episodes: int = 50) -> None:
    """Train a policy of goals, and give it instructions.

    Args:
        path: of the policy's zip.
        steps: of training; 20,000 take some minutes and reach some goals.
        episodes: of the evaluation.
    """
    # 1. Your algorithm and your policy class, in an environment of goals.
    model = DQN(
        "MultiInputPolicy",
        GoalEnv(gym.make("langrl/GridGoTo-v0", max_episode_steps=50)),
        replay_buffer_class=ContrastiveReplayBuffer,
        policy_kwargs={"features_extractor_class": PoseExtractor, "normalize_images": False},
        buffer_size=50_000,
        learning_starts=200,
        seed=0,
    )
    model.learn(steps)
    model.save(path)

    # 2. Anyone can load the zip: no code in it is run.
    policy = load_policy(path)

    # 3. Instructions become goals. The bundled model says which goals a text may mean.
    language = image_language("bundled", "cpu")

    def task():
        world = gym.make("langrl/GridGoTo-v0", levels=("colour",))
        return InstructionToGoal(world, language, "max_goal", ReachablePoses(said_done=True))

    for name, acts in (("policy", policy), ("random", "random")):
        followed = follow(acts, task, episodes, seed=0)
        print(f"{name}: success {followed.success.mean():.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", nargs="?", default="policy.zip", help="where the policy goes")
    main(parser.parse_args().path)
