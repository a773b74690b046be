import re
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from langrl.data.images.augment import (
    NO_WORDS,
    NearWords,
    TextWriter,
    find_near_words,
    is_held_out,
    paraphrase,
)
from langrl.data.images.compound_paraphrases import COMPOUNDS, EXCLUDED, EXCLUDED_MANY, SENTENCES
from langrl.data.images.paraphrases import ASIDES, FILLERS, LEADS, NOUNS
from langrl.envs.grid import words as grid_words
from langrl.envs.grid.grammar import LEVELS, TYPES, level_of, synonyms_in
from langrl.envs.grid.meanings import draw_meaning
from langrl.envs.grid.rooms import GRID_WORLDS, draw_rooms
from langrl.envs.grid.templates import expand
from langrl.errors import ConfigError, MissingExtraError, UnknownNameError
from langrl.models.language_image.word_table import (
    WordTable,
    distil_words,
    kind_memberships,
    vocabulary_words,
    with_coined_words,
)
from langrl.tasks.language_image.colour_names import BASIC, colour_memberships
from langrl.tasks.language_image.frequent_words import frequent_words

VECTORS = {
    "red": [1.0, 0.0, 0.0], "reds": [0.9, 0.1, 0.0], "blue": [0.0, 1.0, 0.0],
    "ball": [0.0, 0.0, 1.0], "balls": [0.1, 0.0, 0.9], "crimson": [0.8, 0.2, 0.0],
    "purplish": [0.5, 0.5, 0.0], "the": [-1.0, -1.0, -1.0],
}  # fmt: skip


class Model:
    """Stands in for a SentenceTransformer."""

    tokenizer = None

    def __init__(self, pieces=("##s", "[CLS]", "Red", "7", "naïve")):
        known = {word: n for n, word in enumerate([*VECTORS, *pieces])}
        self.tokenizer = type("Tokenizer", (), {"get_vocab": lambda self: known})()

    def encode(self, inputs, **_):
        return torch.tensor([VECTORS.get(i["text"], [0.3, 0.3, -0.3]) for i in inputs])


def test_only_whole_words_are_taken_in_the_vocabularys_order():
    assert vocabulary_words(Model()) == list(VECTORS)


def test_a_vocabulary_without_word_pieces_is_refused():
    with pytest.raises(ConfigError, match="word pieces"):
        vocabulary_words(Model(pieces=()))
    with pytest.raises(ConfigError, match="tokenizer"):
        vocabulary_words(object())


def test_rows_keep_the_geometry_of_the_centred_embeddings():
    table = distil_words(Model(), 3)
    vectors = torch.nn.functional.normalize(torch.tensor(list(VECTORS.values())), dim=1).double()
    centred = vectors - vectors.mean(0)
    distances = torch.cdist(centred, centred)
    kept = torch.cdist(table.rows.double(), table.rows.double())
    ratio = (kept / distances)[distances > 0]
    torch.testing.assert_close(ratio, ratio[0].expand_as(ratio), rtol=1e-4, atol=0)
    assert table.rows.square().mean().sqrt().item() == pytest.approx(1, abs=1e-5)


def test_a_row_holds_the_colour_of_a_colours_name_also_of_a_new_word():
    table = distil_words(Model(), 2, {"red": np.array([1.0, 0.0]), "mauve": np.array([0.3, 0.7])})
    assert table.words[:2] == ("mauve", "red")  # a misspelt word is the first that it may be
    assert table.colours[table.number("red")].tolist() == [1, 0]
    assert table.rows[table.number("mauve"), 2:].tolist() == pytest.approx([1.8, 4.2])
    assert table.rows[table.number("blue"), 2:].tolist() == [0, 0]


def test_a_word_is_of_the_kind_it_is_nearest_to_by_a_clear_lead():
    unit = torch.nn.functional.normalize(
        torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1], [1.0, 1.0], [-1.0, -1.0]]), dim=1
    )
    found = kind_memberships(unit, [0, 1])
    assert found[0].tolist() == [1, 0]
    assert found[1].tolist() == [0, 1]
    assert found[2].tolist() == pytest.approx([1, 0])  # near enough, and far from the other
    assert found[3].tolist() == pytest.approx([0, 0], abs=1e-3)  # as near to either
    assert found[4].tolist() == [0, 0]  # near to neither
    assert kind_memberships(unit, []).shape == (5, 0)


def test_a_table_wider_than_the_embeddings_is_refused():
    with pytest.raises(ConfigError, match="table_width"):
        distil_words(Model(), 4)


def test_neighbours_come_nearest_first_and_leave_the_word_out():
    table = distil_words(Model(), 3)
    (found,) = table.neighbours(["red"], 2)
    assert [word for word, _ in found] == ["reds", "crimson"]
    assert found[0][1] > found[1][1]
    with pytest.raises(UnknownNameError, match="'green'"):
        table.neighbours(["green"], 1)


