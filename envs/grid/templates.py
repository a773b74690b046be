"""How ``langrl.envs.grid.grammar`` fills the templates of ``grid_words``, and matches them."""

import itertools
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from numpy.random import Generator

from langrl.envs.grid import words as tables
from langrl.envs.phrasing import PHRASINGS, Meaning, Phrasing
from langrl.envs.spelling import SHORTEST, misspell, one_edit_away
from langrl.errors import InstructionError, lookup
from langrl.words import lower_text

# -- filling -------------------------------------------------------------------------------


def pick(options: Sequence[Any], generator: Generator) -> Any:
    """Return one of the options, uniformly; ten times as fast as ``generator.choice``."""
    return options[int(generator.random() * len(options))]


@lru_cache(maxsize=1024)
def expand(template: str) -> tuple[str, ...]:
    """Return the texts that a template's choices stand for; slots stay."""
    parts = re.split(r"\(([^)]*)\)", template)  # every second part is a choice
    choices = [part.split("|") if i % 2 else [part] for i, part in enumerate(parts)]
    return tuple("".join(chosen) for chosen in itertools.product(*choices))


def shape_of(thing: Meaning) -> str:
    """Return which of colour and type a thing names."""
    if thing[0] != "thing":
        raise InstructionError(f"{thing} is no ('thing', colour, type); combine only such things")
    if thing[1] is None:
        return "any" if thing[2] is None else "type"
    return "colour" if thing[2] is None else "full"


@lru_cache(maxsize=256)
def phrases_of(
    kind: str, shapes: tuple[str, ...], phrasing: Phrasing
) -> list[tuple[tuple[str, ...], bool]]:
    """Return the templates for parts of these shapes, expanded; and if they are sentences."""
    if kind == "thing":
        templates = tables.NOUNS[shapes[0]][phrasing] + tables.CLAUSES[shapes[0]][phrasing]
        return [(expand(template), False) for template in templates]
    sources = ((tables.COMPOUNDS[kind][phrasing], False), (tables.SENTENCES[kind][phrasing], True))
    return [
        (expand(template), is_sentence)
        for templates, is_sentence in sources
        for template in templates
        if slots_fit(kind, shapes, set(_slots_of(template)))
    ]


