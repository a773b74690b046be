"""Texts that exclude places of a maze, put together from pools of clauses; for training only.

Whole templates say an exclusion in a few dozen ways, and what is learned are these. People put what
is allowed, what is not and the word between them together anew: "all rows are fine, save row 8".
So do these texts. Others are put together from the same words and include a place ("any cell,
provided it is in row 3", "ignore all but row 3"): otherwise these words alone would tell an
exclusion.
"""

from collections.abc import Callable, Sequence
from functools import cache

from numpy.random import Generator

from langrl.data.images import composed_clauses as words
from langrl.data.maze import composed_clauses as clauses
from langrl.envs.grid.templates import expand, pick

Lead = Callable[[str], str]


def say_inclusion(place: str, line: str, generator: Generator, lead: Lead) -> str:
    """Return a text that includes a place, in words that exclusions have, too.

    Args:
        place: its name.
        line: what it may be called, beside a cell: "row" if it is one.
        generator: the only source of randomness.
        lead: asks for a place.
    """
    draw = generator.random()
    if draw < 0.4:
        x, lead = _all_of(None, line, generator, lead)
        only = _say(clauses.ONLY, generator)
        text = lead(_say(clauses.ONLY_JOINED, generator, x=x, only=only, y=place))
    elif draw < 0.6:
        text = lead(_say(clauses.PLACE_ALONE, generator, y=place, line=line))
    elif draw < 0.8:
        text = _say(clauses.SENTENCE_ALONE, generator, y=place)
    else:
        text = f"{pick(words.SUBJECTS, generator)} {_must(place, generator)}"
    return " ".join(text.split())


def say_exclusion(
    included: str | None, excluded: Sequence[str], line: str, generator: Generator, lead: Lead
) -> str:
    """Return a text that excludes one or two places.

    Args:
        included: name of the place that they are excluded from; None for the whole maze.
        excluded: names of what is excluded.
        line: what a place may be called, beside a cell: "row" where rows are excluded.
        generator: the only source of randomness.
        lead: asks for a place.
    """
    form = pick(_FORMS, generator)
    return " ".join(form(included, excluded, line, generator, lead).split())


@cache
def _expanded(pool: tuple[str, ...]) -> tuple[str, ...]:
    """Return the texts of a pool; "no" is left out, which stands for "number", too."""
    texts = [text for template in pool for text in expand(template)]
    return tuple(text for text in texts if "no" not in text.split())


def _say(pool: Sequence[str], generator: Generator, **slots: str) -> str:
    return str(pick(_expanded(tuple(pool)), generator)).format(**slots)


def _named(included: str | None, line: str, generator: Generator) -> str:
    """Return what is included: a place, or all there is."""
    if included is not None:
        return included
    lines = line != "cell" and generator.random() < 0.5
    pool = clauses.EVERY_LINE if lines else clauses.EVERYWHERE
    return _say(pool, generator, line=line)


def _all_of(included: str | None, line: str, generator: Generator, lead: Lead) -> tuple[str, Lead]:
    """Return what is included, as a name or as a sentence, and what leads the whole text."""
    name = _named(included, line, generator)
    if generator.random() < 0.5:
        return name, lead
    return _say(clauses.ALLOWED, generator, x=name), str


def _listed(excluded: Sequence[str], generator: Generator) -> str:
    return str(pick((" and ", " or ", ", "), generator)).join(excluded)


def _must(place: str, generator: Generator) -> str:
    return f"{pick(words.MUST, generator)} {pick(clauses.IN, generator)} {place}"


def _by_word(
    included: str | None, excluded: Sequence[str], line: str, generator: Generator, lead: Lead
) -> str:
    """A word of exclusion: "all rows are fine, save row 8"."""
    x, lead = _all_of(included, line, generator, lead)
    y, outside = excluded[0], generator.random() < 0.25
    no = _say(clauses.OUTSIDE if outside else words.NOT, generator)
    if included is not None and generator.random() < 0.25:
        x = f"{x}, {_say(clauses.EVERYWHERE, generator)}"
    if len(excluded) > 1:
        if included is None and generator.random() < 0.3:
            return lead(_say(words.NEITHER, generator, y=y, z=excluded[1]))
        y = _say(clauses.TWO, generator, no=no, y=y, z=excluded[1])
    if included is None and (outside or no == "not") and generator.random() < 0.5:
        return lead(f"{no} {y}")
    return lead(_say(words.JOINED, generator, x=x, no=no, y=y))


def _by_suffix(
    included: str | None, excluded: Sequence[str], line: str, generator: Generator, lead: Lead
) -> str:
    """What is excluded before the word that says so: "column 2, its top half left out"."""
    x, lead = _all_of(included, line, generator, lead)
    out = _say(words.OUT, generator)
    return lead(_say(words.OUT_JOINED, generator, x=x, y=_listed(excluded, generator), out=out))


def _by_clause(
    included: str | None, excluded: Sequence[str], line: str, generator: Generator, lead: Lead
) -> str:
    """A relative clause: "a cell that isn't in row 3"."""
    x, within = _named(included, line, generator), pick(clauses.IN, generator)
    text = f"{x} {_say(words.IS_NOT_ONE, generator)} {within} {excluded[0]}"
    for each in excluded[1:]:
        text += pick((f" or {each}", f" or {within} {each}", f" nor {within} {each}"), generator)
    return lead(text)


def _by_command(
    included: str | None, excluded: Sequence[str], line: str, generator: Generator, lead: Lead
) -> str:
    """What to keep away from, and what is left: "skip row 3, be anywhere else"."""
    listed = _listed(excluded, generator)
    shunned = f"{_say(words.PASS_BY, generator)} {listed}"
    if generator.random() < 0.5:
        shunned = f"{listed} {_say(words.OUT, generator)}"
    if included is None and generator.random() < 0.3:
        return shunned
    pool = clauses.OTHERWISE if included is None else clauses.REMAINING
    rest = _say(pool, generator, x=included or "", line=line)
    parts = [shunned, rest] if generator.random() < 0.7 else [rest, shunned]
    return str(pick(words.THEN, generator)).join(parts)


def _by_conditions(
    included: str | None, excluded: Sequence[str], line: str, generator: Generator, lead: Lead
) -> str:
    """Conditions: "it must be in row 3 and must not be in column 2"."""
    subject, within = pick(words.SUBJECTS, generator), pick(clauses.IN, generator)
    must_not = pick(words.MUST_NOT, generator)
    told = [f"{must_not} {within} {each}" for each in excluded]
    if included is not None:
        told.insert(0, _must(included, generator))
    join = pick((" and ", ", ", " but ", ", and ", "; "), generator)
    text = f"{subject} {join.join(told)}"
    if included is None and generator.random() < 0.5:
        text += pick(words.THEN, generator) + _say(clauses.OTHERWISE, generator, line=line)
    return text


_FORMS = (*[_by_word] * 4, *[_by_suffix] * 2, *[_by_clause] * 2, *[_by_command] * 3, _by_conditions)
