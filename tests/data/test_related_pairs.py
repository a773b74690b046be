import numpy as np
import pytest

from langrl.data import digit_pairs
from langrl.data.digit_pairs import (
    GLYPH_SIZE,
    WRITTEN_SIZE,
    DigitPairs,
    draw_digit_pairs,
    draw_glyphs,
)
from langrl.data.related_pairs import (
    CLAUSE_LEVELS,
    CROP_SIZE,
    KIND_CELLS,
    KINDS,
    count_words,
    crops_ahead,
    draw_crops,
    draw_kind_meaning,
    draw_world_pairs,
    kinds_of,
    learn_words,
)
from langrl.envs.grid.grammar import COLOURS, EMPTY, TYPES, WALL, denoted, level_of, parse
from langrl.envs.grid.rendering import render_rooms
from langrl.envs.grid.rooms import GRID_WORLDS, ahead, draw_rooms, is_object
from langrl.errors import (
    DomainError,
    InstructionError,
    MissingExtraError,
    ShapeError,
    UnknownNameError,
)


def rng(seed=0):
    return np.random.default_rng(seed)


# -- grid worlds ---------------------------------------------------------------------------


def test_a_crop_is_what_the_rendered_room_shows_ahead():
    rooms = draw_rooms(GRID_WORLDS["goto"], 3, rng())
    poses = np.array([[1, 1, 0], [2, 3, 1], [4, 4, 3]])
    crops = crops_ahead(rooms, poses)
    assert crops.shape == (3, CROP_SIZE)
    images = render_rooms(rooms) / 255
    for crop, image, row, column in zip(crops, images, *ahead(poses), strict=True):
        cell = image[8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
        np.testing.assert_allclose(crop.reshape(8, 8, 3), cell, atol=1e-6)


def test_crops_vary_in_brightness_and_noise_and_stay_in_range():
    plain, one, other = draw_crops(KIND_CELLS), draw_crops(KIND_CELLS, rng()), None
    other = draw_crops(KIND_CELLS, rng(1))
    for crops in (plain, one, other):
        assert crops.dtype == np.float32
        assert crops.min() >= 0
        assert crops.max() <= 1
    assert np.abs(one - other).mean() > 0.03
    np.testing.assert_array_equal(one, draw_crops(KIND_CELLS, rng()))
    distances = np.abs(one[:, None] - plain).mean(-1)  # by which kind is each closest to?
    assert (distances.argmin(1) == np.arange(len(KINDS))).mean() > 0.8


def test_every_text_denotes_what_its_crop_shows():
    pairs = draw_world_pairs(90, rng())
    assert pairs.crops.shape == (90, CROP_SIZE)
    assert pairs.counts.shape == (90, len(pairs.words))
    assert np.bincount(pairs.kinds).tolist() == [5] * len(KINDS)
    lengths = set()
    for kind, text in zip(pairs.kinds, pairs.texts, strict=True):
        room = KIND_CELLS[kind].reshape(1, 1, 2)
        assert denoted(parse(text), room).all(), text
        lengths.add(denoted(parse(text), KIND_CELLS[None]).sum())
    assert lengths == {1, 3, 6}  # a kind, a colour of three types, a type of six colours


def test_pairs_are_those_of_their_seed_and_levels():
    one, same = (draw_world_pairs(20, rng(3), levels=("colour",)) for _ in range(2))
    np.testing.assert_array_equal(one.crops, same.crops)
    assert one.texts == same.texts
    assert all(parse(text)[2] is None for text in one.texts)


@pytest.mark.parametrize("level", CLAUSE_LEVELS)
def test_clauses_denote_what_their_crop_shows_and_not_everything(level):
    generator = rng()
    room = np.full((1, 1, len(KINDS), 2), EMPTY, np.uint8)
    room[0, 0] = KIND_CELLS
    for kind in [*range(len(KINDS))] * 3:
        meaning = draw_kind_meaning(kind, level, generator)
        assert level_of(meaning) == level
        shown = denoted(meaning, room)[0, 0]
        assert shown[kind]
        assert not shown.all()
    words = learn_words(levels=("full", level))
    pairs = draw_world_pairs(40, rng(), levels=(level,), words=words)
    assert {level_of(parse(text)) for text in pairs.texts} == {level}
    assert pairs.counts[:, 1].sum() < 0.05 * pairs.counts.sum()  # hardly any word is unknown


def test_words_of_clauses_are_more_than_those_of_things():
    assert set(learn_words().vocabulary) < set(learn_words(levels=CLAUSE_LEVELS).vocabulary)
    with pytest.raises(UnknownNameError, match="level of pairs"):
        learn_words(levels=("relation",))


def test_counts_are_of_the_texts_words_and_unknown_ones_are_counted_together():
    words = learn_words()
    assert words.vocabulary == learn_words().vocabulary
    assert {*COLOURS, "key", "ball", "box"} <= set(words.vocabulary)
    (counts,) = count_words(["go to the red ball, the zeppelin"], words)
    assert counts.sum() == 8
    assert counts[0] == 0
    assert counts[1] == 2  # the comma and the zeppelin
    assert counts[words("the")[0]] == 2
    with pytest.raises(InstructionError):
        count_words([""], words)


def test_kinds_are_read_from_cells():
    assert kinds_of(KIND_CELLS).tolist() == list(range(len(KINDS)))
    others = np.array([[EMPTY, 0], [WALL, 5], [TYPES["door"], 0]], np.uint8)
    assert kinds_of(others).tolist() == [-1, -1, -1]


def test_wrong_requests_say_what_to_give():
    rooms = draw_rooms(GRID_WORLDS["goto"], 2, rng())
    assert is_object(rooms).any()
    with pytest.raises(ShapeError, match="repeat a room"):
        crops_ahead(rooms, np.zeros((3, 3), int))
    with pytest.raises(DomainError, match="faces out of its room"):
        crops_ahead(rooms, np.array([[1, 1, 0], [0, 1, 3]]))
    with pytest.raises(ShapeError, match="one per crop"):
        draw_crops(rooms)
    with pytest.raises(DomainError, match="ask for some"):
        draw_world_pairs(0, rng())
    with pytest.raises(UnknownNameError, match="level of pairs"):
        draw_world_pairs(3, rng(), levels=("relation",))


# -- digits --------------------------------------------------------------------------------


def test_digits_are_split_by_what_was_written():
    pytest.importorskip("sklearn")
    parts = draw_digit_pairs(0, apart=100, test=200, glyphs=2)
    assert [len(part) for part in parts] == [2 * 1497, 100, 200]
    seen = [{row.tobytes() for row in part.written} for part in parts]
    overlap = (seen[0] | seen[1]) & seen[2]
    assert len(overlap) <= 1  # scans that are equal, pixel by pixel
    train, _, test = parts
    np.testing.assert_array_equal(train.digits[:1497], train.digits[1497:])
    assert np.abs(train.glyphs[:1497] - train.glyphs[1497:]).mean() > 0.05  # drawn anew
    assert train.written.shape[1] == WRITTEN_SIZE
    assert test.glyphs.shape[1] == GLYPH_SIZE
    again = draw_digit_pairs(0, apart=100, test=200, glyphs=2)[2]
    np.testing.assert_array_equal(test.glyphs, again.glyphs)
    assert isinstance(test.take([3, 4]), DigitPairs)


def test_glyphs_of_one_digit_differ_and_digits_can_be_told_apart():
    digits = np.repeat(np.arange(10), 40)
    glyphs = draw_glyphs(digits, rng())
    assert glyphs.dtype == np.float32
    assert glyphs.min() >= 0
    assert glyphs.max() <= 1
    groups = glyphs.reshape(10, 40, -1)
    assert groups.std(1).mean() > 0.1
    centres = groups[:, :30].mean(1)
    nearest = ((groups[:, 30:, None] - centres) ** 2).sum(-1).argmin(-1)  # [10, 10]
    assert (nearest == np.arange(10)[:, None]).mean() > 0.5  # chance is 0.1


def test_what_cannot_be_drawn_is_refused(monkeypatch):
    pytest.importorskip("sklearn")
    with pytest.raises(DomainError, match="holds 11"):
        draw_glyphs(np.array([1, 11]), rng())
    with pytest.raises(DomainError, match="left for training"):
        draw_digit_pairs(0, test=1500)

    def missing(module, extra):
        raise MissingExtraError(f"{module} {extra}")

    monkeypatch.setattr(digit_pairs, "check_extra", missing)
    digit_pairs.written_digits.cache_clear()
    with pytest.raises(MissingExtraError, match="sklearn text"):
        draw_digit_pairs(0)
