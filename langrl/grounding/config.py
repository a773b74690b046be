"""Settings of grounding; no torch here, so that ``langrl --help`` is quick."""

from typing import Literal

from pydantic import Field

from langrl.settings import Settings

StrategyName = Literal["direct", "log_sum_exp", "sampled_goal", "nearest_goal", "max_goal"]


class GroundingConfig(Settings):
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
