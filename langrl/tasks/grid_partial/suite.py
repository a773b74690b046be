"""What the commands need to know of grid worlds of which agents see a part."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from langrl.agents.baselines import RandomAgent
from langrl.agents.grounded import GroundedAgent
from langrl.envs.grid.env import GridGoToVectorEnv
from langrl.envs.grid.episodes import denoted_cells
from langrl.envs.grid.grammar import COLOURS, TYPES
from langrl.envs.grid.rendering import render_rooms
from langrl.envs.grid.rooms import GRID_WORLDS, Poses, Rooms
from langrl.envs.phrasing import Phrasing
from langrl.evaluation.rollouts import Episodes
from langrl.grounding.chooser import Posterior
from langrl.grounding.strategies import GROUNDINGS
from langrl.plots import grid as grid_plots
from langrl.plots.base import save
from langrl.protocols import Agent
from langrl.tasks.grid.baselines import AXES, random_actions
from langrl.tasks.grid.config import GridEvaluationConfig
from langrl.tasks.grid.suite import SHOWN
from langrl.tasks.grid_partial.config import GridPartialRunConfig
from langrl.tasks.grid_partial.run import make_partial_tasks
from langrl.tasks.suite import AgentOf
from langrl.training.logs import console

_UP = 3  # the direction that agents look in their views
_TOLD = 3  # goals that a image's title names
_NAMES = {number: name for name, number in TYPES.items()}
_COLOUR_NAMES = {number: name for name, number in COLOURS.items()}


@dataclass(frozen=True)
class GridPartialSuite:
    """Partially observed grid worlds as the commands see them; see ``TaskSuite``."""

    config: GridPartialRunConfig

    sort = "level"
    groundings = tuple(name for name in GROUNDINGS if name != "direct")
    compared = (*groundings, "random")

    @property
    def world(self) -> str:
        """The world that agents are evaluated in."""
        return self.config.world.worlds[0]

    @property
    def sorts(self) -> tuple[str, ...]:
        """The levels of instruction that are drawn in this world."""
        return GRID_WORLDS[self.world].levels

    @property
    def name(self) -> str:
        """What to call it in titles."""
        size = self.config.world.view
        return f"the grid world {self.world!r}, of which {size}x{size} cells are seen"

    def baseline(self, method: str) -> Callable[[], Agent]:
        """Return how to make an agent that is not trained."""
        return lambda: RandomAgent(random_actions, AXES)

    def tasks(
        self,
        settings: GridEvaluationConfig,
        levels: tuple[str, ...] | None = None,
        phrasing: Phrasing = "seen",
    ) -> VectorEnv[Any, Any, Any]:
        """Return the vector environment that agents are evaluated in."""
        view = self.config.world.view
        return make_partial_tasks(self.world, view, settings.episodes, levels, phrasing)

    def check(self, instruction: str) -> None:
        """Raise InstructionError if a text denotes nothing in any room of this world."""
        self._single().reset(seed=0, options={"instruction": instruction})

    def published(self, method: str) -> dict[str, float | None]:
        """Return nothing: there are no published numbers."""
        return {}

    def _single(self) -> VectorEnv[Any, Any, Any]:
        return make_partial_tasks(self.world, self.config.world.view, 1)

    def describe(self, agent: GroundedAgent, instruction: str) -> None:
        """Print what the agent makes of an instruction."""
        observation, _ = self._single().reset(seed=0, options={"instruction": instruction})
        agent.reset()
        posterior = agent.posterior({"observation": observation["observation"][0]}, instruction)
        console.print(
            f"{instruction!r}: the agent would face {_told(posterior)};"
            f" entropy {posterior.entropy_bits:.1f} bits"
        )

    def draw_posteriors(self, agent: AgentOf, path: Path, first: Sequence[str] = ()) -> None:
        """Draw a walk for several instructions, with the goals that are believed in."""
        texts = tuple(dict.fromkeys((*first, *SHOWN)))[: len(SHOWN)]
        panels = [self._panel(agent(), text, seed) for seed, text in enumerate(texts)]
        title = "what the agent would face, what the words denote (green), its walk (blue)"
        save(grid_plots.rooms_figure(panels, title), path)

    def _panel(self, agent: GroundedAgent, text: str, seed: int) -> dict[str, Any]:
        rooms, path, posterior = self._walk(agent, text, seed)
        denoted = denoted_cells(rooms, text)
        return {
            "image": render_rooms(rooms, pixels=grid_plots.PIXELS)[0],
            "denoted": None if denoted is None else denoted[0],
            "path": path,
            "title": f"“{text}”\n{_told(posterior)}",
        }

    def _walk(self, agent: GroundedAgent, text: str, seed: int) -> tuple[Rooms, Poses, Posterior]:
        """Return a room [1, H, W, 2], the poses of a walk in it [T, 3], and the beliefs."""
        env = self._single()
        world = env.unwrapped
        assert isinstance(world, GridGoToVectorEnv)
        observation, _ = env.reset(seed=seed, options={"instruction": text})
        agent.reset(np.random.default_rng(seed))
        rooms, path, over = world.rooms, [world.poses[0]], False
        posterior = agent.posterior({"observation": observation["observation"][0]}, text)
        while not over:
            actions = agent.act({"observation": observation["observation"]}, text)
            observation, _, terminated, truncated, _ = env.step(actions)
            path.append(world.poses[0])
            over = bool(terminated[0] or truncated[0])
        return rooms, np.stack(path), posterior

    def draw_instruction(
        self, agent: AgentOf, instruction: str, results: dict[str, Episodes], folder: Path
    ) -> None:
        """Draw what each method saw in its first episode, as a film strip and as a film."""
        films = {}
        for method, episodes in results.items():
            frames = list(draw_views(episodes.paths[0], grid_plots.PIXELS))
            end = "success" if episodes.success[0] else "failure"
            films[f"{method}\n{end}"] = frames
            grid_plots.save_film(frames, folder / f"film-{method}")
        title = f"“{instruction[:80]}”"
        save(grid_plots.film_strip(films, title), folder / "instruction.png")
        panel = self._panel(agent(), instruction, 0)
        save(grid_plots.rooms_figure([panel], "a walk"), folder / "belief.png")


def draw_views(views: NDArray[np.uint8], pixels: int) -> NDArray[np.uint8]:
    """Draw views [N, V, V, 3], the agent at the bottom; uint8 [N, V * pixels, V * pixels, 3]."""
    size = views.shape[1]
    poses = np.tile([size - 1, size // 2, _UP], (len(views), 1))
    return render_rooms(views[..., :2], poses, pixels)


def _told(posterior: Posterior) -> str:
    """Say which goals are most likely."""
    best = posterior.probabilities.argsort()[::-1][:_TOLD]
    goals = zip(posterior.goals[best].tolist(), posterior.probabilities[best], strict=True)
    return ", ".join(f"{_COLOUR_NAMES[c]} {_NAMES[t]} {chance:.0%}" for (t, c), chance in goals)
