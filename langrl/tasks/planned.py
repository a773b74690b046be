"""Plans of agents along waypoints, for figures.

Axes: ``G`` numbers in a goal.
"""

from typing import Any

from langrl.agents.grounded import GroundedAgent
from langrl.protocols import Array


def planned_way(agent: Any, observation: Array, instruction: str) -> tuple[Array | None, str]:
    """Return what a figure shows of an agent's plan for an instruction.

    Args:
        agent: any; most follow no path of waypoints.
        observation: where it would begin.
        instruction: a text.

    Returns:
        The waypoints of its path and the goal [any, G], None where there is no path; and a line of
        text that says so where one was looked for.
    """
    plan = None
    if isinstance(agent, GroundedAgent):
        plan = agent.plan({"observation": observation}, instruction)
    if plan is None:
        return None, ""
    if not plan.found:
        return None, "\nno path of waypoints: by the critic alone"
    return plan.places, ""
