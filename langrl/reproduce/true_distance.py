"""Distances of a maze itself, in the place of a critic's: the oracle that waypoints can be held to.

Axes: ``N`` states, ``W`` places, ``L`` places of each state.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from langrl.data.recordings.pointmaze import Expert
from langrl.grounding.config import WaypointConfig
from langrl.grounding.successor import Places, SuccessorDistance
from langrl.grounding.waypoints import WaypointGraph, Waypoints
from langrl.models.protocols import Critic
from langrl.protocols import Array

_NEAR, _SEEN = 1.0, 2.2  # cells: of an edge, and how far ahead one heads, as a share of it


class TrueDistance(SuccessorDistance):
    """Distances between positions of a maze, in cells: straight lines within neighbouring cells.

    Farther off they are cells on a shortest path, which no edge is as long as.

    Args:
        expert: who knows the maze.
        critic: what chooses actions towards the places.
        actions: that it compares [A, 2].
    """

    def __init__(self, expert: Expert, critic: Critic, actions: Array) -> None:
        super().__init__([critic], actions)
        self._expert = expert
        centres = expert.centres
        self._side = float(np.linalg.norm(centres[1:] - centres[:1], axis=1).min())

    def embed(self, observations: Array) -> list[Tensor]:
        """Return positions [N, 1, 3] and the numbers of their cells."""
        return [self._located(observations).unsqueeze(1)]

    def places(self, states: Array, goals: Array) -> Places:
        """Return places at goals [W, 2]."""
        return Places([self._located(goals)], [torch.zeros(len(goals))])

    def goals(
        self, goals: Array, states: Array, embedded: Sequence[Tensor]
    ) -> tuple[Places, Tensor]:
        """Return places at goals [N, 2], and distances [W, N]."""
        places = self.places(goals, goals)
        return places, self.measure(embedded, places)

    def measure(self, embedded: Sequence[Tensor], places: Places) -> Tensor:
        """Return distances [N, W] to places, of L for each row [N, L]."""
        here, there = embedded[0], places.embedded[0]  # [N, 1, 3], [W, 3] or [N, L, 3]
        straight = (here[..., :2] - there[..., :2]).norm(dim=-1) / self._side
        cells = torch.from_numpy(self._expert.layout.distances)
        apart = cells[here[..., 2].long(), there[..., 2].long()]
        return torch.where(apart <= 1, straight, apart.to(straight))

    def _located(self, positions: Array) -> Tensor:
        """Return positions [..., 2] with the number of the nearest free cell [..., 3]."""
        flat = torch.from_numpy(np.asarray(positions, np.float32))
        centres = torch.from_numpy(self._expert.centres).to(flat)
        return torch.cat([flat, torch.cdist(flat, centres).argmin(1, keepdim=True).to(flat)], 1)


def oracle_graph(expert: Expert, graph: WaypointGraph) -> WaypointGraph:
    """Return the graph of the same waypoints whose edges a maze itself says.

    Args:
        expert: who knows the maze.
        graph: of waypoints, by a critic.
    """
    distance = graph.distance
    waypoints = Waypoints(
        graph.waypoints.states, graph.waypoints.goals, graph.waypoints.log_weights
    )
    config = WaypointConfig(
        waypoints=len(waypoints),
        cutoff=_NEAR,
        visible=_SEEN,
        patience=graph.config.patience,
        detour=graph.config.detour,
    )
    return WaypointGraph(
        TrueDistance(expert, distance.critics[0], distance.actions), waypoints, config
    )
