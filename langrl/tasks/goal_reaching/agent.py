"""Goal-reaching agents: how they are described, composed and restored from a checkpoint.

Axes: ``M`` goals, ``G`` numbers in a goal, ``A`` numbers in an action.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import numpy as np
from gymnasium import spaces as gym_spaces
from torch import Generator, Tensor

from langrl.agents.contrastive_actor_critic import GoalConditionedPolicy, named_weights
from langrl.agents.following import following_agent
from langrl.agents.grounded import GroundedAgent
from langrl.agents.waypoints import (
    COMPOSITIONS,
    Composition,
    Drawing,
    WaypointPolicy,
    candidates_of,
    composed,
)
from langrl.checkpoint import Checkpoint, fill
from langrl.envs.goal_engine import GoalSpaces
from langrl.envs.goal_words import GoalWords, find_words
from langrl.envs.goal_worlds import make_goal_env
from langrl.envs.maze.world import StreetMaze
from langrl.errors import CheckpointError, GroundingError
from langrl.evaluation.goal_reaching import GoalPolicy
from langrl.grounding.candidates import Candidates, ReplayedCandidates
from langrl.grounding.config import GoalGroundingConfig, WaypointConfig, WordsConfig
from langrl.grounding.strategies import GROUNDINGS
from langrl.grounding.successor import SuccessorDistance
from langrl.grounding.waypoints import KnownGraphs, WaypointGraph, draw_waypoints
from langrl.grounding.words import learned_words
from langrl.models.actors import (
    ActorDescription,
    ComparingActor,
    NetworkActor,
    build_actor,
    compared_actions,
)
from langrl.models.critics.maze import LanguageCritic
from langrl.models.critics.state_goal import (
    StateGoalCritic,
    StateGoalCriticDescription,
    build_state_goal_critic,
)
from langrl.models.goal_networks import InputDescription
from langrl.protocols import Array
from langrl.settings import EnvironmentId, Settings, with_changes
from langrl.tasks.goal_reaching import rooms
from langrl.tasks.goal_reaching.config import GoalRunConfig
from langrl.tasks.loading import AgentMaker, read_description
from langrl.tasks.registry import run_of

T = TypeVar("T")
WORDS = "words"  # in a run folder: the language side, learned when it is first needed
STATES, ACHIEVED_THERE = "states", "achieved_in_states"  # in a checkpoint, beside its goals
CUTOFF = "cutoff"  # there, too: how far the critic is believed, in nats


class GoalAgentDescription(Settings):
    """All that makes up a goal-reaching agent, apart from its weights."""

    kind: Literal["goal-reaching"] = "goal-reaching"
    env: EnvironmentId
    critic: StateGoalCriticDescription
    actor: ActorDescription
    action_low: tuple[float, ...]
    action_high: tuple[float, ...]
    deterministic: bool
    words: WordsConfig
    grounding: GoalGroundingConfig
    seed: int

    @classmethod
    def of(
        cls,
        config: GoalRunConfig,
        spaces: GoalSpaces,
        observation: InputDescription,
        goal: InputDescription,
    ) -> Self:
        """Return the description of a run's agent; inputs say how numbers are scaled."""
        box = spaces.action if isinstance(spaces.action, gym_spaces.Box) else None
        world: dict[str, Any] = {
            "observation": observation,
            "goal": goal,
            "actions": spaces.number_of_actions,
            "discrete": box is None,
        }
        return cls(
            env=config.env,
            critic=StateGoalCriticDescription(**world, config=config.critic),
            actor=ActorDescription(**world, config=config.actor),
            action_low=() if box is None else tuple(box.low.tolist()),
            action_high=() if box is None else tuple(box.high.tolist()),
            deterministic=config.evaluation.deterministic,
            words=config.words,
            grounding=config.grounding,
            seed=config.seed,
        )

    def to_action(self, unit: Array) -> Array:
        """Return the environment's actions for those of the networks; see ``GoalSpaces``."""
        if self.critic.discrete:
            return np.asarray(unit, np.int64)
        low, high = (np.array(bound, np.float32) for bound in (self.action_low, self.action_high))
        box = gym_spaces.Box(low, high)
        return GoalSpaces(box, box, box).to_action(unit)


def build_networks(
    description: GoalAgentDescription, seed: int
) -> tuple[StateGoalCritic, NetworkActor | ComparingActor]:
    """Return critic and actor, their weights initialised from a seed."""
    critic = build_state_goal_critic(description.critic, seed)
    return critic, build_actor(description.actor, critic, seed + 1)