def test_near_words_leave_out_what_is_held_out_ambiguous_or_another_colour():
    near = find_near_words(distil_words(Model(), 3))
    assert near.near["red"][0] == ("reds",)  # not crimson: held out; not purplish, blue
    assert near.near["ball"][0] == ("balls",)
    assert "crimson" not in near.idle
    generator = np.random.default_rng(0)
    assert {near.draw("ball", generator) for _ in range(9)} == {"balls"}
    assert near.draw("key", generator) == "key"


def test_a_colours_name_stands_for_the_colour_that_it_mostly_is():
    names = colour_memberships()
    words = (*BASIC, "cherry", "crimson")
    table = WordTable(
        words,
        torch.zeros(len(words), 2),
        torch.eye(len(words)),  # no word is near any other
        torch.from_numpy(np.stack([names[word] for word in words])).float(),
        torch.zeros(len(words), 0),
    )
    assert find_near_words(table, BASIC).near == {"red": (("cherry",), pytest.approx([1.0]))}


def test_a_noun_of_a_thesaurus_stands_for_the_kind_that_it_is_of():
    kinds, casket, balls = ("ball", "box"), np.array([0.0, 0.9]), np.array([0.0, 0.5])
    given = {"casket": casket, "balls": balls, "crate": casket}  # crate is held out
    table = distil_words(Model(), 3, kinds=kinds, in_kinds=given)
    assert table.words[-2:] == ("casket", "crate")
    assert table.kinds[table.number("casket")].tolist() == pytest.approx([0, 0.9])
    assert table.rows[table.number("casket"), -1] >= 5.4  # more by the cosine
    assert table.rows[table.number("balls"), -2:].tolist() == pytest.approx([0, 3])  # no ball
    assert table.rows[table.number("ball"), -2:].tolist() == pytest.approx([6, 0])
    of_all = torch.zeros(len(table.words), len(TYPES))
    of_all[:, list(TYPES).index("box")] = table.kinds[:, 1]
    near = find_near_words(replace(table, kinds=of_all)).near["box"][0]
    assert "casket" in near
    assert "crate" not in near


def test_coined_words_mean_what_their_memberships_say():
    colours = {"red": np.array([1.0, 0.0]), "mauve": np.array([0.3, 0.7])}
    kinds, known = ("ball",), {"balls": np.array([0.9])}
    table = distil_words(Model(), 2, colours, kinds=kinds, in_kinds=known)
    more = with_coined_words(table, 3, np.random.default_rng(0))
    coined = range(len(table.words), len(more.words))
    assert len(coined) == len(set(more.words[len(table.words) :])) == 9
    plain = {tuple(row[:2].tolist()) for row in table.rows if not row[2:].any()}
    for n in coined:
        assert tuple(more.rows[n, :2].tolist()) in plain  # of a word that means nothing here
        known = torch.cat([more.colours[n], more.kinds[n]])
        torch.testing.assert_close(more.rows[n, 2:], 6 * known)
    assert more.colours[list(coined)].tolist() == pytest.approx(
        np.array([[1.0, 0.0]] * 3 + [[0.3, 0.7]] * 3 + [[0.0, 0.0]] * 3)
    )
    near = find_near_words(replace(more, kinds=torch.zeros(len(more.words), 0)), ("red", "mauve"))
    assert near.coined == set(more.words[coined.start :])
    assert near.coined & set(near.part(reserved=False).near["red"][0])
    reserved = near.part(reserved=True).near.values()
    assert not near.coined & {word for words, _ in reserved for word in words}
    shares = more.kinds[list(coined), 0]
    assert not shares[:6].any()
    assert ((shares[6:] > 0.5) & (shares[6:] <= 1)).all()


def test_colours_of_names_are_shares_of_basic_colours():
    names = colour_memberships()
    assert BASIC[names["brick"].argmax()] == "red"
    assert BASIC[names["sapphire"].argmax()] == "blue"
    assert names["grey"].tolist() == [float(basic == "grey") for basic in BASIC]
    assert all(shares.sum() == pytest.approx(1) for shares in names.values())


def test_inflections_of_held_out_words_are_held_out():
    assert is_held_out("crates")
    assert is_held_out("orb")
    assert not is_held_out("absorb")


def held_out_templates() -> frozenset[str]:
    tables = (grid_words.NOUNS, grid_words.CLAUSES, grid_words.COMPOUNDS, grid_words.SENTENCES)
    templates = [t for table in tables for kind in table.values() for t in kind["held_out"]]
    templates += grid_words.LEADS["held_out"]
    templates += [filler for filler in grid_words.FILLERS["held_out"] if filler != "{}"]
    return frozenset(text for template in templates for text in expand(template))


