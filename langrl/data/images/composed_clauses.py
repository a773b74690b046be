"""Pools of clauses that ``composed_texts`` puts together: noun phrases, exclusions, places.

Templates as in ``langrl.data.images.paraphrases``: ``{c}``, ``{t}`` and ``{ts}`` are a colour, a
type and its plural; ``{x}`` is what is included, ``{y}`` what is excluded or beside it. No clause
is one of a held-out template.
"""

ONE = {
    "b": ["(a|the|any|some) {c} {t}", "a {t} in {c}", "a {t} that is {c}", "a {c} one, a {t}"],
    "c": [
        "(a|the|any|some) {c} (thing|object|item)", "(something|anything) {c}", "a {c} one",
        "something in {c}",
    ],
    "t": ["(a|the|any|some) {t}", "a {t} in any colour", "something that is a {t}"],
    "a": ["anything", "any (thing|object|item)", "some (thing|object)", "something"],
}  # fmt: skip
MANY = {
    "b": ["(the|all|any|) {c} {ts}", "{ts} in {c}", "{ts} that are {c}"],
    "c": ["(the|all|any|) {c} (things|objects|items|ones)", "all that is {c}", "things in {c}"],
    "t": ["(the|all|any|) {ts}", "{ts} in all colours"],
    "a": ["(the|all|) (things|objects|items)", "all the things here", "everything"],
}
BARE = {"b": ["{c} {t}"], "c": ["{c}"], "t": ["{t}"], "a": ["thing", "anything"]}
IS_ONE = {"b": ["a {c} {t}"], "c": ["{c}", "{c}", "a {c} one"], "t": ["a {t}"]}
ARE_MANY = {"b": ["{c} {ts}"], "c": ["{c}", "{c}", "{c} ones"], "t": ["{ts}"]}
NOT = [
    "not", "never", "certainly not", "surely not", "of course not", "please not", "not, please,",
    "under no circumstances", "in no case", "on no account", "at no time", "definitely not",
    "but not", "and not", "yet not", "though not", "only not", "just not", "however not",
    "but never", "but please not", "but in no case", "although not", "not ever", "not, mind you,",
    "except", "but for", "save", "save for", "without", "minus", "less", "apart from",
    "aside from", "other than", "leaving out", "leaving aside", "omitting", "ignoring", "skipping",
    "disregarding", "not counting", "dropping", "rejecting", "refusing", "passing over", "but no",
]  # fmt: skip
JOINED = [
    "{x}, {no} {y}", "{x} {no} {y}", "{x}, {no} {y}", "{x} - {no} {y}", "{x}; {no} {y}",
    "{x} ({no} {y})", "{no} {y}: {x}", "{no} {y}, {x} otherwise", "{x}. {no} {y}",
]  # fmt: skip
OUT = [
    "excluded", "excepted", "left out", "left aside", "not wanted", "not allowed", "ruled out",
    "not meant", "not asked for", "forbidden", "banned", "aside", "disregarded", "barred",
    "(don't|do not) count", "(don't|do not) qualify", "(aren't|are not) (wanted|meant|allowed)",
    "(are|being) (forbidden|banned|out|no good|useless|wrong)", "won't do", "will not do",
    "must stay where they are", "are to be left alone", "are not for you", "do not interest me",
]  # fmt: skip
OUT_JOINED = ["{x}, {y} {out}", "{x}, with {y} {out}", "{x} ({y} {out})", "{x}; {y} {out}",
               "{y} {out}, so {x}", "{x}, but {y} {out}", "{x}, only {y} {out}"]  # fmt: skip
IS_NOT_ONE = [
    "that (isn't|is not|is no way)", "which (isn't|is not)", "that's not", "that (must|may) not be",
    "that (shouldn't|mustn't|can't|cannot) be", "that ain't", "that is never", "not being",
    "which (must|should|may) not be", "that isn't in any way", "that (isn't|is not) called",
    "if it (isn't|is not)", "unless it (is|is called)", "provided it (isn't|is not)",
]  # fmt: skip
ARE_NOT_MANY = [
    "that (aren't|are not)", "which (aren't|are not)", "that (must|may) not be", "that ain't",
    "that (shouldn't|mustn't|can't|cannot) be", "not being", "if they (aren't|are not)",
    "which (must|should|may) not be", "unless they are", "who aren't",
]  # fmt: skip
AND_NOT = ["and {is_not} {y}", "nor {y}", "or {y}", "and also {is_not} {y}", "or {y} either",
            "or {y}", "nor {y}"]  # fmt: skip
