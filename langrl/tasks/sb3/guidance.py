"""What a policy of goals follows instructions by: a language side, candidate goals, a critic."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langrl.envs.maze.world import StreetMaze
from langrl.errors import CheckpointError
from langrl.grounding.candidates import Candidates, ReachablePoses, SampledCandidates
from langrl.grounding.strategies import GROUNDINGS
from langrl.models.critics.grid import GridCritic
from langrl.models.critics.maze import GoalCritic, LanguageCritic
from langrl.models.encoders import load_sentence_transformer
from langrl.models.language_image.language import ImageLanguage
from langrl.models.language_image.model import BUNDLED
from langrl.tasks.grid.agent import image_language
from langrl.tasks.loading import load_agent
from langrl.tasks.sb3.config import WORLDS, Sb3RunConfig

CRITICS = "critics"  # a run of our own in the run folder, with a maze's language side


def critics_folder(config: Sb3RunConfig, folder: Path) -> Path | None:
    """Return the run folder of the trained critics that a run uses, if it uses some."""
    if config.critics is not None:
        return Path(config.critics)
    needs = WORLDS[config.world].is_maze and config.policy.algorithm != "ppo"
    return folder / CRITICS if needs else None


def groundings(config: Sb3RunConfig) -> tuple[str, ...]:
    """Return the strategies that a run's policy can follow instructions by."""
    if config.policy.algorithm == "ppo":
        return ("policy",)
    has_critic = critics_folder(config, Path()) is not None
    offered = {"critic"} if has_critic else set()
    if has_critic and WORLDS[config.world].is_maze:
        offered.add("shared encoder")
    return tuple(name for name, strategy in GROUNDINGS.items() if strategy.needs <= offered)


def text_encoder(config: Sb3RunConfig) -> Any:
    """Return what encodes the instructions of a policy that reads them.

    Raises:
        ConfigError, MissingExtraError: if there is no such model.
    """
    if config.language == BUNDLED:
        return image_language(BUNDLED, config.device).model  # loaded once
    return load_sentence_transformer(config.language)


@dataclass(frozen=True, eq=False)
class LanguageSide:
    """What a policy of goals follows instructions by.

    Args:
        language: h(g, l).
        candidates: draws candidate goals.
        language_weight: factor on the fit.
        critic: f(s, a, g), to rank the policy's actions; if there is one.
    """

    language: LanguageCritic | ImageLanguage
    candidates: Candidates
    language_weight: float
    critic: GoalCritic | GridCritic | None


def language_side(config: Sb3RunConfig, folder: Path) -> LanguageSide:
    """Return what a run's policy follows instructions by.

    Raises:
        CheckpointError: if the run folder of trained critics holds none, or is of another world.
        ConfigError, MissingExtraError: if there is no such language-image model.
    """
    grounding, critics = config.grounding, critics_folder(config, folder)
    world = WORLDS[config.world]
    trained = None
    if critics is not None:
        changes: dict[str, Any] = {}
        if world.is_maze:
            changes = {"candidates": grounding.candidates, "weighting": grounding.weighting}
            changes["world"] = StreetMaze(world.name)
        trained = load_agent(critics, device=config.device, **changes)
        if not isinstance(trained.critic, GoalCritic if world.is_maze else GridCritic):
            raise CheckpointError(f"{critics} is of another world than {config.world}")
    if world.is_maze:
        assert trained is not None
        assert isinstance(trained.critic, GoalCritic)
        assert isinstance(trained.language, LanguageCritic)
        assert isinstance(trained.candidates, SampledCandidates)
        return LanguageSide(trained.language, trained.candidates, 1.0, trained.critic)
    language = image_language(config.language, config.device)
    critic = None if trained is None else trained.critic
    assert critic is None or isinstance(critic, GridCritic)
    return LanguageSide(language, ReachablePoses(said_done=True), grounding.language_weight, critic)
