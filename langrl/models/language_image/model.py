"""Language-image models: h(image, text), an estimate of log p(goal | text) / p(goal).

Axes: ``M`` images, ``K`` texts, ``R`` reference images, ``D`` embedding size; leading axes
broadcast.

A trained model ranks; calibration turns its scores into log density ratios. Held-out pairs give
P(match | g, l) = sigmoid(slope * logits + offset), and by Bayes p(g | l) / p(g) is that over its
mean over goals. It saturates: all goals that fit an instruction weigh the same.
"""

import contextlib
import importlib.resources
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import Field, ValidationError, model_validator
from torch import Tensor, nn
from torch.nn import functional

from langrl.checkpoint import (
    MANIFEST,
    MODEL_FOLDER,
    Checkpoint,
    content_digest,
    fill,
    no_larger_than,
    read_checkpoint,
    replace_folder,
    write_checkpoint,
)
from langrl.errors import CheckpointError, ConfigError, DomainError, ShapeError
from langrl.functional.energies import cosine
from langrl.models.config import LanguageImageConfig
from langrl.models.critics.maze import Scale
from langrl.models.language_image.image_inputs import as_batch
from langrl.models.language_image.sentence_pair import (
    PairDescription,
    SentenceTransformerPair,
    check_digests,
    in_chunks,
)
from langrl.models.language_image.towers import (
    CompactImageTower,
    CompactTextTower,
    PretrainedTextTower,
    TextTower,
    TowerPair,
)
from langrl.models.logistic import fit_logistic
from langrl.models.understanding import UNDERSTOOD, Understanding, read_understanding
from langrl.protocols import as_texts
from langrl.settings import Settings, describe_invalid
from langrl.training.seeding import seeded

BUNDLED = "bundled"
_INITIAL_SCALE = 5.0  # CLIP's 14 (arXiv:2103.00020) kept small models on a plateau for longer
_REFERENCES = 256
_BACKBONE = "backbone"  # the folder and, in names of weights, the module
_MODEL, _WEIGHTS, _NUMBERS = "model", "weights", "numbers"


class TowersDescription(Settings):
    """All that shapes a model of two towers, apart from its weights."""

    kind: Literal["towers"] = "towers"
    config: LanguageImageConfig = Field(LanguageImageConfig(), description="sizes of the towers")
    vocabulary: tuple[str, ...] = Field((), description="compact text: words of the frozen table")
    table_width: int = Field(0, ge=0, le=4096, description="compact text: numbers in a word's row")
    text_width: int | None = Field(
        None, ge=1, le=1 << 16, description="named text model: numbers in its embedding"
    )
    text_sha256: str | None = Field(
        None, description="named text model in a folder: digest of the folder; none before 0.3"
    )

    @model_validator(mode="after")
    def _table_is_whole(self) -> Self:
        if len(set(self.vocabulary)) != len(self.vocabulary):
            raise ValueError("the vocabulary names a word twice; give each word once")
        if bool(self.vocabulary) != bool(self.table_width):
            raise ValueError("vocabulary and table_width go together; give both or neither")
        return self


Description = TowersDescription | PairDescription
DESCRIPTIONS: dict[str, type[TowersDescription] | type[PairDescription]] = {
    "towers": TowersDescription,
    "pair": PairDescription,
}


