"""Agents that follow instructions with a policy of goals and its critic, in goal environments.

Axes: ``N`` episodes, ``M`` candidate goals, ``G`` numbers in a goal, ``A`` actions.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.random import Generator

from langrl.agents.goal_policy import draw_goals
from langrl.agents.grounded import GroundedAgent
from langrl.agents.waypoints import Composition
from langrl.errors import ConfigError, lookup
from langrl.evaluation.goal_reaching import GoalPolicy
from langrl.grounding.candidates import Candidates, InstructedCandidates
from langrl.grounding.strategies import GROUNDINGS, Grounding
from langrl.models.protocols import Critic, Language
from langrl.protocols import Array, Floats


class GoalActions:
    """A policy's actions: proposed to a critic, and taken for a goal that is committed to.

    Args:
        policy: acts towards a goal.
        count: actions to propose in each state, A, each for a goal drawn from the posterior.
        compared: actions [A, ...] that are proposed in every state instead.

    Raises:
        ConfigError: if ``count`` is below 1.
    """

    def __init__(self, policy: GoalPolicy, count: int = 16, compared: Array | None = None) -> None:
        if count < 1:
            raise ConfigError(f"count is the number of actions to propose, at least 1; got {count}")
        self._policy, self._count, self._compared = policy, count, compared

    def propose(
        self, observations: Array, goals: Array, beliefs: Floats, generator: Generator
    ) -> Array:
        """Return actions [N, A, ...]; see ``langrl.agents.grounded.Proposal``."""
        if self._compared is not None:
            return self._compared[None].repeat(len(observations), 0)
        drawn = draw_goals(goals, beliefs, self._count, generator)  # [N * A, G]
        actions = self.pursue(observations.repeat(self._count, 0), drawn)
        return actions.reshape(len(observations), self._count, *actions.shape[1:])

    def pursue(self, observations: Array, goals: Array) -> Array:
        """Return the policy's actions [N, ...] towards a goal each [N, G]."""
        return np.asarray(self._policy({"observation": observations, "desired_goal": goals}))


def following_agent(
    critic: Critic,
    language: Language,
    policy: GoalPolicy,
    strategy: Grounding | str,
    candidates: Candidates | InstructedCandidates,
    *,
    compared: Array | None = None,
    proposals: int = 16,
    to_action: Callable[[Array], Array] | None = None,
    language_weight: float = 1.0,
    temperature: float = 0.0,
    waypoints: Composition | None = None,
    device: torch.device | str | None = None,
) -> GroundedAgent:
    """Return an agent that follows instructions; nothing is trained.

    Strategies that commit to a goal choose it at an episode's first step, and the policy acts
    towards it from then on. The others compare actions at every step: those of ``compared``, or
    what the policy would do for goals that the instruction may mean.

    Args:
        critic: f(s, a, g).
        language: h(g, l).
        policy: acts towards a goal: a network's actions, or the best ones by the critic.
        strategy: of ``GROUNDINGS``, or its name.
        candidates: draws candidate goals for each episode, such as ``ReplayedCandidates`` of goals
            that were achieved before.
        compared: actions [A, ...] to compare in every state, such as all discrete ones; without
            them, the policy proposes ``proposals`` actions.
        proposals: how many.
        to_action: returns the environment's actions for the critic's, as ``GoalSpaces.to_action``.
        language_weight: factor on the language score; see ``GroundedAgent``.
        temperature: of the softmax that compared actions are drawn from; 0: the best.
        waypoints: how far goals are reached; candidates are then ``candidates_of`` its graph.
        device: where the critic is; where its weights are if not given.

    Raises:
        UnknownNameError: if there is no strategy of that name.
        GroundingError: if the strategy needs a goal encoder that critic and language share.
        ConfigError: if ``proposals`` is below 1.
    """
    if isinstance(strategy, str):
        strategy = lookup(GROUNDINGS, strategy, "grounding strategy")
    return GroundedAgent(
        critic,
        language,
        strategy,
        candidates,
        actions=GoalActions(policy, proposals, compared),
        device=device,
        language_weight=language_weight,
        temperature=temperature,
        to_action=to_action,
        waypoints=waypoints,
    )