GO_TO_MANY = [
    "{x}: go to one", "{x}, go to any of (them|these|those)", "go to one of {x}",
    "of {x}, (take|choose|find|get) one", "among {x}, (go to|pick|find) one", "{x}, one of them",
    "pick (one|any) of {x}", "{x} are (what i want|fine|right|good), find one",
    "there (are|may be) {x}, go to one", "we want one of {x}", "{x}, get to one of those", "{x}",
]  # fmt: skip
PASS_BY = [
    "ignore", "skip", "leave", "forget", "dismiss", "disregard", "shun", "omit", "drop", "spare",
    "stay away from", "keep off", "walk past", "pass by", "do not visit", "don't go to", "refuse",
    "never touch", "keep away from", "don't take", "do not pick", "leave out", "rule out",
]  # fmt: skip
THEN = [", ", " and ", ", then ", "; ", ". ", ", and then ", ", but "]
GO_TO_OTHERS = [
    "(go to|take|find|get|pick|visit|face|reach) (any other|another|some other|a different) {t}",
    "(go to|take|find|get|pick|visit|face|reach) {x} that is left",
    "go to {x} of some other sort",
    "(go to|find|get|reach) {x}",
]
GO_TO_REST = [
    *GO_TO_OTHERS,
    "(go to|take|find|get|pick|visit|face|reach) one of the (rest|others)",
    "(go to|take|find|get|pick|visit|face|reach) (whatever|what) else there is",
    "everything else is (fine|allowed|good|all right)", "all others are (fine|allowed|good)",
    "the others are all (fine|allowed|good)",
]  # fmt: skip
MUST = ["must be", "has to be", "should be", "needs to be", "ought to be", "is", "is to be",
         "will be", "is required to be"]  # fmt: skip
MUST_NOT = ["must not be", "mustn't be", "should not be", "shouldn't be", "cannot be", "can't be",
             "is not", "isn't", "may not be", "is never", "is not to be", "won't be",
             "is not supposed to be", "must never be", "ought not to be"]  # fmt: skip
SUBJECTS = ["it", "it", "it", "the thing", "what i want", "the goal", "the object", "your target"]
NEITHER = ["neither {y} nor {z}", "no {y}, no {z}", "not {y} and not {z}", "not {y}, not {z}",
            "not {y} or {z}", "but neither {y} nor {z}", "without {y} and {z}",
            "with no {y} and no {z}", "nothing of {y} and {z}", "not {y}, nor {z}"]  # fmt: skip
ONE_OF = [
    "{x}", "{x}", "{x}, (any|either|one) of (them|these)", "one of these: {x}", "any of {x}",
    "{x}, it's all the same", "{x}, whichever", "{x}, no matter which", "{x}, i don't care which",
    "{x} are all fine", "{x} will do", "{x}: all are right", "what about {x}",
]  # fmt: skip
EACH_FINE = [
    "you can (go to|take|pick|visit) {}", "(go to|take|pick|find|reach) {}", "{} is (fine|good)",
    "{} will do", "i'd be happy with {}", "{} is all right", "maybe {}", "why not {}", "it is {}",
    "{} counts", "you are allowed to go to {}", "{} would be right", "{} is what we want",
]  # fmt: skip
ENDS = [
    "", "", "", ", choose one", ", pick one", ", one of them", ", as you please", ". you decide",
    ". go to one of them", "; one is enough",
]  # fmt: skip
PLACES: dict[tuple[str, bool], list[str]] = {
    ("wall", True): [
        "by (a|the) wall", "at (a|the) wall", "against (a|the) wall", "right at the wall",
        "next to (a|the) wall", "beside a wall", "along the wall", "at the edge of the room",
        "with a wall beside it", "with its back to a wall", "that a wall is next to", "wall-side",
    ],
    ("wall", False): [
        "not by (a|the) wall", "not at a wall", "not next to (a|the) wall", "away from the walls",
        "far from all walls", "off the walls", "with no wall beside it", "with no wall next to it",
        "in the open", "out on the floor", "not standing at a wall", "that is not at any wall",
        "that isn't by a wall", "without a wall close by", "free of the walls",
    ],
    ("corner", True): [
        "in (a|the) corner", "in a corner of the room", "sitting in a corner", "put in a corner",
        "where two walls meet", "stuck in the corner", "at a corner", "with walls on two sides",
    ],
    ("corner", False): [
        "not in a corner", "that isn't in a corner", "in no corner", "outside of the corners",
        "away from the corners", "that is not where two walls meet", "not stuck in a corner",
    ],
}  # fmt: skip
PLACED = [
    "{x} {p}", "{x}, {p}", "{x} that (is|stands|lies|waits|sits) {p}", "{x}, the one {p}",
    "{x} which you find {p}", "{p}, {x}", "{x}. it is {p}", "{x}, it (is|stands|lies) {p}",
    "{x} found {p}", "{x} standing {p}", "{x}; it waits {p}", "{x} - {p}", "{x} if it is {p}",
    "{x}, provided it is {p}", "{x}, but only one {p}", "{x}, only one {p}", "{p} there is {x}",
]  # fmt: skip
BESIDE = ["next to", "beside", "by", "right next to", "right beside", "close to", "at the side of",
           "directly beside", "in the cell beside"]  # fmt: skip
