"""The config of a Stable-Baselines3 run; no torch here."""

from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from langrl import GRID_IDS, MAZE_IDS
from langrl.agents.config import PolicyConfig
from langrl.envs.grid.rooms import GRID_WORLDS
from langrl.errors import lookup
from langrl.grounding.config import PolicyGroundingConfig
from langrl.settings import Reference
from langrl.tasks.config import RunConfig
from langrl.tasks.grid.config import LANGUAGE
from langrl.tasks.maze.config import MazeEvaluationConfig
from langrl.training.config import LoggingConfig


@dataclass(frozen=True)
class Sb3World:
    """What differs between the worlds that a policy can be trained in.

    Args:
        task: the task family of the world's own agents.
        name: the maze's layout, or the grid world.
        algorithm: of policies of goals: sac where actions are directions, dqn where they are few.
        axes: how many axes an observation has.
        types_option: the environment's option with instruction types.
        during: instruction types that are evaluated during training.
    """

    task: Literal["street-maze", "grid"]
    name: str
    algorithm: Literal["sac", "dqn"]
    axes: int
    types_option: Literal["kinds", "levels"]
    during: tuple[str, ...]

    @property
    def is_maze(self) -> bool:
        """Whether it is a maze, where the language side is trained with the critic."""
        return self.task == "street-maze"


WORLDS: dict[str, Sb3World] = {
    number: Sb3World("street-maze", layout, "sac", 1, "kinds", ("row", "column"))
    for number, layout in MAZE_IDS.items()
} | {
    number: Sb3World("grid", world, "dqn", 3, "levels", GRID_WORLDS[world].levels)
    for number, world in GRID_IDS.items()
}
"""The worlds of langrl, by Gymnasium id."""


class Sb3EvaluationConfig(MazeEvaluationConfig):
    """How a policy of Stable-Baselines3 is evaluated; noise is that of mazes."""

    draw: bool = Field(False, description="draw actions of the policy, instead of taking the best")
    every: int = Field(100_000, ge=1, description="steps between evaluations during training")
    episodes_during: int = Field(
        20, ge=1, le=10_000, description="episodes per instruction type in each of them"
    )


class Sb3RunConfig(RunConfig):
    """A policy that Stable-Baselines3 trains, in a world of langrl."""

    refers = RunConfig.refers | {"critics": Reference("model"), "language": LANGUAGE}

    task: Literal["sb3"] = Field("sb3", description="the task family")
    world: str = Field("langrl/StreetMaze-Fork-v0", description=f"of {', '.join(WORLDS)}")
    policy: PolicyConfig = PolicyConfig()
    encoder: Literal["own", "frozen", "fine_tuned"] = Field(
        "own", description="features of goals: the policy's own, or a trained critic's encoders"
    )
    critics: str | None = Field(
        None,
        description="run folder of `langrl train` in such a world: language side of mazes, and a"
        " critic that ranks the policy's actions; in mazes, trained first if not given",
    )
    language: str = Field(
        "bundled",
        min_length=1,
        description="grid worlds: language-image model, 'bundled', a name or a folder; ppo: or any"
        " SentenceTransformer",
    )
    grounding: PolicyGroundingConfig = PolicyGroundingConfig()
    evaluation: Sb3EvaluationConfig = Sb3EvaluationConfig()
    logging: LoggingConfig = LoggingConfig(log_every=10_000, checkpoint_every=100_000)
    seed: int = Field(0, ge=0, lt=2**32, description="seed of worlds, weights and batches")

    @property
    def last_step(self) -> int:
        """How many steps of the policy's worlds the run trains for."""
        return self.policy.steps

    @model_validator(mode="after")
    def _fits(self) -> Self:
        world = lookup(WORLDS, self.world, "world")
        algorithm = self.policy.algorithm
        if algorithm not in ("ppo", world.algorithm):
            raise ValueError(
                f"{algorithm} cannot act in {self.world}; set policy.algorithm {world.algorithm}"
            )
        if algorithm == "ppo" and self.critics is not None:
            raise ValueError("critics has no effect on ppo; leave it out")
        if self.encoder != "own" and (
            algorithm == "ppo" or (not world.is_maze and self.critics is None)
        ):
            raise ValueError(
                f"encoder {self.encoder!r} needs a policy of goals and a trained critic; use sac or"
                " dqn, and name the critic's run folder as critics"
            )
        return self
