"""Which waypoints are within sight of an agent, found without comparing every action with each.

Axes: ``N`` episodes, ``A`` actions compared, ``W`` waypoints, ``K`` of them that may be within
sight, ``D`` embedding size.
"""

import torch
from torch import Tensor

from langrl.grounding.successor import over_actions
from langrl.grounding.waypoints import WaypointGraph

_LOOKED_AT = 512  # waypoints from which others are looked at, to know what a mean action misses
_MARGIN = 1.25  # of what it misses there at most
_NUMBERS_AT_ONCE = 1 << 20  # of gathered embeddings: they stay in a CPU's cache
_SCORES_AT_ONCE = 1 << 22


class Sight:
    """Scores of the waypoints that are within sight; a critic is not believed beyond.

    A waypoint is within sight if its distance is at most ``graph.visible``. Those that may be are
    found by the mean of the embeddings of all actions, a product for each state instead of each
    action. How much farther a waypoint within sight seems to be that way is measured between
    waypoints: no more than so much farther, nothing is left out.

    Args:
        graph: of waypoints; its first critic counts.
    """

    def __init__(self, graph: WaypointGraph) -> None:
        self.graph = graph
        self._critic = graph.distance.critics[0]
        self._goals, self._own = graph.places.embedded[0], graph.places.own[0]
        self._slack = self._measure_slack()

    @torch.no_grad()
    def _measure_slack(self) -> Tensor:
        """Return by how much the mean action makes distances within sight larger, in nats []."""
        step = -(-len(self._goals) // _LOOKED_AT)
        embedded, slack = self.graph.embedded[0][::step], self._own.new_zeros(())
        size = max(1, _SCORES_AT_ONCE // (embedded.shape[1] * len(self._goals)))
        for part in embedded.split(size):
            there = self._own - over_actions(self._critic.score(part, self._goals))
            more = (self._roughly(part) - there).masked_fill(there > self.graph.visible, 0.0)
            slack = slack.maximum(more.amax())
        return _MARGIN * slack

    def _roughly(self, embedded: Tensor) -> Tensor:
        """Return distances [n, W] by the mean of what actions are embedded as [n, A, D]."""
        return self._own - self._critic.score(embedded.mean(1), self._goals)

    def scores(self, embedded: Tensor) -> tuple[Tensor, Tensor]:
        """Score the waypoints that may be within sight.

        Args:
            embedded: state-actions [N, A, D].

        Returns:
            Scores f(s, a, w) [N, A, K], -inf for those beyond sight, where the nearest one always
            counts; and the numbers of these waypoints, int64 [N, K].
        """
        rough = self._roughly(embedded)
        limit = (rough.amin(1, keepdim=True) + self._slack).clamp(min=self.graph.visible)
        count = int((rough <= limit + self._slack).sum(1).amax())
        found = rough.topk(count, 1, largest=False, sorted=False).indices
        size = max(1, _NUMBERS_AT_ONCE // (count * embedded.shape[-1]))
        pairs = zip(embedded.split(size), found.split(size), strict=True)
        return torch.cat([self._score(part, index) for part, index in pairs]), found

    def _score(self, embedded: Tensor, index: Tensor) -> Tensor:
        scores = self._critic.score(embedded, self._goals[index])
        far = (self._own[index] - over_actions(scores)).unsqueeze(1)  # [n, 1, K]
        limit = far.amin(-1, keepdim=True).clamp(min=self.graph.visible)
        return scores.masked_fill(far > limit, -torch.inf)
