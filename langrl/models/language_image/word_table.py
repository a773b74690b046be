"""A table of words distilled from a SentenceTransformer, for a small text tower.

Axes: ``V`` words, ``F`` numbers in the model's embedding, ``P`` in a row of the table, ``B``
colour memberships.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from langrl.errors import ConfigError, UnknownNameError

_BATCH = 512
_MEMBERSHIP_WEIGHT = 6.0  # of a membership of 1, against rows with a root mean square of 1
_FREQUENT = 3000  # words that are too common to be names of things, or have many other meanings
_CLEAR_LEAD, _NEAR = 0.2, 0.4  # cosines at which a word fully belongs to a kind


@dataclass(frozen=True, eq=False)
class WordTable:
    """Words with a short row each, and the embeddings that near words are looked up in.

    Args:
        words: V distinct words, lower-case.
        rows: floats [V, P]; what ``CompactTextTower.set_table`` takes.
        embeddings: unit floats [V, F], centred over the words.
        colours: memberships in basic colours [V, B]; 0 for words that name no colour.
    """

    words: tuple[str, ...]
    rows: Tensor
    embeddings: Tensor
    colours: Tensor

    def neighbours(self, words: Sequence[str], k: int) -> list[list[tuple[str, float]]]:
        """Return the k nearest other words of each word, and their cosines, nearest first.

        Errors as ``number``.
        """
        numbers = [self.number(word) for word in words]
        cosines = self.embeddings[numbers] @ self.embeddings.T  # [K, V]
        cosines[range(len(numbers)), numbers] = -torch.inf
        nearest = cosines.topk(min(k, len(self.words) - 1), 1)
        return [
            [(self.words[n], value) for n, value in zip(row, values, strict=True)]
            for row, values in zip(nearest.indices.tolist(), nearest.values.tolist(), strict=True)
        ]

    def number(self, word: str) -> int:
        """Return a word's row; UnknownNameError if the word is not in the table."""
        if word not in self.words:
            raise UnknownNameError(f"{word!r} is not in the word table of {len(self.words)} words")
        return self.words.index(word)


def distil_words(
    model: Any,
    width: int,
    colours: Mapping[str, NDArray[np.float64]] | None = None,
    limit: int | None = None,
    kinds: Sequence[str] = (),
    further: Sequence[str] = (),
) -> WordTable:
    """Return a table of the whole words in a SentenceTransformer's vocabulary, and further ones.

    Each word is embedded alone; the embeddings are centred and reduced to their ``width`` principal
    components. Names of colours get their memberships in basic colours as further numbers, and all
    but the most frequent words theirs in ``kinds`` of things, by the model's own cosines. Names of
    colours and kinds come first: a misspelt word is read as the first one that it may be.

    Args:
        model: a SentenceTransformer with a vocabulary of word pieces.
        width: principal components, before the colours are added.
        colours: memberships [B] by name; a name that is no word of the vocabulary is added.
        limit: only that many words, the first ones; all by default.
        kinds: names of kinds of things.
        further: words that come after those of the vocabulary.

    Raises:
        ConfigError: if the model has no such vocabulary, or fewer words than ``width``.
    """
    colours = colours or {}
    vocabulary = vocabulary_words(model)[:limit]
    words = list(dict.fromkeys([*kinds, *sorted(colours), *vocabulary, *further]))
    embeddings = embed_words(model, words)
    if width > min(embeddings.shape):
        raise ConfigError(
            f"table_width is {width} but there are {len(words)} words of {embeddings.shape[1]}"
            " numbers; lower it"
        )
    centred = embeddings - embeddings.mean(0)
    # Eigenvectors of the covariance: exact, and quicker than a decomposition of all words.
    _, axes = torch.linalg.eigh(centred.T @ centred)
    rows = (centred @ axes[:, -width:].flip(1)).float()
    rows = rows / rows.square().mean().sqrt()
    count = len(next(iter(colours.values()))) if colours else 0
    memberships = torch.zeros(len(words), count)
    for name, membership in colours.items():
        memberships[words.index(name)] = torch.from_numpy(membership)
    unit = functional.normalize(centred, dim=1).float()
    frequent = set(vocabulary[:_FREQUENT]) - set(kinds)
    in_kinds = kind_memberships(unit, [words.index(kind) for kind in kinds])
    in_kinds[[number for number, word in enumerate(words) if word in frequent]] = 0.0
    rows = torch.cat([rows, _MEMBERSHIP_WEIGHT * memberships, _MEMBERSHIP_WEIGHT * in_kinds], 1)
    return WordTable(tuple(words), rows, unit, memberships)


def kind_memberships(unit: Tensor, kinds: Sequence[int]) -> Tensor:
    """Return how much each word is of each of several kinds [V, K], between 0 and 1.

    A word is of the kind that it is nearest to, the more the nearer it is and the farther the
    other kinds are; a kind is only itself. ``kinds`` are K rows of the unit embeddings [V, F].
    """
    if not kinds:
        return unit.new_zeros(len(unit), 0)
    cosines = unit @ unit[list(kinds)].T  # [V, K]
    second = cosines.topk(min(2, len(kinds)), 1).values[:, -1:] if len(kinds) > 1 else 0.0
    lead = ((cosines - second) / _CLEAR_LEAD).clamp(0, 1)
    return (lead * (cosines / _NEAR).clamp(0, 1)).sqrt()


def vocabulary_words(model: Any) -> list[str]:
    """Return the whole words of a model's vocabulary, in its order; ConfigError without any."""
    get_vocab = getattr(getattr(model, "tokenizer", None), "get_vocab", None)
    if get_vocab is None:
        raise ConfigError("a word table needs a model with a tokenizer's vocabulary; set words")
    vocabulary = get_vocab()
    pieces = any(word.startswith("##") for word in vocabulary)
    ranked = sorted(vocabulary, key=lambda word: vocabulary[word])
    words = [word for word in ranked if word.isascii() and word.isalpha() and word.islower()]
    if not pieces or not words:
        raise ConfigError(
            "a word table needs a vocabulary of word pieces, in which '##' marks the inner ones,"
            " as all-MiniLM-L6-v2 has; name such a model as words"
        )
    return words


@torch.no_grad()
def embed_words(model: Any, words: Sequence[str]) -> Tensor:
    """Return a SentenceTransformer's unit embeddings of words, double [V, F]."""
    ranked = sorted(range(len(words)), key=lambda n: len(words[n]))  # little padding in a batch
    # {"text": ...}: a plain string that looks like a URL or a file would be opened.
    inputs = [{"text": words[n]} for n in ranked]
    embedded = model.encode(
        inputs, batch_size=_BATCH, convert_to_tensor=True, show_progress_bar=False
    )
    places = torch.empty(len(words), dtype=torch.int64)
    places[torch.tensor(ranked)] = torch.arange(len(words))
    return functional.normalize(embedded.cpu().double()[places], dim=1)
