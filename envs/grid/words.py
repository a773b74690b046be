"""The words and templates of ``langrl.envs.grid.grammar``.

In a template ``(x|y)`` is a choice. Its slots: ``{c}`` a colour, ``{t}`` a type, ``{a}`` and
``{b}`` noun phrases for the first and the second thing of a meaning. "a" becomes "an" where
English wants it. Templates and synonyms that are held out are never used in training.
"""

from langrl.envs.phrasing import Phrasing

Templates = dict[Phrasing, list[str]]

SYNONYMS: dict[str, tuple[str, ...]] = {
    "red": ("crimson", "scarlet", "ruby"),
    "green": ("emerald", "lime", "jade"),
    "blue": ("azure", "navy", "cobalt"),
    "purple": ("violet", "lavender", "plum"),
    "yellow": ("golden", "lemon", "mustard"),
    "grey": ("gray", "silver", "ashen"),
    "ball": ("orb", "sphere", "globe"),
    "box": ("crate", "chest", "container", "carton"),
    "key": ("passkey", "latchkey"),
    "door": ("gate", "doorway", "entrance"),
}
"""What held-out texts call a colour or a type."""

CANONICAL = {word: word for word in SYNONYMS} | {
    synonym: word for word, synonyms in SYNONYMS.items() for synonym in synonyms
}
"""What the grammar calls what a word names."""

LEADS: Templates = {
    "seen": [
        "{}", "go to {}", "walk to {}", "find {}", "get to {}", "reach {}", "pick out {}",
        "head to {}", "move to {}", "face {}", "look for {}", "bring me to {}", "take me to {}",
        "please go to {}", "please find {}", "try to reach {}", "go over to {}", "turn to {}",
        "walk over to {} please", "stop at {}", "go and find {}", "head over to {}", "get {}",
        "you should find {}", "show me {}",
    ],
    "held_out": [
        "navigate to {}", "make your way over to {}", "could you please locate {}", "approach {}",
        "i would like you to stand in front of {}", "your target is {}", "seek out {}",
        "proceed towards {} now", "it would be great if you went up to {}", "travel to {}",
        "track down {} for me", "would you mind approaching {}", "come to a halt before {}",
        "i want you to end up at {}", "have a good look around and then approach {}",
        "take as many steps as you need until you are at {}",
    ],
}  # fmt: skip
"""How a goal is asked for; ``{}`` is the goal."""

FILLERS: Templates = {
    "seen": ["{}"],
    "held_out": [
        "{}", "{}", "{}", "{}", "when you have a moment, {}", "there is no hurry, but {}",
        "if it is not too much trouble, {}", "{}, thank you very much", "listen carefully: {}",
        "{}, and take your time", "once you are ready, {}", "hello there, {}",
        "we are almost done here; {}", "{}, and stay there until i call",
    ],
}  # fmt: skip
"""What is said around it; drawn uniformly, so "{}" is repeated for its share."""

NOUNS: dict[str, Templates] = {
    "full": {
        "seen": ["(a|the|some|any) {c} {t}"],
        "held_out": [
            "(one|that|a single|whichever) {c} {t}", "(a|one|that) {t} (coloured|painted) {c}",
            "(a|that) {c} coloured {t}", "(a|one) {t} of {c} colour",
        ],
    },
    "colour": {
        "seen": ["(something|anything) {c}", "(a|the|some|any) {c} (thing|object|item)"],
        "held_out": [
            "(one|that|a single|whichever) {c} (thing|object|item)",
            "(a|one) (thing|object|item) (coloured|painted) {c}",
            "something of {c} colour", "a {c} coloured (thing|object)",
        ],
    },
    "type": {
        "seen": ["(a|the|some|any) {t}"],
        "held_out": [
            "(one|that|a single|whichever) {t}", "(a|one) {t} of any colour",
            "some {t} or other", "a object of the {t} kind",
        ],
    },
    "any": {
        "seen": ["(something|anything)", "a thing", "(a|some|any) (object|item)"],
        "held_out": [
            "(anything|any object|any item) at all", "a arbitrary (thing|object|item)",
            "(some|any) object of your choice", "just about anything",
            "whichever (thing|object|item) you please",
        ],
    },
}  # fmt: skip
"""Noun phrases for one thing, by how much of it they name."""

CLAUSES: dict[str, Templates] = {
    "full": {
        "seen": ["{c} {t}", "(a|the|some|any) {t} (that|which) is {c}"],
        "held_out": [
            "(a|the) {t} whose colour is {c}", "whichever {t} happens to be {c}",
            "(a|one) {t} that you would call {c}", "a object of the {t} kind in the colour {c}",
        ],
    },
    "colour": {
        "seen": [
            "(something|anything) (that|which) is {c}",
            "(a|the|some|any) (thing|object|item) (that|which) is {c}",
        ],
        "held_out": [
            "whatever is {c}", "a object whose colour is {c}", "whatever happens to be {c}",
            "something you would call {c}",
        ],
    },
    "type": {
        "seen": [
            "{t}", "(something|anything) that is a {t}", "a thing that is a {t}",
            "(a|some|any) (object|item) that is a {t}",
        ],
        "held_out": [
            "whatever is a {t}", "(a|one) {t} in whatever colour",
            "something you would call a {t}", "a {t} no matter its colour",
        ],
    },
    "any": {
        "seen": [],
        "held_out": ["whatever you like", "whatever catches your eye", "whatever comes first"],
    },
}  # fmt: skip
"""Longer names for one thing, too long to be part of another phrase."""