WITH_NEIGHBOUR = [
    "{x} {by} {y}", "{x}, {by} {y}", "{x} that (is|lies|stands|sits) {by} {y}",
    "{x} with {y} {after}", "{x} and, {by_it}, {y}: go to {the}", "{x} having {y} {after}",
    "there is {x} {by} {y}, go to {the}", "{x} (is|lies|stands) {by} {y}. go to {the}",
    "{y} has {x} {after}; go to {the}", "look for {y}, {after} is {x}, that one",
    "{x}. {y} is {after}", "{x} which has {y} {after}", "find {y} and {x} {after}",
    "{x}, {y} {after}", "of all there is, {x} {by} {y}", "{x} and {y} are side by side, get {the}",
]  # fmt: skip
WITHOUT_NEIGHBOUR = [
    "{x} not {by} {y}", "{x} that (isn't|is not) {by} {y}", "{x} with no {b} {after}",
    "{x} without a {b} {after}", "{x}, but not {by} {y}", "{x} which is not {by} {y}",
    "{x} that has no {b} {after}", "{x}, only not one {by} {y}", "{x}, not the one {by} {y}",
    "{x} that doesn't (lie|stand|sit) {by} {y}", "{x}, unless it is {by} {y}",
    "{x} away from {y}", "{x}, never one {by} {y}", "{x} if {y} is not {after}",
]  # fmt: skip
TOGETHER = ["{x}", "{x}", "{x}", "{x}, all at once", "{x}, all of that together", "{x} in one",
             "{x}: all of it has to (hold|be so)", "all of this in one thing: {x}"]  # fmt: skip
SENTENCES = [
    "{a}. it (is|must be|should be) {b}", "there is {a}. it is {b}. go to it",
    "i see {a}. it is {b}. go there", "find {a}. you will see that it is {b}",
    "{a}, and it (is|has to be|should be|must be) {b}", "{a}; it is {b}", "{a}. make it {b}",
    "let it be {a} and let it be {b}", "first, it is {a}. second, it is {b}", "{a} and also {b}",
    "what i want is {a}. what i want is {b}", "{a} that (is|must be|has to be) {b}",
    "{a}, so it is {b}", "take {a}, one that is {b}", "{b}, that is how {a} should be",
    "{a}, {b}", "{b}: {a}", "it is {a} that is {b}", "{a}, {b}, not less", "{a}. not any, only {b}",
]  # fmt: skip
OF_MANY = [
    "of (the|all) {many}, (go to|take|get|find) (a|the) {one} one", "{many}: find a {one} one",
    "among (the|all) {many}, get the {one} one", "{many} are what we look for, {one} ones",
    "{many}, {many}! go to a {one} one", "there are {many} here. go to one that is {one}",
    "{many} that are {one}, go to any of them", "{many}, if they are {one}",
]  # fmt: skip
