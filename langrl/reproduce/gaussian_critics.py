"""Critics of the Gaussian world, trained and evaluated as published; shared by the law's commands.

Axes: ``G`` groups of 32 queries and their 32 instructions, ``M`` candidate goals, ``D`` embedding
size.
Source: Che & Eysenbach, ICLR 2025, arXiv:2501.11326, the synthetic experiments.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from langrl.data.synthetic import GaussianTriples
from langrl.evaluation.statistics import mean_and_sem
from langrl.functional.auto import Choice, choose
from langrl.functional.energies import ENERGIES
from langrl.functional.estimates import Estimate
from langrl.functional.losses import symmetric_info_nce
from langrl.functional.marginals import gaussian, gaussian_law, monte_carlo_embeddings
from langrl.functional.retrieval import recall_at_1
from langrl.models.blocks import batch_norm_mlp
from langrl.models.critics.maze import PairCritic, Scale
from langrl.training.optim import Batch, Optimiser
from langrl.training.seeding import seeded

CRITICS = ("cosine", "dot", "neg_half_sq_l2")
PAIRS, BATCH, RATE, WIDTH = 20_000, 256, 0.01, 128
ALTERNATIVES = 32
QUERIES = 64 * ALTERNATIVES  # unseen pairs in an evaluation


@dataclass(frozen=True)
class Setting:
    """What is varied."""

    critic: str = "cosine"
    seed: int = 0
    rho: float = 0.0
    embedding: int = 32
    scale: float | None = None  # None: learned
    epochs: int = 64


@dataclass(frozen=True)
class Trained:
    """Critics f(a, b) and h(c, b), which may share their goal encoder, and their world."""

    setting: Setting
    world: GaussianTriples
    left: PairCritic
    right: PairCritic

    @property
    def shared(self) -> bool:
        """Whether there is one goal encoder."""
        return self.left.right is self.right.right

    def embed_goals(self, goals: Tensor) -> tuple[Tensor, Tensor | None]:
        """Embed goals by the left critic's encoder, and by the right one's if it is another."""
        return self.left.right(goals), None if self.shared else self.right.right(goals)

    def ratio(self, side: int, x: Tensor, goals: Tensor) -> Tensor:
        """Return f(a, b) for side 0, h(c, b) for side 1, of x [N, P] and goals [M, S]: [N, M]."""
        scores: Tensor = (self.left, self.right)[side](x, goals)
        return scores

    def scales(self) -> dict[str, Any]:
        """Return both inverse temperatures, by the names that the estimators give them."""
        critics = {"left_scale": self.left, "right_scale": self.right}
        return {name: critic.scale.log_scale.exp().item() for name, critic in critics.items()}


def generator_for(setting: Setting, purpose: int) -> torch.Generator:
    """Return a generator that depends on the seed and on what it is for, and on nothing else."""
    return torch.Generator().manual_seed(1000 * setting.seed + purpose)


def draw_world(setting: Setting) -> GaussianTriples:
    """Draw the world of a setting; the same for each critic."""
    return GaussianTriples.draw(generator_for(setting, 0), setting.rho)


def training_pairs(setting: Setting, world: GaussianTriples, side: int) -> tuple[Tensor, Tensor]:
    """Return 20,000 (A, B) pairs for side 0, 20,000 other (C, B) pairs for side 1."""
    return world.pairs(side, PAIRS, generator_for(setting, 1 + side))


def train_critics(setting: Setting, *, shared: bool) -> Trained:
    """Train f on (A, B) pairs and h on (C, B) pairs, with one goal encoder or with one each."""
    world = draw_world(setting)
    data = [training_pairs(setting, world, side) for side in (0, 1)]
    goal_encoders = [_encoder(setting, data[0][1], 3 + 4 * side) for side in (0, 1)]
    if shared:
        goal_encoders[1] = goal_encoders[0]
    critics = [
        _critic(setting, _encoder(setting, data[side][0], 4 + 4 * side), goal_encoders[side])
        for side in (0, 1)
    ]
    if shared:
        _train(setting, critics, data)
    else:
        for critic, pairs in zip(critics, data, strict=True):
            _train(setting, [critic], [pairs])
    return Trained(setting, world, *critics)


def train_oracle(setting: Setting) -> tuple[GaussianTriples, PairCritic]:
    """Train a critic on as many (A, C) pairs, which the others never see."""
    world = draw_world(setting)
    pairs = world.unseen_pairs(PAIRS, generator_for(setting, 11))
    critic = _critic(setting, *(_encoder(setting, pairs[i], 12 + i) for i in (0, 1)))
    _train(setting, [critic], [pairs])
    return world, critic


def _encoder(setting: Setting, inputs: Tensor, purpose: int) -> nn.Module:
    with seeded(1000 * setting.seed + purpose):
        return batch_norm_mlp(inputs.shape[1], WIDTH, setting.embedding)


def _critic(setting: Setting, left: nn.Module, right: nn.Module) -> PairCritic:
    return PairCritic(left, right, ENERGIES[setting.critic], Scale(setting.scale))


def _train(
    setting: Setting, critics: Sequence[PairCritic], data: Sequence[tuple[Tensor, Tensor]]
) -> None:
    """Train critics together: Adam at 0.01 on symmetric InfoNCE, a tenth of it near the end."""
    modules = nn.ModuleList(critics)
    last = max(1, setting.epochs * 60 // 64)  # as published: the 60th of 64

    def schedule(step: int) -> float:
        return 0.1 if step >= last * (PAIRS // BATCH) else 1.0

    def loss(batch: Batch) -> tuple[Tensor, Batch]:
        losses = [
            symmetric_info_nce(critic(batch[f"x{n}"], batch[f"y{n}"]))[0]
            for n, critic in enumerate(critics)
        ]
        return torch.stack(losses).sum(), {}

    optimiser = Optimiser(dict(modules.named_parameters()), RATE, schedule)
    generator = generator_for(setting, 14)
    for _ in range(setting.epochs):
        orders = [torch.randperm(PAIRS, generator=generator).split(BATCH) for _ in critics]
        for batches in zip(*orders, strict=True):
            if len(batches[0]) < BATCH:
                continue
            batch: Batch = {}
            for n, ((x, y), rows) in enumerate(zip(data, batches, strict=True)):
                batch |= {f"x{n}": x[rows], f"y{n}": y[rows]}
            optimiser.update(batch, loss)
            for critic in critics:
                critic.scale.bound()
    modules.eval()


@torch.no_grad()
def evaluation(trained: Trained) -> tuple[Tensor, Tensor]:
    """Return embeddings of unseen pairs: of A and of C, each [G, 32, D]."""
    a, c = (x.flatten(0, 1) for x in unseen_groups(trained.setting, trained.world))
    a, c = trained.left.left(a), trained.right.left(c)
    return a.unflatten(0, (-1, ALTERNATIVES)), c.unflatten(0, (-1, ALTERNATIVES))


def unseen_groups(setting: Setting, world: GaussianTriples) -> tuple[Tensor, Tensor]:
    """Return unseen A and their C, in groups of 32, [G, 32, P] each; the same for each critic."""
    a, c = world.unseen_pairs(QUERIES, generator_for(setting, 15))
    return a.unflatten(0, (-1, ALTERNATIVES)), c.unflatten(0, (-1, ALTERNATIVES))


def candidate_goals(setting: Setting, world: GaussianTriples, count: int) -> Tensor:
    """Return candidates [M, S] from p(b)."""
    return world.goals(count, generator_for(setting, 16))


@torch.no_grad()
def estimate(trained: Trained, goals: Tensor, a: Tensor, c: Tensor) -> Estimate:
    """Return the Monte Carlo estimate for embeddings [G, 32, D] from candidate goals [M, S]."""
    return monte_carlo_embeddings(
        a, c, *trained.embed_goals(goals), energy=trained.left.energy, chunk=512, **trained.scales()
    )


@torch.no_grad()
def closed_form(trained: Trained, goals: Tensor, a: Tensor, c: Tensor) -> Tensor:
    """Return the Gaussian closed form for embeddings [G, 32, D], fitted to goals [M, S]."""
    energy = trained.left.energy
    law = gaussian_law(*trained.embed_goals(goals), energy=energy)
    return gaussian(a, c, *law, **trained.scales(), energy=energy)


@torch.no_grad()
def choose_for(trained: Trained, goals: Tensor) -> Choice:
    """Choose an estimator from held-out (A, B) pairs, unpaired C and candidate goals [M, S]."""
    setting, world = trained.setting, trained.world
    held_out, paired_goals = world.pairs(0, QUERIES // 2, generator_for(setting, 17))
    instructions, _ = training_pairs(setting, world, 1)
    return choose(
        trained.left.left(held_out), trained.right.right(paired_goals),
        trained.right.left(instructions), *trained.embed_goals(goals),
        generator=generator_for(setting, 18), energy=trained.left.energy, **trained.scales(),
    )  # fmt: skip


def recall(scores: Tensor) -> float:
    """Return recall@1 among the alternatives of scores [G, 32, 32]."""
    return recall_at_1(scores).mean().item()


def over_seeds(values: Sequence[float]) -> dict[str, float]:
    """Return the mean over seeds and its standard error as the two cells of a row."""
    mean, sem = mean_and_sem(values)
    return {"recall": mean, "sem": sem}