def test_no_paraphrase_is_a_held_out_template_or_has_a_held_out_word():
    tables = (NOUNS, COMPOUNDS, SENTENCES, EXCLUDED, EXCLUDED_MANY)
    templates = [t for table in tables for kind in table.values() for t in kind]
    every = {
        text for template in [*templates, *LEADS, *FILLERS, *ASIDES] for text in expand(template)
    }
    assert not (every - {"{}"}) & held_out_templates()
    assert not [text for text in every if synonyms_in(text)]


def test_training_texts_never_have_a_held_out_word():
    near = find_near_words(distil_words(Model(), 3, colour_memberships()), BASIC)
    writer = TextWriter(near, 0.5, 0.9, 0.3, 0.5, 0.5)
    generator = np.random.default_rng(0)
    texts = set()
    for room in draw_rooms(GRID_WORLDS["relations"], 40, generator):
        for _ in range(10):
            texts.add(writer.write(draw_meaning(room, generator), generator))
    assert len(texts) > 300
    assert not [text for text in texts if synonyms_in(text)]
    assert any("balls" in text for text in texts)


def test_some_near_words_are_reserved():
    words = tuple("abcdefghijklmnop")
    shares = np.cumsum(np.arange(16) + 1.0) / 136
    near = NearWords({"red": (words, shares), "blue": (("q",), np.ones(1))}, ())
    trained, reserved = near.part(False), near.part(True)
    assert reserved.near["red"] == (("h", "p"), pytest.approx([1 / 3, 1]))
    assert set(trained.near["red"][0]) == set(words) - {"h", "p"}
    assert trained.near["red"][1][:2] == pytest.approx([1 / 112, 3 / 112])
    assert "blue" not in reserved.near


def test_reserved_texts_are_none_that_are_trained_on():
    generator = np.random.default_rng(0)
    meaning = ("except", ("thing", None, "ball"), ("thing", "red", None))
    paraphrases = [
        {re.sub(r".*find ", "", paraphrase(meaning, generator, part)) for _ in range(2000)}
        for part in (False, True)
    ]
    assert len(paraphrases[1]) > 200
    shared = paraphrases[0] & paraphrases[1]
    assert len(shared) < 0.01 * len(paraphrases[1])


@pytest.mark.parametrize("kind", COMPOUNDS)
def test_every_slot_of_a_compound_is_known(kind):
    slots = {
        slot for t in COMPOUNDS[kind] + SENTENCES.get(kind, []) for slot in re.findall("{(.*?)}", t)
    }
    assert slots <= {"a", "b", "c", "t"} | ({"bs"} if kind == "except" else set())


def test_typos_are_in_words_of_colour_and_type_only():
    writer = TextWriter(NO_WORDS, 0.0, 0.0, 1.0, 0.0)
    generator = np.random.default_rng(0)
    for _ in range(50):
        words = writer.vary("please find the purple ball or a red box", generator).split()
        assert words[:3] + words[5:] == ["please", "find", "the", "or", "a", "red", "box"]
        assert words[3] != "purple"
        assert words[4] != "ball"


def test_lost_words_are_a_share_of_all():
    writer = TextWriter(NO_WORDS, 0.0, 0.0, 0.0, 0.0, lost=0.25)
    text = "go to the red ball and do not touch a blue key on your way"
    texts = [writer.vary(text, np.random.default_rng(n)).split() for n in range(100)]
    assert {len(words) for words in texts} == {len(text.split())}
    lost = np.mean([word == "_" for text in texts for word in text])
    assert lost == pytest.approx(0.25, abs=0.04)


def test_further_words_come_after_the_vocabulary():
    table = distil_words(Model(), 3, kinds=("ball",), further=("zork", "red"))
    assert table.words == ("ball", *(word for word in VECTORS if word != "ball"), "zork")


def test_frequent_words_come_first():
    pytest.importorskip("symspellpy")
    words = frequent_words(30_000)
    assert words[:2] == ["the", "of"]
    assert len(set(words)) == 30_000
    assert {"carton", "orb"} <= set(words)


def test_without_the_list_of_words_the_repair_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "symspellpy", None)
    with pytest.raises(MissingExtraError, match=r"langrl\[offline\]"):
        frequent_words(5)


def test_plain_texts_are_seen_ones():
    writer = TextWriter(NO_WORDS, 0.0, 0.0, 0.0, 0.0)
    text = writer.write(("thing", "red", "ball"), np.random.default_rng(0))
    assert "red" in text
    assert "ball" in text


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_can_be_paraphrased(level):
    generator = np.random.default_rng(0)
    rooms = draw_rooms(GRID_WORLDS["goto"], 40, generator)
    paraphrases = set()
    for room in rooms:
        meaning = draw_meaning(room, generator, [level])
        assert level_of(meaning) == level
        paraphrases.add(paraphrase(meaning, generator))
    assert len(paraphrases) > 20
    assert not any("{" in text for text in paraphrases)
