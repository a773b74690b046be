"""Two trained models that share a modality, joined without training: A to B, B to C, hence A to C.

    log p(c|a)/p(c) = log E_{b ~ p(b)}[exp(f(a, b) + h(b, c))]

The left model scores A against B, the right one B against C; A and C were never seen together.
Images are B where an image-sound model and an image-text model find the text of a sound.

Axes: ``N`` lefts (A), ``M`` candidates of the shared modality (B), ``K`` rights (C), ``D`` and
``D'`` sizes of two embeddings of one model.
Source: Che & Eysenbach, ICLR 2025, arXiv:2501.11326, Lemma 1. It holds where c is independent of a
given b.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor, nn

from langrl.errors import GroundingError, NonFiniteError, ShapeError, lookup
from langrl.functional import checks as arguments
from langrl.functional import marginals
from langrl.functional.energies import cosine
from langrl.functional.estimates import Estimate
from langrl.models.critics.maze import PairCritic
from langrl.models.language_image.model import LanguageImageModel
from langrl.models.protocols import device_of

Encode = Callable[[Any], Tensor]
_AT_ONCE = 256  # inputs that a critic encodes; hidden layers stay in a CPU's cache


@dataclass(frozen=True)
class Side:
    """One of two models, as three functions; any model will do.

    Args:
        encode_shared: embeds inputs of the shared modality, [M, D].
        encode_other: embeds inputs of the model's other modality, [N, D'].
        score: compares both, [M, D] x [N, D'] -> [M, N]: the log density ratio in nats, with the
            temperature that was trained.
        is_ratio: whether E_b[exp(score)] is 1 for each of the others, as of a density ratio. If
            not, the score may lack a term of its own for each of them, and ``JoinedModels`` makes
            the mean over its candidates 1. Without that, others with large scores win.
    """

    encode_shared: Encode
    encode_other: Encode
    score: Callable[[Tensor, Tensor], Tensor]
    is_ratio: bool = True

    @classmethod
    def from_language_image(cls, model: LanguageImageModel) -> Self:
        """Share the images of a language-image model; its texts are the others.

        Without calibration its score is no density ratio, and is made one over the candidates.
        """
        return cls(model.encode_image, model.encode_text, model.score, model.calibrated)

    @classmethod
    def from_critic(
        cls, critic: PairCritic, shared: Literal["left", "right"] = "right", is_ratio: bool = True
    ) -> Self:
        """Share one side of a critic f(x, y) that symmetric InfoNCE or binary NCE has trained.

        Args:
            critic: encoders, an energy and a scale; set to evaluation mode by you.
            shared: the side of the shared modality: "left" for x, "right" for y.
            is_ratio: as above; False for a critic of forward or backward InfoNCE alone.

        Raises:
            UnknownNameError: if ``shared`` is neither.
        """
        encoders = {"left": critic.left, "right": critic.right}
        ours = lookup(encoders, shared, "side of a critic")
        theirs = encoders["left" if shared == "right" else "right"]

        def score(shared_embeddings: Tensor, others: Tensor) -> Tensor:
            pair = (shared_embeddings, others) if shared == "left" else (others, shared_embeddings)
            scores: Tensor = critic.scale(critic.energy(*pair))
            return scores if shared == "left" else scores.mT

        return cls(_in_chunks(ours), _in_chunks(theirs), score, is_ratio)


def _in_chunks(encoder: Callable[[Any], Tensor]) -> Encode:
    """Return an encoder that embeds 256 inputs, of a tensor or an array, at a time."""

    def encode(inputs: Any) -> Tensor:
        if isinstance(inputs, np.ndarray):
            inputs = torch.from_numpy(inputs)
        if isinstance(inputs, Tensor) and isinstance(encoder, nn.Module):
            inputs = inputs.to(device_of(encoder))
        starts = range(0, len(inputs), _AT_ONCE) or [0]
        return torch.cat([encoder(inputs[start : start + _AT_ONCE]) for start in starts])

    return encode


class JoinedModels:
    """Two models over one set of candidates of what they share, which each embeds once.

    Args:
        left: the model of A and B; its others are the lefts.
        right: the model of B and C; its others are the rights.
        candidates: M inputs of the shared modality, as both ``encode_shared`` take them,
            distributed as in training or with weights.
        log_weights: log p(b) - log q(b) [M], for candidates drawn from q instead of p.

    Raises:
        ShapeError: if there are no candidates, or both models do not embed the same number of
            them, or the weights are not one for each.
        NonFiniteError: if embeddings are not finite, or weights are NaN or rule everything out.
        GroundingError: if an encoder returns no tensor.
    """

    def __init__(
        self, left: Side, right: Side, candidates: Any, log_weights: Tensor | None = None
    ) -> None:
        self.left, self.right = left, right
        self._left_candidates = _embed("left", "encode_shared", left.encode_shared, candidates)
        self._right_candidates = _embed("right", "encode_shared", right.encode_shared, candidates)
        counts = len(self._left_candidates), len(self._right_candidates)
        if counts[0] != counts[1]:
            raise ShapeError(
                f"encode_shared gave {counts[0]} embeddings on the left and {counts[1]} on the"
                " right; return one for each candidate, in their order"
            )
        if log_weights is not None:
            if log_weights.ndim != 1:
                raise ShapeError(
                    f"log_weights must be [{counts[0]}], one for each candidate, got"
                    f" {list(log_weights.shape)}"
                )
            arguments.check_log_weights("JoinedModels", log_weights, counts[0])
        self._log_weights = log_weights

    @property
    def candidates(self) -> int:
        """How many candidates there are, M."""
        return len(self._left_candidates)

    @torch.no_grad()
    def log_ratio(self, lefts: Any, rights: Any, *, error_bars: bool = False) -> Estimate:
        """Estimate log p(c|a)/p(c) of every left and right, with values [N, K] in nats.

        Args:
            lefts: N inputs of the left model's other modality.
            rights: K inputs of the right model's other modality.
            error_bars: whether the estimate has standard errors and effective sample sizes.

        Raises:
            ShapeError: if there are no inputs, or a score is not one for each pair.
            NonFiniteError: if a score is NaN or +inf, or no candidate is possible for a pair.
            GroundingError: if an encoder or a score returns no tensor.
        """
        f = self._score("left", self.left, self._left_candidates, lefts)  # [M, N]
        h = self._score("right", self.right, self._right_candidates, rights)  # [M, K]
        weights = None if self._log_weights is None else self._log_weights.to(f)
        return marginals.monte_carlo(f.mT, h.to(f.device), weights, error_bars=error_bars)

    @torch.no_grad()
    def direct(self, lefts: Any, rights: Any) -> Tensor:
        """Return the cosine of each left's and right's embedding [N, K], with no candidates.

        Of models that were trained apart it is at chance; it is here to show that.

        Raises:
            GroundingError: if the embedding sizes differ, or an encoder returns no tensor.
            ShapeError: if there are no inputs.
            NonFiniteError: if an embedding is not finite.
        """
        a = _embed("left", "encode_other", self.left.encode_other, lefts)  # [N, D]
        c = _embed("right", "encode_other", self.right.encode_other, rights)  # [K, D]
        if a.shape[1] != c.shape[1]:
            raise GroundingError(
                f"direct compares embeddings of one size, got {a.shape[1]} on the left and"
                f" {c.shape[1]} on the right; use log_ratio, which needs no common space"
            )
        return marginals.direct(a, c.to(a), energy=cosine)

    @torch.no_grad()
    def log_mass(self, side: Literal["left", "right"], others: Any) -> Tensor:
        """Return log E_b[exp(score)] of a side's others [N]; 0 of density ratios.

        It says how far a model of your own is from a density ratio over these candidates, before
        ``JoinedModels`` fixes it. Errors as ``log_ratio``.
        """
        sides = {
            "left": (self.left, self._left_candidates),
            "right": (self.right, self._right_candidates),
        }
        model, candidates = lookup(sides, side, "side")
        return self._log_mean(_raw_scores(side, model, candidates, others))

    def _score(self, name: str, side: Side, candidates: Tensor, others: Any) -> Tensor:
        scores = _raw_scores(name, side, candidates, others)
        return scores if side.is_ratio else scores - self._log_mean(scores)

    def _log_mean(self, scores: Tensor) -> Tensor:
        """Return log E_b[exp(score)] over the candidates, [M, N] -> [N]."""
        if self._log_weights is not None:
            scores = scores + self._log_weights.to(scores).unsqueeze(1)
        return scores.logsumexp(0) - math.log(len(scores))


@torch.no_grad()
def _embed(side: str, function: str, encode: Encode, inputs: Any) -> Tensor:
    """Return embeddings [rows, D], checked."""
    embedded = encode(inputs)
    name = f"{function} of the {side} model"
    if not isinstance(embedded, Tensor):
        raise GroundingError(
            f"{name} must return a tensor, got {type(embedded).__name__}; wrap arrays in"
            " torch.from_numpy"
        )
    if embedded.ndim != 2 or not embedded.numel():
        raise ShapeError(
            f"{name} must return one embedding for each of at least one input, [rows, D], got"
            f" {list(embedded.shape)}; give inputs, and flatten what is not a vector"
        )
    arguments.check_finite(name, "its embeddings", embedded)
    return embedded


def _raw_scores(name: str, side: Side, candidates: Tensor, others: Any) -> Tensor:
    """Return a side's scores of candidates and others [M, N], checked."""
    embedded = _embed(name, "encode_other", side.encode_other, others)
    scores = side.score(candidates, embedded)
    if not isinstance(scores, Tensor):
        raise GroundingError(
            f"score of the {name} model must return a tensor, got {type(scores).__name__}; wrap"
            " arrays in torch.from_numpy"
        )
    expected = (len(candidates), len(embedded))
    if scores.shape != expected or not scores.is_floating_point():
        raise ShapeError(
            f"score of the {name} model must return floats {list(expected)}, a row for each"
            f" candidate, got {scores.dtype} {list(scores.shape)}; transpose it if it puts the"
            " others first"
        )
    if scores.isnan().any() or (scores == torch.inf).any():
        raise NonFiniteError(
            f"score of the {name} model gave NaN or +inf; fix it (-inf may rule a candidate out)"
        )
    return scores
