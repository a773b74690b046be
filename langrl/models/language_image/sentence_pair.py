"""A SentenceTransformer that embeds both texts and images, such as CLIP or SigLIP.

Axes: ``M`` images of ``H`` x ``W`` pixels, ``K`` texts, ``D`` embedding size.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from langrl.checkpoint import file_digests
from langrl.errors import CheckpointError, ConfigError, LangRLError, MissingExtraError
from langrl.models.hub import looks_like_a_folder, open_sentence_transformer
from langrl.models.language_image.image_inputs import as_batch, read_images, read_texts
from langrl.protocols import as_texts
from langrl.settings import Settings
from langrl.words import TokenLimit

_CHUNK = 256


class PairDescription(Settings):
    """All that shapes a model that is one SentenceTransformer, apart from its weights."""

    kind: Literal["pair"] = "pair"
    name: str = Field(min_length=1, description="hub name or folder that it was made from")
    heads: bool = Field(False, description="whether each modality has a trained linear map")
    fine_tune: bool = Field(
        False, description="whether the SentenceTransformer itself is trained, and stored"
    )
    sha256: dict[str, str] = Field({}, description="digests of the stored SentenceTransformer")


class SentenceTransformerPair(nn.Module):
    """Both towers in one SentenceTransformer: unit embeddings of images and texts.

    Args:
        name: a name on the hub, or a folder; its weights must be in safetensors.
        heads: whether each modality gets a trained linear map, added to its embeddings; 0 at
            first, so that it starts out as the model itself.
        fine_tune: whether the model's own weights are trained; they are frozen otherwise, and
            stay in evaluation mode.

    Raises:
        MissingExtraError: if sentence-transformers is not installed.
        ConfigError: if there is no such model, it cannot be loaded, or it embeds no images.
    """

    def __init__(self, name: str, *, heads: bool = False, fine_tune: bool = False) -> None:
        super().__init__()
        self.name, self.fine_tune = name, fine_tune
        self.backbone = load_pair(name).requires_grad_(fine_tune)
        with torch.no_grad():  # measured: models store their sizes in different places
            texts = self._embed([{"text": "goal"}])
            images = self._embed(_images(torch.zeros(1, 32, 32, 3, dtype=torch.uint8)))
        self.embedding = texts.shape[1]
        if images.shape[1] != self.embedding:
            raise ConfigError(
                f"{name} embeds texts in {self.embedding} numbers and images in"
                f" {images.shape[1]}; give a model with one space for both, such as a CLIP"
            )
        modalities = ("image", "text")
        self.heads = nn.ModuleDict({m: self._head() for m in modalities}) if heads else None
        self.eval()

    def _head(self) -> nn.Linear:
        head = nn.Linear(self.embedding, self.embedding)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        return head

    def train(self, mode: bool = True) -> "SentenceTransformerPair":
        """Set the mode; a frozen model stays in evaluation mode."""
        super().train(mode)
        self.backbone.train(mode and self.fine_tune)
        return self

    @property
    def limit(self) -> TokenLimit:
        """Refuses texts that are longer than the model reads."""
        return TokenLimit(self.backbone)

    def log_scale(self) -> float | None:
        """Return the log inverse temperature that the model was trained with, if it has one."""
        for name, value in self.backbone.named_parameters():
            if name.rpartition(".")[2] == "logit_scale" and value.numel() == 1:
                return float(value.detach())
        return None

    def image_embeddings(self, images: Any) -> Tensor:
        """Embed images; unit [M, D] with gradients. Arguments and errors as ``read_images``."""
        return self._headed(_images(read_images(images)), "image")

    def text_embeddings(self, texts: str | Sequence[str]) -> Tensor:
        """Embed texts; unit [K, D] with gradients.

        Raises:
            InstructionError: if a text cannot be an instruction, or is longer than the model
                reads.
        """
        listed, limit = read_texts(texts), self.limit
        for text in listed:
            limit(text)
        # {"text": ...}: a plain string that looks like a URL or a file would be opened.
        return self._headed([{"text": text} for text in listed], "text")

    def _headed(self, inputs: list[Any], modality: str) -> Tensor:
        if not inputs:
            return torch.zeros(0, self.embedding, device=self._device())
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.fine_tune):
            embedded = self._embed(inputs)
        if self.heads is not None:
            embedded = embedded + self.heads[modality](embedded)
        return functional.normalize(embedded, dim=-1)

    def _embed(self, inputs: list[Any]) -> Tensor:
        device = self._device()
        features = {
            key: value.to(device) if isinstance(value, Tensor) else value
            for key, value in self.backbone.preprocess(inputs).items()
        }
        embedded: Tensor = self.backbone(features)["sentence_embedding"]
        return functional.normalize(embedded.float(), dim=-1)

    def _device(self) -> torch.device:
        return next(self.backbone.parameters()).device

    def encode_image(self, images: Any) -> Tensor:
        """Embed images without gradients; nothing is cached. Errors as ``image_embeddings``."""
        return in_chunks(self, self.image_embeddings, as_batch(images))

    def encode_text(self, texts: str | Sequence[str]) -> Tensor:
        """Embed texts without gradients; nothing is cached. Errors as ``text_embeddings``."""
        return in_chunks(self, self.text_embeddings, as_texts(texts))

    def save(self, folder: Path) -> dict[str, str]:
        """Write the model without its heads for SentenceTransformer; returns sha256 by path."""
        self.backbone.save(str(folder), create_model_card=False)
        return file_digests(folder)


@torch.no_grad()
def in_chunks(module: nn.Module, embed: Callable[[Any], Tensor], inputs: Any) -> Tensor:
    """Embed all inputs, 256 at a time, without gradients and in ``module``'s evaluation mode."""
    starts = range(0, len(inputs), _CHUNK) or [0]  # no inputs: [0, D], not an error
    training = module.training
    if training:
        module.eval()
    try:
        return torch.cat([embed(inputs[start : start + _CHUNK]) for start in starts])
    finally:
        if training:
            module.train()


