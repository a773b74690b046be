"""langrl: agents that follow language instructions with more than one right answer.

The map, bottom to top (a folder imports only itself and folders above it in this list):

* ``errors``, ``settings``, ``protocols``, ``words``, ``checkpoint``: the ground floor.
* ``functional``: energies, losses, marginals; tensors in, tensors out.
* ``training``: the loop, learners and experience, the optimiser, run folders, logs, cells, engines.
* ``envs``: mazes, grid worlds and wrappers, registered with Gymnasium on ``import langrl``, or as
  soon as Gymnasium is imported after it.
* ``models``: critics, language-image models, multimodal VAEs, predictive coding.
* ``data``: trajectories, replay, pairs, images with texts.
* ``grounding``, ``evaluation``: strategies, candidates, choosers; rollouts, statistics, probes.
* ``agents``, ``plots``: one file a learner, agents, parts for SB3; every figure.
* ``tasks``: a folder for each task family, and their registry.
* ``reproduce``, ``benchmark``: published results; speed.
* ``cli``: the command line.

``renamed`` has the import paths of version 0.1, for one release.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from langrl.renamed import aliases

__version__ = "0.2.0"

# In a checkout, agents, envs and configs are beside this folder. A script that is run there imports
# this folder before an installed copy.
if not (Path(__file__).parent / "agents").is_dir():
    __path__.append(str(Path(__file__).parents[1]))

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
    import gymnasium

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


class _AfterGymnasium(MetaPathFinder):
    """Registers the environments when Gymnasium has been imported.

    Gymnasium has no entry points for environments. Importing it here would load it for those who
    use ``langrl.functional`` alone.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "gymnasium":
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        specs = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module: ModuleType) -> None:
                execute(module)
                register_envs()

            spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec


if "gymnasium" in sys.modules:
    register_envs()
else:
    sys.meta_path.insert(0, _AfterGymnasium())
aliases.install()
