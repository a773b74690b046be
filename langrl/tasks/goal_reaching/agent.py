"""Goal-reaching agents: how they are described, composed and restored from a checkpoint."""

from typing import Literal, Self

from langrl.envs.goal_engine import GoalSpaces
from langrl.models.actors import ActorDescription, ComparingActor, NetworkActor, build_actor
from langrl.models.critics.state_goal import (
    StateGoalCritic,
    StateGoalCriticDescription,
    build_state_goal_critic,
)
from langrl.models.goal_networks import InputDescription
from langrl.settings import Settings
from langrl.tasks.goal_reaching.config import GoalRunConfig


class GoalAgentDescription(Settings):
    """All that makes up a goal-reaching agent, apart from its weights."""

    kind: Literal["goal-reaching"] = "goal-reaching"
    env: str
    critic: StateGoalCriticDescription
    actor: ActorDescription

    @classmethod
    def of(
        cls,
        config: GoalRunConfig,
        spaces: GoalSpaces,
        observation: InputDescription,
        goal: InputDescription,
    ) -> Self:
        """Return the description of a run's agent; inputs say how numbers are scaled."""
        discrete = hasattr(spaces.action, "n")
        world = {
            "observation": observation,
            "goal": goal,
            "actions": int(spaces.action.n if discrete else spaces.action.shape[0]),
            "discrete": discrete,
        }
        return cls(
            env=config.env,
            critic=StateGoalCriticDescription(**world, config=config.critic),
            actor=ActorDescription(**world, config=config.actor),
        )


def build_networks(
    description: GoalAgentDescription, seed: int
) -> tuple[StateGoalCritic, NetworkActor | ComparingActor]:
    """Return critic and actor, their weights initialised from a seed."""
    critic = build_state_goal_critic(description.critic, seed)
    return critic, build_actor(description.actor, critic, seed + 1)
