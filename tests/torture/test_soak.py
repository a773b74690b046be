"""Memory, descriptors and threads of a process that goes on for long."""

import gc
import os
import threading
from pathlib import Path

import gymnasium as gym
import pytest
from tally import tally

from langrl.evaluation.rollouts import run_episodes
from langrl.tasks.loading import agents_of
from langrl.tasks.run import resume_run, train_run

pytestmark = [
    pytest.mark.torture,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc"),
]
MEGABYTE = 1 << 20
EVALUATIONS = 100
MOST = 0.05  # growth of memory, as a share


def memory():
    """Return the resident bytes of this process."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def grow(name, do, warm, count):
    """Do something over and over; memory, descriptors and threads must stay what they were."""
    for number in range(warm):
        do(number)
    before, opened, threads = memory(), descriptors(), threading.active_count()
    for number in range(warm, warm + count):
        do(number)
    grown = memory() / before - 1
    with tally(f"14 {name}: memory, descriptors, threads") as check:
        with check.case(f"memory grew by {grown:.1%} of {before / MEGABYTE:.0f} MB"):
            assert grown <= MOST
        with check.case("descriptors"):
            assert descriptors() <= opened
        with check.case("threads"):
            assert threading.active_count() <= threads


@pytest.mark.xfail(reason="the C heap grows, not what Python holds; see the page")
def test_evaluations_of_a_grid_agent(quick_runs):
    agent = agents_of(quick_runs("grid"))()

    def evaluate(seed):
        env = gym.make_vec("langrl/GridGoTo-v0", num_envs=8, max_episode_steps=12)
        try:
            run_episodes(env, agent, seed)
        finally:
            env.close()

    grow(f"{EVALUATIONS} evaluations of a grid agent", evaluate, 20, EVALUATIONS)


def test_trainings_one_after_another(quick_config, tmp_path):
    def train(number):
        train_run(quick_config("maze"), tmp_path / str(number), "train")
        resume_run(tmp_path / str(number), "resume")

    grow("40 trainings in one process", train, 15, 40)
