"""Instructions as numbers: embeddings of texts, and numbers of words.

Axes: ``K`` texts, ``D`` numbers in an embedding, ``L`` words.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from langrl.errors import ConfigError, NonFiniteError, ShapeError
from langrl.protocols import Array, Floats, as_texts, check_instruction
from langrl.training.forks import use_one_thread_after_fork
from langrl.words import TokenLimit, WordTokeniser, check_length

use_one_thread_after_fork()  # encoders of any library may be in forked environments

_CACHED = 100_000


class TextFeatures(Protocol):
    """Maps texts to numbers of one shape, those of ``space``."""

    space: "spaces.Box[Any]"

    def __call__(self, texts: Sequence[str]) -> Array:
        """Return numbers [K, ...]."""


class LastTexts:
    """Keeps the numbers of the last texts, which mostly stay the same from step to step."""

    def __init__(self, feature: TextFeatures) -> None:
        self._feature, self.space = feature, feature.space
        self._texts: tuple[str, ...] = ()
        self._numbers = np.zeros(0)

    def __call__(self, texts: Sequence[str]) -> Array:
        """Return numbers [K, ...] that are the caller's own."""
        if self._texts != tuple(texts):
            self._texts, self._numbers = tuple(texts), self._feature(texts)
        return self._numbers.copy()


def read_embeddings(encoded: Any, encoder: str) -> Floats:
    """Return embeddings that an encoder gave, tensors or arrays, as float32 [...].

    Raises:
        ShapeError: if they are no numbers of one shape.
        NonFiniteError: if one is not finite.
    """
    if hasattr(encoded, "detach"):
        encoded = encoded.detach().cpu().float()
    try:
        array = np.asarray(encoded, np.float32)
    except (TypeError, ValueError):
        raise ShapeError(
            f"{encoder} gives no array of numbers, but {type(encoded).__name__}; give one that"
            " returns an array or a tensor"
        ) from None
    if not np.isfinite(array).all():
        raise NonFiniteError(f"{encoder} gives numbers that are not finite; fix it")
    return array


class EmbeddedText:
    """Embeddings of texts; each is encoded once and by itself, and then stays what it is.

    By itself, because the last bits of an embedding vary with what else is in the batch.

    Args:
        encoder: anything with ``encode_text(texts)``, a SentenceTransformer, or a function from
            K texts to [K, D].

    Raises:
        ShapeError: if it is none of these, or does not give [K, D].
        NonFiniteError: if it does not give finite numbers.
    """

    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder
        text = "go to the goal"
        row = self._encode(text)
        self._cache: dict[str, Floats] = {text: row}
        self.space = spaces.Box(-np.inf, np.inf, row.shape, np.float32)

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Return embeddings [K, D].

        Raises:
            InstructionError: if a text cannot be an instruction, or is longer than a
                SentenceTransformer reads.
            ShapeError: if the width of embeddings has changed.
        """
        if len(self._cache) > _CACHED:
            self._cache.clear()
        texts = as_texts(texts)
        for text in texts:
            if text not in self._cache:
                self._cache[text] = self._row(text)
        return np.stack([self._cache[text] for text in texts])

    def _row(self, text: str) -> Floats:
        row = self._encode(text)
        if row.shape != self.space.shape:
            raise ShapeError(
                f"the text encoder gave {len(row)} numbers, and {self.space.shape[0]} before; give"
                " EmbedInstruction one whose embeddings keep their width"
            )
        return row

    def _encode(self, text: str) -> Floats:
        check_instruction(text)
        encoder = self._encoder
        if isinstance(encoder, str | type):
            name = encoder if isinstance(encoder, str) else encoder.__name__
            raise ShapeError(f"{name!r} only names a text encoder; load it, and give the object")
        if hasattr(encoder, "encode_text"):
            encoded = encoder.encode_text([text])
        elif hasattr(encoder, "encode"):
            TokenLimit(encoder)(text)
            # {"text": ...}: a plain string that looks like a URL or a file would be opened.
            encoded = encoder.encode([{"text": text}], show_progress_bar=False)
        elif callable(encoder):
            encoded = encoder([text])
        else:
            raise ShapeError(
                f"{type(encoder).__name__} encodes no texts; give something with encode_text, a"
                " SentenceTransformer, or a function from texts to arrays"
            )
        array = read_embeddings(encoded, "the text encoder")
        if array.ndim < 2 or len(array) != 1 or not array.size:
            raise ShapeError(
                f"the text encoder gives {list(array.shape)} for a list of 1 text, not [1, D]"
            )
        return array.reshape(-1)


class TokenisedText:
    """Numbers of words [K, L], padded with 0.

    Args:
        tokeniser: which word has which number.
        length: how many words are read, L.

    Raises:
        ConfigError: if the tokeniser is none.
        ShapeError: if the length is no number of words.
    """

    def __init__(self, tokeniser: WordTokeniser, length: int) -> None:
        if not callable(tokeniser) or not hasattr(tokeniser, "__len__"):
            raise ConfigError(
                f"tokeniser is a langrl.words.WordTokeniser, got {type(tokeniser).__name__}; make"
                " one with WordTokeniser.learn(texts)"
            )
        if not isinstance(length, int | np.integer) or length < 1:
            raise ShapeError(f"length is the number of words to read, at least 1; got {length!r}")
        self._tokeniser = tokeniser
        self.space = spaces.Box(0, len(tokeniser) - 1, (int(length),), np.int32)

    def __call__(self, texts: Sequence[str]) -> NDArray[np.int32]:
        """Return numbers of words [K, L].

        Raises:
            InstructionError: if a text cannot be an instruction, or has more than L words.
        """
        texts = as_texts(texts)
        tokens = np.zeros((len(texts), *self.space.shape), np.int32)
        for row, text in zip(tokens, texts, strict=True):
            numbers = self._tokeniser(text)
            check_length(len(numbers), len(row), "words", "raise the length")
            row[: len(numbers)] = numbers
        return tokens
