"""Folders that hold what turns instructions into goals: a language side, candidates, settings.

They are safetensors and JSON with digests: nothing is unpickled, and they contain no code.

Axes: ``M`` candidate goals, ``G`` numbers in a goal.
"""

from collections.abc import Set
from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import Field, ValidationError, model_validator

from langrl.checkpoint import (
    MANIFEST,
    Checkpoint,
    fill,
    no_larger_than,
    read_checkpoint,
    write_checkpoint,
)
from langrl.envs.goals import check_number
from langrl.errors import CheckpointError, ConfigError, GroundingError, LangRLError, lookup
from langrl.grounding.candidates import Candidates, ListedCandidates, ReplayedCandidates
from langrl.grounding.strategies import GROUNDINGS, Grounding, check_needs
from langrl.models.critics.build import LanguageDescription, build_language
from langrl.models.critics.maze import LanguageCritic
from langrl.models.protocols import Language
from langrl.models.understanding import UNDERSTOOD, read_understanding
from langrl.settings import Settings, describe_invalid

_DOCUMENT, _WEIGHTS, _CANDIDATES = "grounding", "language", "candidates"
_FILES = {MANIFEST, f"{_DOCUMENT}.json", f"{_WEIGHTS}.safetensors", f"{_CANDIDATES}.safetensors"}
_MAY_BE = f"{UNDERSTOOD}.json"  # a file that folders of earlier versions lack


class GroundingDescription(Settings):
    """All that a stored folder holds, apart from numbers in tensors."""

    language: LanguageDescription
    grounding: str = Field(description="strategy that needs no critic")
    candidates: Literal["listed", "replayed"] = Field(description="how candidates are drawn")
    count: int = Field(ge=1, description="candidates of an episode (M)")
    language_weight: float = Field(ge=0, allow_inf_nan=False, description="factor on h(g, l)")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if len(self.language.low) != len(self.language.high):
            raise ValueError("low and high of the language side are not of one length")
        check_needs(lookup(GROUNDINGS, self.grounding, "grounding strategy"), frozenset())
        return self


def save_grounding(
    folder: str | Path,
    language: Language,
    grounding: Grounding | str,
    candidates: Candidates,
    language_weight: float = 1.0,
) -> None:
    """Store the arguments of ``InstructionToGoal``, whole or not at all.

    A named text model is stored by its name; the environment and its goals are made anew.

    Args:
        folder: where; an earlier one that is there is replaced.
        language: what ``learn_language`` returned.
        grounding: strategy that needs no critic, or its name.
        candidates: ``ReplayedCandidates`` or ``ListedCandidates``.
        language_weight: factor on the language score.

    Raises:
        GroundingError: if a part is of another class, which says how to store it.
        UnknownNameError: if there is no strategy of that name.
        DomainError: if the weight is no finite number of at least 0.
        ConfigError: if the folder holds something else, or cannot be written.
    """
    if type(candidates) is ListedCandidates:  # a class made from it may draw others
        kind, count = "listed", len(candidates.goals)
        arrays = {"goals": candidates.goals, "log_weights": candidates.log_weights}
    elif type(candidates) is ReplayedCandidates:
        kind, count, arrays = "replayed", candidates.count, {"goals": candidates.states}
    else:
        raise GroundingError(
            f"candidates of {type(candidates).__name__} are drawn by a function, which is not"
            " stored; draw some, and give ListedCandidates or ReplayedCandidates of them"
        )
    description = GroundingDescription(
        language=describe_language(language),
        grounding=_name_of(grounding),
        candidates="listed" if kind == "listed" else "replayed",
        count=count,
        language_weight=check_number(language_weight, "language_weight", 0, float("inf")),
    )
    tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    assert isinstance(language, LanguageCritic)
    weights = {name: value.detach() for name, value in language.named_parameters()}
    write_folder(
        Path(folder),
        Checkpoint(
            {_DOCUMENT: description.model_dump(mode="json")} | understood_document(language),
            {_WEIGHTS: weights, _CANDIDATES: tensors},
        ),
        _FILES,
    )


