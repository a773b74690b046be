"""Towers of a language-image model: images and texts into one space of unit vectors.

Axes: ``M`` images of ``H`` x ``W`` pixels, ``K`` texts, ``L`` words, ``G`` trigrams of a word,
``C`` channels or width, ``Q`` learned queries, ``V`` words with a table row of ``P`` numbers,
``D`` embedding size.
"""

import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from langrl.errors import NonFiniteError, ShapeError
from langrl.models.config import ImageTowerConfig, TextConfig, TextTowerConfig
from langrl.models.encoders import PretrainedTextEncoder
from langrl.models.language_image.image_inputs import read_images
from langrl.models.word_front import SpellingCorrector, rows_of
from langrl.protocols import as_texts
from langrl.words import PAD, UNKNOWN, TextLimit, WordLimit

_SMALLEST, _LARGEST = 3, 32  # patches along an image's side
_GROUPS, _HEADS = 8, 4
_FIRST_WORD = 2
_TOGETHER = 64  # texts that are embedded together
_TRIGRAMS = 12  # of a word; the rest is cut off


class AttentionPooling(nn.Module):
    """Pools positions [N, T, C] to unit vectors [N, D]: Q learned queries and a maximum, a head.

    "There is a ball" is a maximum over positions; it gets gradients to single positions from the
    first step on, where means of mostly equal positions tell images apart only later.
    """

    def __init__(self, width: int, queries: int, embedding: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.queries = nn.Linear(width, queries, bias=False)
        nn.init.normal_(self.queries.weight, std=2 / width**0.5)  # at 0 they would average
        self.head = nn.Linear((queries + 1) * width, embedding)

    def forward(self, positions: Tensor, real: Tensor | None = None) -> Tensor:
        """Pool; only positions where ``real`` [N, T] is True are seen."""
        normal = self.norm(positions)
        weights, values = self.queries(normal), normal  # [N, T, Q], [N, T, C]
        if real is not None:
            weights = weights.masked_fill(~real.unsqueeze(-1), -torch.inf)
            values = values.masked_fill(~real.unsqueeze(-1), -torch.inf)
        pooled = torch.cat([weights.softmax(1).mT @ normal, values.amax(1, keepdim=True)], 1)
        return functional.normalize(self.head(pooled.flatten(1)), dim=-1)  # [N, D]


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(_GROUPS, channels)
        self.convolution = nn.Conv2d(channels, channels, 3, padding=1)  # zeros show the borders

    def forward(self, patches: Tensor) -> Tensor:
        return patches + self.convolution(functional.silu(self.norm(patches)))


class CompactImageTower(nn.Module):
    """A small image tower in plain torch, for images of any size that is made of patches.

    A linear embedding of patches, residual 3x3 convolutions over them, attention pooling.
    """

    def __init__(self, embedding: int, config: ImageTowerConfig) -> None:
        super().__init__()
        self.config = config
        self.patches = nn.Conv2d(3, config.channels, config.patch, stride=config.patch)
        self.blocks = nn.Sequential(*(_Residual(config.channels) for _ in range(config.depth)))
        self.pool = AttentionPooling(config.channels, config.queries, embedding)
        # A fifth faster on a CPU, and how images come.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Any) -> Tensor:
        """Map images, as ``read_images`` takes them, to unit embeddings [M, D].

        Raises:
            ShapeError: if a side is no multiple of the patch, or is below 3 or above 32 patches;
                else as ``read_images``.
        """
        read = read_images(images)
        self._check_sides(read.shape[1], read.shape[2])
        weight = self.patches.weight
        bright = read.to(weight.device).permute(0, 3, 1, 2).to(weight.dtype) / 127.5 - 1
        patches = self.blocks(self.patches(bright))  # [M, C, H / patch, W / patch]
        return self.pool(patches.flatten(2).mT)

    def _check_sides(self, *sides: int) -> None:
        patch = self.config.patch
        low, high = _SMALLEST * patch, _LARGEST * patch
        if any(side % patch or not low <= side <= high for side in sides):
            raise ShapeError(
                f"images of {sides[0]} x {sides[1]} pixels do not fit this image tower; resize"
                f" them to sides from {low} to {high} that are multiples of {patch}, as"
                " frame_image of langrl.models.language_image.image_inputs does"
            )


@lru_cache(maxsize=1 << 16)
def _trigrams(word: str, buckets: int) -> tuple[int, ...]:
    marked = f"<{word}>"
    parts = [marked[start : start + 3] for start in range(len(marked) - 2)][:_TRIGRAMS]
    # crc32, not hash: the numbers are part of what was learned, and outlive this process.
    return tuple(zlib.crc32(part.encode()) % buckets + 1 for part in parts)


class CompactTextTower(nn.Module):
    """A small text tower in plain torch: words from a table or from their trigrams, in context.

    A word is its row in a frozen table, projected; a word that is not there is the mean of its
    character trigrams' embeddings, so that it is not lost. A word of four letters or more
    that is not in the table is looked up as the first word there that is one edit away. Two
    texts of the same words in another order differ: positions are learned.

    Args:
        vocabulary: the table's words, V; may be empty.
        table_width: numbers P in a row of the table, which is 0 until ``set_table``.

    Source: trigrams as in Bojanowski et al. 2017, arXiv:1607.04606.
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        embedding: int,
        config: TextTowerConfig,
        table_width: int = 0,
    ) -> None:
        super().__init__()
        self.vocabulary, self.config = tuple(vocabulary), config
        self.limit = WordLimit(config.max_words)
        self._number = {word: n for n, word in enumerate(self.vocabulary, start=_FIRST_WORD)}
        self._correct = SpellingCorrector(self._number)
        width, rows = config.width, len(self.vocabulary)
        self.table: Tensor
        self.table_scale: Tensor
        self.register_buffer("table", torch.zeros(rows, table_width, dtype=torch.int8))
        self.register_buffer("table_scale", torch.zeros(rows, dtype=torch.float16))
        self.project = nn.Linear(table_width, width, bias=False) if rows else None
        self.trigrams = nn.EmbeddingBag(config.buckets + 1, width, mode="mean", padding_idx=PAD)
        self.positions = nn.Parameter(0.1 * torch.randn(config.max_words, width))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, _HEADS, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(config.depth)
        )
        self.pool = AttentionPooling(width, config.queries, embedding)

    @torch.no_grad()
    def set_table(self, rows: Tensor) -> None:
        """Fill the frozen table with rows [V, P], kept as int8 and a scale for each row.

        The table as a whole is scaled to a root mean square of 1: what it is multiplied with is
        learned, and starts out for numbers of that size.

        Raises:
            ShapeError: if there is not one row for each word, of the table's width.
            NonFiniteError: if a number is not finite.
        """
        if rows.shape != self.table.shape:
            raise ShapeError(
                f"the table is {list(self.table.shape)}, got rows {list(rows.shape)};"
                " give one row for each word of the vocabulary"
            )
        if not rows.isfinite().all():
            raise NonFiniteError("a row of the word table is not finite; repair the embeddings")
        normal = rows.double() / rows.double().square().mean().sqrt().clamp(min=1e-12)
        # Rounded first, so that the integers fit the scale as it is stored.
        scale = (normal.abs().amax(1) / 127).to(torch.float16)  # [V]
        steps = normal / scale.double().clamp(min=1e-8).unsqueeze(1)
        self.table.copy_(steps.round().clamp(-127, 127))
        self.table_scale.copy_(scale)

    def tokenise(self, texts: str | Sequence[str]) -> dict[str, Tensor]:
        """Return ``words`` int64 [K, L] and ``trigrams`` int64 [K, L, G], padded with 0.

        L is the longest text's number of words.

        Raises:
            InstructionError: if a text cannot be an instruction, or has more than ``max_words``
                words.
        """
        rows = [self.limit(text) for text in as_texts(texts)]
        length = max(map(len, rows), default=1)
        words = np.full((len(rows), length), PAD, dtype=np.int64)
        trigrams = np.full((len(rows), length, _TRIGRAMS), PAD, dtype=np.int64)
        for k, row in enumerate(rows):
            for place, word in enumerate(row):
                words[k, place] = self._look_up(word)
                if words[k, place] == UNKNOWN:
                    parts = _trigrams(word, self.config.buckets)
                    trigrams[k, place, : len(parts)] = parts
        tokens = {"words": words, "trigrams": trigrams}
        device = self.positions.device
        return {name: torch.from_numpy(value).to(device) for name, value in tokens.items()}

    def _look_up(self, word: str) -> int:
        """Return a word's number; that of the first word that it may be a misspelling of."""
        if word in self._number:
            return self._number[word]
        corrected = self._correct(word)
        return UNKNOWN if corrected is None else corrected

    def forward(self, tokens: dict[str, Tensor]) -> Tensor:
        """Map ``tokenise``'s tokens to unit embeddings [K, D]."""
        words, trigrams = tokens["words"], tokens["trigrams"]
        if not len(words):  # torch's attention takes no empty batch
            return self.positions.new_zeros(0, self.pool.head.out_features)
        lengths = (words != PAD).sum(1)
        # Texts of like length together: most are less than half as long as the longest one.
        order = lengths.argsort(stable=True)
        embedded = []
        for part in order.split(_TOGETHER):
            longest = max(1, int(lengths[part].max()))
            embedded.append(self._embed(words[part, :longest], trigrams[part, :longest]))
        return torch.cat(embedded)[order.argsort()]

    def _embed(self, words: Tensor, trigrams: Tensor) -> Tensor:
        real = words != PAD  # [K, L]
        bags = self.trigrams(trigrams.flatten(0, 1)).unflatten(0, words.shape)  # [K, L, C]
        hidden = bags + self.positions[: words.shape[1]]
        if self.project is not None:
            hidden = hidden + self.project(self._rows(words))
        for layer in self.layers:
            hidden = layer(hidden, src_key_padding_mask=~real)
        return self.pool(hidden, real)

    def _rows(self, words: Tensor) -> Tensor:
        return rows_of(self.table, self.table_scale, words - _FIRST_WORD, self.positions)

    def encode(self, texts: str | Sequence[str]) -> Tensor:
        """Map texts to unit embeddings [K, D]; errors as ``tokenise``."""
        return self(self.tokenise(texts))


class PretrainedTextTower(nn.Module):
    """A frozen SentenceTransformer, cached, with a trained head of two hidden layers.

    ``backbone`` and ``text_width`` are as for ``PretrainedTextEncoder``.
    """

    def __init__(
        self,
        embedding: int,
        config: TextTowerConfig,
        backbone: Any = None,
        text_width: int | None = None,
    ) -> None:
        super().__init__()
        head = TextConfig(model=config.model, width=config.width, alternatives=1)
        self.encoder = PretrainedTextEncoder(config.model, embedding, head, backbone, text_width)

    @property
    def limit(self) -> TextLimit:
        """Refuses texts that are longer than the SentenceTransformer reads."""
        return self.encoder.limit

    def tokenise(self, texts: str | Sequence[str]) -> dict[str, Tensor]:
        """Return ``features`` [K, width]; errors as ``PretrainedTextEncoder.features``."""
        return {"features": self.encoder.features(as_texts(texts))}

    def forward(self, tokens: dict[str, Tensor]) -> Tensor:
        """Map ``tokenise``'s features to unit embeddings [K, D]."""
        return functional.normalize(self.encoder(tokens["features"]).squeeze(1), dim=-1)

    def encode(self, texts: str | Sequence[str]) -> Tensor:
        """Map texts to unit embeddings [K, D]; errors as ``tokenise``."""
        return self(self.tokenise(texts))


TextTower = CompactTextTower | PretrainedTextTower


class TowerPair(nn.Module):
    """An image tower and a text tower with one embedding size."""

    def __init__(self, image: CompactImageTower, text: TextTower) -> None:
        super().__init__()
        self.image, self.text = image, text

    @property
    def limit(self) -> TextLimit:
        """Refuses texts that are longer than the text tower reads."""
        return self.text.limit

    def image_embeddings(self, images: Any) -> Tensor:
        """Embed images [M, H, W, 3], with gradients; unit [M, D]. Errors as the tower's."""
        return self.image(images)

    def text_embeddings(self, texts: str | Sequence[str]) -> Tensor:
        """Embed texts, with gradients; unit [K, D]. Errors as the tower's."""
        return self.text.encode(texts)
