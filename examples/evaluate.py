"""Compare strategies on the same tasks: python examples/evaluate.py runs/example

The run may also be a shared agent, as hf:user/name.
"""

import argparse
from functools import partial

import gymnasium as gym

from langrl.agents.grounded import GroundedAgent
from langrl.evaluation.comparison import compare, summarise
from langrl.tasks.maze.baselines import OracleAgent


def main(run: str, episodes: int = 100) -> None:
    """Print how often each strategy does what the instruction says, and how directly.

    Args:
        run: the run folder of an agent of the maze "fork", such as ``train.py`` writes.
        episodes: of each strategy; they have the same starts and instructions.
    """

    def tasks():
        return gym.make_vec("langrl/StreetMaze-Fork-v0", num_envs=episodes)

    world = gym.make("langrl/StreetMaze-Fork-v0").unwrapped.world
    strategies = ("direct", "max_goal", "log_sum_exp")
    agents = {name: partial(GroundedAgent.load, run, strategy=name) for name in strategies}
    agents["oracle"] = lambda: OracleAgent(world)
    for name, found in compare(agents, tasks, seed=0, label="evaluate").items():
        row = summarise(found)
        print(f"{name:12} success {row['success']:.2f} ± {row['success_sem']:.2f}", end="   ")
        print(f"SPL {row['spl']:.2f} ± {row['spl_sem']:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", nargs="?", default="runs/example", help="a run of train.py")
    main(parser.parse_args().run)
