"""The config of a Stable-Baselines3 run; no torch here."""

from typing import Literal, Self

from pydantic import Field, model_validator

from langrl import GRID_IDS, MAZE_IDS
from langrl.agents.config import PolicyConfig
from langrl.errors import lookup
from langrl.grounding.config import PolicyGroundingConfig
from langrl.settings import Settings
from langrl.tasks.maze.config import MazeEvaluationConfig
from langrl.training.config import LoggingConfig


class Sb3EvaluationConfig(MazeEvaluationConfig):
    """How a policy of Stable-Baselines3 is evaluated; noise is that of mazes."""

    draw: bool = Field(False, description="draw actions of the policy, instead of taking the best")
    every: int = Field(100_000, ge=1, description="steps between evaluations during training")
    episodes_during: int = Field(
        20, ge=1, le=10_000, description="episodes per sort of instruction in each of them"
    )


class Sb3RunConfig(Settings):
    """A policy that Stable-Baselines3 trains, in a world of langrl."""

    task: Literal["sb3"] = Field("sb3", description="what sort of config this is")
    world: str = Field(
        "langrl/StreetMaze-Fork-v0", description=f"of {', '.join((*MAZE_IDS, *GRID_IDS))}"
    )
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
    device: str = Field(
        "cpu", pattern=r"^(cpu|cuda(:\d+)?|mps)$", description="cpu, cuda, cuda:N or mps"
    )
    threads: int = Field(1, ge=1, le=1024, description="CPU threads; the last bits depend on it")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        lookup(MAZE_IDS | GRID_IDS, self.world, "world")
        algorithm, is_maze = self.policy.algorithm, self.world in MAZE_IDS
        if algorithm == ("dqn" if is_maze else "sac"):
            other = "sac" if is_maze else "dqn"
            raise ValueError(
                f"{algorithm} cannot act in {self.world}; set policy.algorithm {other}"
            )
        if algorithm == "ppo" and self.critics is not None:
            raise ValueError("critics has no effect on ppo; leave it out")
        if self.encoder != "own" and (algorithm == "ppo" or (not is_maze and self.critics is None)):
            raise ValueError(
                f"encoder {self.encoder!r} needs a policy of goals and a trained critic; use sac or"
                " dqn, and name the critic's run folder as critics"
            )
        return self
