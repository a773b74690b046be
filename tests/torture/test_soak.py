"""Memory, descriptors, threads and processes of a process that goes on for long.

``LANGRL_SOAK_SECONDS=3600 make torture ARGS="-k soak_of"`` does everything for an hour.
"""

import gc
import os
import shutil
import threading
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from leftovers import below
from tally import tally

import langrl
from langrl.evaluation.rollouts import run_episodes
from langrl.play.playground import open_run
from langrl.tasks.loading import agents_of
from langrl.tasks.run import resume_run, train_run

pytestmark = [
    pytest.mark.torture,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc"),
]
MEGABYTE = 1 << 20
EVALUATIONS = 100
MOST = 0.05  # growth of memory, as a share
WINDOW = 5  # measurements that a mean is of: the heap goes up and down between two of them
SECONDS = float(os.environ.get("LANGRL_SOAK_SECONDS", "60"))
LEAST = 2 * WINDOW  # rounds of a soak, however slow the machine is


def memory():
    """Return the resident bytes of this process."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def left():
    """Return how many descriptors, threads and processes there are."""
    opened = len(list(Path("/proc/self/fd").iterdir()))
    return opened, threading.active_count(), len(below(os.getpid()))


class Growth:
    """Measures the memory after each round; the first rounds warm caches up, and count as nothing.

    Args:
        name: of the check.
        warm: how many rounds they are; memory is compared with its mean over the last of them.
    """

    def __init__(self, name, warm):
        assert warm >= WINDOW
        self.name, self.warm, self.measured, self.left = name, warm, [], None

    def measure(self):
        self.measured.append(memory())
        if len(self.measured) == self.warm:
            self.left = left()

    def check(self):
        warm, rounds = self.measured[: self.warm], len(self.measured) - self.warm
        assert rounds >= WINDOW
        before, after = np.mean(warm[-WINDOW:]), np.mean(self.measured[-WINDOW:])
        sizes = f"{after / before - 1:+.1%} of {before / MEGABYTE:.0f} MB in {rounds} rounds"
        print(f"{self.name}: memory {sizes}")
        with tally(f"14 {self.name}: memory, descriptors, threads, processes") as check:
            with check.case(f"memory: {sizes}"):
                assert after / before - 1 <= MOST
            names = ("descriptors", "threads", "processes")
            for each, count, most in zip(names, left(), self.left, strict=True):
                with check.case(each):
                    assert count <= most


def grow(name, do, warm, count):
    """Do something over and over; memory, descriptors and threads must stay what they were."""
    growth = Growth(name, warm)
    for number in range(warm + count):
        do(number)
        growth.measure()
    growth.check()


def evaluate(agent, world, seed):
    env = gym.make_vec(world, num_envs=8, max_episode_steps=12)
    try:
        run_episodes(env, agent, seed)
    finally:
        env.close()


def test_evaluations_of_a_grid_agent(quick_runs):
    agent = agents_of(quick_runs("grid"))()
    name = f"{EVALUATIONS} evaluations of a grid agent"
    grow(name, lambda seed: evaluate(agent, "langrl/GridGoTo-v0", seed), 30, EVALUATIONS)


def test_trainings_one_after_another(quick_config, tmp_path):
    def train(number):
        train_run(quick_config("maze"), tmp_path / str(number), "train")
        resume_run(tmp_path / str(number), "resume")

    grow("40 trainings in one process", train, 15, 40)


# -- the soak -----------------------------------------------------------------------------------


def train_all(quick_config, folder):
    for kind in ("maze", "grid", "goals"):
        train_run(quick_config(kind), folder / kind, "train")
        resume_run(folder / kind, "resume")
    shutil.rmtree(folder)


def make_and_close(seed):
    """Use each registered world, alone and as a vector."""
    for name in (*langrl.MAZE_IDS, *langrl.GRID_IDS, *langrl.PARTIAL_IDS):
        for env in (gym.make(name), gym.make_vec(name, num_envs=2)):
            env.reset(seed=seed)
            env.action_space.seed(seed)
            for _ in range(3):
                env.step(env.action_space.sample())
            env.close()


def visit(client, seed):
    """Use the page as a visitor does: tell, look on, begin elsewhere, tell nonsense."""
    name = client.post("/api/session", json={}).json()["session"]

    def do(what, **fields):
        answer = client.post("/api/do", json={"session": name, "do": what} | fields)
        assert answer.status_code == 200
        return answer.json()

    assert "error" not in do("tell", text=f"go to row {seed % 3 + 1}")
    for _ in range(3):
        do("step")
    do("restart")
    assert "error" in do("tell", text=f"sing {seed} songs\0")
    assert "event: end" in client.get(f"/api/run?session={name}&rate=60").text


def test_soak_of_training_evaluation_pages_and_worlds(quick_config, quick_runs, tmp_path):
    client_class = pytest.importorskip("starlette.testclient").TestClient
    from langrl.play.server import make_app
    from langrl.play.session import Session
    from langrl.play.visitors import Visitors

    kinds = {"langrl/StreetMaze-Blank-v0": "maze", "langrl/GridGoTo-v0": "grid"}
    agents = {world: agents_of(quick_runs(kind))() for world, kind in kinds.items()}
    playground = open_run(quick_runs("maze"))
    visitors = Visitors(lambda seed: Session(playground, seed), most=4)
    app = make_app(playground, visitors=visitors)
    end = time.monotonic() + SECONDS
    growth = Growth(f"soak of {SECONDS:g} s", LEAST)
    with client_class(app, base_url="http://127.0.0.1:8000") as client:
        while time.monotonic() < end or len(growth.measured) < LEAST + WINDOW:
            number = len(growth.measured)
            train_all(quick_config, tmp_path / "runs")
            for world, agent in agents.items():
                evaluate(agent, world, number)
            make_and_close(number)
            visit(client, number)
            growth.measure()
        growth.check()
