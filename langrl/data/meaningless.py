"""Texts that mean nothing in a world, drawn by rule: what a language side is to recognise as such.

Questions, remarks, sentences in other languages, things that are in no world of langrl, words in no
order, syllables, code. They are of the training group (``langrl.data.word_sets``): no development
or blind text is among them; a test compares them.
"""

import re
from collections.abc import Collection, Sequence

from numpy.random import Generator

from langrl.errors import DomainError
from langrl.words import split_words

_TRIES = 200  # draws for each text that is asked for, before there are too few
_MEANT = 0.5  # share of a text's longer words that a world may know
_LONG = 4  # letters of a longer word
_SLOT = re.compile(r"\{(\w+)\}")

SLOTS: dict[str, tuple[str, ...]] = {
    "day": (
        "Monday", "Tuesday", "Friday", "tomorrow", "tonight", "next week", "in April",
        "this winter", "in the afternoon", "on Thursday", "at the weekend",
    ),
    "weather": (
        "rain", "snow", "hail", "fog", "thunder", "sunshine", "wind", "frost", "drizzle", "heat",
    ),
    "city": (
        "Paris", "London", "Nairobi", "Tokyo", "Lima", "Oslo", "Cairo", "Toronto", "Mumbai",
    ),
    "person": (
        "my brother", "your aunt", "the teacher", "our neighbour", "the president", "Maria",
        "the dentist", "grandfather", "an actor", "the singer", "his lawyer", "the nurse",
    ),
    "colour": (
        "red", "green", "blue", "purple", "yellow", "grey", "pink", "orange", "white", "brown",
    ),
    "kind": (
        "wooden", "striped", "sleepy", "enormous", "broken", "frozen", "invisible", "angry",
        "hungry", "electric", "ancient", "noisy", "muddy", "famous",
    ),
    "thing": (
        "elephant", "penguin", "horse", "spider", "lion", "whale", "parrot", "rabbit", "bicycle",
        "tractor", "aeroplane", "bus", "submarine", "castle", "lighthouse", "church", "bridge",
        "hospital", "volcano", "river", "forest", "island", "mountain", "fountain", "statue",
        "guitar", "trumpet", "television", "computer", "refrigerator", "sofa", "wardrobe",
        "mirror", "curtain", "umbrella", "jacket", "shoe", "sandwich", "banana", "pizza",
        "teapot", "spoon", "newspaper", "calendar", "telescope", "robot", "dragon", "wizard",
        "policeman", "baby", "queen", "cactus", "mushroom", "sunflower", "cloud", "planet",
    ),
    "go": (
        "go to", "find", "walk to", "reach", "look for", "head for", "move to", "bring me to",
        "take me to", "stand by", "get to", "approach", "visit",
    ),
    "do": (
        "sing", "sleep", "dance", "cook", "paint", "swim", "laugh", "read", "sneeze", "whistle",
        "knit", "argue", "vote", "pray", "juggle",
    ),
    "food": (
        "soup", "coffee", "bread", "salad", "chocolate", "noodles", "cheese", "lemonade", "rice",
    ),
    "topic": (
        "history", "football", "politics", "medicine", "chess", "poetry", "algebra", "taxes",
        "jazz", "gardening", "philosophy", "cricket",
    ),
    "name": ("foo", "total", "items", "index", "buffer", "user", "parser", "cfg"),
    "number": ("2", "3", "7", "9", "12", "40", "100", "1998", "two", "six", "eleven", "thirty"),
    "syllable": (
        "ba", "zu", "kri", "mol", "fex", "to", "wug", "pli", "shna", "dra", "ig", "oov", "ent",
        "ryx", "mu", "glo", "quib", "tre", "sna", "vop",
    ),
}  # fmt: skip
"""What is put into the templates."""

