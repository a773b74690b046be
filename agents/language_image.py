"""Contrastive training of a language-image model on images and texts.

Each text is contrasted with all images, and each image that some text fits with all texts;
several positives are usual. A logistic loss on the same pairs keeps the numbers of different
texts comparable, which ranking alone does not.

Axes: ``M`` images, ``K`` texts, ``C`` bytes of a text, ``D`` embedding size.

Source: Radford et al. 2021, arXiv:2103.00020; several positives: Khosla et al. 2020,
arXiv:2004.11362; logistic: Zhai et al. 2023, arXiv:2303.15343.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from langrl.data.images.grid_scenes import ImageTexts
from langrl.data.images.labels import SHOWN, SLOTS
from langrl.functional.losses import symmetric_info_nce
from langrl.models.language_image.model import LanguageImageModel
from langrl.models.protocols import device_of
from langrl.training.learner import GradientLearner, OfflineReplay
from langrl.training.optim import Batch, Optimiser, cosine_schedule
from langrl.training.seeding import seeded

_WARMUP = 0.03  # of all steps
_DECAY = 0.01  # AdamW's weight decay, of matrices only
_LARGEST_NORM = 1.0  # of the gradient
_BETAS = (0.9, 0.98)  # AdamW's
_STEEP = 10.0  # of labels' logits: embeddings have a length of 1


class LanguageImageLearner(GradientLearner):
    """Trains a language-image model.

    Args:
        model: what is trained; parameters that need no gradient stay as they are.
        draw: returns the batch of a step; the same step gives the same batch.
        steps: the last step, at which the learning rate reaches 0.
        learning_rate: AdamW's highest.
        logistic_weight: weight of the logistic loss.
        label_weight: weight of the loss of naming what images show and texts mean, from their
            embeddings; above 0, the batches need these labels.
        seed: of the initial weights of the layers that name labels.
        device: where the model is; where its weights are if not given.
    """

    def __init__(
        self,
        model: LanguageImageModel,
        draw: Callable[[int], ImageTexts],
        *,
        steps: int,
        learning_rate: float,
        logistic_weight: float = 1.0,
        label_weight: float = 0.0,
        seed: int = 0,
        device: str | torch.device | None = None,
    ) -> None:
        self.model, self._draw = model, draw
        self.logistic_weight, self.label_weight = logistic_weight, label_weight
        self.device = device_of(model) if device is None else torch.device(device)
        # Of the logistic loss only: calibration fits its own on held-out pairs.
        self.match_offset = nn.Parameter(torch.tensor(-5.0, device=self.device))
        self.match_slope = nn.Parameter(torch.tensor(0.0, device=self.device))  # its log
        trained = dict(model.named_parameters())
        trained |= {"match_offset": self.match_offset, "match_slope": self.match_slope}
        self.labels = None
        if label_weight:
            with seeded(seed):
                self.labels = _LabelHeads(model.encode_text(["a"]).shape[1]).to(self.device)
            trained |= {f"labels.{name}": value for name, value in self.labels.named_parameters()}
        schedule = cosine_schedule(steps, warmup=max(1, round(_WARMUP * steps)))
        optimiser = Optimiser(
            trained, learning_rate, schedule, clip=_LARGEST_NORM, weight_decay=_DECAY, betas=_BETAS
        )
        super().__init__(optimiser, OfflineReplay(self._sample), bounds=(model.scale.bound,))

    def _sample(self) -> Batch:
        """Return images uint8 [M, H, W, 3], positives bool [K, M], and texts as bytes [K, C]."""
        drawn = self._draw(self.step)
        arrays = {"images": drawn.images, "positives": drawn.positives}
        labels = {"shown": drawn.shown, "meant": drawn.meant}
        arrays |= {name: array for name, array in labels.items() if array is not None}
        batch = {name: torch.from_numpy(array).to(self.device) for name, array in arrays.items()}
        return batch | {"texts": to_bytes(drawn.texts)}

    def update(self, batch: Batch) -> Batch:
        """Take one gradient step in training mode; the model is in evaluation mode otherwise."""
        self.model.train()
        try:
            return super().update(batch)
        finally:
            self.model.eval()

    def loss(self, batch: Batch) -> tuple[Tensor, Batch]:
        """Return the losses of ranking, of matching and of naming, weighted, together."""
        model = self.model
        texts = model.pair.text_embeddings(from_bytes(batch["texts"]))  # [K, D]
        images = model.pair.image_embeddings(batch["images"])  # [M, D]
        logits = model.logits(texts, images)  # [K, M]
        positives = batch["positives"]
        loss, metrics = symmetric_info_nce(logits, positives=positives)
        if self.logistic_weight:
            margins = self.match_slope.exp() * logits + self.match_offset
            matching = functional.binary_cross_entropy_with_logits(margins, positives.to(margins))
            # Matches are about one in ten: their share is what brings this to the other's size.
            loss = loss + self.logistic_weight * matching / positives.float().mean()
            metrics["matching"] = matching.detach()
        if self.labels is not None:
            naming = self.labels.loss(images, batch["shown"], texts, batch["meant"])
            loss = loss + self.label_weight * naming
            metrics["naming"] = naming.detach()
        return loss, metrics | {"scale": model.scale.log_scale.detach().exp()}


class _LabelHeads(nn.Module):
    """Names what images show and what texts mean, linearly, from their embeddings."""

    def __init__(self, embedding: int) -> None:
        super().__init__()
        self.shown = nn.Linear(embedding, len(SHOWN))
        self.meant = nn.Linear(embedding, sum(map(len, SLOTS)))

    def loss(self, images: Tensor, shown: Tensor, texts: Tensor, meant: Tensor) -> Tensor:
        """Return the loss of labels [M, P] and [K, S], from images [M, D] and texts [K, D]."""
        seen = functional.binary_cross_entropy_with_logits(
            _STEEP * self.shown(images), shown.to(images)
        )
        # Few labels hold: their share is what brings this to the other's size.
        total = seen / shown.float().mean().clamp(min=1e-3)
        slots = (_STEEP * self.meant(texts)).split([len(slot) for slot in SLOTS], 1)
        read = [
            functional.cross_entropy(slot, meant[:, n], reduction="sum")
            for n, slot in enumerate(slots)
        ]
        labelled = (meant >= 0).sum(0).clamp(min=1)  # [S]
        return total + (torch.stack(read) / labelled).mean()


def to_bytes(texts: Sequence[str]) -> Tensor:
    """Return texts as UTF-8, uint8 [K, C], padded with 0: batches hold tensors only."""
    encoded = [text.encode() for text in texts]
    padded = np.zeros((len(encoded), max(map(len, encoded), default=0)), np.uint8)
    for row, text in zip(padded, encoded, strict=True):
        row[: len(text)] = np.frombuffer(text, np.uint8)
    return torch.from_numpy(padded)


def from_bytes(padded: Tensor) -> list[str]:
    """Return the texts that ``to_bytes`` has padded."""
    return [row.tobytes().rstrip(b"\0").decode() for row in padded.numpy()]
