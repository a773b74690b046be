"""How one strategy's episode has gone so far."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langrl.play.playground import ABOUT
from langrl.play.worlds import Episode
from langrl.protocols import Array


@dataclass(eq=False)
class Walk:
    """An episode of one strategy.

    Args:
        strategy: its name.
        agent: as it was trained.
        acting: the same, or what asks for it.
        path: the places it has been at.
        things: what lay where at each of them, where that changes; None where it was as before.
        frames: pictures of them, if they are kept.
        episode: where it is, from its first step on.
        is_over: whether it has ended, or may go no further.
        success: whether it has done what was said; None while that is open, or not known.
    """

    strategy: str
    agent: Any
    acting: Any = None
    path: list[Array] = field(default_factory=list)
    things: list[list[list[Any]] | None] = field(default_factory=list)
    frames: list[NDArray[np.uint8] | None] = field(default_factory=list)
    episode: Episode | None = None
    is_over: bool = False
    success: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what a page shows."""
        return {
            "strategy": self.strategy,
            "about": ABOUT.get(self.strategy, ""),
            "path": [numbers(place) for place in self.path],
            "things": self.things,
            "over": self.is_over,
            "success": self.success,
        }


def numbers(place: Array) -> list[float]:
    """Return a place as JSON values."""
    return [round(float(number), 3) for number in place]