class LanguageImageModel(nn.Module):
    """Scores images of goals against texts.

    The pair, built from the description, embeds both into unit vectors, [M, D] and [K, D].
    """

    def __init__(self, pair: TowerPair | SentenceTransformerPair, description: Description) -> None:
        super().__init__()
        self.pair, self.description, self.scale = pair, description, Scale()
        self.understanding: Understanding | None = None
        trained = pair.log_scale() if isinstance(pair, SentenceTransformerPair) else None
        initial = math.log(_INITIAL_SCALE) if trained is None else trained
        nn.init.constant_(self.scale.log_scale, initial)
        self.scale.bound()
        self.slope: Tensor
        self.offset: Tensor
        self.reference: Tensor
        self.register_buffer("slope", torch.ones(()))
        self.register_buffer("offset", torch.zeros(()))
        self.register_buffer("reference", torch.zeros(0, 0))

    @property
    def calibrated(self) -> bool:
        """Whether ``score`` is a log density ratio."""
        return len(self.reference) > 0

    def encode_image(self, images: Any) -> Tensor:
        """Embed images, as ``read_images`` takes them, without gradients; unit [M, D].

        Raises:
            ShapeError: if they are no images, or of a size that the image tower does not take.
            NonFiniteError: if a float is NaN or infinite.
        """
        return in_chunks(self, self.pair.image_embeddings, as_batch(images))

    def encode_text(self, texts: str | Sequence[str]) -> Tensor:
        """Embed texts without gradients; unit [K, D].

        Raises:
            InstructionError: if a text cannot be an instruction, or is longer than the model
                reads.
        """
        return in_chunks(self, self.pair.text_embeddings, as_texts(texts))

    def logits(self, images: Tensor, texts: Tensor) -> Tensor:
        """Return scaled cosines of embeddings, [..., M, D] x [..., K, D] -> [..., M, K].

        This is what is trained; it ranks, and is no density ratio before calibration.

        Raises:
            ShapeError: if the embedding sizes differ.
        """
        return self.scale(cosine(images, texts))

    def score(self, images: Tensor, texts: Tensor) -> Tensor:
        """Return log p(g | l) / p(g) in nats, [..., M, K].

        Goals follow the reference images, over which exp(score) has mean 1. Before calibration
        these are the plain logits. Errors as ``logits``.
        """
        if not self.calibrated:
            return self.logits(images, texts)
        evidence = functional.logsigmoid(self._margins(self.reference, texts))  # [..., R, K]
        # log-mean of logsigmoid: finite even where no reference image matches.
        normaliser = evidence.logsumexp(-2, keepdim=True) - math.log(len(self.reference))
        return functional.logsigmoid(self._margins(images, texts)) - normaliser

    def match_probability(self, images: Tensor, texts: Tensor) -> Tensor:
        """Return P(match | g, l) of embeddings, [..., M, D] x [..., K, D] -> [..., M, K].

        Raises:
            DomainError: if the model is not calibrated.
            ShapeError: if the embedding sizes differ.
        """
        if not self.calibrated:
            raise DomainError(
                "match_probability needs a calibrated model; call calibrate on held-out pairs"
            )
        return self._margins(images, texts).sigmoid()

    def log_ratio(self, images: Any, texts: str | Sequence[str]) -> Tensor:
        """Return ``score`` of images and texts [M, K], without gradients.

        Errors as ``encode_image`` and ``encode_text``.
        """
        with torch.no_grad():
            return self.score(self.encode_image(images), self.encode_text(texts))

    def _margins(self, images: Tensor, texts: Tensor) -> Tensor:
        return self.slope * self.logits(images, texts).float() + self.offset

    @torch.no_grad()
    def calibrate(
        self, images: Tensor, texts: Tensor, matches: Tensor, valid: Tensor | None = None
    ) -> None:
        """Fit P(match | g, l) on held-out pairs, and keep up to 256 images as the reference.

        Args:
            images: embeddings [M, D] of images distributed as goals are.
            texts: embeddings [K, D].
            matches: bool [M, K], whether the image's goal satisfies the text.
            valid: bool [M, K], where ``matches`` is known; everywhere by default.

        Raises:
            ShapeError: if shapes do not agree or a mask is not bool.
            DomainError: if matches or mismatches are missing, or do not score below matches.
        """
        images, texts = images.to(self.reference.device), texts.to(self.reference.device)
        logits = self.logits(images, texts)
        for name, mask in (("matches", matches), ("valid", valid)):
            if mask is not None and (mask.shape != logits.shape or mask.dtype != torch.bool):
                raise ShapeError(
                    f"{name} must be bool {list(logits.shape)}, got {mask.dtype}"
                    f" {list(mask.shape)}; give one entry for each image and text"
                )
        seen = torch.ones_like(matches) if valid is None else valid
        seen = seen.to(logits.device)
        slope, offset = fit_logistic(logits[seen], matches.to(logits.device)[seen])
        self.slope.fill_(slope)
        self.offset.fill_(offset)
        count = min(_REFERENCES, len(images))
        kept = torch.linspace(0, len(images) - 1, count, device=images.device).round().long()
        self.reference = images[kept].float().clone()

    def save(
        self, folder: str | Path, card: str, numbers: Mapping[str, Any], half: bool = False
    ) -> None:
        """Write the model as a folder of its own, whole or not at all.

        ``model.json`` describes it, ``weights.safetensors`` holds its weights, ``numbers.json``
        ``numbers``, ``README.md`` the card. A SentenceTransformer that was trained is stored in
        ``backbone/``, which SentenceTransformer loads by itself, with its digests in
        ``model.json``; one that was not is stored by name. ``understood.json`` holds the fit of
        P(understood), if there is one.

        Args:
            folder: where; a model that is there is replaced.
            card: the model card, Markdown.
            numbers: what was measured, as JSON values.
            half: whether the towers' weights are rounded to float16.

        Raises:
            ConfigError: if the folder holds something else than a model.
        """
        folder = Path(folder).resolve()  # the renames below are of the folder itself, not of a link
        if folder.exists() and not (folder / MANIFEST).is_file() and any(folder.iterdir()):
            raise ConfigError(f"{folder} holds something else than a model; give a new folder")
        staging = folder.with_name(f".{folder.name}.staging")
        backbone = folder.with_name(f".{folder.name}.{_BACKBONE}")
        for left_over in (staging, backbone):
            shutil.rmtree(left_over, ignore_errors=True)
        description = self.description
        if isinstance(description, PairDescription):
            digests = {}
            if description.fine_tune:
                assert isinstance(self.pair, SentenceTransformerPair)
                digests = self.pair.save(backbone)
            description = description.model_copy(update={"sha256": digests})
        weights = {name: _stored(name, value, half) for name, value in _own_state(self).items()}
        documents = {_MODEL: description.model_dump(mode="json"), _NUMBERS: dict(numbers)}
        if self.understanding is not None:
            documents[UNDERSTOOD] = self.understanding.model_dump(mode="json")
        write_checkpoint(staging, Checkpoint(documents, {_WEIGHTS: weights}))
        (staging / "README.md").write_text(card, encoding="utf-8")
        if backbone.exists():
            backbone.rename(staging / _BACKBONE)
        replace_folder(staging, folder)