COMPOUNDS: dict[str, Templates] = {
    "except": {
        "seen": [
            "(anything|any object|any item) but {c}", "{a} (that|which) is not {c}",
            "{a} but not {c}", "{a} (other than|except|except for) (a|the) {c} one",
            "(anything|any object|any item) but a {t}", "{a} (that|which) is not a {t}",
            "{a} but not a {t}", "{a} (other than|except|except for) (a|the) {t}",
            "(anything|any object|any item) but (a|the) {c} {t}",
            "{a} (that|which) is not a {c} {t}",
            "{a} (other than|except|except for) (a|the) {c} {t}",
        ],
        "held_out": [
            "a non-{c} (thing|object|item)", "{a}, as long as it is not {c}",
            "{a} with the exception of {c} ones", "whatever isn't {c}", "{a}, just nothing {c}",
            "{a} of a colour different from {c}",
            "{a}, as long as it is no {t}", "{a} with the exception of every {t}",
            "whatever isn't a {t}", "{a}, (just no|excluding every|barring any) {t}",
            "{a}, as long as it is no {c} {t}", "whatever isn't a {c} {t}",
            "{a}, (just no|excluding every|barring any) {c} {t}",
        ],
    },
    "both": {
        "seen": [
            "(something|anything) that is both {c} and a {t}", "(a|the|any) {t}, and a {c} one",
            "(a|some|any) (thing|object|item) that is {c} and a {t}",
            "(something|anything) that is {c} and is a {t}", "(a|any) {t} and it must be {c}",
            "(something|anything) that is a {t} and is {c}", "(a|the|any) {t} that is also {c}",
            "{a} that is also {b}",
        ],
        "held_out": [
            "a {t}, but only if it is {c}", "something {c}, so long as it is a {t}",
            "a {t}, and make sure that it is {c}", "something {c} which must be a {t} as well",
            "whatever is a {t} and at the same time {c}", "a {c} one among the {t} objects",
            "{a} which must be {b} as well",
        ],
    },
    "either": {
        "seen": ["{a} or {b}", "either {a} or {b}", "{a} or {b}, both are fine"],
        "held_out": [
            "{a} or else {b}", "{a} or maybe {b}", "{a}, alternatively {b}",
            "whichever you like of {a} and {b}", "{a} or, just as well, {b}",
        ],
    },
    "next_to": {
        "seen": [
            "{a} (next to|beside) {b}", "{a} (that|which) is (next to|beside) {b}",
            "{a} right next to {b}",
        ],
        "held_out": [
            "{a} (adjacent to|touching|right by|bordering|alongside) {b}",
            "{a} in direct contact with {b}", "{a} that has {b} for a neighbour",
            "{a} with {b} at its side",
        ],
    },
    "nearest_wall": {
        "seen": [
            "{a} (nearest|nearest to|closest to) (the|a) wall",
            "{a} that is (nearest|nearest to|closest to) (the|a) wall",
        ],
        "held_out": [
            "{a} least far from (the|a) wall", "{a} with the shortest way to a wall",
            "{a} at the smallest distance from (the|a) wall", "{a} hugging the wall most tightly",
        ],
    },
}  # fmt: skip
"""Phrases for what is made of things. Only {c}, only {t} or both of them stand for the second
thing (in ``both``: {c} for the first, {t} for the second); no {a} means that it is any object."""

SENTENCES: dict[str, Templates] = {
    "except": {
        "seen": [],
        "held_out": [
            "avoid {c} (things|objects|items), take anything else",
            "{c} is off limits, so choose a object of another colour",
            "leave every {t} alone and choose any other object",
            "do not choose a {c} {t}; all other objects are fine",
            "i am after {a}, but i do not want a {t}",
            "i am after {a}, but i do not want a {c} one",
        ],
    },
    "both": {
        "seen": [],
        "held_out": [
            "i am thinking of a {t}, and its colour is {c}",
            "there are two conditions: it is {c}, and it is a {t}",
        ],
    },
    "either": {
        "seen": [],
        "held_out": [
            "it can be {a} and it can be {b}, i do not mind",
            "you may choose between {a} and {b}",
            "if you see {a}, stand there; {b} is just as good",
        ],
    },
    "next_to": {
        "seen": [],
        "held_out": [
            "(start|begin) at {b} and choose {a} adjoining it",
            "i am after {a}, and it has to touch {b}",
        ],
    },
    "nearest_wall": {
        "seen": [],
        "held_out": [
            "look along the walls and choose {a} that is least far from one",
            "i am after {a}, and no other may be closer to a wall",
        ],
    },
}  # fmt: skip
"""Compounds that are whole sentences and take no lead."""
