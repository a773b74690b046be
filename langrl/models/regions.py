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
"""Numbers of a role: logits of being included, of being excluded, of everything included."""
_EVERYTHING, _BORDER = -10.0, -8.0  # nats, at first


class Regions(nn.Module):
    """Joins the regions of a text to h(g, l).

    With e_j the energy between a goal and region j, in nats, and p_j the probability that the
    region is included,

        h = log (exp(a) + sum_j p_j exp(e_j)) - sum_j (1 - p_j) softplus(e_j - b),

    where a is how much everything is included, which the text says, and b is the border of a
    region: where its energy is above b, a goal is inside. A text that only excludes includes
    everything else.
    """

    def __init__(self) -> None:
        super().__init__()
        self.everything = nn.Parameter(torch.tensor(_EVERYTHING))
        self.border = nn.Parameter(torch.tensor(_BORDER))

    def forward(self, energies: Tensor, roles: Tensor) -> Tensor:
        """Map energies [..., M, K, J] and roles [..., K, J, 3] to h [..., M, K] in nats."""
        role = roles[..., :2].log_softmax(-1).unsqueeze(-4)  # [..., 1, K, J, 2]
        everything = roles[..., 2].mean(-1).unsqueeze(-2) + self.everything  # [..., 1, K]
        included = (energies + role[..., 0]).logsumexp(-1)
        excluded = role[..., 1].exp() * functional.softplus(energies - self.border)
        return torch.logaddexp(included, everything.expand_as(included)) - excluded.sum(-1)
