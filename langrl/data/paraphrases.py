"""Further ways to say what the grammar means, for training only.

Templates as in ``langrl.envs.grid_words``, with its slots. None of them is a held-out template,
and no word of theirs is a held-out synonym; tests check both.
"""

NOUNS: dict[str, list[str]] = {
    "full": [
        "(every|this|your|my|another) {c} {t}", "(a|the|any) {t} in {c}",
        "(a|the) {t} with {c} paint", "(a|the) {t} having the colour {c}",
        "(a|the) {t} (shown|drawn|made) in {c}", "the {t} in the colour of {c}", "{t}, {c}",
        "(a|the|any) (bright|plain|light|dark) {c} {t}", "the {c} kind of {t}", "{c} {t} here",
    ],
    "colour": [
        "(every|this|your|my|another) {c} (thing|object|item|piece)", "anything in {c}",
        "(a|the) (thing|object|item|piece) in {c}", "things with {c} paint", "{c}",
        "(a|the) (bright|plain|light|dark) {c} (thing|object|item)", "the {c} kind of thing",
        "a (thing|object) having the colour {c}", "something with {c} on it", "{c} stuff",
    ],
    "type": [
        "(every|this|your|my|another) {t}", "a {t} of some sort", "any sort of {t}",
        "a {t} in some colour", "a {t}, and its colour does not matter", "what is called a {t}",
        "an object like a {t}", "a {t} here", "a {t}, be it dark or bright", "what we call a {t}",
    ],
    "any": [
        "any one thing", "an object, no matter which", "some piece", "what you want",
        "every thing is fine", "an object of some sort", "any piece here", "something here",
        "all things are good", "a thing of any sort", "stuff", "the first thing you see",
    ],
}  # fmt: skip
"""Noun phrases for one thing, by how much of it they name."""

COMPOUNDS: dict[str, list[str]] = {
    "except": [
        "{a} unless it is {c}", "{a} without the {c} ones", "every thing minus the {c} ones",
        "{a} if it is not {c}", "{a} that does not look {c}", "all (things|objects) save {c} ones",
        "not the {c} one", "not {c}, some other colour", "{a} with no {c} on it", "never {c}",
        "{a} but never a {c} one", "{a} apart from {c} ones", "{a} in any colour but {c}",
        "skip the {c} ones and find another thing", "ignore what is {c} and get some other thing",
        "do not go to {c} things, go to the others", "stay away from {c}, all else is fine",
        "anything goes, only {c} does not", "{a} and not one that is {c}", "un{c} things",
        "{a} unless it is a {t}", "{a} without the {t}", "every (thing|object) minus the {t}",
        "{a} if it is not a {t}", "all (things|objects) save a {t}", "not the {t}", "never a {t}",
        "not a {t}, some other kind", "{a} but never a {t}", "{a} apart from a {t}",
        "skip the {t} and find another thing", "ignore each {t} and get some other thing",
        "do not go to a {t}, go to the others", "stay away from the {t}, all else is fine",
        "anything goes, only a {t} does not", "{a} and not one that is a {t}",
        "{a} unless it is a {c} {t}", "{a} without the {c} {t}", "not the {c} {t}",
        "{a} if it is not a {c} {t}", "never a {c} {t}", "{a} apart from a {c} {t}",
        "skip the {c} {t} and find another thing", "ignore each {c} {t} and get some other thing",
        "stay away from the {c} {t}, all else is fine", "{a} and not one that is a {c} {t}",
        "anything goes, only a {c} {t} does not", "not a {c} {t}, some other kind",
        "we want {a}, only we do not want a {c} one", "we want {a}, only we do not want a {t}",
        "we want {a}, only we do not want a {c} {t}", "{a} minus {b}", "{a} and not {b}",
        "{a} which is not {b}", "{a}, never {b}", "{a}, but please not {b}",
        "{a}, provided that it is not {c}", "{a}, provided that it is not a {t}",
        "{a}, nothing {c}", "{a}, none of the {c} ones", "{a}, leaving out the {c} ones",
        "{a}, omitting any {t}", "{a}, omitting any {c} {t}", "{a}, leaving out each {t}",
        "{a}, nothing that is a {t}", "{a}, nothing that is a {c} {t}", "all but the {c} ones",
        "the {c} ones are forbidden, so take some other thing", "a not-{c} (thing|object)",
        "the {t} is forbidden, so take some other thing", "what is not {c}", "what is not a {t}",
        "the {c} {t} is forbidden, so take some other thing", "what is not a {c} {t}",
        "keep off {c} things and take one of the rest", "keep off every {t} and take the rest",
        "keep off the {c} {t} and take the rest", "reject {c} things, accept all else",
        "reject the {t}, accept all else", "reject the {c} {t}, accept all else",
        "i hate {c}, so find me a thing in some other colour", "i hate every {t}, find the rest",
        "i hate the {c} {t}, find the rest", "{a} whose colour is not {c}",
        "i look for {a}, but no {t} please", "i look for {a}, but no {c} one please",
        "i look for {a}, but no {c} {t} please", "{a}, but do not take the {c} one",
        "{a}, but do not take the {t}", "{a}, but do not take the {c} {t}",
        "{c} is bad, so get something in another colour", "each {t} is bad, all others are good",
    ],
    "both": [
        "{c} and a {t}", "a {t} with the property of being {c}", "both {c} and of the sort {t}",
        "it has to be a {t} and also {c}", "{a}, and it has to be {b} too", "a {t} if {c}",
        "the colour is {c} and the kind is {t}", "a thing in {c}, and also a {t}",
        "{a} and at once {b}", "look for {c}, look for a {t}, you need both in one",
        "of each {t} here, get the {c} one", "of the {c} things, get the {t}",
        "a {t}, it has to be {c}", "something {c}, it has to be a {t}", "{a} as well as {b} in one",
    ],
    "either": [
        "{a} and/or {b}", "{a}; {b} works too", "one of these: {a}, {b}", "any of {a} and {b}",
        "{a} or {b}, no matter which", "{a} if there is one, else {b}", "{a} or otherwise {b}",
        "it is fine to go to {a} and it is fine to go to {b}", "either of these two: {a}, {b}",
        "{a}, or if you want {b}", "{a} or even {b}", "{a}, but {b} is fine too",
        "{a} works, and so does {b}", "get one of the two, {a} and {b}", "{a} / {b}",
        "as you want, {a} or {b}", "when you find {a}, stop; when you find {b}, stop too",
    ],
    "next_to": [
        "{a} (near|by|against|close by|close to|up against) {b}", "{a} (with|having) {b} beside it",
        "{a} (that|which) (sits|lies|stands) (next to|beside|against|by) {b}",
        "{a} which neighbours {b}", "{a} neighbouring {b}", "{a} that meets {b}",
        "{a} joined to {b}", "{a} directly beside {b}", "{a} immediately next to {b}",
        "{a} in the cell next to {b}", "{a} that shares an edge with {b}", "{a} abutting {b}",
        "find {b} first, then {a} next to it", "by {b} there is {a}, go to that one",
        "we want {a}, and {b} must be next to it", "near {b}, get {a}", "{a} nearby {b}",
        "go where {b} is and face {a} beside it", "{a} together with {b}", "{a} attached to {b}",
        "{a} one step from {b}", "next to {b}, {a}", "{a}, and {b} lies beside that",
    ],
    "nearest_wall": [
        "{a} (nearest|closest to) the edge of the room", "{a} most near (the|a) wall",
        "{a} that the wall is closest to", "{a} (by|near|against|next to) the wall",
        "{a} whose distance to (the|a) wall is lowest", "{a} with the least space to the wall",
        "{a} that has the wall nearest", "{a} nearer to (the|a) wall than the others",
        "of all walls and things, {a} nearest a wall", "{a} close to the wall",
        "{a} that is close up to a wall", "{a} which is the nearest of them to the walls",
        "look where the walls are, then find {a} closest to them",
        "we want {a}, the one nearest to the walls", "{a} not far away from the wall",
        "{a} with no other one nearer to a wall", "{a} at the wall", "{a} along the wall",
        "{a} fewest steps away from the wall", "{a} at the border", "{a} at the edge",
    ],
}  # fmt: skip
"""Phrases for what is made of things; {c} and {t} as in ``grid_words.COMPOUNDS``."""

