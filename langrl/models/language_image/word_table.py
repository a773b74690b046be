"""A table of words distilled from a SentenceTransformer, for a small text tower.

Axes: ``V`` words, ``F`` numbers in the model's embedding, ``P`` in a row of the table, ``B``
colour memberships, ``K`` kinds of things.
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
_LETTERS, _COINED = "bcdfghjklmnpqrstvwz", 9  # coined words: no vowel, and so many letters more
_LEAST_SHARE = 0.56  # of a coined word in its kind
_CLEAR_LEAD, _NEAR = 0.2, 0.4  # cosines at which a word fully belongs to a kind


@dataclass(frozen=True, eq=False)
class WordTable:
    """Words with a short row each, and the embeddings that near words are looked up in.

    Args:
        words: V distinct words, lower-case.
        rows: floats [V, P]; what ``CompactTextTower.set_table`` takes.
        embeddings: unit floats [V, F], centred over the words.
        colours: memberships in basic colours [V, B]; 0 for words that name no colour.
        kinds: memberships in kinds of things by a thesaurus [V, K]; 0 for words that it puts in
            none.
        coined: how many of the last words are coined; see ``with_coined_words``.
    """

    words: tuple[str, ...]
    rows: Tensor
    embeddings: Tensor
    colours: Tensor
    kinds: Tensor
    coined: int = 0

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
    in_kinds: Mapping[str, NDArray[np.float64]] | None = None,
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
        in_kinds: memberships [K] in the kinds by a thesaurus, which says what kinds a word may be
            of; a word that is not of the vocabulary is added.

    Raises:
        ConfigError: if the model has no such vocabulary, or fewer words than ``width``.
    """
    colours, in_kinds = colours or {}, in_kinds or {}
    vocabulary = vocabulary_words(model)[:limit]
    names = (*kinds, *sorted(colours))
    words = list(dict.fromkeys([*names, *vocabulary, *further, *sorted(in_kinds)]))
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
    memberships = _memberships(words, colours, len(next(iter(colours.values()), ())))
    by_thesaurus = _memberships(words, in_kinds, len(kinds))
    unit = functional.normalize(centred, dim=1).float()
    frequent = set(vocabulary[:_FREQUENT]) - set(kinds)
    by_cosine = kind_memberships(unit, [words.index(kind) for kind in kinds])
    by_cosine[[number for number, word in enumerate(words) if word in frequent]] = 0.0
    known = by_thesaurus.any(1, keepdim=True)
    of_kinds = torch.maximum(by_thesaurus, by_cosine * (~known | (by_thesaurus > 0)))
    rows = torch.cat([rows, _MEMBERSHIP_WEIGHT * memberships, _MEMBERSHIP_WEIGHT * of_kinds], 1)
    return WordTable(tuple(words), rows, unit, memberships, by_thesaurus)


def with_coined_words(table: WordTable, count: int, generator: np.random.Generator) -> WordTable:
    """Return a table with words that nobody uses, whose memberships alone say what they mean.

    A text tower that meets them in training learns to trust memberships. A coined word has the
    row of a random word of no membership, and beside it the memberships of a random name of its
    colour, or a random share of its kind.

    Args:
        table: with memberships in colours [V, B] and kinds [V, K], last in its rows.
        count: coined words of each colour and each kind.
        generator: source of randomness.
    """
    colours, kinds = table.colours.shape[1], table.kinds.shape[1]
    plain = len(table.rows[0]) - colours - kinds
    nothing = (table.rows[:, plain:] == 0).all(1).nonzero().squeeze(1)
    mostly = torch.where(table.colours.any(1), table.colours.argmax(1), -1)
    rows, of_colours, of_kinds = [], [], []
    for number in np.repeat(np.arange(colours + kinds), count).tolist():
        colour, kind = torch.zeros(colours), torch.zeros(kinds)
        if number < colours:
            named = (mostly == number).nonzero().squeeze(1)
            colour = table.colours[named[int(generator.integers(len(named)))]]
        else:
            kind[number - colours] = float(generator.uniform(_LEAST_SHARE, 1))
        row = table.rows[nothing[int(generator.integers(len(nothing)))]].clone()
        row[plain:] = _MEMBERSHIP_WEIGHT * torch.cat([colour, kind])
        rows.append(row)
        of_colours.append(colour)
        of_kinds.append(kind)
    letters = [generator.integers(len(_LETTERS), size=_COINED) for _ in rows]
    coined = ["x" + "".join(_LETTERS[n] for n in each) for each in letters]
    return WordTable(
        (*table.words, *coined),
        torch.cat([table.rows, torch.stack(rows)]),
        torch.cat([table.embeddings, torch.zeros(len(rows), table.embeddings.shape[1])]),
        torch.cat([table.colours, torch.stack(of_colours)]),
        torch.cat([table.kinds, torch.stack(of_kinds)]),
        len(coined),
    )


def _memberships(
    words: Sequence[str], known: Mapping[str, NDArray[np.float64]], count: int
) -> Tensor:
    """Return what is known of words, by name, for all words [V, count]; 0 where nothing is."""
    found, place = torch.zeros(len(words), count), {word: n for n, word in enumerate(words)}
    for name, shares in known.items():
        found[place[name]] = torch.from_numpy(shares).float()
    return found


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