TEMPLATES: dict[str, tuple[str, ...]] = {
    "question": (
        "what is the weather like {day}?", "will there be {weather} {day}?",
        "is it cold in {city} {day}?", "how far is it from {city} to {city}?",
        "who is {person}?", "why does {person} {do} so often?", "when does the train leave?",
        "how much does {food} cost in {city}?", "do you like {topic}?", "can you {do}?",
        "what do you know about {topic}?", "how are you today?", "where was {person} born?",
        "what is your name?", "tell me a joke about {topic}",
    ),
    "remark": (
        "{person} bought some {food} {day}", "I have never been to {city}",
        "we had {weather} all day", "{person} and {person} talk about {topic}",
        "the {food} was not very good", "I would rather {do} than {do}",
        "{topic} is more fun than {topic}", "there will be {weather} in {city} {day}",
        "{person} is going to {do} {day}", "it was the best {food} that I ever had",
        "nobody expected the {weather}", "my {thing} needs a new battery",
        "{person} is {number} years old", "the score was {number} to {number}",
        "it is {number} degrees outside", "we met at {number} o'clock {day}",
    ),
    "no such thing": (
        "{go} the {colour} {thing}", "{go} a {colour} {thing}", "{go} the {kind} {thing}",
        "{go} the {thing}", "{go} a {thing}", "{go} my {thing} please", "{go} {city}",
        "{go} the {colour} {thing} or the {kind} {thing}", "please {go} {person}",
        "{go} the {thing} of {person}", "I want the {kind} {thing}", "the {colour} {thing}",
        "{go} the {kind} {food}", "{go} anything but the {thing}", "{thing}",
    ),
    "another task": (
        "{do} for {person}", "{do} and then {do}", "cook some {food} for {person}",
        "call {person} {day}", "write a letter about {topic}", "buy {food} and {food} {day}",
        "translate this into Latin", "play some {topic} music", "book a flight to {city}",
        "wake me up {day}", "repair the {thing}", "sell your {thing}", "feed the {thing}",
        "open the window because of the {weather}", "wash the {kind} {thing}",
    ),
    "other language": (
        "wie ist das Wetter heute in {city}?", "ich habe gestern viel gearbeitet",
        "meine Schwester kommt morgen aus {city}", "das Essen schmeckt wirklich gut",
        "quel temps fait-il ce matin ?", "je ne comprends pas la question",
        "nous avons mangé du fromage hier soir", "il faut acheter du lait pour demain",
        "¿qué tiempo hace en {city}?", "mi hermano trabaja en una oficina",
        "no me gusta levantarme temprano", "hace mucho calor en verano",
        "che ore sono adesso?", "mi piace molto la musica classica",
        "domani andiamo tutti al mare", "o almoço está na mesa",
        "hoje está muito frio em {city}", "ik heb vandaag geen tijd voor je",
        "morgen gaan we naar {city}", "jag förstår inte vad du menar",
        "vi ska åka till {city} i sommar", "nie wiem o co ci chodzi",
        "dziś pada deszcz w {city}", "bugün hava çok güzel", "minä en puhu englantia",
        "karibu sana rafiki yangu", "terima kasih banyak", "xin chào các bạn",
    ),
    "code": (
        "for {name} in {name}: print({name})", "if {name} is None: return {name}",
        "import {name} as {name}", "<div class=\"{name}\"></div>", "{name}.append({name})",
        "DELETE FROM {name} WHERE {name} IS NULL", "sudo rm -rf /tmp/{name}",
        "def {name}(self, {name}):", "const {name} = await {name}();",
        "{name} = {number} * {number}", "{name} = {number} + {name} - {number}",
        "while {name} < {number}: {name} += {number}", "{name}[{number}] == {number}",
    ),
    "courtesy": (
        "good morning", "please", "thanks a lot", "hello there", "you are so kind", "oh dear",
        "yes please", "no thank you", "well, well", "ok", "bye for now", "sorry about that",
        "see you {day}", "happy birthday to {person}", "hm", "never mind", "and so on", "...",
    ),
}  # fmt: skip
"""By what is wrong with them; words in no order and syllables have no template."""

_KINDS = (*TEMPLATES, "no order", "no words")
_LOOSE = ("of", "and", "the", "with", "if", "then", "from", "very", "it", "what", "as", "never")


def draw_meaningless(
    count: int, generator: Generator, known: Collection[str] = ()
) -> tuple[str, ...]:
    """Draw texts that mean nothing in a world, about equally many of each kind.

    Args:
        count: how many; they are distinct.
        generator: source of randomness.
        known: words of texts that mean something in the world. A text of which more than half of
            the longer words are known may mean something, and is left out.

    Raises:
        DomainError: if there are not so many.
    """
    words, found = frozenset(known), dict[str, None]()
    for tried in range(_TRIES * count):
        if len(found) >= count:
            break
        text = _draw(_KINDS[tried % len(_KINDS)], generator)
        if not _may_mean(text, words):
            found[text] = None
    if len(found) < count:
        raise DomainError(
            f"there are {len(found)} texts that mean nothing here, and {count} are needed; leave"
            " words out of known"
        )
    return tuple(found)


def _draw(kind: str, generator: Generator) -> str:
    if kind == "no order":
        words = [w for name in ("thing", "kind", "do", "food", "topic") for w in SLOTS[name]]
        return _joined((*words, *_LOOSE), generator, " ")
    if kind == "no words":
        made = [_joined(SLOTS["syllable"], generator, "") for _ in range(generator.integers(1, 5))]
        return " ".join(made)
    template = _pick(TEMPLATES[kind], generator)
    return _SLOT.sub(lambda slot: _pick(SLOTS[slot[1]], generator), template)


def _joined(parts: Sequence[str], generator: Generator, between: str) -> str:
    return between.join(_pick(parts, generator) for _ in range(generator.integers(2, 6)))


def _pick(options: Sequence[str], generator: Generator) -> str:
    return options[int(generator.integers(len(options)))]


def _may_mean(text: str, known: Collection[str]) -> bool:
    longer = [word for word in split_words(text) if len(word) >= _LONG]
    return bool(longer) and sum(word in known for word in longer) > _MEANT * len(longer)
