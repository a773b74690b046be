"""P(understood): how likely a text means something to a language side, by its embedding.

Posteriors say little where a text means nothing, but also where it means much that is not there:
"the red ball" in a room without one. The embedding tells both apart. A logistic fit on texts of
training against texts that mean nothing is a language side's ``understanding``; one without has
None, and says nothing.

Axes: ``K`` texts, ``J`` alternatives of a text, ``D`` embedding size, ``F`` numbers: J * D.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field, ValidationError
from torch import Tensor
from torch.nn import functional

from langrl.errors import CheckpointError, DomainError, ShapeError
from langrl.models.logistic import newton, platt_targets
from langrl.settings import Settings, describe_invalid

UNDERSTOOD = "understood"
"""The document of checkpoints and folders that holds an ``Understanding``."""
_RIDGE = 3e-3  # on embeddings that are scaled to a deviation of 1: few texts, many numbers
_DIGITS = 6  # of the stored numbers


class Understanding(Settings):
    """A logistic fit on directions of embeddings; a text is as likely meant as not before it."""

    weights: tuple[float, ...] = Field(
        min_length=1, max_length=1 << 18, description="one for each number of a text's embeddings"
    )
    offset: float = Field(allow_inf_nan=False, description="the logit of an embedding of zeros")

    def probability(self, embedded: Tensor) -> Tensor:
        """Return P(understood) [K] of embedded texts [K, J, D] or [K, D].

        Raises:
            ShapeError: if there are more or fewer numbers than there are weights.
        """
        numbers = _directions(embedded)
        if numbers.shape[1] != len(self.weights):
            raise ShapeError(
                f"texts are embedded in {numbers.shape[1]} numbers and P(understood) was fitted to"
                f" {len(self.weights)}; fit it to this language side"
            )
        weights = torch.tensor(self.weights, dtype=torch.float64, device=numbers.device)
        return (numbers @ weights + self.offset).sigmoid()


def fit_understanding(meant: Tensor, meaningless: Tensor) -> Understanding:
    """Fit P(understood) to embeddings of texts that mean something, and of texts that do not.

    The two count alike, however many there are of each.

    Args:
        meant: embeddings [K, J, D] or [K, D].
        meaningless: of other texts, of the same size.

    Raises:
        DomainError: if there are fewer than two of either, or a number is not finite.
        ShapeError: if the sizes differ.
    """
    if meant.shape[1:] != meaningless.shape[1:]:
        raise ShapeError(
            f"embeddings of texts are {list(meant.shape[1:])} and"
            f" {list(meaningless.shape[1:])}; embed both with one language side"
        )
    numbers = _directions(torch.cat([meant, meaningless]).detach().cpu())
    if min(len(meant), len(meaningless)) < 2 or not numbers.isfinite().all():
        raise DomainError(
            f"P(understood) is fitted to finite embeddings of two texts of each sort at least, got"
            f" {len(meant)} and {len(meaningless)}; give more texts"
        )
    centre, deviation = numbers.mean(0), numbers.std(0).clamp(min=1e-6)
    scaled = (numbers - centre) / deviation
    design = torch.cat([scaled, torch.ones(len(scaled), 1).double()], 1)
    is_meant = torch.arange(len(numbers)) < len(meant)
    *slopes, offset = newton(design, platt_targets(is_meant), _RIDGE)
    weights = torch.stack(slopes) / deviation
    odds = math.log(len(meant) / len(meaningless))
    level = float(offset) - float(centre @ weights) - odds
    return Understanding(weights=tuple(map(_short, weights.tolist())), offset=_short(level))


def _directions(embedded: Tensor) -> Tensor:
    """Return embeddings [K, ..., D] as unit vectors, side by side, doubles [K, F].

    Lengths alone would decide where they differ much, as those of unknown words do.
    """
    return functional.normalize(embedded.double(), dim=-1).flatten(1)


def _short(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def understanding_of(language: object) -> Understanding | None:
    """Return the fit of a language side; None if it has none."""
    found = getattr(language, "understanding", None)
    return found if isinstance(found, Understanding) else None


def p_understood(language: Any, texts: Sequence[str]) -> list[float] | None:
    """Return P(understood) of texts, K of them; None if the language side does not know it.

    Errors as ``Language.encode_text`` and ``Understanding.probability``.
    """
    fit = understanding_of(language)
    if fit is None:
        return None
    with torch.no_grad():
        probabilities: list[float] = fit.probability(language.encode_text(texts)).tolist()
    return probabilities


def read_understanding(documents: Any, where: object) -> Understanding | None:
    """Return the fit among the documents of a checkpoint; None in those of earlier versions.

    Raises:
        CheckpointError: if it is damaged; ``where`` is its folder, for the message.
    """
    if (document := documents.get(UNDERSTOOD)) is None:
        return None
    try:
        return Understanding.model_validate(document)
    except ValidationError as error:
        problem = describe_invalid(error, Understanding)
        raise CheckpointError(
            f"{where}/{UNDERSTOOD}.json: {problem}; copy it again, or fit it anew"
        ) from error
