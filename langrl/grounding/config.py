"""Settings of grounding; no torch here, so that ``langrl --help`` is quick."""

from typing import Literal

from pydantic import Field, field_validator

from langrl.envs.region_words import AXES
from langrl.errors import lookup
from langrl.models.config import TextConfig
from langrl.settings import Settings

StrategyName = Literal["direct", "log_sum_exp", "sampled_goal", "nearest_goal", "max_goal"]


CompositionName = Literal["committed", "marginalised"]


_HOP_COST = "what each waypoint of a path costs, in cut-offs"
_VISIBLE = "how far ahead on its path the agent heads, in cut-offs"


class WaypointConfig(Settings):
    """How far goals are reached: by waypoints, states of the replay between here and there."""

    waypoints: int = Field(
        0,
        ge=0,
        le=5000,
        description="states of the replay that plans go through (W); they are the candidate goals,"
        " too; 0: none",
    )
    composition: CompositionName = Field(
        "committed",
        description="how a goal committed to is reached: along one shortest path, or by"
        " marginalising over paths, as log_sum_exp always does",
    )
    waypoint_draw: Literal["farthest", "density"] = Field(
        "farthest", description="waypoints far from each other, or as the replay has them"
    )
    cutoff: float | None = Field(
        None,
        gt=0,
        le=1000,
        description="distance in nats beyond which the critic is not believed; that of the"
        " checkpoint by default, which held-out trajectories say",
    )
    hop_cost: float = Field(0.4, ge=0, le=1000, description=_HOP_COST)
    visible: float = Field(1.6, gt=0, le=1000, description=_VISIBLE)
    patience: int = Field(
        50, ge=1, le=1_000_000, description="steps without progress until another path is planned"
    )
    detour: int = Field(
        25,
        ge=0,
        le=1_000_000,
        description="committed: steps in one drawn direction before that; 0: none",
    )
    stage_discount: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="marginalised: chance that the way goes on after each waypoint",
    )


class GroundingConfig(WaypointConfig):
    """How an instruction becomes a choice of action."""

    strategy: StrategyName = Field(
        "nearest_goal", description="how goals are marginalised or chosen"
    )
    candidates: int = Field(5000, ge=1, le=1_000_000, description="candidate goals per episode (M)")
    weighting: Literal["none", "data"] = Field(
        "data", description="'data' weighs uniform candidates by the data's density of goals, p(g)"
    )
    directions: int = Field(
        16, ge=2, le=10_000, description="actions that are scored, evenly spaced"
    )
    # A critic of a maze sees most of it: few long hops lead straighter than many short ones.
    hop_cost: float = Field(2.0, ge=0, le=1000, description=_HOP_COST)
    visible: float = Field(2.5, gt=0, le=1000, description=_VISIBLE)


class GridPartialGroundingConfig(Settings):
    """How an instruction becomes a choice of action where an agent sees a part of a grid world."""

    earlier_names = {"sharpness": "language_weight", "compare_separate": None}

    strategy: StrategyName = Field(
        "log_sum_exp", description="how goals are marginalised or chosen"
    )
    language_weight: float = Field(
        6.0,
        gt=0,
        le=100,
        description="factor on the language score; above 1, the best goals count for more",
    )
    temperature: float = Field(
        0.2, ge=0, le=100, description="of the softmax that actions are drawn from; 0: the best"
    )


class GridGroundingConfig(GridPartialGroundingConfig):
    """How an instruction becomes a choice of action where an agent sees a whole grid world."""

    earlier_names = {"sharpness": "language_weight"}

    compare_separate: bool = Field(
        False, description="offer 'direct' between separate encoders, to show that it is at chance"
    )


class PolicyGroundingConfig(Settings):
    """How an instruction becomes a goal for a policy, or a choice among its actions."""

    earlier_names = {"sharpness": "language_weight"}

    strategy: StrategyName = Field("max_goal", description="how goals are marginalised or chosen")
    candidates: int = Field(5000, ge=1, le=1_000_000, description="mazes: goals per episode (M)")
    weighting: Literal["none", "data"] = Field(
        "data", description="mazes: 'data' weighs candidates by the data's density of goals"
    )
    language_weight: float = Field(
        6.0, gt=0, le=100, description="grid worlds: factor on the language score h(g, l)"
    )
    actions: int = Field(
        16, ge=1, le=10_000, description="actions that the policy proposes to a critic"
    )


NO_WORDS = "none"


class WordsConfig(Settings):
    """Words for goals: which, and how the language side is learned once an agent is trained."""

    axes: tuple[str, ...] = Field(
        (),
        description="for each number of a goal, the words of its ends, least first, such as"
        " left-right or near-far, or none; by default a maze's rows and columns, or what fits the"
        " environment",
    )
    kinds: tuple[str, ...] = Field((), description="instruction types to learn from; all if empty")
    pairs: int = Field(20_000, ge=2, le=10_000_000, description="pairs of a goal and a text")
    paraphrases: float = Field(
        0.0,
        ge=0,
        le=1,
        description="mazes: share of the texts with further words, templates and meanings",
    )
    steps: int = Field(800, ge=1, le=10_000_000, description="gradient steps")
    batch_size: int = Field(256, ge=2, le=1_000_000, description="pairs in a step")
    learning_rate: float = Field(3e-3, gt=0, le=1, description="Adam's, falling to 0 by a cosine")
    text: TextConfig = Field(TextConfig(), description="the text encoder")

    @field_validator("axes")
    @classmethod
    def _known_axes(cls, axes: tuple[str, ...]) -> tuple[str, ...]:
        for axis in axes:
            lookup({**AXES, NO_WORDS: ()}, axis, "axis")
        return axes

    @property
    def named_axes(self) -> tuple[str | None, ...]:
        """The axes, None for a number without words."""
        return tuple(None if axis == NO_WORDS else axis for axis in self.axes)


class GoalGroundingConfig(WaypointConfig):
    """How an instruction becomes a choice of action in goal environments."""

    strategy: StrategyName = Field(
        "nearest_goal", description="how goals are marginalised or chosen"
    )
    candidates: int = Field(1000, ge=1, le=1_000_000, description="candidate goals per episode (M)")
    language_weight: float = Field(
        2.0,
        gt=0,
        le=100,
        description="factor on the language score h(g, l); above 1, the best goals count for more",
    )
    actions: int = Field(
        16, ge=1, le=10_000, description="actions that an actor proposes to the critic"
    )
    temperature: float = Field(
        0.0,
        ge=0,
        le=100,
        description="log_sum_exp, direct: of the softmax that compared actions are drawn from; 0:"
        " the best",
    )
