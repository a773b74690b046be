"""Playgrounds for tests: agents that know what texts denote, and servers in a thread."""

import threading
import time
from types import SimpleNamespace

import numpy as np

from langrl.envs.grid.rooms import facing, is_free, list_poses, read_observation
from langrl.envs.maze.world import StreetMaze
from langrl.grounding.candidates import SampledCandidates
from langrl.grounding.chooser import Posterior
from langrl.play.grids import GridRoom
from langrl.play.mazes import MazeWorld
from langrl.play.playground import Playground
from langrl.play.serving import address_of, bind, make_server
from langrl.tasks.grid.baselines import GridPlanner, any_object, denoted_objects
from langrl.tasks.maze.baselines import OracleAgent

MAZE = "......\n.####.\n......\n.####.\n......"
ROOM = np.zeros((8, 8, 2), np.uint8)
ROOM[..., 0] = 1
ROOM[[0, -1]] = ROOM[:, [0, -1]] = (2, 5)
ROOM[1, 3], ROOM[4, 5], ROOM[6, 2] = (6, 0), (6, 2), (5, 4)  # red ball, blue ball, yellow key


class Knowing:
    """Believes what the grammar says, and goes there, or nowhere if it is ``idle``."""

    def __init__(self, world, strategy):
        self.world, self.idle = world, strategy == "log_sum_exp"
        self.grounding, self.waypoints = SimpleNamespace(needs={"shared encoder"}), None
        if world.kind == "maze":
            self.candidates = SampledCandidates(world.maze.sample_states, 600)

    def reset(self, generator=None, mask=None):
        pass

    def prepare(self, observations, instructions, starts=None):
        pass

    def posterior(self, observation, instruction):
        if self.world.kind == "grid":
            return self._in_a_room(observation["observation"], instruction)
        maze = getattr(self.candidates, "maze", self.world.maze)
        seen = observation["observation"][None]
        goals, log_weights = self.candidates.draw(seen, np.random.default_rng(0))
        try:
            mask = maze.cell_mask(instruction)
        except ValueError:
            mask = None
        inside = np.ones(len(goals[0])) if mask is None else 0.02 + maze.inside(goals[0], mask)
        return self._belief(goals[0], inside * np.exp(log_weights[0]))

    def _in_a_room(self, seen, instruction):
        rooms, _ = read_observation(seen[None])
        free = is_free(rooms)
        poses = list_poses(free[0])
        faces = facing(denoted_objects(rooms, [instruction]), free)[0][tuple(poses.T)]
        return self._belief(poses, 0.02 + faces)

    def _belief(self, goals, mass):
        return Posterior(goals, (mass / mass.sum()).astype(np.float32))

    def act(self, observation, instruction, starts=None):
        if self.world.kind == "grid":
            planner = GridPlanner(any_object if self.idle else denoted_objects)
            return planner.act(observation, instruction)
        if self.idle:
            return np.zeros(2, np.float32)
        maze = getattr(self.candidates, "maze", self.world.maze)
        return OracleAgent(maze).act(observation, instruction)


def playground_of(world, agent=Knowing):
    """Return a playground of a world; the strategy ``log_sum_exp`` does not get there."""
    return Playground(
        "runs/test", world, lambda strategy: agent(world, strategy),
        ("nearest_goal", "log_sum_exp", "max_goal"), "nearest_goal",
    )  # fmt: skip


def maze_playground(agent=Knowing):
    maze = StreetMaze(MAZE)
    return playground_of(MazeWorld("a maze of your own", maze, maze), agent)


def grid_playground(agent=Knowing):
    return playground_of(GridRoom("goto", ROOM), agent)


def serving(playground, **options):
    """Serve a playground in a thread; return its address, and what stops it."""
    bound = bind("127.0.0.1", 0)
    server = make_server(playground, bound, "127.0.0.1", **options)
    thread = threading.Thread(target=lambda: server.run(sockets=[bound]), daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)

    def stop():
        server.should_exit = True
        thread.join()
        bound.close()

    return address_of(bound), stop
