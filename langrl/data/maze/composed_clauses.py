"""Pools of clauses that ``composed_texts`` puts together: all of a maze, and what is not meant.

``{x}`` is what is included, ``{y}`` and ``{z}`` are places, ``{line}`` is a row or a column, or a
cell. Words of exclusion are those of ``langrl.data.images.composed_clauses``. No clause is one of a
held-out template.
"""

EVERYWHERE = (
    "(any|every|some|a) (cell|place|square|tile|position)", "(all|all the) (cells|places|squares)",
    "anywhere", "everywhere", "wherever you like", "anything", "the whole (board|map)",
    "(all|any part) of the (map|board|grid)", "any (row|column)", "the rest of the (map|board)",
)  # fmt: skip
EVERY_LINE = (
    "(any|every|some|a) {line}", "(all|all the) {line}s", "one of the {line}s",
    "any of the {line}s",
)  # fmt: skip
"""Where lines are excluded."""
ALLOWED = (
    "{x}", "{x}", "{x}", "{x} (is|would be) (fine|good|allowed|right)", "{x} will do", "{x} counts",
    "(choose|pick|take|find) {x}", "you (may|can) go to {x}", "{x} (may|can) be the goal",
    "i allow {x}", "go to {x}", "(choose|pick|find) {x} to (go to|be in|stop in)", "be in {x}",
    "{x} (is|are) open to you", "{x} (is|are) all right",
)  # fmt: skip
IN = ("in", "in", "on", "inside", "within", "part of", "anywhere in", "a cell of")
OUTSIDE = (
    "outside", "outside of", "out of", "not in", "not inside", "never in", "away from", "not on",
)  # fmt: skip
TWO = ("{y} and {z}", "{y} or {z}", "{y} and {no} {z}", "{y}, {no} {z}")
"""Two places after one word of exclusion, or two."""
OTHERWISE = (
    "(go to|take|find|end in|choose|pick|finish in|stop in|be in) (any other|another|some other|a"
    " different) (cell|place|square|{line})",
    "(everything|anything|anywhere) else is (fine|allowed|good|all right)",
    "all (others|other cells|other places) are (fine|allowed|good|open)",
    "(go|be|stop|end) (anywhere|somewhere) else", "the (rest|others) will do",
    "the rest (of the map|of it all|) is (free|open|allowed)",
    "(go to|end in) one of the (others|other {line}s|other cells)",
)  # fmt: skip
REMAINING = (
    "(go to|be in|end in|stop in|choose|take) {x}", "(go to|be in) {x} otherwise",
    "(go to|be in|choose|take) what is left of {x}", "{x} is (where to go|the goal) otherwise",
    "(go to|end in) the rest of {x}",
)  # fmt: skip
ONLY = (
    "only", "but only", "just", "namely", "that is", "if it is", "provided it is",
    "(as|so) long as it is", "that (is|lies)", "which is", "so it is", "but please", "but always",
    "if only it is", "(and|but) that means", "but it (must|has to|should) be",
    "it just (must|has to) be",
)  # fmt: skip
ONLY_JOINED = (
    "{x}, {only} in {y}", "{x} {only} in {y}", "{x} ({only} in {y})", "{x} - {only} in {y}",
    "{x}; {only} in {y}", "{x}, {only} {y}", "{x}. {only} {y}",
)  # fmt: skip
PLACE_ALONE = (
    "nothing but {y}", "nowhere but {y}", "nowhere except in {y}", "not a cell outside of {y}",
    "not anywhere but {y}", "nowhere other than {y}", "nothing other than {y}", "not out of {y}",
    "not elsewhere than {y}", "{y} and nothing else", "{y}, not anything else",
    "{y} and not another (cell|place|{line})", "{y}, all others are (wrong|excluded)",
    "{y}, the rest is (forbidden|closed|out|not allowed)", "{y}, do not leave it",
)  # fmt: skip
"""What follows a lead and includes a place."""
SENTENCE_ALONE = (
    "(ignore|forget|leave|skip|avoid) (all|everything|whatever is) (but|except|outside) {y}",
    "do not leave {y}", "never be outside of {y}",
    "(don't|do not) (go|stop|end) (anywhere|elsewhere) (but|except) in {y}",
    "everything (but|except) {y} is (forbidden|wrong|closed|out)",
    "(all|every) (cells|cell) (outside|outside of|not in) {y} (is|are) (forbidden|closed|out)",
    "it (can't|cannot|mustn't|must not|won't) be (outside|elsewhere than) {y}",
    "it (isn't|is not) (outside|anywhere but) {y}",
)  # fmt: skip
"""Sentences that include a place."""