def check_digests(folder: Path, sha256: Mapping[str, str]) -> None:
    """Raise CheckpointError if a file of a stored SentenceTransformer is missing, other or new."""
    stored = file_digests(folder)
    for name in sorted(stored.keys() | sha256.keys()):
        if stored.get(name) != sha256.get(name):
            raise CheckpointError(
                f"{folder / name} is missing, damaged or new (model.json has another sha256 or"
                " none); copy the whole model again"
            )


def _images(images: Tensor) -> list[Any]:
    """Return PIL images; oblong images get black bars, since CLIP would cut them to squares."""
    from PIL import Image

    height, width = images.shape[1:3]
    over = max(height, width)
    top, left = (over - height) // 2, (over - width) // 2
    bars = (0, 0, left, over - width - left, top, over - height - top)
    square = functional.pad(images.cpu(), bars)
    return [Image.fromarray(image.numpy()) for image in square]


def load_pair(name: str) -> Any:
    """Load a SentenceTransformer that embeds texts and images, by hub name or folder.

    Only weights in safetensors are read, and no code that comes with a model is run. Nothing is
    cached here: each call returns a model of its own.

    Raises:
        MissingExtraError: if sentence-transformers is not installed.
        ConfigError: if there is no such model, it cannot be loaded, or it embeds no images.
    """
    if looks_like_a_folder(name) and not Path(name).is_dir():
        raise ConfigError(f"no folder {name}; give a SentenceTransformer's folder or hub name")
    try:
        import sentence_transformers  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f'{name!r} needs sentence-transformers; pip install "langrl[text]"'
        ) from error
    try:
        model = open_sentence_transformer(name, model_kwargs={"use_safetensors": True})
    except LangRLError:
        raise
    except Exception as error:  # the hub's own errors come from several libraries
        raise ConfigError(
            f"cannot load {name!r} ({type(error).__name__}: {error}); give the folder or hub name"
            " of a SentenceTransformer with safetensors weights"
        ) from error
    missing = {"text", "image"} - set(model.modalities)
    if missing:
        what = "text" if "image" in missing else "images"
        raise ConfigError(
            f"{name} encodes {what} only; give a CLIP or SigLIP, or use it as text.model"
        )
    return model.eval()
