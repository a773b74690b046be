import numpy as np
import pytest

from langrl.data.grid.sounds import (
    FREQUENCIES,
    PITCHES,
    RATE,
    SAMPLES,
    TIMBRES,
    draw_sound_images,
    draw_sounds,
)
from langrl.data.images.grid_scenes import draw_images
from langrl.envs.grid.grammar import COLOURS, EMPTY, TYPES, WALL
from langrl.envs.grid.rendering import render_rooms
from langrl.envs.grid.rooms import GRID_WORLDS, ahead, draw_rooms
from langrl.errors import ShapeError


def rng(seed=0):
    return np.random.default_rng(seed)


def faced(type_, colour, count):
    return np.tile(np.array([[type_, colour]], np.uint8), (count, 1))


def at(frequency):
    """Return the place of a frequency in Hz in a spectrum, whose first one is one step above 0."""
    return round(frequency * SAMPLES / RATE) - 1


def mean_spectrum(type_, colour, count=400):
    return draw_sounds(faced(type_, colour, count), rng()).mean(0)


def test_sounds_are_finite_spectra():
    sounds = draw_sounds(faced(TYPES["key"], 0, 7), rng())
    assert sounds.shape == (7, FREQUENCIES)
    assert sounds.dtype == np.float32
    assert np.isfinite(sounds).all()
    assert (sounds >= 0).all()


@pytest.mark.parametrize("colour", COLOURS.values())
def test_colour_decides_the_pitch(colour):
    spectrum = mean_spectrum(TYPES["ball"], colour)
    assert abs(int(spectrum.argmax()) - at(PITCHES[colour])) <= 1


@pytest.mark.parametrize("name", TIMBRES)
def test_type_decides_which_harmonics_are_loud(name):
    difference = mean_spectrum(TYPES[name], 4) - mean_spectrum(WALL, 4)
    heard = [difference[at(PITCHES[4] * (n + 1))] for n in range(len(TIMBRES[name]))]
    loud = [strength >= 0.4 for strength in TIMBRES[name]]
    silent = [strength == 0.0 for strength in TIMBRES[name]]
    assert min(np.array(heard)[loud]) > 3 * max([0.05, *np.array(heard)[silent]])


@pytest.mark.parametrize("nothing", [EMPTY, WALL, 0])
def test_what_is_no_object_is_silent_whatever_its_colour(nothing):
    one, other = (draw_sounds(faced(nothing, colour, 50), rng()) for colour in (0, 5))
    np.testing.assert_array_equal(one, other)  # noise and ambience alone
    loud = draw_sounds(faced(TYPES["box"], 0, 50), rng())
    assert loud.mean() > one.mean()


def test_two_sounds_of_one_object_differ():
    one, other = draw_sounds(faced(TYPES["box"], 2, 2), rng())
    assert np.abs(one - other).max() > 0.5


def nearest_mean(train, train_labels, sounds):
    labels = np.unique(train_labels)
    means = np.stack([train[train_labels == label].mean(0) for label in labels])
    distances = ((sounds[:, None] - means) ** 2).sum(-1)
    return labels[distances.argmin(1)]


def test_an_object_can_be_heard_but_not_from_every_sound():
    kinds = np.array([(t, c) for t in (5, 6, 7) for c in range(6)], np.uint8)
    number = np.arange(18).repeat(60)
    train, unseen = (draw_sounds(kinds[number], rng(seed)) for seed in (0, 1))
    found = (nearest_mean(train, number, unseen) == number).mean()
    assert 0.5 < found < 0.99  # of 18; a network hears more


def test_generator_decides_the_sounds():
    things = faced(TYPES["key"], 1, 5)
    np.testing.assert_array_equal(draw_sounds(things, rng(3)), draw_sounds(things, rng(3)))
    assert not np.array_equal(draw_sounds(things, rng(3)), draw_sounds(things, rng(4)))


def test_no_sounds_are_drawn_of_nothing_at_all():
    assert draw_sounds(np.zeros((0, 2), np.uint8), rng()).shape == (0, FREQUENCIES)


@pytest.mark.parametrize("shape", [(2,), (3, 3), (1, 2, 2)])
def test_wrong_shape_is_refused(shape):
    with pytest.raises(ShapeError, match=r"faced \[N, 2\]"):
        draw_sounds(np.zeros(shape, np.uint8), rng())


def test_a_image_shows_the_pose_where_the_sound_is_heard():
    pairs = draw_sound_images(GRID_WORLDS["goto"], 3, 6, rng())
    again = rng()
    rooms = draw_rooms(GRID_WORLDS["goto"], 3, again)
    number, poses = draw_images(rooms, 6, again)
    np.testing.assert_array_equal(pairs.images, render_rooms(rooms[number], poses))
    np.testing.assert_array_equal(pairs.faced, rooms[number, *ahead(poses)])
    np.testing.assert_array_equal(pairs.sounds, draw_sounds(pairs.faced, again))
    assert pairs.sounds.shape == (18, FREQUENCIES)


def test_half_of_the_images_face_an_object():
    pairs = draw_sound_images(GRID_WORLDS["goto"], 5, 8, rng())
    objects = (pairs.faced[:, 0] >= TYPES["door"]).reshape(5, 8)
    assert (objects.sum(1) == 4).all()
