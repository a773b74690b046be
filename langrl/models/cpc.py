"""Contrastive predictive coding: contexts of histories that predict future observations.

An encoder turns each observation into a code z_t, a GRU turns the codes (and the actions between
them) into a context c_t, and a log-bilinear critic for each horizon k,
``f_k(x_{t+k}, c_t) = z_{t+k}' W_k c_t``, estimates log p(x_{t+k}|c_t) / p(x_{t+k}) up to a constant
of the context. Nothing but trajectories is needed.

Axes: ``B`` trajectories, ``T`` time, ``D`` numbers of a code, ``C`` of a context, ``K`` horizons,
``A`` actions, ``V`` cells along a side of a view, ``S`` numbers of a vector, ``N`` contexts, ``M``
codes, ``P`` contexts with a future; dots are leading axes.

Source: van den Oord, Li & Vinyals 2018, arXiv:1807.03748; contexts with actions: Guo et
al. 2018, arXiv:1811.06407.
"""

from pathlib import Path
from typing import Literal

import torch
from pydantic import Field, ValidationError, model_validator
from torch import Tensor, nn
from torch.nn import functional

from langrl.checkpoint import (
    MANIFEST,
    MODEL_FOLDER,
    Checkpoint,
    fill,
    no_larger_than,
    read_checkpoint,
    write_checkpoint,
)
from langrl.errors import CheckpointError, ConfigError, DomainError, ShapeError
from langrl.functional.losses import forward_info_nce
from langrl.models.config import CpcConfig
from langrl.models.observation_encoders import VectorEncoder, ViewEncoder
from langrl.settings import Settings, describe_invalid
from langrl.training.seeding import seeded

Negatives = Literal["batch", "trajectories", "times"]
_MODEL, _WEIGHTS = "cpc", "weights"


class CpcDescription(Settings):
    """All that shapes a model, apart from its weights."""

    kind: Literal["cpc"] = "cpc"
    observation: tuple[int, ...] = Field(
        description="shape of an observation: (V, V, 3) of views, (S,) of vectors"
    )
    actions: int = Field(0, ge=0, description="actions A that contexts read; 0 for none")
    config: CpcConfig

    @model_validator(mode="after")
    def _is_known(self) -> "CpcDescription":
        shape = self.observation
        if min(shape, default=0) < 1 or not (
            len(shape) == 1 or (len(shape) == 3 and shape[2] == 3)
        ):
            raise ValueError(f"observations are (V, V, 3) views or (S,) vectors, not {list(shape)}")
        return self


