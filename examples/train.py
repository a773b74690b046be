"""Train an agent in a maze and tell it where to go: python examples/train.py runs/example"""

import argparse
from pathlib import Path

import gymnasium as gym

from langrl.agents.grounded import GroundedAgent
from langrl.tasks.registry import load_run_config
from langrl.tasks.run import train_run


def main(folder: str, steps: int = 2_500) -> None:
    """Train for a minute or two, and follow an ambiguous instruction.

    Args:
        folder: a new run folder.
        steps: gradient steps; the preset's own number gives an agent that follows well.
    """
    # 1. A preset, with fewer steps if you like. `langrl train --config street-fork` does the same.
    config = load_run_config("street-fork")
    learner = config.learner.model_copy(update={"steps": steps})
    _, seconds = train_run(config.model_copy(update={"learner": learner}), Path(folder), "train")

    # 2. Load it, as anyone could who has the folder, and ask what it believes.
    agent = GroundedAgent.load(folder, strategy="log_sum_exp")
    env = gym.make("langrl/StreetMaze-Fork-v0")
    observation, _ = env.reset(seed=0, options={"instruction": "go to row 3 or column 11"})
    posterior = agent.posterior(observation)
    goals, bits = len(posterior.goals), posterior.entropy_bits
    print(f"{seconds:.0f} s of training; {goals} candidate goals, an entropy of {bits:.1f} bits")

    # 3. Act until the episode ends.
    over, count = False, 0
    agent.reset()
    while not over:
        observation, _, terminated, truncated, info = env.step(agent.act(observation))
        over, count = terminated or truncated, count + 1
    print(f"success: {bool(info['is_success'])}, after {count} steps")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", nargs="?", default="runs/example", help="a new run folder")
    main(parser.parse_args().run)
