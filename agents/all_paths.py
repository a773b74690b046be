"""Going to far goals by all paths of waypoints at once.

Axes: ``N`` episodes, ``A`` actions compared, ``W`` waypoints, which are the candidate goals, too,
``G`` numbers in a goal, ``D`` embedding size.
"""

import math

import numpy as np
import torch
from torch import Tensor

from langrl.agents.sight import Sight
from langrl.functional.log_products import log_matmul_exp
from langrl.functional.waypoints import closure
from langrl.grounding.successor import Places, over_actions
from langrl.grounding.waypoints import WaypointGraph
from langrl.protocols import Array, Mask


class Marginalised:
    """Sums over all paths of a geometric number of stages, by one linear system.

    Edges beyond the cut-off are left out, and each waypoint's edges are scaled to a mean of 1, as
    density ratios have it. The chance of one more stage is ``stage_discount``.

    Args:
        graph: of waypoints.
    """

    def __init__(self, graph: WaypointGraph) -> None:
        self.graph = graph
        config, device = graph.config, graph.distance.device
        self._weights = torch.from_numpy(graph.waypoints.log_weights).double().to(device)
        self._goals: Array = np.zeros((0, 0))
        self._onward_to: Tensor  # the goals, and their places: of the last step
        self._places: Places
        self._sight = Sight(graph)
        self._joined: Mask | None = None  # whether a path leads to the goal of each episode
        self._stage = math.log1p(-config.stage_discount)  # that this is the last one
        self._onward = math.log(max(config.stage_discount, 1e-300))
        between = torch.from_numpy(graph.between).double().to(device)
        edges = graph.places.own[0].double() - between
        edges = edges.masked_fill(between > graph.cutoff, -torch.inf)
        size = len(edges)
        edges = edges - (edges + self._weights).logsumexp(1, keepdim=True) + math.log(size)
        self._shares = self._weights - math.log(size)
        self.laws = closure(edges, config.stage_discount, self._weights).value  # [W, W]

    def reset(self, mask: Mask | None = None) -> None:
        """Forget nothing: every step is decided anew."""

    def keep(self, mask: Mask) -> None:
        """Drop what is known of the others; see ``Composition``."""
        if self._joined is not None:
            rows = torch.from_numpy(np.flatnonzero(mask))
            self._joined, self._goals = self._joined[mask], self._goals[mask]
            self._onward_to, self._places = self._onward_to[rows], self._places.at(rows)

    @property
    def info(self) -> dict[str, Array]:
        """Whether paths lead to the goals of N episodes; see ``Composition``."""
        return {} if self._joined is None else {"path_found": self._joined.copy()}

    def lift(self, scores: Tensor) -> Tensor:
        """Return scores of waypoints as places on the way, of scores of them as goals.

        Args:
            scores: of the waypoints as goals [N, W], with their weights, such as the language
                score and log p(w) - log q(w).

        Returns:
            log[(1 - c) exp(scores) + c p(w)/q(w) E_m exp(C(w, m) + scores(m))] [N, W], C the law
            after a geometric number of stages.
        """
        wide = scores.double()
        far, _ = log_matmul_exp(wide - math.log(wide.shape[1]), self.laws.T)  # [N, W]
        onward = self._onward + far + self._weights
        return torch.logaddexp(self._stage + wide, onward).to(scores.dtype)

    def goal_scores(self, observations: Array) -> Tensor:
        """Return the log ratio over stages; see ``Composition``."""
        distance = self.graph.distance
        starts = distance.measure(distance.embed(observations), self.graph.places)
        near = (self.graph.places.own[0] - starts).double()  # f(s, *, w) [N, W]
        far, _ = log_matmul_exp(near + self._shares, self.laws)
        return torch.logaddexp(self._stage + near, self._onward + far).to(starts).unsqueeze(1)

    def action_scores(self, observations: Array, embedded: Tensor, goals: Array) -> Tensor:
        """Return log ratios over stages; see ``Composition``."""
        self._renew(goals)
        paths = self._score_paths(embedded, self._onward_to)
        critic = self.graph.distance.critics[0]
        scores = critic.score(embedded, self._places.embedded[0].unsqueeze(1))  # [N, A, 1]
        far = self._places.own[0].unsqueeze(1) - over_actions(scores) > self.graph.visible
        joined = paths.isfinite()  # without a path the critic alone decides
        self._joined = joined.any(1).cpu().numpy()
        direct = scores.squeeze(-1).masked_fill(far & joined, -torch.inf)
        return torch.logaddexp(self._stage + direct, self._onward + paths)

    def _renew(self, goals: Array) -> None:
        """Solve for the goals [N, G] that are other ones than before."""
        if self._goals.shape != goals.shape:
            self._goals = goals.copy()
            self._onward_to, self._places = self._solve(goals)
            return
        rows = np.flatnonzero((self._goals != goals).reshape(len(goals), -1).any(1))
        if len(rows):
            self._goals[rows] = goals[rows]
            self._onward_to[rows], places = self._solve(goals[rows])
            self._places.put(rows, places)

    def _solve(self, goals: Array) -> tuple[Tensor, Places]:
        """Return log ratios of goals [n, G] over stages from the waypoints [n, W], and places."""
        graph = self.graph
        places, ends = graph.distance.goals(goals, graph.waypoints.states, graph.embedded)
        last = (places.own[0] - ends).masked_fill(ends > graph.cutoff, -torch.inf).double()
        far, _ = log_matmul_exp(self.laws + self._shares, last)
        onward = torch.logaddexp(self._stage + last, self._onward + far).T
        return onward.to(places.own[0].dtype), places

    def believed(self, embedded: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores of the waypoints within sight; see ``Lift``."""
        return self._sight.scores(embedded)

    def _score_paths(self, embedded: Tensor, onward: Tensor) -> Tensor:
        """Return log E_w exp(f(s, a, w) + onward) [N, A] of actions [N, A, D]; onward [N, W]."""
        scores, index = self._sight.scores(embedded)
        terms = (onward + self._shares.to(onward)).gather(1, index)
        return (scores + terms.unsqueeze(1)).logsumexp(-1)
