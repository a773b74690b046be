"""Intents in levels of MiniGrid: the objects, which may be gone to, picked up or opened.

Axes: ``N`` episodes, ``I`` cells of the map, ``M`` goals, ``H`` rows, ``W`` columns.
"""

from collections.abc import Sequence

from langrl.envs.grid.rooms import ahead, is_object
from langrl.envs.minigrid_levels.reading import as_rooms
from langrl.envs.minigrid_levels.tasks import denoted_by, read_task
from langrl.grounding.intents import GridIntents
from langrl.grounding.level_candidates import goals_of_level
from langrl.protocols import Array, Integers, Mask


class LevelIntents(GridIntents):
    """The objects of levels, doors included, of which agents see everything.

    Observations are those of whole levels at the start of episodes [N, H, W, 3]; goals are poses
    and what is done there [M, 4]. Of what an object is wanted for, nothing is said: goals that face
    it reach it, whatever is done there.
    """

    def possible(self, observations: Array) -> Mask:
        """Return the objects [N, I]."""
        return super().possible(as_rooms(observations))

    def denoted(self, observations: Array, texts: Sequence[str]) -> Mask:
        """Return the objects that each text denotes [N, I]; all where that is unknown."""
        found, rooms = self.possible(observations), as_rooms(observations)[..., :2]
        for n, text in enumerate(texts):
            task = read_task(text)
            if task is not None:
                found[n] = denoted_by(task, rooms[n], observations[n]).cells.reshape(-1)
        return found

    def goals(self, observation: Array) -> Integers:
        """Return the goals [M, 4] that face objects and can be reached."""
        goals = goals_of_level(observation)
        found: Integers = goals[is_object(as_rooms(observation[None])[0][ahead(goals[:, :3])])]
        return found
