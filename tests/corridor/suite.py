from dataclasses import dataclass

import numpy as np

from corridor.world import TEXTS, CorridorVectorEnv, denoted
from langrl.agents.baselines import RandomAgent
from langrl.plots.base import figure
from langrl.tasks.suite import Drawings, TaskSuite


def of(config):
    return CorridorSuite(config.cells, config.evaluation)


@dataclass(frozen=True)
class CorridorSuite(TaskSuite):
    cells: int
    settings: object
    groundings: tuple[str, ...] = ("log_sum_exp", "max_goal")

    type_name = "text"
    name = "the corridor"
    instruction_types = TEXTS

    @property
    def baselines(self):
        return {
            "random": lambda: RandomAgent(
                lambda count, generator: generator.integers(2, size=count)
            )
        }

    def tasks(self, settings, types=None, phrasing="seen"):
        return CorridorVectorEnv(self.cells, settings.episodes, types or TEXTS)

    def check(self, instruction):
        denoted(instruction, self.cells)

    def describe(self, agent, instruction):
        return [f"{instruction!r} denotes {denoted(instruction, self.cells).sum()} cells"]

    def draw_posteriors(self, agent, first=()):
        fig = figure(6, 2, "advantage of going right, by cell and goal")
        table = agent().critic.table.detach().numpy()
        fig.subplots().imshow(table[:, 1] - table[:, 0])
        return fig

    def draw_instruction(self, agent, instruction, results):
        fig = figure(6, 2, instruction)
        ax = fig.subplots()
        for method, episodes in results.items():
            ax.plot(np.concatenate(episodes.paths[:1]), label=method)
        ax.legend()
        return Drawings({"instruction": fig})
