"""langrl: agents that follow language instructions with more than one right answer.

The map, bottom to top (a folder imports only itself and folders above it in this list):

* ``errors``, ``settings``, ``protocols``, ``words``, ``checkpoint``: the ground floor.
* ``functional``: energies, losses, marginals; tensors in, tensors out.
* ``training``: the loop, learners and experience, the optimiser, run folders, logs, jobs.
* ``envs``: mazes, grid worlds and wrappers, registered with Gymnasium on ``import langrl``.
* ``models``: critics, language-image models, multimodal VAEs, predictive coding.
* ``data``: trajectories, replay, pairs, images with texts.
* ``grounding``, ``evaluation``: strategies, candidates, choosers; rollouts, statistics, probes.
* ``agents``, ``plots``: one file a learner, agents, parts for SB3; every figure.
* ``tasks``: a folder for each task family, and their registry.
* ``reproduce``, ``benchmark``: published results; speed.
* ``cli``: the command line.

``renamed`` has the import paths of version 0.1, for one release.
"""

import gymnasium

from langrl.renamed import aliases

__version__ = "0.1.0"

MAZE_IDS = {
    "langrl/StreetMaze-v0": "fork",
    "langrl/StreetMaze-Blank-v0": "blank",
    "langrl/StreetMaze-Fork-v0": "fork",
    "langrl/StreetMaze-Island-v0": "island",
    "langrl/StreetMaze-Slit-v0": "slit",
    "langrl/StreetMaze-Blocker-v0": "blocker",
}


GRID_IDS = {
    "langrl/GridGoTo-v0": "goto",
    "langrl/GridGoTo-Crowded-v0": "crowded",
    "langrl/GridGoTo-Rooms-v0": "rooms",
    "langrl/GridGoTo-Relations-v0": "relations",
    "langrl/GridGoTo-NineRooms-v0": "nine_rooms",
}

PARTIAL_IDS = {
    "langrl/GridGoTo-Partial-v0": "goto",
    "langrl/GridGoTo-Rooms-Partial-v0": "rooms",
    "langrl/GridGoTo-NineRooms-Partial-v0": "nine_rooms",
}
"""Grid worlds of which the agent sees MiniGrid's 7x7 egocentric view."""


def register_envs() -> None:
    """Register every environment with Gymnasium; doing it again changes nothing."""
    whole = {name: {"world": world} for name, world in GRID_IDS.items()}
    partial = {name: {"world": world, "view": 7} for name, world in PARTIAL_IDS.items()}
    for name, arguments in (whole | partial).items():
        if name not in gymnasium.registry:
            gymnasium.register(
                name,
                entry_point="langrl.envs.grid.env:GridGoToEnv",
                vector_entry_point="langrl.envs.grid.env:GridGoToVectorEnv",
                max_episode_steps=100,
                kwargs=arguments,
            )
    for name, layout in MAZE_IDS.items():
        if name not in gymnasium.registry:
            gymnasium.register(
                name,
                entry_point="langrl.envs.maze.env:StreetMazeEnv",
                vector_entry_point="langrl.envs.maze.env:StreetMazeVectorEnv",
                max_episode_steps=100,
                kwargs={"layout": layout},
            )


register_envs()
aliases.install()
