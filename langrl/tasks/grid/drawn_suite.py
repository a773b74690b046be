"""How suites of grid worlds and of levels draw: rooms with beliefs and walks, strips and films.

Axes: ``T`` steps, ``N`` views, ``V`` cells along a side of a view.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from langrl.envs.grid.grammar import name_of
from langrl.envs.grid.rendering import render_rooms
from langrl.evaluation.rollouts import Episodes
from langrl.grounding.chooser import Posterior
from langrl.grounding.strategies import GROUNDINGS
from langrl.plots.base import mark_outcome
from langrl.plots.grid import film_strip, rooms_figure
from langrl.protocols import Integers
from langrl.tasks.loading import AgentMaker
from langrl.tasks.suite import Drawings, TaskSuite, describe_outcome, outcomes

_NAMED = 3  # goals that a sentence names
_UP = 3  # the direction that agents look in their views
SEPARATE = tuple(name for name in GROUNDINGS if name != "direct")
"""Strategies of agents whose goals and texts are not embedded alike."""


class DrawnSuite(TaskSuite):
    """A suite whose worlds are drawn as rooms seen from above."""

    examples: ClassVar[tuple[str | None, ...]]
    """Texts of the figure of posteriors; None for a mission that the world draws itself."""

    @abstractmethod
    def _panel(self, agent: Any, text: str | None, seed: int) -> dict[str, Any]:
        """Return a room for a text: its image, beliefs, what is denoted, a walk, and a title."""

    @abstractmethod
    def _frames(self, path: NDArray[Any]) -> list[NDArray[np.uint8]]:
        """Return the images of an episode's observations [T, ., ., 3]."""

    def _title(self, panel: Mapping[str, Any]) -> str:
        """Return what a panel shows, in words."""
        belief = (
            "belief about goals (arrow heads, larger where likelier), " if "goals" in panel else ""
        )
        return f"{belief}what the words denote (green), and a walk"

    def draw_posteriors(self, agent: AgentMaker, first: Sequence[str] = ()) -> Figure:
        """Draw the posterior for several texts, each with a walk."""
        own = [text for text in self.examples if text is None or text not in first]
        texts = [*dict.fromkeys(first), *own][: len(self.examples)]
        panels = [self._panel(agent(), text, seed) for seed, text in enumerate(texts)]
        return rooms_figure(panels, self._title(panels[0]))

    def draw_instruction(
        self, agent: AgentMaker, instruction: str, results: Mapping[str, Episodes]
    ) -> Drawings:
        """Draw the first episode of each method as a film strip, and as a film."""
        films = {
            method: mark_outcome(self._frames(episodes.paths[0]), outcomes(episodes)[0])
            for method, episodes in results.items()
        }
        strips = {
            f"{method}\n{describe_outcome(results[method])}": frames
            for method, frames in films.items()
        }
        panel = self._panel(agent(), instruction, 0)
        figures = {
            "instruction": film_strip(strips, f"“{instruction}”"),
            "belief": rooms_figure([panel], self._title(panel)),
        }
        return Drawings(figures, {f"film-{method}": frames for method, frames in films.items()})


def likeliest(posterior: Posterior, done_with: Mapping[int, str] | None = None) -> str:
    """Name the goals that are most likely: types and colours [M, 2], or with an action [M, 3].

    Args:
        posterior: over goals.
        done_with: the words for each action.
    """
    best: Integers = posterior.probabilities.argsort()[::-1][:_NAMED]
    named = []
    for goal, chance in zip(
        posterior.goals[best].tolist(), posterior.probabilities[best], strict=True
    ):
        act = "" if done_with is None else f"{done_with[goal[2]]} a "
        named.append(f"{act}{name_of(*goal[:2])} {chance:.0%}")
    return ", ".join(named)


def draw_views(views: NDArray[np.uint8], pixels: int) -> NDArray[np.uint8]:
    """Draw views [N, V, V, 3], the agent at the bottom; uint8 [N, V * pixels, V * pixels, 3]."""
    size = views.shape[1]
    poses = np.tile([size - 1, size // 2, _UP], (len(views), 1))
    return render_rooms(views[..., :2], poses, pixels)
