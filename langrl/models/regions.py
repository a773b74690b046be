"""A text as a small set of regions of goal space, some of them included and some excluded.

"Row 3 or column 11" is two regions, and their sum says which goals fit. "Not row 3" is a region as
well, that of row 3, and all goals outside of it fit. So a text encoder gives each region a role,
and "row 3" is read in the same way in both texts.

Axes: ``M`` goals, ``K`` texts, ``J`` regions of a text; leading axes broadcast.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

ROLES = 3
"""Numbers of a role: logits of being included, of being excluded, of a text that only excludes."""
_BORDER = -8.0  # nats, at first
_FIRST = (2.1, -2.1, -3.0)  # roles that nothing was learned of: all is included
_SCALE = 0.3  # of what is learned of roles: more slowly than regions
_HELD, _LET_IN = 0.25, 0.5  # shares of a training until roles begin to count, and count in full


class Regions(nn.Module):
    """Joins the regions of a text to h(g, l).

    With e_j the energy between a goal and region j, in nats, p_j the probability that the region
    is included, and s that the text includes something,

        h = s log sum_j p_j exp(e_j) - sum_j (1 - p_j) softplus(e_j - b),

    where b is the border of a region: where its energy is above b, a goal is inside. Of a text
    that only excludes, s is 0, and it includes everything else.
    """

    def __init__(self) -> None:
        super().__init__()
        self.border = nn.Parameter(torch.tensor(_BORDER))

    def forward(self, energies: Tensor, roles: Tensor, trust: float = 1.0) -> Tensor:
        """Map energies [..., M, K, J] and roles [..., K, J, 3] to h [..., M, K] in nats.

        ``trust`` is how much roles count, from 0, where all regions are included, to 1.
        """
        logits = roles.new_tensor(_FIRST) + trust * _SCALE * roles
        role = logits[..., :2].log_softmax(-1).unsqueeze(-4)  # [..., 1, K, J, 2]
        some = torch.sigmoid(-logits[..., 2].mean(-1)).unsqueeze(-2)  # [..., 1, K]
        included = (energies + role[..., 0]).logsumexp(-1)
        excluded = role[..., 1].exp() * functional.softplus(energies - self.border)
        return some * included - excluded.sum(-1)


def trust_in_roles(progress: float) -> float:
    """Return how much roles count in training, after so much of it, from 0 to 1.

    In the first steps no region is known, and the least loss is to exclude all of them or none.
    Whoever trains roles from then on never learns regions: so regions come first.
    """
    return min(1.0, max(0.0, (progress - _HELD) / (_LET_IN - _HELD)))