LEADS = [
    *["{}"] * 16, "(run|drive|come|step|hurry|turn|hop) (up to|to|towards|near) {}", "we need {}",
    "i (want|need) {}", "can you (find|get|reach|see) {}", "the goal is {}", "it is {} we need",
    "your goal: {}", "{} is what we want", "make it to {}", "end in front of {}", "stand by {}",
    "point yourself at {}", "robot, go to {}", "your job is to find {}", "the thing to find is {}",
    "where is {}", "choose {}", "take {}", "pick {}", "touch {}", "let us go to {}", "be at {}",
    "search the room for {}", "what we want to see in front of you is {}", "stop right before {}",
    "explore until you face {}", "if you can, go to {}", "move on until you get to {}",
    "you have to go to {}", "keep walking until you find {}", "discover {}", "visit {}",
    "get close to {}", "walk in the direction of {}", "arrive at {}", "select {}", "aim for {}",
]  # fmt: skip
"""How a goal is asked for."""

FILLERS = [
    "hi robot, {}", "{} if you can", "{} soon", "ok, {}", "well, {}", "as we said, {}", "{} today",
    "{}, if you do not mind", "now {}", "next, {}", "so {}", "{}, and be quick", "{}; that is all",
    "it is late, {}", "dear robot: {}", "{}, then wait", "{} before lunch", "{}, and then rest",
    "we have enough time, so {}", "first of all, {}", "as soon as you can, {}", "{}, that is it",
    "we do not know why, but {}", "not to be rude, but {}", "we have no time, so {}",
    "this is not hard: {}", "{}, no matter how long it takes", "{} but not too fast",
    "it may not be easy, but {}", "no doubt you know it: {}", "{}, unless you are busy",
    "but first, {}", "if nothing else is to be done, {}", "{}, and do not forget it",
    "this is the last task: {}", "{}, do it slowly", "{} and remain there", "good morning, {}",
]  # fmt: skip
"""What is said around it."""

ASIDES = [
    "there was no {w}, but {}", "it is not about the {w}, so {}", "if there is a {w}, {}",
    "we are {w} and {w}, so {}", "{w} or not, {}", "{}, and be {w} until we {w}", "{}, as {w} do",
    "{} while the {w} does not {w}", "when the {w} is {w}, {}", "without any {w}, {}",
    "{}, but with no {w}", "do as {w} as you {w} and then {}", "you may {w}, but {}",
    "{w} {w}: {}", "{w}, {w} and {w}, {}", "{}, {w} {w}", "as {w} as it may be, {}",
    "take no {w} until you {w} and {}", "a {w} is not a {w}, but {}", "{}, {w} or {w}",
]  # fmt: skip
"""What is said around it, with any words for {w}; drawn at ``TextWriter.asides``."""
