"""Goal-reaching in grid worlds: goals are poses of a room that changes with every episode.

The critic encodes a room once and looks poses up in it, and contrasts poses of one room; language
and candidates are those of grid worlds.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Generator

from langrl import GRID_IDS
from langrl.agents.config import GridLearnerConfig
from langrl.agents.contrastive_actor_critic import GoalConditionedPolicy
from langrl.agents.grid_goals import GridGoalLearner, RoomActor, room_batch
from langrl.agents.grounded import GroundedAgent
from langrl.checkpoint import Checkpoint, fill
from langrl.data.collection import OnlineExperience
from langrl.data.goal_replay import GoalReplay
from langrl.envs.goal_vector import GoalVector
from langrl.envs.grid.rooms import DONE, FORWARD, LEFT, RIGHT
from langrl.errors import ConfigError
from langrl.evaluation.goal_reaching import GoalPolicy
from langrl.grounding.config import GridGroundingConfig
from langrl.models.config import GridCriticConfig
from langrl.models.critics.grid import GridCritic
from langrl.protocols import Array
from langrl.settings import EnvironmentId, Settings
from langrl.tasks.goal_reaching.config import GoalRunConfig
from langrl.tasks.goal_reaching.held_out import HeldOutGoals
from langrl.tasks.grid.agent import agent_maker, build_grid_critic
from langrl.tasks.grid.config import GridEvaluationConfig
from langrl.tasks.grid.drawn_suite import SEPARATE
from langrl.tasks.grid.suite import GridSuite
from langrl.tasks.loading import AgentMaker, read_description
from langrl.tasks.suite import Report

LANGUAGE = "bundled"
_STATES = 32  # transitions of each episode in a batch, or less where batches are small
_WARMUP, _CLIP = 50, 1.0  # of the learning rate, and of gradients


class RoomAgentDescription(Settings):
    """All that makes up an agent of grid worlds that learned by acting, apart from its weights."""

    kind: Literal["goal-reaching"] = "goal-reaching"
    env: EnvironmentId
    rooms: GridCriticConfig
    temperature: float
    deterministic: bool
    grounding: GridGroundingConfig
    seed: int

    @classmethod
    def of(cls, config: GoalRunConfig) -> "RoomAgentDescription":
        """Return the description of a run's agent."""
        if config.data.file is not None:
            raise ConfigError(
                "data.file: grid worlds learn by acting here; leave it out, or use the task grid"
            )
        grounding = config.grounding
        return cls(
            env=config.env,
            rooms=config.rooms,
            temperature=config.actor.temperature,
            deterministic=config.evaluation.deterministic,
            grounding=GridGroundingConfig(
                strategy=grounding.strategy,
                language_weight=grounding.language_weight,
                temperature=grounding.temperature,
            ),
            seed=config.seed,
        )


@dataclass(frozen=True, eq=False)
class RoomAgents:
    """Makes agents that follow instructions in grid worlds; see ``AgentMaker``."""

    description: RoomAgentDescription
    critic: GridCritic
    device: str

    def __call__(self, **changes: object) -> GroundedAgent:
        """Return an agent; ``changes`` are to fields of the grounding config."""
        make = agent_maker(self.critic, LANGUAGE, self.description.grounding, self.device)
        agent: GroundedAgent = make(**changes)
        return agent

    def policy(self, deterministic: bool) -> GoalConditionedPolicy:
        """Return the policy of goals, which draws from a generator of its own."""
        own = self.description
        actor = RoomActor(self.critic, own.temperature)
        generator = None if deterministic else Generator(self.device).manual_seed(own.seed)
        return GoalConditionedPolicy(actor, self.critic, generator)


def learner_of(
    config: GoalRunConfig, vector: GoalVector, replay: GoalReplay, seeds: tuple[int, int, int]
) -> tuple[RoomAgentDescription, GridGoalLearner]:
    """Return the description and the learner of a run.

    Args:
        config: of the run.
        vector: the grid worlds that it acts in.
        replay: what it remembers.
        seeds: of acting, weights and batches.
    """
    description, (acting, network, batches) = RoomAgentDescription.of(config), seeds
    critic = build_grid_critic(config.rooms, network).to(config.device)
    generator = Generator(config.device).manual_seed(batches)
    learner, states = config.learner, min(_STATES, config.learner.batch_size)
    episodes = max(learner.batch_size // states, 1)
    experience = OnlineExperience(
        vector,
        replay,
        config.collect,
        updates=learner.updates,
        sample=partial(_sample, replay, episodes, states, generator),
        seed=acting,
        explore=partial(explore, config.collect.ending_chance),
    )
    settings = GridLearnerConfig(
        steps=config.last_step,
        rooms=episodes,
        states=states,
        learning_rate=learner.critic_learning_rate,
        warmup=_WARMUP,
        clip=_CLIP,
        action_weight=learner.action_weight,
    )
    actor = RoomActor(critic, config.actor.temperature)
    return description, GridGoalLearner(critic, actor, experience, settings, generator)


def explore(ending_chance: float, count: int, generator: np.random.Generator) -> Array:
    """Draw random actions int64 [count]: half of them forward, and ``done`` seldom.

    Uniform ones would end an episode in four steps on average, and turn more than they go.
    """
    moves = generator.choice((LEFT, RIGHT, FORWARD), size=count, p=(0.25, 0.25, 0.5))
    return np.where(generator.random(count) < ending_chance, DONE, moves)


def _sample(replay: GoalReplay, episodes: int, states: int, generator: Generator) -> Any:
    return room_batch(replay.sample_groups(episodes, states, generator))


def load(checkpoint: Checkpoint, path: Path, device: str) -> AgentMaker:
    """Return what makes the agents of a checkpoint."""
    description = read_description(RoomAgentDescription, checkpoint, path)
    critic = build_grid_critic(description.rooms, seed=0)
    fill(dict(critic.named_parameters()), checkpoint.tensors["weights"])
    return RoomAgents(description, critic.to(device), device)


@dataclass(frozen=True)
class RoomSuite(GridSuite):
    """A grid world's instructions, and held-out poses to reach in it.

    Args:
        goals: to reach.
    """

    goals: HeldOutGoals

    def watch(self, agent: Any) -> dict[str, float]:
        """Return how well a policy of goals reaches a few, as metrics."""
        return self.goals.watch(agent)

    def report(self, run: Any, folder: Path, command: str, seconds: float) -> Report:
        """Reach held-out goals, and follow instructions."""
        report = super().report(run, folder, command, seconds)
        policy: GoalPolicy = run.agent.policy(run.config.evaluation.deterministic)
        methods = run.config.evaluation.methods
        rows = self.goals.rows(policy, methods is None or "random" in methods)
        told = [row | {"task": "instructions"} for row in report.rows]
        return Report(
            report.title, [*rows, *told], ("task", *report.columns), report.draw,
            results=report.results, notes=report.notes,
        )  # fmt: skip


def suite_of_rooms(config: GoalRunConfig) -> RoomSuite:
    """Return the suite of a run in a grid world."""
    evaluation = config.evaluation
    settings = GridEvaluationConfig(
        episodes=evaluation.episodes, seed=evaluation.seed, methods=evaluation.methods
    )
    return RoomSuite(GRID_IDS[config.env], settings, SEPARATE, HeldOutGoals(config))