@dataclass(frozen=True, eq=False)
class GoalAgents:
    """Makes agents that follow instructions, on trained networks; see ``AgentMaker``.

    While the networks are trained, what is achieved grows: goals are those of when they are asked
    for, and words and the language side are made anew where they have changed.

    Args:
        description: of the agent.
        critic: f(s, a, g).
        actor: acts towards a goal.
        plain: makes the policy of the actor, drawing actions or taking the best ones.
        achieved: returns goals that were achieved in training [M, G]: candidates, and what words
            are learned from.
        folder: of the run, where the language side is stored; None: it is not.
        visited: returns states of the replay [T, S] and what was achieved in them [T, G], of which
            waypoints are drawn; None where they are not known.
        trusted: returns the distance in nats up to which the critic is believed, if it is known.
    """

    description: GoalAgentDescription
    critic: StateGoalCritic
    actor: NetworkActor | ComparingActor
    plain: Callable[[bool], GoalConditionedPolicy]
    achieved: Callable[[], Array]
    folder: Path | None
    visited: Callable[[], tuple[Array, Array] | None] = lambda: None
    trusted: Callable[[], float | None] = lambda: None
    _made: dict[str, tuple[Array, Any]] = field(default_factory=dict, init=False)
    _graphs: KnownGraphs = field(default_factory=KnownGraphs, init=False)

    @property
    def goals(self) -> Array:
        """Goals that were achieved in training [M, G].

        Raises:
            GroundingError: before the first step of training.
        """
        goals = self.achieved()
        if not len(goals):
            raise GroundingError("no goal was achieved yet; train before agents are made")
        return goals

    @property
    def words(self) -> GoalWords | None:
        """Texts about the environment's goals; None where there are none."""
        if len(self.description.critic.goal.shape) != 1:
            return None
        return self._for(self.goals, "words", self._find_words)

    @property
    def language(self) -> LanguageCritic:
        """The language side h(g, l), learned from the goals when it is first needed.

        Raises:
            GroundingError: if there are no words for the environment's goals.
        """
        return self._for(self.goals, "language", self._learn)

    def _for(self, goals: Array, name: str, make: Callable[[Array], T]) -> T:
        """Return what was made of the same goals before, or make it."""
        if name not in self._made or not np.array_equal(self._made[name][0], goals):
            self._made[name] = goals, make(goals)
        made: T = self._made[name][1]
        return made

    def _find_words(self, goals: Array) -> GoalWords | None:
        env = make_goal_env(self.description.env, 1)  # any limit: nothing is done in it
        try:
            return find_words(env, goals, self.description.words.named_axes)
        finally:
            env.close()

    def _learn(self, goals: Array) -> LanguageCritic:
        words = self.words
        if words is None:
            raise GroundingError(
                f"there are no words for the goals of {self.description.env}; name the axes of its"
                " goals by --words.axes in training"
            )
        folder = None if self.folder is None else self.folder / WORDS
        own = self.description
        return learned_words(folder, goals, words, own.words, own.seed)

    @property
    def compared(self) -> Array | None:
        """The actions that are compared in every state [A, ...]; None for an actor's own."""
        if isinstance(self.actor, ComparingActor):
            return self.actor.actions.cpu().numpy()
        critic = self.description.critic
        return np.arange(critic.actions) if critic.discrete else None

    def graph(self, **changes: object) -> WaypointGraph:
        """Return the graph of waypoints; ``changes`` are to fields of the grounding config.

        Raises:
            GroundingError: if the states of the replay are not known.
            DomainError: if there are fewer of them than waypoints.
        """
        config = with_changes(self.description.grounding, changes, "grounding")
        return self._graphs.get(config, self.critic, self._join, config.actions)

    def _join(self, config: WaypointConfig, proposals: int) -> WaypointGraph:
        """Return a graph of waypoints, drawn by the run's seed."""
        visited = self.visited()
        if visited is None:
            raise GroundingError(
                "the checkpoint does not hold the states of its goals, which waypoints need; train"
                " the run anew, or set grounding.waypoints to 0"
            )
        generator = np.random.default_rng(self.description.seed)
        drawn = draw_waypoints(
            *visited, config.waypoints, config.waypoint_draw, generator=generator
        )
        return WaypointGraph(self.distance(proposals), drawn, config, self.trusted())

    def distance(self, proposals: int | None = None) -> SuccessorDistance:
        """Return the critic's distances.

        Args:
            proposals: actions compared where an actor has its own; the config's number by default.
        """
        compared = self.compared
        if compared is None:
            count = proposals or self.description.grounding.actions
            compared = compared_actions(self.description.critic.actions, count).numpy()
        return SuccessorDistance([self.critic], compared)

    def policy(self, deterministic: bool, **changes: object) -> GoalPolicy:
        """Return the policy of goals, which goes by waypoints where there are some.

        Args:
            deterministic: take the best actions, or draw them.
            **changes: to fields of the grounding config.
        """
        config = with_changes(self.description.grounding, changes, "grounding")
        plain = self.plain(deterministic)
        if not config.waypoints:
            return plain
        composition = COMPOSITIONS[config.composition](self.graph(**changes))
        return WaypointPolicy(plain, composition, self._drawing(deterministic))

    def _drawing(self, deterministic: bool) -> Drawing:
        """Return how compared actions are chosen, where the actor does not choose."""
        own, device = self.description, next(self.critic.parameters()).device
        generator = None if deterministic else Generator(device).manual_seed(own.seed)
        return Drawing(own.actor.config.temperature, generator)

    def __call__(self, **changes: object) -> GroundedAgent:
        """Return an agent; ``changes`` are to fields of the grounding config."""
        own = self.description
        config = with_changes(own.grounding, changes, "grounding")
        candidates: Candidates = ReplayedCandidates(self.goals, config.candidates)
        waypoints: Composition | None = None
        if config.waypoints:
            graph = self.graph(**changes)
            waypoints = composed(graph, config.composition, GROUNDINGS[config.strategy])
            candidates = candidates_of(graph)
        return following_agent(
            self.critic,
            self.language,
            self.plain(own.deterministic),
            config.strategy,
            candidates,
            compared=self.compared,
            proposals=config.actions,
            to_action=own.to_action,
            language_weight=config.language_weight,
            temperature=config.temperature,
            waypoints=waypoints,
        )