@lru_cache(maxsize=4096)
def _slots_of(template: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\{(\w)\}", template))


def slots_fit(kind: str, shapes: tuple[str, ...], slots: set[str]) -> bool:
    """Return whether a template with these slots can say a meaning of this kind and shapes."""
    if kind == "both" and "a" not in slots:
        return shapes == ("colour", "type")
    named = {"c": "colour", "t": "type", "ct": "full"}.get("".join(sorted(slots - {"a", "b"})))
    return ("a" in slots or shapes[0] == "any") and (named is None or shapes[1] == named)


def fill(
    template: str, parts: Sequence[Meaning], generator: Generator, phrasing: Phrasing, share: float
) -> str:
    """Fill the slots of a template; ``share`` of the words are replaced by synonyms."""
    names: dict[str, str] = {}
    for slot in _slots_of(template):
        if slot in "ab":
            thing = parts["ab".index(slot)]
            choices = expand(pick(tables.NOUNS[shape_of(thing)][phrasing], generator))
            names[slot] = fill(pick(choices, generator), [thing], generator, phrasing, share)
        else:
            place = 1 if slot == "c" else 2
            word = next(part[place] for part in reversed(parts) if part[place] is not None)
            synonyms = lookup(tables.SYNONYMS, word, "colour or type")
            names[slot] = pick(synonyms, generator) if generator.random() < share else word
    return template.format_map(names)


def with_typo(text: str, generator: Generator) -> str:
    """Misspell one colour or type word of at least four letters, if there is one."""
    found = [m for m in re.finditer(r"\w{4,}", text) if m[0] in tables.CANONICAL]
    if not found:
        return text
    match = pick(found, generator)
    wrong = misspell(match[0], VOCABULARY, generator)
    return text[: match.start()] + wrong + text[match.end() :]


# -- matching ------------------------------------------------------------------------------


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case, without punctuation; "an" is "a"."""
    words = re.findall(r"[^\W_]+", re.sub(r"['\u2019]", "", lower_text(text)))
    return ["a" if word == "an" else word for word in words]


def _plain(template: str) -> str:
    """Return a template as ``words_of`` would leave it, with its slots."""
    parts = re.split(r"(\{\w?\})", template)
    words = [part if i % 2 else " ".join(words_of(part)) for i, part in enumerate(parts)]
    return " ".join(word for word in words if word)


def _texts(templates: tables.Templates) -> list[str]:
    """Return the templates of all phrasings, expanded and plain."""
    every = itertools.chain(*(templates[phrasing] for phrasing in PHRASINGS))
    return list(dict.fromkeys(_plain(text) for template in every for text in expand(template)))


def _split(templates: tables.Templates) -> list[list[str]]:
    """Return every text of templates as literal, slot, literal, slot ..."""
    return [re.split(r"\{(\w?)\}", text) for text in _texts(templates)]


LEAD_PARTS, FILLER_PARTS = _split(tables.LEADS), _split(tables.FILLERS)
COMPOUND_PARTS = {
    kind: _split(templates) + _split(tables.SENTENCES[kind])
    for kind, templates in tables.COMPOUNDS.items()
}
"""Every template as literal, slot, literal, slot ...; for ``matches``."""

THING_TEMPLATES = frozenset(
    itertools.chain(*map(_texts, (*tables.NOUNS.values(), *tables.CLAUSES.values())))
)
"""Everything that names one thing, with {c} and {t} for its colour and type."""

VOCABULARY = frozenset(tables.CANONICAL).union(
    *(text.replace("{c}", "").replace("{t}", "").split() for text in THING_TEMPLATES),
    *(
        literal.split()
        for parts in (*LEAD_PARTS, *FILLER_PARTS, *itertools.chain(*COMPOUND_PARTS.values()))
        for literal in parts[::2]
    ),
)
"""Every word that the grammar knows."""


def may_match(parts: list[str], words: str) -> bool:
    """Return False where ``matches`` finds nothing, for most templates; much faster."""
    return words.startswith(parts[0]) and parts[2] in words and words.endswith(parts[-1])


def matches(parts: list[str], words: str) -> Iterator[dict[str, str]]:
    """Yield every way to fill the slots of a split template to get some words."""
    start, slot, *rest = parts
    if not words.startswith(start):
        return
    left, literal = words[len(start) :], rest[0]
    if len(rest) == 1:
        if left.endswith(literal) and len(left) > len(literal):
            yield {slot: left[: len(left) - len(literal)]}
        return
    at = left.find(literal, 1)
    while at > 0 and not (slot in ("c", "t") and " " in left[:at]):  # those are single words
        for others in matches(rest, left[at:]):
            yield {slot: left[:at], **others}
        at = left.find(literal, at + 1)


def unwrapped(words: str, wrappers: list[list[str]]) -> Iterator[str]:
    """Yield what is left of some words without a lead or a filler, for each that fits."""
    for parts in wrappers:
        for slots in matches(parts, words) if may_match(parts, words) else ():
            yield slots[""]


@lru_cache(maxsize=4096)
def corrected(word: str) -> str | None:
    """Return a word if it is known, else the one known word within one edit of it, or None.

    An edit drops, inserts or replaces a letter, or swaps two neighbours; only known words of at
    least four letters are come back to. Synonyms of each other count as one word.
    """
    if word in VOCABULARY:
        return word
    edits = one_edit_away(word) & VOCABULARY
    near = {tables.CANONICAL.get(edit, edit) for edit in edits if len(edit) >= SHORTEST}
    return near.pop() if len(near) == 1 else None
