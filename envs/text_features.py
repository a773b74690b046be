"""Instructions as numbers: embeddings of texts, and numbers of words.

Axes: ``K`` texts, ``D`` numbers in an embedding, ``L`` words.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from langrl.errors import ShapeError
from langrl.protocols import check_instruction
from langrl.words import WordTokeniser

_CACHED = 100_000


class TextFeatures(Protocol):
    """Maps texts to numbers of one shape, those of ``space``."""

    space: spaces.Box

    def __call__(self, texts: Sequence[str]) -> NDArray[Any]:
        """Return numbers [K, ...]."""
        ...


class EmbeddedText:
    """Embeddings of texts; each is encoded once, and then stays what it is.

    Args:
        encoder: anything with ``encode_text(texts)``, a SentenceTransformer, or a function from
            K texts to [K, D].

    Raises:
        ShapeError: if it is none of these, or does not give [K, D].
    """

    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder
        self._cache: dict[str, NDArray[np.float32]] = {}
        width = self._encode(["go to the goal"]).shape[1]
        self.space = spaces.Box(-np.inf, np.inf, (width,), np.float32)

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return embeddings [K, D].

        Raises:
            InstructionError: if a text cannot be an instruction.
            ShapeError: if the width of embeddings has changed.
        """
        new = [text for text in dict.fromkeys(texts) if text not in self._cache]
        if len(self._cache) + len(new) > _CACHED:
            self._cache.clear()
            new = list(dict.fromkeys(texts))
        if new:
            encoded = self._encode(new)
            if encoded.shape[1:] != self.space.shape:
                raise ShapeError(
                    f"the text encoder gave {encoded.shape[1]} numbers, and {self.space.shape[0]}"
                    " before; give one whose embeddings keep their width"
                )
            self._cache.update(zip(new, encoded, strict=True))
        return np.stack([self._cache[text] for text in texts])

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        for text in texts:
            check_instruction(text)
        encoder = self._encoder
        if hasattr(encoder, "encode_text"):
            encoded = encoder.encode_text(texts)
        elif hasattr(encoder, "encode"):
            # {"text": ...}: a plain string that looks like a URL or a file would be opened.
            inputs = [{"text": text} for text in texts]
            encoded = encoder.encode(inputs, show_progress_bar=False)
        elif callable(encoder):
            encoded = encoder(texts)
        else:
            raise ShapeError(
                f"{type(encoder).__name__} encodes no texts; give something with encode_text, a"
                " SentenceTransformer, or a function from texts to arrays"
            )
        if hasattr(encoded, "detach"):
            encoded = encoded.detach().cpu()
        array = np.asarray(encoded, np.float32)
        if array.ndim < 2 or len(array) != len(texts):
            raise ShapeError(
                f"the text encoder gives {list(array.shape)} for {len(texts)} texts, not [K, D]"
            )
        return array.reshape(len(texts), -1)


class TokenisedText:
    """Numbers of words [K, L], padded with 0.

    Args:
        tokeniser: which word has which number.
        length: how many words are read, L.
    """

    def __init__(self, tokeniser: WordTokeniser, length: int) -> None:
        if length < 1:
            raise ShapeError(f"length is the number of words to read, at least 1; got {length}")
        self._tokeniser = tokeniser
        self.space = spaces.Box(0, len(tokeniser) - 1, (length,), np.int32)

    def __call__(self, texts: Sequence[str]) -> NDArray[np.int32]:
        """Return numbers of words [K, L]; raises InstructionError if a text cannot be one."""
        tokens = np.zeros((len(texts), *self.space.shape), np.int32)
        for row, text in zip(tokens, texts, strict=True):
            numbers = self._tokeniser(text)[: len(row)]
            row[: len(numbers)] = numbers
        return tokens
