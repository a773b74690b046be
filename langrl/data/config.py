"""Settings of the training data; no torch here, so that ``langrl --help`` is quick."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from langrl.envs.maze.grammar import DRAWN_KINDS, KINDS
from langrl.errors import lookup
from langrl.settings import Reference, Settings


class DataConfig(Settings):
    """Trajectories, their relabelling, and pairs of states and texts."""

    refers = {"trajectories": Reference("data")}

    trajectories: str | None = Field(
        None, description="an .npz file of your own trajectories; without it, experts are simulated"
    )
    num_trajectories: int = Field(20_000, ge=1, le=10_000_000, description="expert trajectories")
    angle_noise: float = Field(10.0, ge=0, le=180, description="experts' noise in degrees")
    discount: float = Field(0.95, ge=0, lt=1, description="of the geometric future")
    tail: Literal["clip", "renormalise"] = Field(
        "clip", description="futures beyond the end: all at the last state, or none"
    )
    action_negatives: Literal["uniform", "behaviour", "none"] = Field(
        "uniform", description="other actions at the same state: any, the data's own, or none"
    )
    num_action_negatives: int = Field(8, ge=1, le=4096, description="other actions per state")
    num_pairs: int = Field(50_000, ge=2, le=10_000_000, description="pairs of a state and a text")
    paraphrases: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the texts with further words, templates and meanings",
    )
    kinds: tuple[str, ...] = Field(
        KINDS, min_length=1, description="instruction types in the pairs"
    )

    @field_validator("kinds")
    @classmethod
    def _known_kinds(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        for kind in kinds:
            lookup(dict.fromkeys(DRAWN_KINDS), kind, "kind of instruction")
        return kinds


class LevelDataConfig(Settings):
    """Who walks in a level of MiniGrid."""

    walkers: Literal["own", "bot"] = Field(
        "own",
        description="in a level (env): experts and explorers of langrl, or MiniGrid's BabyAIBot,"
        " which is sent to objects; its missions are not kept",
    )


class GridDataConfig(LevelDataConfig):
    """Trajectories in grid worlds, and their relabelling."""

    rooms: int = Field(4000, ge=1, le=1_000_000, description="rooms drawn of each world")
    trajectories_per_room: int = Field(16, ge=1, le=10_000, description="experts in each room")
    action_noise: float = Field(
        0.1, ge=0, lt=1, description="chance that an expert turns or steps at random"
    )
    discount: float = Field(0.95, ge=0, lt=1, description="of the geometric future")
    tail: Literal["clip", "renormalise"] = Field(
        "clip", description="futures beyond the end: all at the last state, or none"
    )


class ExplorationDataConfig(LevelDataConfig):
    """Exploration trajectories of partly seen grid worlds, and the relabelling of their states."""

    earlier_names = {"tours_per_room": "trajectories_per_room", "legs": "segments"}

    rooms: int = Field(1500, ge=1, le=1_000_000, description="rooms drawn of each world")
    trajectories_per_room: int = Field(
        2, ge=1, le=10_000, description="exploration trajectories in each room"
    )
    segments: int = Field(
        4, ge=1, le=1000, description="segments of a trajectory: searches for one object each"
    )
    action_noise: float = Field(
        0.1, ge=0, lt=1, description="chance that an explorer turns or steps at random"
    )
    length: int = Field(96, ge=2, le=100_000, description="states of a trajectory that are used")
    discount: float = Field(0.9, ge=0, lt=1, description="of the geometric future")
    tail: Literal["clip", "renormalise"] = Field(
        "clip", description="futures beyond the end of a segment: all at its last state, or none"
    )


class CollectConfig(Settings):
    """How a goal-reaching agent acts to collect experience."""

    envs: int = Field(16, ge=1, le=100_000, description="environments side by side")
    engine: Literal["auto", "sync", "async", "array"] = Field(
        "auto",
        description="sync, async: gym.make_vec's; array: the world's own batched one; auto: array"
        " where there is one, else sync",
    )
    unroll: int = Field(16, ge=1, le=100_000, description="steps of each environment in a round")
    warmup: int = Field(
        1000, ge=1, le=1_000_000_000, description="steps of all environments, at random, at first"
    )
    random_actions: float = Field(
        0.0, ge=0, le=1, description="chance of a random action in the place of the agent's"
    )
    ending_chance: float = Field(
        0.02, ge=0, le=1, description="grid worlds: of `done`, which ends an episode, among those"
    )


class GoalReplayConfig(Settings):
    """What a goal-reaching agent remembers, and how goals are relabelled."""

    capacity: int = Field(
        1_000_000, ge=2, le=10_000_000_000, description="states that are kept, of all environments"
    )
    discount: float = Field(0.99, ge=0, description="of the geometric future; below 1")
    discounts: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        (),
        max_length=64,
        description="further discounts: a state's future is of one of all, each as likely; one"
        " that is named twice counts twice",
    )
    tail: Literal["clip", "renormalise", "by_end"] = Field(
        "renormalise",
        description="futures beyond the end: at the last state, among those that exist, or by_end:"
        " clip where an episode terminated, renormalise where a time limit cut it off",
    )
    hard_negatives: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of a state-action's negatives in a batch that are of its own episode",
    )
    hard_within: int = Field(
        0,
        ge=0,
        le=1_000_000_000,
        description="hard negatives: steps between them, at most, to either side of one of them;"
        " 0: anywhere in the episode",
    )
    memory_map: bool = Field(False, description="keep the arrays in files, not in memory")

    @field_validator("discount", "discounts")
    @classmethod
    def _has_an_end(cls, given: float | tuple[float, ...]) -> float | tuple[float, ...]:
        if not all(discount < 1 for discount in (given if isinstance(given, tuple) else (given,))):
            raise ValueError("a geometric future needs a discount below 1, such as 0.99")
        return given

    @model_validator(mode="after")
    def _has_an_effect(self) -> Self:
        if self.hard_within and not self.hard_negatives:
            raise ValueError("replay.hard_within needs replay.hard_negatives; set it above 0")
        return self

    @property
    def every_discount(self) -> tuple[float, ...]:
        """All discounts that futures are drawn by."""
        return (self.discount, *self.discounts)

    @property
    def horizon(self) -> float:
        """How many steps ahead the futures of the largest discount are, on average."""
        return 1 / (1 - max(self.every_discount))


class RecordedDataConfig(Settings):
    """Recorded trajectories that a goal-reaching agent learns from."""

    refers = {"file": Reference("data")}

    file: str | None = Field(
        None,
        description="trajectories: .npz or .hdf5 of OGBench or D4RL, a folder of Minari, or an .npz"
        " of langrl; without it, the agent acts",
    )
    goal_columns: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(
        None,
        min_length=1,
        description="which numbers of an observation are the goal, where the file has no achieved"
        " goals; by default all of them, if goals have as many",
    )
    loop_radius: float = Field(
        0.0,
        ge=0,
        description="futures end before a trajectory comes back to within this distance, in units"
        " of goals: what lies behind a loop was a detour; 0: they do not",
    )
    mean_actions: bool = Field(
        False,
        description="learn from the mean action until the loop radius is left, or the goal is"
        " reached, instead of single noisy ones",
    )

    @model_validator(mode="after")
    def _has_an_effect(self) -> Self:
        if self.mean_actions and not self.loop_radius:
            raise ValueError("data.mean_actions needs data.loop_radius; set it above 0")
        return self
