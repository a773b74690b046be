"""A toy task family: an agent in a corridor goes to the left or the right end, or to a cell.

It shows all that a new family needs: ``config``, ``run``, ``agent``, ``suite`` and one ``Task``.
"""

from langrl.tasks.registry import Task

CORRIDOR = Task("corridor", "corridor", "CorridorRunConfig")
