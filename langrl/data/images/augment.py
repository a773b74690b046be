"""Texts for training: the seen phrasings and more, with near words, typos and idle words.

Held-out synonyms never occur in them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.data.images.compound_paraphrases import COMPOUNDS, EXCLUDED, EXCLUDED_MANY, SENTENCES
from langrl.data.images.paraphrases import ASIDES, FILLERS, LEADS, NOUNS
from langrl.envs.grid import words as grid_words
from langrl.envs.grid.grammar import COLOURS, HELD_OUT_WORDS, TYPES, synonyms_in, write
from langrl.envs.grid.templates import VOCABULARY as GRAMMAR_WORDS
from langrl.envs.grid.templates import expand, pick, shape_of, slots_fit
from langrl.envs.phrasing import Meaning
from langrl.envs.spelling import misspell
from langrl.models.language_image.word_table import WordTable

_NEIGHBOURS = {"colour": 10, "type": 100}  # nearest words of each that are considered
_LEAST_MARGIN = 0.05  # in cosine, over the next colour or type
_SHARPNESS = 8.0  # of the weights, per unit of cosine
_LEAST_MEMBERSHIP = 0.55
_IDLE_WORDS = 4000  # the most frequent ones of the table
_MOST_IDLE = 4
_COMPOUNDS = 0.1  # of the types, once texts vary: any word before it, as in "doorkey"
_PLURAL = re.compile(r"(?<=x)s\b")  # of "{t}s" for a box
_RESERVED = 8  # every so many templates and near words, one is not for training
_SEEN_NOUNS = 0.4  # share of paraphrases whose things are named as in seen texts
_FILLED = 0.4  # share of paraphrases with filler words around them
_SHORTEST = 4  # letters of a word with a typo
_CONTENT = (*COLOURS, *TYPES)
_SINGULAR = {f"{word}s": word for word in TYPES}


@dataclass(frozen=True)
class NearWords:
    """Words that may replace each colour and type, and words that mean neither.

    Args:
        near: for each colour and type, words and their cumulative shares.
        idle: words for padding.
        coined: those that nobody uses: they are for training only.
    """

    near: dict[str, tuple[tuple[str, ...], NDArray[np.float64]]]
    idle: tuple[str, ...]
    coined: frozenset[str] = frozenset()

    def draw(self, word: str, generator: Generator) -> str:
        """Return a word that may replace a colour or type, itself if there is none."""
        words, shares = self.near.get(word, ((), np.zeros(0)))
        if not words:
            return word
        return words[min(int(np.searchsorted(shares, generator.random())), len(words) - 1)]

    def part(self, reserved: bool) -> "NearWords":
        """Return the words to train on, or those that are reserved for calibration."""
        near = {}
        for word, (words, shares) in self.near.items():
            held = [each not in self.coined and is_reserved(n) for n, each in enumerate(words)]
            kept = [n for n, is_held in enumerate(held) if is_held == reserved]
            if kept:
                chosen = np.cumsum(np.diff(shares, prepend=0.0)[kept])
                near[word] = (tuple(words[n] for n in kept), chosen / chosen[-1])
        return NearWords(near, self.idle, self.coined)


NO_WORDS = NearWords({}, ())


def is_reserved(number: int) -> bool:
    """Whether the template or near word of a number is for calibration only."""
    return number % _RESERVED == _RESERVED - 1


def is_held_out(word: str) -> bool:
    """Whether a word is a held-out synonym, or an inflection or compound of one."""
    return any(held in word for held in HELD_OUT_WORDS if len(held) > 3) or word in HELD_OUT_WORDS


def find_near_words(table: WordTable, basic: Sequence[str] = ()) -> NearWords:
    """Find words that may replace each colour and type in a table of words.

    A near word is nearer to its colour or type than to any other of them, by a margin of the
    cosine: red is near blue, and must not replace it. A name that has colours in the table replaces
    the colour that it mostly is, however near others are.

    Args:
        table: words and embeddings.
        basic: what the table's colour memberships are memberships in; those of kinds are in
            ``TYPES``.
    """
    content = [word for word in _CONTENT if word in table.words]
    numbers = [table.number(word) for word in content]
    to_content = (table.embeddings @ table.embeddings[numbers].T).numpy()  # [V, content]
    colours = table.colours.numpy()  # [V, B]
    named = (colours.sum(1) > 0) | table.kinds.any(1).numpy()
    near: dict[str, tuple[tuple[str, ...], NDArray[np.float64]]] = {}
    taken = set()
    for place, word in enumerate(content):
        cosine = to_content[:, place]
        others = np.delete(to_content, place, 1).max(1)
        margin = np.where(named, 0.0, cosine - others)
        weights = {}
        count = _NEIGHBOURS["colour" if word in COLOURS else "type"]
        for n in np.argsort(-np.where(margin > _LEAST_MARGIN, cosine, -1.0))[:count]:
            if margin[n] > _LEAST_MARGIN:
                weights[table.words[n]] = float(np.exp(_SHARPNESS * cosine[n]))
        exact = None
        if word in basic:
            exact = colours[:, list(basic).index(word)]
        elif word in TYPES and table.kinds.shape[1]:
            exact = table.kinds[:, list(TYPES).index(word)].numpy()
        if exact is not None:
            mean = float(np.mean(list(weights.values()))) if weights else 1.0
            for n in np.flatnonzero(exact > _LEAST_MEMBERSHIP):
                # Names of colours, and nouns of a thesaurus, weigh most: what they are is known.
                weights[table.words[n]] = 6.0 * mean * float(exact[n])
        weights = {w: v for w, v in weights.items() if w not in _CONTENT and not is_held_out(w)}
        taken |= set(weights)
        if weights:
            shares = np.cumsum(list(weights.values()))
            near[word] = (tuple(weights), shares / shares[-1])
    idle = tuple(
        word
        for word in table.words[:_IDLE_WORDS]
        if word not in taken and word not in GRAMMAR_WORDS and not is_held_out(word)
        if len(word) > 1
    )
    return NearWords(near, idle, frozenset(table.words[len(table.words) - table.coined :]))


def _part(templates: Sequence[str], reserved: bool) -> list[tuple[str, ...]]:
    """Return templates, expanded, of one part; all of them where a part would be empty."""
    chosen = [text for n, text in enumerate(templates) if is_reserved(n) == reserved]
    return [expand(text) for text in chosen or templates]


@lru_cache(maxsize=512)
def _phrases(
    kind: str, shapes: tuple[str, ...], reserved: bool
) -> list[tuple[tuple[str, ...], bool]]:
    """Return the templates of a kind for parts of these shapes, and whether each is a sentence."""
    return [
        (texts, is_sentence)
        for table, is_sentence in ((COMPOUNDS, False), (SENTENCES, True))
        for texts in _part(table.get(kind, []), reserved)
        if slots_fit(kind, shapes, _slots(texts[0]))
    ]


@lru_cache(maxsize=64)
def _nouns(shape: str, reserved: bool) -> list[tuple[str, ...]]:
    return _part(NOUNS[shape], reserved)


def _slots(text: str) -> set[str]:
    return {slot[0] for slot in re.findall(r"\{(\w+)\}", text)}  # {bs} is a form of {b}


_LEADS = [expand(lead) for lead in LEADS]


def _noun_phrase(thing: Meaning, generator: Generator, reserved: bool) -> str:
    """Return a noun phrase for a thing, seen or further."""
    shape = shape_of(thing)
    if generator.random() < _SEEN_NOUNS:
        texts = expand(pick(grid_words.NOUNS[shape]["seen"], generator))
    else:
        texts = pick(_nouns(shape, reserved), generator)
    return pick(texts, generator).format(c=thing[1], t=thing[2])


def paraphrase(meaning: Meaning, generator: Generator, reserved: bool = False) -> str:
    """Return a text for a meaning from the templates of ``langrl.data.images.paraphrases``.

    Args:
        meaning: what is meant.
        generator: the only source of randomness.
        reserved: from the templates that are never trained on.
    """
    parts = meaning[1:] if meaning[0] != "thing" else (meaning,)
    phrases = _phrases(meaning[0], tuple(shape_of(part) for part in parts), reserved)
    is_sentence = False
    if meaning[0] == "thing":
        text = _noun_phrase(meaning, generator, reserved)
    elif not phrases:
        return write(meaning, generator, "seen")
    else:
        texts, is_sentence = pick(phrases, generator)
        slots = {
            name: _noun_phrase(part, generator, reserved)
            for name, part in zip("ab", parts, strict=False)
        }
        if meaning[0] == "except":
            excluded = parts[1]
            for slot, table in (("b", EXCLUDED), ("bs", EXCLUDED_MANY)):
                text = pick(expand(pick(table[shape_of(excluded)], generator)), generator)
                slots[slot] = _PLURAL.sub("es", text.format(c=excluded[1], t=excluded[2]))
        for slot, place in (("c", 1), ("t", 2)):
            slots[slot] = next((part[place] for part in reversed(parts) if part[place]), "")
        text = pick(texts, generator).format_map(slots)
    if not is_sentence:
        text = pick(pick(_LEADS, generator), generator).format(text)
    if generator.random() < _FILLED:
        text = pick(FILLERS, generator).format(text)
    return re.sub(r"\ba(?= [aeiou])", "an", text)


@dataclass(frozen=True)
class TextWriter:
    """Writes training texts.

    Args:
        words: near words and idle ones.
        paraphrases: share of texts from the further templates.
        near_words: chance that a near word replaces a colour or type.
        typos: chance that a colour or type is misspelt, if it has four letters or more.
        idle: share of texts with idle words before or after.
        asides: share of texts with a remark of idle words before or after.
        lost: chance that a word is replaced by "_".
        reserved: whether to write with the templates and near words that are never trained on.
    """

    words: NearWords
    paraphrases: float
    near_words: float
    typos: float
    idle: float
    asides: float = 0.0
    lost: float = 0.0
    reserved: bool = False

    def write(self, meaning: Meaning, generator: Generator) -> str:
        """Return a text for a meaning."""
        if generator.random() < self.paraphrases:
            text = paraphrase(meaning, generator, self.reserved)
        else:
            text = write(meaning, generator, "seen")
        return self.vary(text, generator)

    def vary(self, text: str, generator: Generator) -> str:
        """Return a text with near words and typos in colours and types, and with idle words."""
        if self.near_words or self.typos:
            text = re.sub(r"[a-z]+", lambda match: self._vary_word(match[0], generator), text)
        if self.words.idle and generator.random() < self.idle:
            count = 1 + int(generator.random() * _MOST_IDLE)
            idle = " ".join(pick(self.words.idle, generator) for _ in range(count))
            text = f"{idle} {text}" if generator.random() < 0.5 else f"{text} {idle}"
        if self.asides and self.words.idle and generator.random() < self.asides:
            before, after = pick(ASIDES, generator).split("{}")
            before, after = (self._filled(part, generator) for part in (before, after))
            text = before + text + after
        if self.lost:
            text = " ".join("_" if generator.random() < self.lost else w for w in text.split(" "))
        assert not synonyms_in(text), f"a held-out word in {text!r}"
        return text

    def _filled(self, part: str, generator: Generator) -> str:
        return re.sub(r"\{w\}", lambda _: pick(self.words.idle, generator), part)

    @cached_property
    def _near_words(self) -> NearWords:
        return self.words.part(self.reserved)

    def _vary_word(self, word: str, generator: Generator) -> str:
        if word in _SINGULAR:
            return f"{self._vary_word(_SINGULAR[word], generator)}s"
        if word not in _CONTENT:
            return word
        varied = word
        if word in TYPES and self.words.idle and generator.random() < _COMPOUNDS:
            # A compound is what its last part is: a matchbox, a housekey.
            varied = f"{pick(self.words.idle, generator)}{word}"
        elif generator.random() < self.near_words:
            varied = self._near_words.draw(word, generator)
        if len(varied) >= _SHORTEST and generator.random() < self.typos:
            varied = misspell(varied, GRAMMAR_WORDS, generator)
        return word if is_held_out(varied) else varied
