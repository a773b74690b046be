from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from corridor.agent import Corridor, CorridorDescription, agent_maker
from corridor.config import CorridorRunConfig
from langrl.checkpoint import digest
from langrl.functional.losses import symmetric_info_nce
from langrl.tasks.run import Run
from langrl.training.learner import GradientLearner, OfflineReplay
from langrl.training.optim import Optimiser, cosine_schedule
from langrl.training.seeding import seeded


class CorridorLearner(GradientLearner):
    """Contrastive RL on random walks: the whole learner is its loss."""

    def __init__(self, critic, experience, config, generator):
        optimiser = Optimiser(
            dict(critic.named_parameters()), config.learning_rate, cosine_schedule(config.steps),
            generator,
        )  # fmt: skip
        super().__init__(optimiser, experience)
        self.critic = critic

    def loss(self, batch):
        logits = self.critic(batch["state"], batch["action"])[:, batch["goal"]]
        return symmetric_info_nce(logits)


def build(config: CorridorRunConfig, folder: Path) -> Run:
    walks = np.random.default_rng(config.seed).integers(2, size=(200, 5 * config.cells))
    states = np.empty((200, 5 * config.cells + 1), np.int64)
    states[:, 0] = np.arange(200) % config.cells
    for t, moves in enumerate(walks.T):
        states[:, t + 1] = (states[:, t] + 2 * moves - 1).clip(0, config.cells - 1)
    generator = torch.Generator().manual_seed(config.seed)

    def sample() -> dict[str, Tensor]:
        row = torch.randint(200, (512,), generator=generator)
        time = torch.randint(2 * config.cells, (512,), generator=generator)
        ahead = 1 + torch.randint(2 * config.cells, (512,), generator=generator)
        state, action = torch.from_numpy(states), torch.from_numpy(walks)
        return {
            "state": state[row, time], "action": action[row, time], "goal": state[row, time + ahead]
        }  # fmt: skip

    with seeded(config.seed):
        critic = Corridor(config.cells)
    learner = CorridorLearner(critic, OfflineReplay(sample), config.learner, generator)
    description = CorridorDescription(cells=config.cells)
    return Run(config, learner, description, digest(walks), agent=agent_maker(critic))
