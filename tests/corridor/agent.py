from typing import Literal

import numpy as np
import torch
from torch import nn

from corridor.world import denoted
from langrl.checkpoint import fill
from langrl.settings import Settings
from langrl.tasks.loading import read_description, refuse_layout


class CorridorDescription(Settings):
    kind: Literal["corridor"] = "corridor"
    cells: int


class Corridor(nn.Module):
    """f(s, a, .): scores [B, cells] of every goal, from a table."""

    def __init__(self, cells):
        super().__init__()
        self.table = nn.Parameter(0.01 * torch.randn(cells, 2, cells))

    def forward(self, state, action):
        return self.table[state, action]


class CorridorAgent:
    """Marginalises f over the cells that an instruction denotes, or goes to the best of them."""

    def __init__(self, critic, strategy):
        self.critic, self.strategy = critic, strategy

    def reset(self, generator=None, mask=None):
        pass

    @torch.no_grad()
    def act(self, observations, instructions=None):
        state = torch.as_tensor(np.array(observations["observation"][:, 0]), dtype=torch.int64)
        table = self.critic.table[state]  # [N, 2, cells]
        masks = np.stack([denoted(text, table.shape[-1]) for text in instructions])
        masked = table.masked_fill(~torch.from_numpy(masks)[:, None], -torch.inf)
        score = masked.logsumexp(-1) if self.strategy == "log_sum_exp" else masked.amax(-1)
        return score.argmax(1).numpy()


def agent_maker(critic):
    return lambda strategy="log_sum_exp": CorridorAgent(critic, strategy)


def load(checkpoint, path, *, device="cpu", world=None):
    refuse_layout(world)
    critic = Corridor(read_description(CorridorDescription, checkpoint, path).cells)
    fill(dict(critic.named_parameters()), checkpoint.tensors["weights"])
    return agent_maker(critic.to(device))
