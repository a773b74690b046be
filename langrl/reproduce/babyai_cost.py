"""What ``langrl reproduce babyai`` takes: an estimate of core minutes, before it begins.

It is made of what steps, episodes and demonstrations took on one core, with the presets' networks,
in BabyAI-GoToLocal-v0 and BabyAI-GoToOpen-v0. It is rough, and high: agents that have learned have
shorter episodes than those that were timed, which had not. Other machines take other times.
"""

from typing import NamedTuple

from langrl.envs.minigrid_levels.reading import make_level
from langrl.envs.phrasing import PHRASINGS
from langrl.reproduce.arguments import BabyaiArguments
from langrl.tasks.grid.config import GridRunConfig
from langrl.tasks.grid.drawn_suite import SEPARATE
from langrl.tasks.grid_partial.config import GridPartialRunConfig
from langrl.tasks.presets import load_config
from langrl.training.result_cache import Row

COLUMNS = ("part", "core_minutes")
_LARGE = 16  # cells along a side; levels of more are nine rooms
_BOT = (0.005, 0.06)  # core seconds of one of its walks, by size of the level


class _Seconds(NamedTuple):
    """Core seconds, in a level of one room and in one of nine.

    Args:
        rooms: a gradient step of an agent in rooms of langrl's own.
        step: one in the level.
        cloning: one of a cloned policy.
        episode: one of an agent, of any strategy.
        copied: one of a cloned policy or of random actions.
    """

    rooms: float
    step: tuple[float, float]
    cloning: tuple[float, float]
    episode: tuple[float, float]
    copied: tuple[float, float]


_SECONDS = {
    "full": _Seconds(0.12, (0.05, 0.12), (0.03, 0.1), (0.07, 0.5), (0.01, 0.1)),
    "partial": _Seconds(0.13, (0.13, 0.13), (0.37, 0.37), (0.05, 0.4), (0.02, 0.2)),
}


def cost_table(options: BabyaiArguments) -> tuple[list[Row], tuple[str, ...]]:
    """Return rows of core minutes for parts of a reproduction, the sum last; and their columns.

    What is in the folder already is in it as well.
    """
    parts = dict.fromkeys(("agents in rooms of langrl's", "agents in levels"), 0.0)
    parts |= dict.fromkeys(("demonstrations and policies", "evaluations"), 0.0)
    sizes = [_size(level) for level in options.levels]
    for view in options.views:
        seconds, steps = _SECONDS[view], options.steps or _preset_steps(view)
        variants = len(options.memory) if view == "partial" else 1
        agents = len(options.walkers) * variants if "level" in options.learned else 0
        if "rooms" in options.learned:
            parts["agents in rooms of langrl's"] += steps * seconds.rooms
        for size in sizes:
            parts["agents in levels"] += agents * steps * seconds.step[size]
            for walkers in options.walkers if agents else ():
                walks = options.trajectories if walkers == "bot" else 0  # others take no time
                parts["agents in levels"] += variants * walks * _BOT[size]
            policies = steps / 2 * len(options.demonstrations) * seconds.cloning[size]
            shown = sum(options.demonstrations) * options.trajectories * _BOT[size]
            parts["demonstrations and policies"] += policies + shown
            ours = (agents + ("rooms" in options.learned)) * len(SEPARATE)
            copied = (len(options.demonstrations) + 1) * seconds.copied[size]
            each = len(PHRASINGS) * (ours * seconds.episode[size] + copied) + _BOT[size]
            parts["evaluations"] += options.episodes * each
    minutes = {part: round(options.seeds * spent / 60) for part, spent in parts.items()}
    minutes["together"] = sum(minutes.values())
    return [{"part": part, "core_minutes": spent} for part, spent in minutes.items()], COLUMNS


def _size(level: str) -> int:
    """Return 1 for a level of nine rooms, 0 for a smaller one."""
    made = make_level(level)
    return int(max(made.width, made.height) > _LARGE)


def _preset_steps(view: str) -> int:
    """Return the gradient steps of an agent in a level."""
    if view == "full":
        return load_config("babyai", GridRunConfig).learner.steps
    return load_config("babyai-partial", GridPartialRunConfig).learner.steps
