"""Settings of the contrastive learner; no torch here, so that ``langrl --help`` is quick."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from langrl.errors import lookup
from langrl.settings import Settings

LOSS_NAMES = (  # of langrl.functional.losses, which imports torch
    "forward_info_nce",
    "backward_info_nce",
    "symmetric_info_nce",
    "binary_nce",
    "sigmoid",
    "triplet",
)
PENALISED = LOSS_NAMES[:3]  # those that take a penalty of the log-partition


class LearnerConfig(Settings):
    """How the critic and the language side are trained, together."""

    steps: int = Field(2500, ge=1, le=100_000_000, description="gradient steps")
    batch_size: int = Field(256, ge=2, le=1_000_000, description="state-actions in a batch")
    language_batch_size: int = Field(128, ge=2, le=1_000_000, description="state-text pairs in it")
    learning_rate: float = Field(6e-3, gt=0, le=1, description="Adam's, falling to 0 by a cosine")
    logsumexp_penalty: float = Field(0.0, ge=0, description="weight of the squared log-partition")
    action_weight: float = Field(1.0, ge=0, description="weight of telling actions apart")
    language_weight: float = Field(1.0, gt=0, description="weight of the language loss")
    denotations: bool = Field(
        False, description="a text is contrasted with all states that it denotes, not with one"
    )


class GridLearnerConfig(Settings):
    """How the critic of grid worlds is trained."""

    steps: int = Field(7000, ge=1, le=100_000_000, description="gradient steps")
    rooms: int = Field(32, ge=1, le=100_000, description="rooms in a batch")
    states: int = Field(32, ge=2, le=100_000, description="state-actions in each room")
    learning_rate: float = Field(3e-3, gt=0, le=1, description="Adam's, falling to 0 by a cosine")
    warmup: int = Field(100, ge=0, description="steps in which the learning rate rises from 0")
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    action_weight: float = Field(2.0, ge=0, description="weight of telling actions apart")


class RecurrentLearnerConfig(Settings):
    """How the critic of agents that see a part of the world is trained."""

    earlier_names = {"tours": "explorations"}

    steps: int = Field(2500, ge=1, le=100_000_000, description="gradient steps")
    explorations: int = Field(24, ge=2, le=100_000, description="explorations in a batch")
    states: int = Field(48, ge=1, le=100_000, description="state-actions on each exploration")
    pairs: int = Field(
        512, ge=2, le=1_000_000, description="state-actions and goals that are contrasted"
    )
    learning_rate: float = Field(3e-3, gt=0, le=1, description="Adam's, falling to 0 by a cosine")
    warmup: int = Field(100, ge=0, description="steps in which the learning rate rises from 0")
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    action_weight: float = Field(2.0, ge=0, description="weight of telling actions apart")
    cpc_weight: float = Field(
        0.1, ge=0, description="weight of contrastive predictive coding beside it; 0 for none"
    )
    anchors: int = Field(
        192, ge=2, le=100_000, description="predictive coding: contexts of each horizon in a batch"
    )


class ReplayConfig(Settings):
    """What off-policy algorithms (sac, dqn) remember, and which goals they relabel it with."""

    kind: Literal["contrastive", "her"] = Field(
        "contrastive", description="goals are geometric futures that end, or SB3's hindsight"
    )
    size: int = Field(1_000_000, ge=1000, le=100_000_000, description="transitions that are kept")
    relabelled: float = Field(0.8, ge=0, lt=1, description="share of transitions with another goal")
    discount: float = Field(0.9, ge=0, lt=1, description="contrastive: of the geometric future")
    warmup: int = Field(100, ge=1, description="steps of each environment before the first update")

    @model_validator(mode="after")
    def _has_an_effect(self) -> Self:
        if self.kind == "her" and self.discount != type(self).model_fields["discount"].default:
            raise ValueError("policy.replay.discount has no effect on her; leave it out")
        return self


class ExplorationConfig(Settings):
    """How dqn explores."""

    fraction: float = Field(0.2, gt=0, le=1, description="share of training in which it falls")
    final: float = Field(0.1, ge=0, le=1, description="chance of a random action after that")


class RolloutConfig(Settings):
    """How ppo learns from what it has just done."""

    length: int = Field(32, ge=2, le=100_000, description="steps of each environment per update")
    epochs: int = Field(2, ge=1, le=1000, description="passes over them")
    entropy: float = Field(0.01, ge=0, description="weight of the policy's entropy")


class PolicyConfig(Settings):
    """The Stable-Baselines3 algorithm that trains a policy."""

    algorithm: Literal["sac", "dqn", "ppo"] = Field(
        "sac", description="sac, dqn: a policy of goals; ppo: one that reads instructions"
    )
    steps: int = Field(320_000, ge=1, le=10_000_000_000, description="steps of all environments")
    envs: int = Field(16, ge=1, le=100_000, description="environments side by side")
    max_episode_steps: int = Field(100, ge=1, le=1_000_000, description="in training")
    batch_size: int = Field(256, ge=2, le=1_000_000, description="transitions in a gradient step")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="Adam's, falling to 0 linearly")
    discount: float = Field(0.97, ge=0, lt=1, description="of rewards")
    step_cost: float = Field(0.0, ge=0, description="sac, dqn: taken from the reward at every step")
    width: int = Field(256, ge=1, le=8192, description="units in a hidden layer, and of features")
    depth: int = Field(2, ge=0, le=16, description="hidden layers on top of the features")
    replay: ReplayConfig = ReplayConfig()
    exploration: ExplorationConfig = ExplorationConfig()
    rollout: RolloutConfig = RolloutConfig()

    @model_validator(mode="after")
    def _has_an_effect(self) -> Self:
        parts = {"replay": ("sac", "dqn"), "exploration": ("dqn",), "rollout": ("ppo",)}
        for name, algorithms in parts.items():
            default = type(self).model_fields[name].default
            if self.algorithm not in algorithms and getattr(self, name) != default:
                raise ValueError(
                    f"policy.{name} has no effect on {self.algorithm}; leave it out, or use"
                    f" {' or '.join(algorithms)}"
                )
        if self.algorithm == "ppo" and self.step_cost:
            raise ValueError("policy.step_cost has no effect on ppo; leave it out")
        return self


class GoalLearnerConfig(Settings):
    """How a goal-reaching agent learns: a critic by contrast, and an actor that follows it."""

    env_steps: int = Field(
        1_000_000,
        ge=1,
        le=100_000_000_000,
        description="acting: steps of all environments, in all",
    )
    updates: int = Field(16, ge=1, le=1_000_000, description="acting: gradient steps in a round")
    steps: int = Field(
        100_000, ge=1, le=100_000_000, description="recorded data: gradient steps in all"
    )
    batch_size: int = Field(256, ge=2, le=1_000_000, description="state-actions in a batch")
    loss: str = Field("symmetric_info_nce", description="the critic's, of langrl.functional.losses")
    logsumexp_penalty: float = Field(
        0.1, ge=0, description="InfoNCE losses: weight of the squared log-partition"
    )
    sigmoid_bias: float | None = Field(
        None, description="sigmoid: added to scores; by default -log(negatives / positives)"
    )
    ignored_negatives: Literal["none", "equal_goals", "same_episode"] = Field(
        "none", description="pairs of a batch that are no negatives, although they are no positives"
    )
    critic_learning_rate: float = Field(3e-4, gt=0, le=1, description="of the critic")
    actor_learning_rate: float = Field(3e-4, gt=0, le=1, description="of the actor")
    entropy_learning_rate: float = Field(3e-4, gt=0, le=1, description="of the entropy coefficient")
    schedule: Literal["constant", "cosine"] = Field(
        "constant", description="of the learning rates; cosine falls to 0"
    )
    action_weight: float = Field(
        0.0, ge=0, description="weight of telling the action apart from others in the same state"
    )
    action_negatives: int = Field(8, ge=1, le=4096, description="other actions in each state")
    other_actions: Literal["uniform", "behaviour"] = Field(
        "uniform",
        description="which: any (discrete: all others), or those that the data has in other states",
    )
    actor_goals: Literal["relabelled", "random", "both", "uniform"] = Field(
        "relabelled",
        description="the actor's in training: futures, others' futures, half each, or any later"
        " state of the episode",
    )
    actor_action: Literal["sample", "mean"] = Field(
        "sample", description="box: which action of the actor its loss scores"
    )
    entropy: Literal["learned", "fixed"] = Field("learned", description="its coefficient")
    entropy_coefficient: float = Field(1.0, ge=0, description="at first, or always")
    target_entropy: float = Field(
        -0.5, description="box: the learned coefficient's aim, in nats for each number of an action"
    )
    discrete_target_entropy: float = Field(
        0.3, ge=0, lt=1, description="discrete: its aim, a share of the largest entropy"
    )
    normalise_scores: bool = Field(
        False, description="divide scores in the actor's loss by their mean size"
    )
    behaviour_cloning: float = Field(
        0.0, ge=0, description="weight of the data's action in the actor's loss (DDPG+BC)"
    )

    @field_validator("loss")
    @classmethod
    def _known_loss(cls, name: str) -> str:
        return lookup(dict(zip(LOSS_NAMES, LOSS_NAMES, strict=True)), name, "loss")

    @model_validator(mode="after")
    def _has_an_effect(self) -> Self:
        usual = type(self).model_fields["logsumexp_penalty"].default
        if self.loss not in PENALISED and self.logsumexp_penalty not in (0, usual):
            raise ValueError(
                f"learner.logsumexp_penalty has no effect on {self.loss}; leave it out, or use"
                f" {' or '.join(PENALISED)}"
            )
        if self.loss != "sigmoid" and self.sigmoid_bias is not None:
            raise ValueError(f"learner.sigmoid_bias has no effect on {self.loss}; leave it out")
        if self.entropy == "learned" and not self.entropy_coefficient:
            raise ValueError(
                "learner.entropy_coefficient is 0, from which none is learned; set it above 0, or"
                " learner.entropy to fixed"
            )
        return self
