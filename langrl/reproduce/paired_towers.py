"""Plain networks, and two of them trained on two views of one latent at a fixed temperature.

Axes: ``n`` pairs, ``L`` numbers of the latent, ``V`` numbers of a view, ``D`` embedding size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from langrl.functional.energies import cosine
from langrl.functional.gap import shift_curve
from langrl.functional.geometry import modality_gap
from langrl.functional.losses import symmetric_info_nce
from langrl.training.optim import Batch, Optimiser, constant_schedule
from langrl.training.seeding import seeded

LATENT, VIEW, EMBEDDING = 8, 32, 16  # L, V, D
WIDTH, DEPTH = 64, 3
PAIRS, HELD_OUT, SHIFTED = 2_000, 4_000, 500  # trained on; gaps are of; curves are of
BATCH, RATE = 128, 1e-3
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "linear": nn.Identity
}  # fmt: skip


def plain_network(
    sizes: Sequence[int], activation: str, seed: int, *, bias: bool = True, head: int | None = None
) -> nn.Sequential:
    """Return linear layers between sizes, each with an activation, and a linear head if given.

    As PyTorch initialises them, without normalisation layers, which are no part of the claims.
    """
    modules: list[nn.Module] = []
    with seeded(seed):
        for inputs, outputs in pairwise(sizes):
            modules += [nn.Linear(inputs, outputs, bias=bias), ACTIVATIONS[activation]()]
        if head is not None:
            modules.append(nn.Linear(sizes[-1], head, bias=bias))
    return nn.Sequential(*modules)


@dataclass(frozen=True, eq=False)
class Views:
    """Pairs of views: the first ``PAIRS`` to train on, the others to measure gaps on."""

    x: Tensor
    y: Tensor


def draw_views(generator: torch.Generator, noise: float) -> Views:
    """Draw ``x = z A + noise`` and ``y = z B + noise`` [n, V] with z [n, L] standard normal."""

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    count = PAIRS + HELD_OUT
    latent = draw(count, LATENT)
    x, y = (latent @ draw(LATENT, VIEW) / LATENT**0.5 + noise * draw(count, VIEW) for _ in range(2))
    return Views(x, y)


def mismatched(y: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Return y [n, V] with a share of its rows moved to the next one's pair."""
    chosen = torch.randperm(len(y), generator=generator)[: round(share * len(y))]
    wrong = y.clone()
    wrong[chosen] = y[chosen.roll(1)]
    return wrong


def train_towers(
    seed: int, temperature: float, steps: int, noise: float, mismatches: Sequence[float]
) -> list[dict[str, float]]:
    """Train towers of different initialisations, a phase for each share of mismatched pairs.

    Returns, before training and after each phase, the ``gap`` of held-out pairs and the losses
    ``loss_AMOUNT`` of training pairs that were shifted by an amount.
    """
    generator = torch.Generator().manual_seed(seed)
    views = draw_views(generator, noise)
    sizes = [VIEW, *[WIDTH] * DEPTH]
    towers = nn.ModuleList(
        plain_network(sizes, "relu", 2 * seed + side, head=EMBEDDING) for side in (0, 1)
    )

    def loss(batch: Batch) -> tuple[Tensor, Batch]:
        return symmetric_info_nce(
            cosine(towers[0](batch["x"]), towers[1](batch["y"])) / temperature
        )

    optimiser = Optimiser(dict(towers.named_parameters()), RATE, constant_schedule)
    shares = [mismatches[0], *mismatches]
    measured = []
    for phase, share in enumerate(shares):
        # The same pairs are wrong in every phase.
        y = mismatched(views.y[:PAIRS], share, torch.Generator().manual_seed(seed))
        for _ in range(steps if phase else 0):
            rows = torch.randint(PAIRS, (BATCH,), generator=generator)
            optimiser.update({"x": views.x[rows], "y": y[rows]}, loss)
        measured.append(_measured(towers, views, y, temperature))
    return measured


@torch.no_grad()
def _measured(
    towers: nn.ModuleList, views: Views, y: Tensor, temperature: float
) -> dict[str, float]:
    held = towers[0](views.x[PAIRS:]), towers[1](views.y[PAIRS:])
    trained = towers[0](views.x[:SHIFTED]), towers[1](y[:SHIFTED])
    curve = shift_curve(*trained, 1 / temperature)
    losses = {f"loss_{point.amount:g}": point.loss for point in curve}
    return {"gap": float(modality_gap(*held).norm())} | losses
