"""An instruction of our own for a level of BabyAI, checked by the level as it checks its own."""

from typing import Any

from minigrid.core.world_object import WorldObj
from minigrid.envs.babyai.core.verifier import ActionInstr
from minigrid.minigrid_env import MiniGridEnv

from langrl.envs.minigrid_levels.reading import DONE, PICKUP, TOGGLE
from langrl.envs.minigrid_levels.tasks import Denoted


class GivenInstruction(ActionInstr):
    """Succeeds when one of some acts is done with one of the denoted objects.

    Args:
        level: whose objects they are.
        denoted: acts, and where the objects lie at the start.
        text: the words.
    """

    def __init__(self, level: MiniGridEnv, denoted: Denoted, text: str) -> None:
        super().__init__()
        self.acts, self._text = denoted.acts, text
        rows, columns = denoted.cells.nonzero()
        cells = zip(columns.tolist(), rows.tolist(), strict=True)
        self.things: list[WorldObj | None] = [level.grid.get(*cell) for cell in cells]
        self.reset_verifier(level)

    def surface(self, env: Any) -> str:
        """Return the words."""
        return self._text

    def verify_action(self, action: Any) -> str:  # type: ignore[override]  # as minigrid calls it
        """Return "success" or "continue"."""
        level = self.env
        faced = level.grid.get(*level.front_pos)
        done = {
            DONE: any(faced is thing for thing in self.things),
            PICKUP: action == level.actions.pickup
            and any(level.carrying is thing for thing in self.things),
            TOGGLE: action == level.actions.toggle
            and any(faced is thing for thing in self.things)
            and getattr(faced, "is_open", False),
        }
        return "success" if any(done[act] for act in self.acts) else "continue"