class CPC(nn.Module):
    """Encoder, GRU and critics of K horizons."""

    def __init__(self, description: CpcDescription) -> None:
        super().__init__()
        self.description = description
        config, shape = description.config, description.observation
        encoder = VectorEncoder if len(shape) == 1 else ViewEncoder
        self.encoder: nn.Module = encoder(shape, config.embedding, config.width, config.depth)
        self.actions, self.horizon = description.actions, config.horizon
        action_size = self.actions + 1 if self.actions else 0
        self.gru = nn.GRU(config.embedding + action_size, config.context, batch_first=True)
        self.ahead = nn.Linear(config.context, config.horizon * config.embedding, bias=False)

    @property
    def none_yet(self) -> int:
        """The action number that stands for "no action yet", A."""
        return self.actions

    def encode(self, observations: Tensor) -> Tensor:
        """Map observations [..., *shape] to codes z [..., D]; ShapeError if they do not fit."""
        codes: Tensor = self.encoder(observations)
        return codes

    def contexts(
        self, z: Tensor, actions_before: Tensor | None = None, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Read codes in the order of time; c_t depends on nothing after t.

        Args:
            z: codes [B, T, D].
            actions_before: the action between t - 1 and t, int [B, T], ``none_yet`` at the start
                of an episode; only for a model that reads actions.
            state: what this returned for the steps before [B, C]; None at the start of episodes.

        Returns:
            Contexts c [B, T, C], and the state after the last step [B, C]. T = 1 is a step of an
            agent that acts.

        Raises:
            ShapeError: if shapes do not fit, or actions are missing or of no use.
            DomainError: if there is no such action.
        """
        if z.ndim != 3 or z.shape[-1] != self.description.config.embedding or not z.shape[1]:
            raise ShapeError(
                f"contexts needs codes [B, T, {self.description.config.embedding}], got"
                f" {list(z.shape)}; give what `encode` returns of observations [B, T, ...]"
            )
        inputs = torch.cat([z, self._one_hot(actions_before, z)], -1) if self.actions else z
        if actions_before is not None and not self.actions:
            raise ShapeError("this model reads no actions; leave actions_before out")
        before = None if state is None else state.unsqueeze(0).contiguous()
        contexts, after = self.gru(inputs, before)
        return contexts, after.squeeze(0)

    def _one_hot(self, actions: Tensor | None, z: Tensor) -> Tensor:
        """Return actions [B, T] as one-hot codes [B, T, A + 1]."""
        if actions is None or actions.shape != z.shape[:2] or actions.is_floating_point():
            got = "none" if actions is None else f"{list(actions.shape)} of {actions.dtype}"
            raise ShapeError(
                f"this model needs actions_before, whole numbers {list(z.shape[:2])}, got {got};"
                " `actions_before` shifts actions"
            )
        if actions.numel() and not 0 <= int(actions.min()) <= int(actions.max()) <= self.actions:
            raise DomainError(
                f"actions are 0 to {self.actions - 1}, and {self.actions} where there is none yet,"
                f" got {int(actions.min())} to {int(actions.max())}"
            )
        return functional.one_hot(actions.long(), self.actions + 1).to(z.dtype)

    def actions_before(self, actions: Tensor) -> Tensor:
        """Shift the actions of whole trajectories [B, T] by a step, ``none_yet`` first."""
        return torch.cat([torch.full_like(actions[:, :1], self.none_yet), actions[:, :-1]], 1)

    def predictions(self, c: Tensor, k: int) -> Tensor:
        """Return W_k c [..., D] of contexts [..., C], what codes k steps ahead are compared with.

        Raises DomainError if the model has no such horizon.
        """
        if not 1 <= k <= self.horizon:
            raise DomainError(f"this model predicts 1 to {self.horizon} steps ahead, not {k}")
        return functional.linear(c, self.ahead.weight.unflatten(0, (self.horizon, -1))[k - 1])

    def logits(self, z: Tensor, c: Tensor, k: int) -> Tensor:
        """Return f_k of contexts [..., N, C] against codes k steps ahead [..., M, D].

        In nats [..., N, M]; eq. 3 of the paper. Raises DomainError if there is no such horizon.
        """
        return self.predictions(c, k) @ z.mT

    def loss(
        self,
        observations: Tensor,
        actions_before: Tensor | None = None,
        mask: Tensor | None = None,
        *,
        negatives: Negatives = "batch",
        anchors: int | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return InfoNCE averaged over the horizons, of observations [B, T, ...]; see ``contrast``.

        Padded observations are encoded too, and have to be of the kind that can be.
        """
        z = self.encode(observations)
        c, _ = self.contexts(z, actions_before)
        return self.contrast(z, c, mask, negatives=negatives, anchors=anchors, generator=generator)

    def contrast(
        self,
        z: Tensor,
        c: Tensor,
        mask: Tensor | None = None,
        *,
        negatives: Negatives = "batch",
        anchors: int | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return InfoNCE averaged over the horizons, of codes and contexts.

        For each horizon k, every c_t has to identify z_{t+k} among the codes k steps ahead of the
        other contexts: of all in the batch, of those of other ``trajectories``, or of other
        ``times`` of the same trajectory. log N - loss is a lower bound on I(x_{t+k}; c_t) if
        negatives come from the marginal p(x): for independent ``trajectories``.

        Args:
            z: codes [B, T, D].
            c: contexts [B, T, C].
            mask: which steps exist, bool [B, T]; trajectories end with padding. All by default.
            negatives: which other codes count.
            anchors: at most so many contexts of each horizon, drawn without replacement; all by
                default. It bounds the cost, which is quadratic, and is then N for "batch".
            generator: source of that draw.

        Returns:
            Scalar loss in nats; metrics for each horizon: ``information_k``, log N - loss in nats,
            and ``accuracy_k`` in [0, 1]; and ``ceiling``, log N averaged over horizons. A context
            without negatives does not count, nor does a horizon that no trajectory is long enough
            for.

        Raises:
            ShapeError: if shapes do not fit.
            DomainError: if no context has a future and a negative, or there is no generator.
            NonFiniteError: if a code or context is not finite.

        Source: van den Oord et al. 2018, arXiv:1807.03748, eq. 4.
        """
        mask = _check_steps(z, c, mask)
        if anchors is not None and (anchors < 2 or generator is None):
            raise DomainError(
                f"anchors is {anchors}; give 2 or more, and the generator to draw them"
            )
        losses, metrics, ceilings = [], {}, []
        for k in range(1, self.horizon + 1):
            # Trajectory and time [P] of the steps that have one k steps ahead.
            pairs = mask[:, k:].nonzero(as_tuple=True)
            if anchors is not None and len(pairs[0]) > anchors:
                order = torch.randperm(len(pairs[0]), generator=generator, device=z.device)
                pairs = tuple(each[order[:anchors]] for each in pairs)
            logits = self.logits(z[pairs[0], pairs[1] + k], c[pairs], k)  # [P, P]
            logits, positives = _ruled_out(logits, pairs[0], negatives)
            if not len(logits):
                continue
            value, ranked = forward_info_nce(logits, positives=positives)
            losses.append(value)
            ceilings.append(ranked["information"] + value.detach())
            metrics[f"information_{k}"] = ranked["information"]
            metrics[f"accuracy_{k}"] = ranked["accuracy_right"]
        if not losses:
            raise DomainError(
                "no context has a step ahead of it and negatives; give two trajectories or more,"
                " of two steps or more"
            )
        return torch.stack(losses).mean(), metrics | {"ceiling": torch.stack(ceilings).mean()}

    def save(self, folder: Path) -> None:
        """Write the model as a folder of safetensors and JSON with a manifest."""
        documents = {_MODEL: self.description.model_dump(mode="json")}
        write_checkpoint(folder, Checkpoint(documents, {_WEIGHTS: dict(self.named_parameters())}))


def _check_steps(z: Tensor, c: Tensor, mask: Tensor | None) -> Tensor:
    """Return the mask of codes [B, T, D] and contexts [B, T, C], all True by default."""
    if z.ndim != 3 or c.ndim != 3 or z.shape[:2] != c.shape[:2]:
        raise ShapeError(
            f"codes are [B, T, D] and contexts [B, T, C], got {list(z.shape)} and {list(c.shape)};"
            " give a context for each code"
        )
    if mask is None:
        return torch.ones(z.shape[:2], dtype=torch.bool, device=z.device)
    if mask.shape != z.shape[:2] or mask.dtype != torch.bool:
        raise ShapeError(
            f"mask must be {list(z.shape[:2])} of torch.bool, got {list(mask.shape)} of"
            f" {mask.dtype}; say of each step whether it exists"
        )
    if bool((mask[:, 1:] & ~mask[:, :-1]).any()):
        raise DomainError("mask has a step after padding; put padding at the end of trajectories")
    return mask


def _ruled_out(
    logits: Tensor, trajectory: Tensor, negatives: Negatives
) -> tuple[Tensor, Tensor | None]:
    """Put critic values [P, P] that are no negatives at -inf, and leave out rows without any."""
    # The second result says where positives are, bool [N, P]; None if they are on the diagonal.
    size = len(logits)
    if negatives == "batch":
        return (logits, None) if size > 1 else (logits[:0], None)
    own = torch.eye(size, dtype=torch.bool, device=logits.device)
    same = trajectory.unsqueeze(1) == trajectory  # [P, P]
    counts = ~same if negatives == "trajectories" else same & ~own  # [P, P]
    logits = logits.masked_fill(~(counts | own), -torch.inf)
    kept = counts.any(1)
    return logits[kept], own[kept]


def build_cpc(description: CpcDescription, seed: int) -> CPC:
    """Return a model, initialised from a seed."""
    with seeded(seed):
        return CPC(description)


def load_cpc(folder: str | Path, device: str | torch.device = "cpu") -> CPC:
    """Load a model in evaluation mode from what ``save`` has written, or from a run folder.

    Raises:
        ConfigError: if there is no such folder.
        CheckpointError: if it holds no such model, or a damaged one.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ConfigError(f"no folder {folder}; give one that `langrl pretrain --method cpc` wrote")
    if (folder / MODEL_FOLDER / MANIFEST).is_file():
        folder = folder / MODEL_FOLDER
    checkpoint = read_checkpoint(folder)
    document, weights = checkpoint.documents.get(_MODEL), checkpoint.tensors.get(_WEIGHTS)
    if weights is None or not isinstance(document, dict) or document.get("kind") != "cpc":
        raise CheckpointError(
            f"{folder} is no model of contrastive predictive coding; check the path"
        )
    try:
        description = CpcDescription.model_validate(document)
    except ValidationError as error:
        problem = describe_invalid(error, CpcDescription)
        raise CheckpointError(f"{folder / _MODEL}.json: {problem}; save the model again") from error
    with no_larger_than(weights):
        model = build_cpc(description, seed=0)
    fill(dict(model.named_parameters()), weights)
    return model.to(device).eval()
