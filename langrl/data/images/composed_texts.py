"""Texts that include some things and exclude others, composed from clauses; for training only.

Templates say one exclusion, two alternatives or one relation each. People combine them: "a key, but
neither a red nor a blue one", "a box in a corner, only not a green one". So these texts are put
together from pools of clauses, and what they denote from the things that the clauses name: it is a
denotation as in ``langrl.data.word_sets``. No clause is one of a held-out template.

Axes: ``H`` rows, ``W`` columns of a room.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.data.images import composed_clauses as clauses
from langrl.data.images.paraphrases import FILLERS, LEADS
from langrl.data.word_sets import Denotation, denoted_objects
from langrl.envs.grid.grammar import COLOURS, TYPES
from langrl.envs.grid.rooms import is_object
from langrl.envs.grid.templates import expand, pick
from langrl.protocols import Integers, Mask

_FILLED = 0.3  # share of texts with filler words around them
_TRIES = 20  # draws of what is meant; few rooms need more than three
_NAMED = {n: name for name, n in TYPES.items()}
_COLOURED = {n: name for name, n in COLOURS.items()}


class Thing(NamedTuple):
    """What is named of an object: its colour, its type, both, or neither."""

    colour: str | None = None
    type: str | None = None

    @property
    def denotation(self) -> Denotation:
        """What it denotes."""
        return {"thing": {"colour": self.colour, "type": self.type}}

    def covers(self, other: "Thing") -> bool:
        """Whether all that another thing denotes is one of these."""
        return self.colour in (None, other.colour) and self.type in (None, other.type)

    def meets(self, other: "Thing") -> bool:
        """Whether an object may be one of both."""
        colours, types = {self.colour, other.colour}, {self.type, other.type}
        return len(colours - {None}) < 2 and len(types - {None}) < 2


def compose(
    room: NDArray[np.uint8], cell: Sequence[int] | Integers, generator: Generator
) -> tuple[str, Denotation] | None:
    """Return a text that denotes the object of a cell, and what it denotes; None if none is found.

    It denotes some object of the room that is not all of its objects, as ``draw_meanings`` does.

    Args:
        room: types and colours [H, W, 2].
        cell: row and column of an object.
        generator: the only source of randomness.
    """
    objects = is_object(room)
    scene = _Scene(room, (int(cell[0]), int(cell[1])), generator)
    for _ in range(_TRIES):
        drawn = _pick_weighted(_KINDS, generator)(scene)
        if drawn is None:
            continue
        text, denotation = drawn
        meant: Mask = denoted_objects(denotation, room[None])[0]
        if meant[scene.cell] and (meant != objects).any():
            if scene.chance(_FILLED):
                text = scene.say(FILLERS, text)
            return _finished(text), denotation
    return None


class _Scene:
    """A room with the object that is to be denoted, and draws of what is named of objects."""

    def __init__(
        self, room: NDArray[np.uint8], cell: tuple[int, int], generator: Generator
    ) -> None:
        self.room, self.cell, self.generator = room, cell, generator
        self.target = self._at(cell)
        self.others = sorted(
            {self._at(each) for each in np.argwhere(is_object(room)).tolist()} - {self.target}
        )

    def _at(self, cell: Sequence[int]) -> Thing:
        kind, colour = (int(number) for number in self.room[cell[0], cell[1]])
        return Thing(_COLOURED[colour], _NAMED[kind])

    def beside(self) -> list[Thing]:
        """Return the objects that share an edge with the one that is to be denoted."""
        row, column = self.cell
        cells = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
        objects = is_object(self.room)
        inside = [c for c in cells if 0 <= c[0] < len(objects) and 0 <= c[1] < len(objects[0])]
        return [self._at(each) for each in inside if objects[each]]

    def chance(self, share: float) -> bool:
        """Return True so often."""
        return bool(self.generator.random() < share)

    def one(self, pool: Sequence[Any]) -> Any:
        """Return one of a pool."""
        return pick(pool, self.generator)

    def say(self, pool: Sequence[str], *names: str, **slots: str) -> str:
        """Return one of a pool of templates, filled."""
        return str(pick(_expanded(tuple(pool)), self.generator)).format(*names, **slots)

    def named(self, thing: Thing, shapes: str) -> Thing:
        """Return what is named of a thing; ``shapes`` has c, t, b and a, for colour to any."""
        shape = self.one(shapes)
        return Thing(thing.colour if shape in "cb" else None, thing.type if shape in "tb" else None)

    def excluded(self, included: Sequence[Thing], count: int) -> list[Thing]:
        """Return distinct things, mostly ones of the room, that some included ones may be of.

        They do not cover the target, nor all of an included thing.
        """
        first, found = included[0], list[Thing]()
        shape = self.one("ctb" if first == Thing() else "ttb" if first.colour else "ccb")
        for _ in range(8 * count):
            known = self.others if self.others and self.chance(0.85) else _EVERY_KIND
            thing = self.named(self.one(known), shape)
            useful = any(thing.meets(each) for each in included)
            too_much = any(thing.covers(each) for each in (self.target, *included))
            if useful and not too_much and thing not in found:
                found.append(thing)
        return found[:count]


_EVERY_KIND = [Thing(colour, name) for colour in COLOURS for name in TYPES]


@cache
def _expanded(pool: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(text for template in pool for text in expand(template))


def _pick_weighted(choices: Mapping[Any, float], generator: Generator) -> Any:
    cumulative = np.cumsum(list(choices.values()))
    number = int(np.searchsorted(cumulative, generator.random() * cumulative[-1]))
    return list(choices)[number]


def _finished(text: str) -> str:
    return re.sub(r"\ba(?= [aeiou])", "an", " ".join(text.split()))


# -- naming --------------------------------------------------------------------------------


def _name(scene: _Scene, thing: Thing, pools: Mapping[str, Sequence[str]]) -> str:
    shape = "a"
    if thing.colour or thing.type:
        shape = "b" if thing.colour and thing.type else "c" if thing.colour else "t"
    kind = thing.type or ""
    plural = f"{kind}es" if kind.endswith("x") else f"{kind}s"
    return scene.say(pools[shape], c=thing.colour or "", t=kind, ts=plural).strip()


# -- excluding -----------------------------------------------------------------------------


def _all_of(*parts: Denotation) -> Denotation:
    return parts[0] if len(parts) == 1 else {"and": [*parts]}


def _without(included: Denotation, excluded: Sequence[Thing]) -> Denotation:
    return _all_of(included, *({"not": thing.denotation} for thing in excluded))


def _listed(scene: _Scene, names: Sequence[str], word: str) -> str:
    """Return names in a list, with a word before the last one, or before each."""
    if len(names) == 1:
        return names[0]
    if scene.chance(0.3):
        return f" {word} ".join(names)
    comma = "," if scene.chance(0.3) else ""
    return f"{', '.join(names[:-1])}{comma} {word} {names[-1]}"


def _minus(scene: _Scene) -> tuple[str, Denotation] | None:
    """Some things without one, two or three others."""
    included = scene.named(scene.target, "aaccctttb")
    if included.colour and included.type:
        included = Thing(included.colour) if scene.chance(0.5) else Thing(None, included.type)
    excluded = scene.excluded([included], scene.one((1, 1, 2, 2, 3)))
    if not excluded:
        return None
    text = scene.one(_MINUS_TEXTS)(scene, included, excluded)
    return text, _without(included.denotation, excluded)


def _by_word(scene: _Scene, included: Thing, excluded: Sequence[Thing]) -> str:
    """Include, a word of exclusion, and what is excluded: "anything, but not the keys"."""
    many = scene.chance(0.5)
    pools = (
        scene.one((clauses.MANY, clauses.ONE, clauses.BARE))
        if len(excluded) == 1
        else scene.one((clauses.MANY, clauses.BARE))
    )
    names = [_name(scene, thing, pools) for thing in excluded]
    if len(names) > 1 and scene.chance(0.4):
        y = scene.say(clauses.NEITHER, y=names[0], z=_listed(scene, names[1:], "nor"))
        joined = ["{x}, {y}", "{x} {y}", "{y}: {x}"]
        return _asked(scene, scene.say(joined, x=_included(scene, included, many), y=y), many)
    word = scene.one(clauses.NOT)
    if len(names) > 1 and scene.chance(0.4):
        y = _listed(scene, [names[0], *(f"{word} {name}" for name in names[1:])], "and")
    else:
        y = _listed(scene, names, scene.one(("and", "or")))
    text = scene.say(clauses.JOINED, x=_included(scene, included, many), no=word, y=y)
    return _asked(scene, text, many)


def _by_suffix(scene: _Scene, included: Thing, excluded: Sequence[Thing]) -> str:
    """Include, and what is excluded before the word that says so: "keys, the red ones left out"."""
    many = scene.chance(0.5)
    y = _listed(scene, [_name(scene, thing, clauses.MANY) for thing in excluded], "and")
    x = _included(scene, included, many)
    return _asked(scene, scene.say(clauses.OUT_JOINED, x=x, y=y, out=scene.say(clauses.OUT)), many)


def _by_clause(scene: _Scene, included: Thing, excluded: Sequence[Thing]) -> str:
    """A relative clause: "things that aren't red or blue"."""
    many = scene.chance(0.6)
    pools, negations = (
        (clauses.ARE_MANY, clauses.ARE_NOT_MANY) if many else (clauses.IS_ONE, clauses.IS_NOT_ONE)
    )
    is_not = scene.say(negations)
    clause = f"{is_not} {_name(scene, excluded[0], pools)}"
    for thing in excluded[1:]:
        clause += " " + scene.say(clauses.AND_NOT, is_not=is_not, y=_name(scene, thing, pools))
    return _asked(scene, f"{_included(scene, included, many)} {clause}", many)


def _by_command(scene: _Scene, included: Thing, excluded: Sequence[Thing]) -> str:
    """What to pass by, and to go to the rest."""
    word = scene.one(clauses.PASS_BY)
    names = [
        _name(scene, thing, clauses.MANY if scene.chance(0.7) else clauses.ONE)
        for thing in excluded
    ]
    passed = [f"{word} {names[0]}"]
    for name in names[1:]:
        passed.append(f"{scene.one((word, scene.one(clauses.PASS_BY)))} {name}")
    text = scene.one((", ", " and ", "; ")).join(passed)
    if len(names) > 1 and scene.chance(0.4):
        text = f"{word} {_listed(scene, names, 'and')}"
    pool = clauses.GO_TO_REST if included == Thing() else clauses.GO_TO_OTHERS
    one = included.type or f"{included.colour or ''} thing".strip()
    rest = scene.say(pool, x=_name(scene, included, clauses.ONE), t=one)
    return text + scene.one(clauses.THEN) + rest


def _by_conditions(scene: _Scene, included: Thing, excluded: Sequence[Thing]) -> str:
    """Conditions in any order: "it must be a key and it must not be red"."""
    must, must_not = scene.one(clauses.MUST), scene.one(clauses.MUST_NOT)
    told = [f"{must_not} {_name(scene, thing, clauses.IS_ONE)}" for thing in excluded]
    if len(told) > 1 and scene.chance(0.4):
        names = [_name(scene, thing, clauses.IS_ONE) for thing in excluded]
        told = [f"{must_not} {_listed(scene, names, 'or')}"]
    if included != Thing():
        told.insert(0, f"{must} {_name(scene, included, clauses.IS_ONE)}")
    elif scene.chance(0.6):
        told.append(scene.one(("anything else is fine", "otherwise anything goes",
                               "the rest is up to you", "all else will do")))  # fmt: skip
    subject, again = scene.one(clauses.SUBJECTS), scene.chance(0.4)
    join = scene.one((" and ", ", ", " but ", ", and ", "; "))
    start = [f"{subject} {each}" if again and n else each for n, each in enumerate(told)]
    return f"{subject} {join.join(start)}"


def _by_hyphen(scene: _Scene, included: Thing, excluded: Sequence[Thing]) -> str:
    """One word: "a non-red ball"."""
    if not (excluded[0].colour is None) ^ (excluded[0].type is None) or len(excluded) > 1:
        return _by_clause(scene, included, excluded)
    x = included.type or (f"{included.colour} thing" if included.colour else "one")
    not_x = scene.one(("non-{}", "non {}", "not-{}", "un-{}", "anything-but-{}")).format(
        excluded[0].colour or excluded[0].type
    )
    if excluded[0].type is not None:
        x = scene.one(("a {c} {n}", "a {n} in {c}")) if included.colour else "a {n}"
        return _asked(scene, x.format(c=included.colour, n=not_x), False)
    return _asked(scene, f"{scene.one(('a', 'the', 'any', 'some'))} {not_x} {x}", False)


_MINUS_TEXTS: list[Callable[[_Scene, Thing, Sequence[Thing]], str]] = [
    *[_by_word] * 4, *[_by_suffix] * 2, *[_by_clause] * 3, *[_by_command] * 3,
    *[_by_conditions] * 3, _by_hyphen,
]  # fmt: skip


def _included(scene: _Scene, thing: Thing, many: bool) -> str:
    if scene.chance(0.25):
        return _name(scene, thing, clauses.BARE)
    return _name(scene, thing, clauses.MANY if many else clauses.ONE)


def _asked(scene: _Scene, text: str, many: bool) -> str:
    """Return what is asked for with a lead."""
    if many:
        return scene.say(clauses.GO_TO_MANY, x=text)
    return str(scene.one(_LEADS)).format(text)


_LEADS = [text for lead in LEADS for text in expand(lead)]

# -- alternatives --------------------------------------------------------------------------


def _alternatives(scene: _Scene) -> tuple[str, Denotation] | None:
    """Two to four things, one of which will do; now and then without another thing."""
    count = scene.one((2, 3, 3, 3, 4))
    if scene.chance(0.4):  # of one type or colour: "a red, green or blue ball"
        return _one_property(scene, count)
    shape = scene.one("cttbb")
    things = [scene.named(scene.target, shape if scene.chance(0.8) else scene.one("ctb"))]
    for _ in range(3 * count):
        known = scene.others if scene.others and scene.chance(0.8) else _EVERY_KIND
        other = scene.named(scene.one(known), shape if scene.chance(0.8) else scene.one("ctb"))
        if other not in things and len(things) < count:
            things.append(other)
    if len(things) < 2:
        return None
    things = [things[n] for n in scene.generator.permutation(len(things))]
    names = [_name(scene, thing, scene.one((clauses.ONE, clauses.BARE))) for thing in things]
    if scene.chance(0.2):
        text = "? ".join(names) + "? " + scene.say(["any will do", "either is good", "any of them",
                                                   "all of these are fine", "pick"])  # fmt: skip
    elif scene.chance(0.3):
        each = scene.one(_expanded(tuple(clauses.EACH_FINE)))
        told = [each.format(name) for name in names]
        text = _listed(scene, told, scene.one(("and", "or", "also"))) + scene.one(clauses.ENDS)
    else:
        text = scene.say(
            clauses.ONE_OF, x=_listed(scene, names, scene.one(("or", "or", "or", "and")))
        )
        text = _asked(scene, text, False)
    either: Denotation = {"or": [thing.denotation for thing in things]}
    if scene.chance(0.2) and (excluded := scene.excluded(things, 1)):
        return (
            f"{text}, {scene.one(clauses.NOT)} {_name(scene, excluded[0], clauses.ONE)}",
            _without(either, excluded),
        )
    return text, either


def _one_property(scene: _Scene, count: int) -> tuple[str, Denotation] | None:
    colours, target = scene.chance(0.6), scene.target
    own = target.colour if colours else target.type
    others = [name for name in (COLOURS if colours else TYPES) if name != own]
    order = scene.generator.permutation(len(others))[: count - 1]
    values = [own, *(others[n] for n in order)]
    values = [str(values[n]) for n in scene.generator.permutation(len(values))]
    listed = _listed(scene, values, scene.one(("or", "or", "and")))
    if colours:
        shared = Thing(None, target.type if scene.chance(0.8) else None)
        noun = shared.type or "thing"
        text = scene.say(
            ["a {x} {n}", "a {n} that is {x}", "a {n} in {x}", "a {n}, {x}", "a {n}, be it {x}",
             "a {n} whose colour is {x}", "{x}, a {n}", "{n}, colour {x}", "a {n} of colour {x}",
             "a {n}; {x} are all fine"],
            x=listed, n=noun,
        )  # fmt: skip
        either: Denotation = {"or": [Thing(value).denotation for value in values]}
    else:
        shared = Thing(target.colour if scene.chance(0.8) else None)
        noun = shared.colour or ""
        text = scene.say(
            ["a {n} {x}", "something {n}: {x}", "a {x} in {n}", "a {n} thing, {x}",
             "the {n} {x}", "a {n} one, be it {x}"] if noun else ["a {x}", "some {x}", "{x}"],
            x=listed, n=noun,
        )  # fmt: skip
        either = {"or": [Thing(None, value).denotation for value in values]}
    parts = [either] if shared == Thing() else [shared.denotation, either]
    return _asked(scene, scene.say(clauses.ONE_OF, x=text), False), _all_of(*parts)


# -- places and neighbours -----------------------------------------------------------------


def _placed(scene: _Scene) -> tuple[str, Denotation]:
    """A thing at a wall, in a corner, or not so; now and then without another thing."""
    thing = scene.named(scene.target, "bbccttta")
    (place, there), phrases = scene.one(list(clauses.PLACES.items()))
    placed: Denotation = {"at": [thing.denotation, place]}
    if not there:
        placed = {"and": [thing.denotation, {"not": placed}]}
    name = _included(scene, thing, False)
    excluded: list[Thing] = []
    if scene.chance(0.25) and not (thing.colour and thing.type):
        excluded = scene.excluded([thing], 1)
    told_apart = bool(excluded) and scene.chance(0.5)
    if excluded and not told_apart:
        name = f"{name} {scene.say(clauses.IS_NOT_ONE)} {_name(scene, excluded[0], clauses.IS_ONE)}"
    text = scene.say(clauses.PLACED, x=name, p=scene.say(phrases))
    if told_apart:
        text = f"{text}, {scene.one(clauses.NOT)} {_name(scene, excluded[0], clauses.ONE)}"
    return _asked(scene, text, False), _without(placed, excluded)


def _neighbours(scene: _Scene) -> tuple[str, Denotation] | None:
    """A thing beside another one, or not; now and then without a colour or type."""
    thing = scene.named(scene.target, "bbccttta")
    beside = scene.beside()
    there = bool(beside) and scene.chance(0.75)
    if there:
        other = scene.named(scene.one(beside), "bbcctta")
    else:
        others = [each for each in scene.others if each not in beside]
        if not others:
            return None
        other = scene.named(scene.one(others), "bbcct")
    relation: Denotation = {"beside": [thing.denotation, other.denotation]}
    excluded: list[Thing] = []
    if there and scene.chance(0.2) and not (thing.colour and thing.type):
        excluded = scene.excluded([thing], 1)
    name = _name(scene, thing, clauses.ONE)
    if excluded:
        name = f"{name} {scene.say(clauses.IS_NOT_ONE)} {_name(scene, excluded[0], clauses.IS_ONE)}"
    by = scene.one(clauses.BESIDE)
    text = scene.say(
        clauses.WITH_NEIGHBOUR if there else clauses.WITHOUT_NEIGHBOUR,
        x=name,
        y=_name(scene, other, clauses.ONE),
        b=f"{other.colour or ''} {other.type or 'thing'}".strip(),
        by=by,
        by_it=f"{by} it",
        after=scene.one(("next to it", "beside it", "close to it", "right by it", "beside that")),
        the=scene.one(("this", "that", "the")) + f" {thing.type or 'one'}",
    )
    if not there:
        return _asked(scene, text, False), {"and": [thing.denotation, {"not": relation}]}
    asked = text if " go to " in text or " get " in text else _asked(scene, text, False)
    return asked, _without(relation, excluded)


# -- all at once ---------------------------------------------------------------------------


def _together(scene: _Scene) -> tuple[str, Denotation]:
    """What a thing has to be, in two or three clauses, and without exclusions."""
    target = scene.target
    if scene.chance(0.3):  # one thing, as many: "the balls, one of them"
        thing = scene.named(target, "bbctt")
        if thing.colour and thing.type and scene.chance(0.6):
            many = _name(scene, Thing(None, thing.type), {"t": ["{ts}"]})
            return scene.say(clauses.OF_MANY, many=many, one=thing.colour), thing.denotation
        return _asked(scene, _name(scene, thing, clauses.MANY), True), thing.denotation
    thing = scene.named(target, "bbbct")
    parts = [thing.colour] if thing.colour else []
    parts += [f"a {thing.type}"] if thing.type else []
    denotation = thing.denotation
    if len(parts) < 2 or scene.chance(0.35):
        (place, there), phrases = scene.one(list(clauses.PLACES.items()))
        placed: Denotation = {"at": [thing.denotation, place]}
        denotation = placed if there else {"and": [thing.denotation, {"not": placed}]}
        sayable = [text for text in phrases if not text.startswith("that ")]
        parts.append(scene.say(sayable))
    parts = [parts[n] for n in scene.generator.permutation(len(parts))]
    draw = scene.generator.random()
    if draw < 0.3:
        must, subject = scene.one(clauses.MUST), scene.one(clauses.SUBJECTS)
        again = scene.chance(0.5)
        told = [f"{subject if again or not n else ''} {must} {part}".strip()
                for n, part in enumerate(parts)]  # fmt: skip
        return scene.one((" and ", ", ", ", and ", "; ", ". ")).join(told), denotation
    if draw < 0.6:
        return _asked(scene, scene.say(clauses.TOGETHER, x=", ".join(parts)), False), denotation
    last = scene.one((", ", " and ")).join(parts[1:])
    return scene.say(clauses.SENTENCES, a=parts[0], b=last), denotation


_KINDS: dict[Callable[[_Scene], tuple[str, Denotation] | None], float] = {
    _minus: 0.35, _alternatives: 0.2, _placed: 0.12, _neighbours: 0.13, _together: 0.2,
}  # fmt: skip