# -- building, saving, loading ---------------------------------------------------------------


def build_language_image_model(description: Description, seed: int) -> LanguageImageModel:
    """Return the model of a description, initialised from a seed; a word table is still 0.

    Raises ConfigError or MissingExtraError if a SentenceTransformer cannot be loaded.
    """
    with seeded(seed):
        if isinstance(description, PairDescription):
            return _pair_model(description, description.name)
        size, text = description.config.embedding, description.config.text
        image_tower = CompactImageTower(size, description.config.image)
        text_tower: TextTower
        if text.model == "compact":
            text_tower = CompactTextTower(
                description.vocabulary, size, text, description.table_width
            )
        else:
            text_tower = PretrainedTextTower(size, text, text_width=description.text_width)
            known = {"text_width": text_tower.encoder.input_width}
            description = description.model_copy(update=known | _digest_of(description))
        return LanguageImageModel(TowerPair(image_tower, text_tower), description)


def _digest_of(description: TowersDescription) -> dict[str, str]:
    """Return the digest of a text model's folder, if it is one; refuse another than was used.

    Raises:
        CheckpointError: if the folder holds another model than the head was trained on.
    """
    name, before = description.config.text.model, description.text_sha256
    if not Path(name).is_dir():
        return {}
    now = content_digest(Path(name))
    if before not in (None, now):
        raise CheckpointError(
            f"the text tower was trained on another model than {name} holds now; put that one back,"
            " or train it again"
        )
    return {"text_sha256": now}


