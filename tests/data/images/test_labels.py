import numpy as np

from langrl.data.images.grid_scenes import world_batch
from langrl.data.images.labels import SHOWN, SLOTS, meant_labels
from langrl.envs.grid.grammar import denoted, write
from langrl.envs.grid.meanings import draw_meaning
from langrl.envs.grid.rooms import GRID_WORLDS, draw_rooms

ANYTHING = ("thing", None, None)


def value(slot, number):
    return SLOTS[slot][number]


def test_what_is_meant_can_be_read_from_its_labels():
    red_ball, key = ("thing", "red", "ball"), ("thing", None, "key")
    labels = meant_labels([red_ball, ("except", ANYTHING, key), ("nearest_wall", red_ball)])
    named = [[value(slot, n) for slot, n in enumerate(row)] for row in labels]
    assert named == [
        ["thing", "red", "ball", None, None],
        ["except", None, None, None, "key"],
        ["nearest_wall", "red", "ball", None, None],
    ]


def test_every_drawn_meaning_has_labels_of_its_own():
    generator = np.random.default_rng(0)
    meanings = {
        draw_meaning(room, generator)
        for room in draw_rooms(GRID_WORLDS["relations"], 200, generator)
    }
    labels = meant_labels(list(meanings))
    assert labels.shape == (len(meanings), len(SLOTS))
    assert len(np.unique(labels, axis=0)) == len(meanings)
    assert meant_labels([]).shape == (0, len(SLOTS))


def test_a_batch_says_what_its_images_show():
    drawn = world_batch(
        GRID_WORLDS["goto"], lambda m, g: write(m, g, "seen"), np.random.default_rng(0),
        rooms=20, images=8, texts=3, labels=True,
    )  # fmt: skip
    faced = drawn.shown[:, SHOWN.index(ANYTHING)].reshape(20, 8)
    assert faced[:, :4].all()
    assert not faced[:, 4:].any()
    assert drawn.shown.any(0).mean() > 0.65  # there are no doors
    assert not drawn.shown[~faced.ravel()].any()
    plain = [n for n, row in enumerate(drawn.meant) if value(0, row[0]) == "thing"]
    for n in plain:
        meaning = ("thing", value(1, drawn.meant[n][1]), value(2, drawn.meant[n][2]))
        np.testing.assert_array_equal(drawn.shown[:, SHOWN.index(meaning)], drawn.positives[n])


def test_things_beside_are_shown():
    room = draw_rooms(GRID_WORLDS["relations"], 1, np.random.default_rng(0))[0]
    for meaning in SHOWN:
        if meaning[0] == "next_to":
            assert not (denoted(meaning, room) & ~denoted(ANYTHING, room)).any()
