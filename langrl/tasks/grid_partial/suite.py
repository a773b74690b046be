"""The task suite of grid worlds of which agents see a part: as of grid worlds, drawn otherwise."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from langrl.envs.grid.env import GridGoToVectorEnv
from langrl.envs.grid.episodes import denoted_cells
from langrl.envs.grid.rendering import render_rooms
from langrl.envs.grid.rooms import Poses, Rooms
from langrl.envs.phrasing import TaskPhrasing
from langrl.grounding.chooser import Posterior
from langrl.plots.grid import PIXELS
from langrl.tasks.grid.config import GridEvaluationConfig
from langrl.tasks.grid.drawn_suite import SEPARATE, DrawnSuite, draw_views, likeliest
from langrl.tasks.grid.suite import RANDOM, GridSuite, make_grid_tasks
from langrl.tasks.grid_partial.config import GridPartialRunConfig
from langrl.tasks.suite import Makers, beliefs_of, uncertainty, understood


def of(config: GridPartialRunConfig) -> DrawnSuite:
    """Return the suite of a run: tasks in its first world, or in its level."""
    if config.env is not None:
        from langrl.tasks.grid.level_suite import level_suite  # minigrid takes half a second

        return level_suite(config.env, config.world.view, config.evaluation)
    return GridPartialSuite(
        config.world.worlds[0],
        config.evaluation,
        SEPARATE,
        config.world.view,
    )


@dataclass(frozen=True)
class GridPartialSuite(GridSuite):
    """Tasks in one grid world, of which agents see ``view`` x ``view`` cells."""

    view: int = 7

    @property
    def baselines(self) -> Makers:
        """How to make the agents that are not trained, by method."""
        return RANDOM

    @property
    def name(self) -> str:
        """What to call it in titles."""
        return f"{super().name}, of which {self.view}x{self.view} cells are seen"

    def tasks(
        self,
        settings: GridEvaluationConfig,
        types: tuple[str, ...] | None = None,
        phrasing: TaskPhrasing = "seen",
    ) -> VectorEnv[Any, Any, Any]:
        """Return the vector environment that agents are evaluated in."""
        return make_grid_tasks(self.world, settings.episodes, types, phrasing, self.view)

    def describe(self, agent: Any, instruction: str) -> list[str]:
        """Return a sentence: what the agent believes."""
        observation, _ = self._single().reset(seed=0, options={"instruction": instruction})
        agent.reset()
        posterior = beliefs_of(agent, observation["observation"][0], instruction)
        assert posterior is not None
        return [
            f"{instruction!r}: the agent would face {likeliest(posterior)}; its belief has"
            f" {uncertainty(posterior.entropy_bits, 'kinds of object')}",
            *understood(posterior),
        ]

    def _title(self, panel: Mapping[str, Any]) -> str:
        return "what the agent would face, what the words denote (green), and a walk"

    def _panel(self, agent: Any, text: str | None, seed: int) -> dict[str, Any]:
        assert text is not None
        rooms, path, posterior, success = self._watch(agent, text, seed)
        denoted = denoted_cells(rooms, text)
        return {
            "image": render_rooms(rooms, pixels=PIXELS)[0],
            "denoted": None if denoted is None else denoted[0],
            "path": path,
            "reached": None if denoted is None else success,
            "title": f"“{text}”\n{likeliest(posterior)}",
        }

    def _watch(self, agent: Any, text: str, seed: int) -> tuple[Rooms, Poses, Posterior, bool]:
        """Return a room [1, H, W, 2], poses of a walk [T, 3], the first beliefs, and success."""
        env = self._single()
        world = env.unwrapped
        assert isinstance(world, GridGoToVectorEnv)
        observation, _ = env.reset(seed=seed, options={"instruction": text})
        agent.reset(np.random.default_rng(seed))
        rooms, path, over = world.rooms, [world.poses[0]], False
        posterior = beliefs_of(agent, observation["observation"][0], text)
        assert posterior is not None
        while not over:
            actions = agent.act({"observation": observation["observation"]}, text)
            observation, _, terminated, truncated, info = env.step(actions)
            path.append(world.poses[0])
            over = bool(terminated[0] or truncated[0])
        return rooms, np.stack(path), posterior, bool(info["is_success"][0])

    def _frames(self, path: NDArray[Any]) -> list[NDArray[np.uint8]]:
        return list(draw_views(path, PIXELS))
