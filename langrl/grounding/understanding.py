"""Learns P(understood) of a language side: from texts that mean something to it, or nothing.

Axes: ``K`` texts, ``J`` alternatives of a text, ``D`` embedding size.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from langrl.data.images.paraphrases import FILLERS
from langrl.data.meaningless import draw_meaningless
from langrl.envs.spelling import SHORTEST, misspell
from langrl.errors import DomainError, InstructionError
from langrl.models.encoders import PretrainedTextEncoder
from langrl.models.understanding import Understanding, fit_understanding
from langrl.words import split_words

_TEXTS, _LEAST = 600, 20  # of each sort: drawn, and needed
_SLOW = 250  # texts that are embedded one by one, at most
_READ = 2000  # texts whose words are known
_FILLED = 0.3  # chance of a text
_MARKED, _UNKNOWN, _MISSPELT = 0.04, 0.1, 0.06  # chances of a word
_MARKS = (",", ".", "!", ":", " -", " /", ";")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Sample(NamedTuple):
    """Texts that mean something, and texts that do not."""

    meant: tuple[str, ...]
    meaningless: tuple[str, ...]


def sample_texts(texts: Sequence[str], seed: int = 0, varied: bool = True) -> Sample | None:
    """Draw what P(understood) is fitted to, from texts that mean something to a language side.

    Args:
        texts: those of its training, or others that mean something to it.
        seed: of all that is drawn.
        varied: write the texts as users may: with words around them, slips of spelling and words
            that nobody knows. Texts of training themselves are known by heart.

    Returns:
        None where there are fewer than two texts, or what means nothing elsewhere may mean
        something here.
    """
    generator = np.random.default_rng([seed % 2**32, 3])
    listed = list(dict.fromkeys(texts))
    if len(listed) < 2:
        return None
    read = [listed[n] for n in generator.permutation(len(listed))[:_READ]]
    known = frozenset(word for text in read for word in split_words(text))
    chosen = [read[n] for n in np.resize(generator.permutation(len(read)), _TEXTS)]
    if varied:
        chosen = [vary(text, known, generator) for text in chosen]
    try:
        return Sample(tuple(dict.fromkeys(chosen)), draw_meaningless(_TEXTS, generator, known))
    except DomainError:
        return None


def learn_understanding(language: Any, sample: Sample | None) -> Understanding | None:
    """Fit P(understood) of a language side, whose weights are left alone; None without a sample.

    Texts that it does not read, such as long ones, are left out.
    """
    if sample is None:
        return None
    meant, meaningless = (_embed(language, texts) for texts in sample)
    if min(len(meant), len(meaningless)) < _LEAST:
        return None
    return fit_understanding(meant, meaningless)


def vary(text: str, known: frozenset[str], generator: Generator) -> str:
    """Return a text as a user may write it; ``known`` are words that no slip may lead to."""
    varied = " ".join(_vary_word(word, known, generator) for word in split_words(text))
    if generator.random() < _FILLED:
        varied = FILLERS[int(generator.integers(len(FILLERS)))].format(varied)
    return varied


def _vary_word(word: str, known: frozenset[str], generator: Generator) -> str:
    draw = generator.random()
    if draw < _MARKED:
        return word + _MARKS[int(draw / _MARKED * len(_MARKS))]
    if not word.isalpha() or draw > _MARKED + _UNKNOWN + _MISSPELT:
        return word
    if draw < _MARKED + _UNKNOWN:
        letters = generator.integers(len(_LETTERS), size=len(word))
        return "".join(_LETTERS[n] for n in letters)
    return misspell(word, known, generator) if len(word) >= SHORTEST else word


@torch.no_grad()
def _embed(language: Any, texts: Sequence[str]) -> Tensor:
    """Embed texts [K, J, D], without those that are too long for the language side."""
    # A frozen model keeps what it embeds, and its last bits vary with what else is in the batch.
    if not isinstance(getattr(language, "text", None), PretrainedTextEncoder):
        try:
            return torch.as_tensor(language.encode_text(list(texts)))
        except InstructionError:
            pass  # one of them is too long
    embedded = []
    for text in texts[:_SLOW]:
        try:
            embedded.append(language.encode_text([text]))
        except InstructionError:
            continue
    return torch.cat(embedded) if embedded else torch.zeros(0, 1)