def describe_language(language: Language) -> LanguageDescription:
    """Return what shapes a language side that ``learn_language`` returned.

    A folder of a text model is named by its absolute path, so that it is found from elsewhere.

    Raises:
        GroundingError: if it is something else, which says how to store it.
    """
    described = getattr(language, "description", None)
    if type(language) is not LanguageCritic or not isinstance(described, LanguageDescription):
        raise GroundingError(
            f"{type(language).__name__} is not what learn_language returned; store a"
            " language-image model by its save, and wrap it again"
        )
    fields = {name: getattr(described, name) for name in LanguageDescription.model_fields}
    text = described.text
    if text.model != "compact" and Path(text.model).is_dir():
        fields["text"] = text.model_copy(update={"model": str(Path(text.model).resolve())})
    return LanguageDescription(**fields)


def understood_document(language: LanguageCritic) -> dict[str, Any]:
    """Return the document of a language side's P(understood), by its name, if it has one."""
    fit = language.understanding
    return {} if fit is None else {UNDERSTOOD: fit.model_dump(mode="json")}


def _name_of(grounding: Grounding | str) -> str:
    if isinstance(grounding, str):
        check_needs(lookup(GROUNDINGS, grounding, "grounding strategy"), frozenset())
        return grounding
    check_needs(grounding, frozenset())
    for name, known in GROUNDINGS.items():
        if type(known) is type(grounding):
            return name
    raise GroundingError(
        f"{type(grounding).__name__} is a strategy of your own, which is not stored; store with"
        " max_goal, and pass yours to InstructionToGoal in its place"
    )


def write_folder(folder: Path, checkpoint: Checkpoint, files: Set[str]) -> None:
    """Write a folder of these files, replacing one that holds the same ones and nothing else.

    Raises:
        ConfigError: if it holds something else, or cannot be written.
    """
    folder = folder.resolve()  # what is replaced is the folder itself, not a link to it
    try:
        held = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        if folder.is_file() or held - {_MAY_BE} not in (set(), files):
            raise ConfigError(f"{folder} holds something else; give a new folder")
        write_checkpoint(folder, checkpoint)
    except OSError as error:
        raise ConfigError(f"cannot write {folder} ({error}); give another folder") from error


def load_grounding(folder: str | Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Return what ``save_grounding`` stored, as arguments of ``InstructionToGoal`` by name.

    These are language, grounding, candidates and language_weight; ``GoalChooser`` takes them, too.

    Args:
        folder: that was written.
        device: where the language side is put.

    Raises:
        CheckpointError: if it is missing, incomplete, damaged or something else.
    """
    folder = Path(folder)
    checkpoint = read_checkpoint(folder)
    try:
        description = GroundingDescription.model_validate(checkpoint.documents[_DOCUMENT])
        with no_larger_than(checkpoint.tensors[_WEIGHTS]):
            language = build_language(description.language, seed=0)
        fill(dict(language.named_parameters()), checkpoint.tensors[_WEIGHTS])
        language.understanding = read_understanding(checkpoint.documents, folder)
        candidates = _candidates(description, checkpoint.tensors[_CANDIDATES])
    except KeyError as error:
        raise CheckpointError(f"{folder} holds no language side: it lacks {error}") from error
    except ValidationError as error:
        problem = describe_invalid(error, GroundingDescription)
        raise CheckpointError(f"{folder / _DOCUMENT}.json: {problem}; store it again") from error
    except LangRLError as error:
        raise CheckpointError(f"{folder}: {error}") from error
    return {
        "language": language.to(device).eval(),
        "grounding": description.grounding,
        "candidates": candidates,
        "language_weight": description.language_weight,
    }


def _candidates(
    description: GroundingDescription, tensors: dict[str, torch.Tensor]
) -> ListedCandidates | ReplayedCandidates:
    goals = tensors["goals"]
    if goals.ndim != 2 or goals.shape[1] != len(description.language.low):
        raise CheckpointError(f"its candidates {list(goals.shape)} are no goals of its language")
    if not goals.isfinite().all():
        raise CheckpointError("a candidate is not finite; store it again")
    if description.candidates == "listed":
        return ListedCandidates(goals.numpy(), tensors["log_weights"].numpy())
    return ReplayedCandidates(goals.numpy(), description.count)
