"""Going to far goals by all paths of waypoints at once.

Axes: ``N`` episodes, ``A`` actions compared, ``W`` waypoints, which are the candidate goals, too,
``G`` numbers in a goal, ``D`` embedding size.
"""

import math

import numpy as np
import torch
from torch import Tensor

from langrl.functional.log_products import log_matmul_exp
from langrl.functional.waypoints import closure
from langrl.grounding.successor import Places, over_actions
from langrl.grounding.waypoints import WaypointGraph
from langrl.protocols import Array, Mask

_SCORES_AT_ONCE = 1 << 22


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
        """Drop nothing; see ``Composition``."""

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
        if self._goals.shape != goals.shape or not np.array_equal(self._goals, goals):
            self._goals, (self._onward_to, self._places) = goals.copy(), self._solve(goals)
        paths = self._score_paths(embedded, self._onward_to.to(embedded.dtype))
        critic = self.graph.distance.critics[0]
        scores = critic.score(embedded, self._places.embedded[0].unsqueeze(1))  # [N, A, 1]
        far = self._places.own[0].unsqueeze(1) - over_actions(scores) > self.graph.visible
        joined = paths.isfinite()  # without a path the critic alone decides
        direct = scores.squeeze(-1).masked_fill(far & joined, -torch.inf)
        return torch.logaddexp(self._stage + direct, self._onward + paths)

    def _solve(self, goals: Array) -> tuple[Tensor, Places]:
        """Return log ratios of goals [n, G] over stages from the waypoints [n, W], and places."""
        graph = self.graph
        places = graph.distance.goals(goals, graph.waypoints.states, graph.embedded)
        ends = graph.distance.measure(graph.embedded, places)  # [W, n]
        last = (places.own[0] - ends).masked_fill(ends > graph.cutoff, -torch.inf).double()
        far, _ = log_matmul_exp(self.laws + self._shares, last)
        return torch.logaddexp(self._stage + last, self._onward + far).T, places

    def believed(self, scores: Tensor) -> Tensor:
        """Return scores [N, A, W] of actions, -inf for waypoints that are too far to be seen.

        The nearest one always counts.
        """
        far = self.graph.places.own[0] - over_actions(scores).unsqueeze(1)  # [N, 1, W]
        limit = far.amin(-1, keepdim=True).clamp(min=self.graph.visible)
        return scores.masked_fill(far > limit, -torch.inf)

    def _score_paths(self, embedded: Tensor, onward: Tensor) -> Tensor:
        """Return log E_w exp(f(s, a, w) + onward) [N, A] of actions [N, A, D]; onward [N, W]."""
        critic, goals = self.graph.distance.critics[0], self.graph.places.embedded[0]
        size = max(1, _SCORES_AT_ONCE // (embedded.shape[1] * len(goals)))
        terms = (onward + self._shares.to(onward)).unsqueeze(1)
        chunks = zip(embedded.split(size), terms.split(size), strict=True)
        scored = ((self.believed(critic.score(part, goals)), term) for part, term in chunks)
        return torch.cat([(scores + term).logsumexp(-1) for scores, term in scored])
