"""Agents of grid worlds in levels of MiniGrid and BabyAI, and what they are compared with.

Axes: ``N`` episodes, ``H`` rows, ``W`` columns.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langrl.agents.baselines import RandomAgent
from langrl.agents.grounded import GroundedAgent
from langrl.envs.grid.rooms import facing, is_object, read_observation
from langrl.envs.minigrid_levels.planning import action_towards, steps_to
from langrl.envs.minigrid_levels.reading import ACTIONS, DONE, Cells, as_rooms
from langrl.envs.minigrid_levels.tasks import Task, denoted_by, read_task
from langrl.errors import ConfigError
from langrl.grounding.candidates import Candidates, ListedCandidates
from langrl.grounding.level_candidates import LevelPoses, kinds_with_acts
from langrl.models.critics.grid import GridCritic
from langrl.models.critics.level import LevelCritic, LevelHistoryCritic
from langrl.models.critics.recurrent import RecurrentCritic
from langrl.models.language_image.acts import ActLanguage
from langrl.models.language_image.language import ImageLanguage
from langrl.models.language_image.model import LanguageImageModel
from langrl.models.protocols import Critic
from langrl.protocols import Mask
from langrl.tasks.grid.baselines import AXES, Planner, random_of
from langrl.tasks.grid.kinds import padding_for, render_kinds
from langrl.tasks.loading import AgentMaker
from langrl.tasks.suite import Makers


def in_levels(make: AgentMaker) -> AgentMaker:
    """Return what makes the same agents for levels: shut doors, and more that can be done.

    Args:
        make: makes agents of grid worlds, seen whole or in part.

    Raises:
        ConfigError: if its agents are others.
    """

    def make_for_levels(**changes: object) -> GroundedAgent:
        agent = make(**changes)
        if isinstance(agent.critic, LevelCritic | LevelHistoryCritic):
            return agent  # of a run in a level
        critic, candidates = _in_level(agent)
        return GroundedAgent(
            critic,
            ActLanguage(agent.language, kinds_of(agent.language.model)),
            agent.grounding,
            candidates,
            actions=np.arange(len(ACTIONS)),
            device=agent.device,
            language_weight=agent.language_weight,
            temperature=agent.temperature,
        )

    return make_for_levels


def _in_level(agent: Any) -> tuple[Critic, Candidates]:
    """Return the critic and the candidates of an agent of grid worlds, for levels."""
    if isinstance(agent, GroundedAgent) and isinstance(agent.language, ImageLanguage):
        if isinstance(agent.critic, GridCritic):
            return LevelCritic(agent.critic), LevelPoses()
        if isinstance(agent.critic, RecurrentCritic):
            assert isinstance(agent.candidates, ListedCandidates)
            goals = kinds_with_acts(agent.candidates.goals)
            return LevelHistoryCritic(agent.critic), ListedCandidates(goals)
    raise ConfigError(
        "levels of MiniGrid are for agents of grid worlds; give a run of"
        " `langrl train --config grid-all` or `--config grid-partial`"
    )


@lru_cache(maxsize=4)  # agents share what they have embedded
def kinds_of(model: LanguageImageModel) -> ImageLanguage:
    """Return the language side of types and colours, on the model of poses."""
    return ImageLanguage(model, render_kinds, padding_for)


class LevelPlanner(Planner):
    """Walks a shortest way to an object that the text denotes, and does there what it asks for.

    It reads texts by the grammar, and has no key: where nothing can be reached, it takes ``done``.

    Args:
        choose: which objects will do, bool [H, W], of what a text asks for, a room [H, W, 2] and
            the whole level at the start [H, W, 3]; what the text denotes if not given.
    """

    def __init__(self, choose: Callable[[Task, Cells, Cells], Mask] | None = None) -> None:
        super().__init__(self._plan_each)
        self._choose = choose or _denoted
        self._starts: NDArray[np.uint8] | None = None  # places are seen from there
        self._fresh = np.zeros(0, bool)  # whose start is what is seen next

    def reset(
        self, generator: np.random.Generator | None = None, mask: NDArray[np.bool_] | None = None
    ) -> None:
        """Start new episodes: those of ``mask`` [N], or all."""
        if mask is None or self._starts is None:
            self._starts = None
        else:
            self._fresh = self._fresh | mask

    def keep(self, mask: NDArray[np.bool_]) -> None:
        """Go on with some of the episodes."""
        if self._starts is not None:
            self._starts, self._fresh = self._starts[mask], self._fresh[mask]

    def _plan_each(self, states: NDArray[np.uint8], texts: Sequence[str]) -> NDArray[Any]:
        if self._starts is None or self._starts.shape != states.shape:
            self._starts, self._fresh = states.copy(), np.zeros(len(states), bool)
        self._starts[self._fresh] = states[self._fresh]
        self._fresh[:] = False
        seen = zip(states, texts, self._starts, strict=True)
        return np.array([self._plan(*each) for each in seen], np.int64)

    def _plan(self, observation: Cells, text: str, start: Cells) -> int:
        """Return an action for a whole level [H, W, 3], a text, and the level at the start."""
        task = read_task(text)
        if task is None:
            return DONE
        plain = as_rooms(observation[None])
        _, poses = read_observation(plain)
        cells = self._choose(task, plain[0, ..., :2], start)
        targets = facing(cells[None], np.ones((1, *cells.shape), bool))[0]
        distance = steps_to(observation, targets)
        action = action_towards(observation, distance, poses[0])
        return task.acts[-1] if action is None else action


def _denoted(task: Task, room: Cells, start: Cells) -> Mask:
    """Return what a task denotes in a room [H, W, 2], bool [H, W]."""
    return denoted_by(task, room, start).cells


def every_object(task: Task, room: Cells, start: Cells) -> Mask:
    """Return every object of a room [H, W, 2], whatever is asked for, bool [H, W]."""
    return is_object(room[None])[0]


RANDOM: Makers = {"random": lambda: RandomAgent(random_of(len(ACTIONS)), AXES)}
BASELINES: Makers = {"oracle": LevelPlanner} | RANDOM