def load(
    checkpoint: Checkpoint, path: Path, *, device: str = "cpu", world: StreetMaze | None = None
) -> AgentMaker:
    """Return what makes the agents of a checkpoint; errors are as ``load_agent``'s.

    Args:
        checkpoint: of a goal-reaching run.
        path: where it was read: the language side is looked for in its run folder.
        device: where to put the weights.
        world: refused: the environment is named by its id.
    """
    if world is not None:
        raise CheckpointError("it was trained in a goal environment; leave the layout out")
    if "rooms" in checkpoint.documents["agent"]:
        return rooms.load(checkpoint, path, device)
    description = read_description(GoalAgentDescription, checkpoint, path)
    critic, actor = build_networks(description, seed=0)
    weights: dict[str, Tensor] = dict(named_weights(critic, actor))
    trained = checkpoint.tensors["weights"]
    fill(weights, {name: value for name, value in trained.items() if name in weights})
    critic, actor = critic.to(device), actor.to(device)
    stored = checkpoint.tensors["goals"]
    _check_goals(description, stored)
    goals, visited = stored["achieved"].numpy(), _visited(description, stored)

    def plain(deterministic: bool) -> GoalConditionedPolicy:
        return acting(critic, actor, deterministic, description.seed)

    trusted = float(stored[CUTOFF]) if CUTOFF in stored else None
    return GoalAgents(
        description,
        critic,
        actor,
        plain,
        lambda: goals,
        run_of(path),
        lambda: visited,
        lambda: trusted,
    )


def _check_goals(description: GoalAgentDescription, stored: dict[str, Tensor]) -> None:
    """Raise CheckpointError unless stored goals, and states with theirs, fit the critic."""
    goal, state = description.critic.goal.shape, description.critic.observation.shape
    for name, shape in (("achieved", goal), (STATES, state), (ACHIEVED_THERE, goal)):
        if name not in stored and name != "achieved":
            continue
        found = tuple(stored[name].shape)
        rows = len(stored[STATES]) if name == ACHIEVED_THERE else max(1, found[0] if found else 0)
        if found != (rows, *shape):
            raise CheckpointError(
                f"goals.safetensors: {name!r} is {list(found)}, and rows of {list(shape)} here;"
                " copy the checkpoint again"
            )


def _visited(
    description: GoalAgentDescription, stored: dict[str, Tensor]
) -> tuple[Array, Array] | None:
    """Return states of the replay and what was achieved in them, if a checkpoint tells.

    Those of earlier versions hold goals alone; where an observation is what it achieves, as in
    mazes of a point, goals are states.
    """
    if STATES in stored:
        return stored[STATES].numpy(), stored[ACHIEVED_THERE].numpy()
    goals = stored["achieved"].numpy()
    critic = description.critic
    return (goals, goals) if critic.observation == critic.goal else None


def acting(
    critic: StateGoalCritic, actor: NetworkActor | ComparingActor, deterministic: bool, seed: int
) -> GoalConditionedPolicy:
    """Return the policy of trained networks, which draws from a generator of its own."""
    device = next(critic.parameters()).device
    generator = None if deterministic else Generator(device).manual_seed(seed)
    model: Any = critic if isinstance(actor, ComparingActor) else actor
    return GoalConditionedPolicy(actor, model, generator)