def _pair_model(description: PairDescription, source: str) -> LanguageImageModel:
    pair = SentenceTransformerPair(source, heads=description.heads, fine_tune=description.fine_tune)
    return LanguageImageModel(pair, description)


def _own_state(model: LanguageImageModel) -> dict[str, Tensor]:
    prefix = f"pair.{_BACKBONE}."  # stored as a folder or by name
    return {name: v for name, v in model.state_dict().items() if not name.startswith(prefix)}


def _stored(name: str, value: Tensor, half: bool) -> Tensor:
    rounded = name.endswith("table_scale") or (half and name.startswith("pair."))
    return value.half() if rounded and value.is_floating_point() else value


def load_language_image_model(
    source: str | Path = BUNDLED, device: str | torch.device = "cpu"
) -> LanguageImageModel:
    """Load a model, in evaluation mode; no code that comes with one is run.

    Args:
        source: "bundled", the model that langrl carries; a folder that ``save`` has written, or a
            run folder of ``langrl pretrain`` with it; or a SentenceTransformer of texts and images,
            by folder or hub name, not calibrated.
        device: where to.

    Raises:
        ConfigError: if there is no such model, or it does not embed both texts and images.
        CheckpointError: if a saved model is incomplete, damaged or of another kind.
        MissingExtraError: if it needs sentence-transformers, which is not installed.
    """
    folder = stored_folder(source)
    if (folder / MANIFEST).is_file() or (folder / f"{_MODEL}.json").is_file():
        model = _read_model(folder)
    else:
        if folder.is_dir():
            source = folder.resolve()  # so that a saved copy finds it from anywhere
        model = _pair_model(PairDescription(name=str(source)), str(source))
    return model.to(device).eval()


def stored_folder(source: str | Path) -> Path:
    """Return the folder of a stored model, which need not be there.

    Args:
        source: see ``load_language_image_model``.

    Raises:
        ConfigError: if it is "bundled", and this langrl carries none.
    """
    folder = Path(source)
    if source == BUNDLED:
        folder = Path(str(importlib.resources.files("langrl.models") / BUNDLED))
        if not folder.is_dir():
            raise ConfigError(
                "this langrl carries no bundled language-image model; install the released wheel,"
                " or give the folder or hub name of a CLIP"
            )
    inner = folder / MODEL_FOLDER
    return inner if (inner / MANIFEST).is_file() else folder


def _read_model(folder: Path) -> LanguageImageModel:
    checkpoint = read_checkpoint(folder)
    document, weights = checkpoint.documents.get(_MODEL), checkpoint.tensors.get(_WEIGHTS)
    kind = str(document.get("kind")) if isinstance(document, dict) else ""
    if weights is None or kind not in DESCRIPTIONS:
        raise CheckpointError(f"{folder} is no language-image model; check the path")
    try:
        description = DESCRIPTIONS[kind].model_validate(document)
    except ValidationError as error:
        problem = describe_invalid(error, DESCRIPTIONS[kind])
        raise CheckpointError(f"{folder / _MODEL}.json: {problem}; save the model again") from error
    if isinstance(description, PairDescription) and description.fine_tune:
        check_digests(folder / _BACKBONE, description.sha256)
        model = _pair_model(description, str(folder / _BACKBONE))
    else:
        own = isinstance(description, TowersDescription)  # else, its weights are elsewhere
        with no_larger_than(weights) if own else contextlib.nullcontext():
            model = build_language_image_model(description, seed=0)
    if (reference := weights.get("reference")) is not None:
        model.reference = torch.zeros(reference.shape)  # as many images as there were
    fill(_own_state(model), weights)
    model.understanding = read_understanding(checkpoint.documents, folder)
    return model
