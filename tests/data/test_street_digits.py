import numpy as np
import pytest

from langrl.data.street_digits import STREET_IMAGE, STREET_SIZE, draw_street_digits
from langrl.errors import DomainError


def draw(count, seed=0):
    return draw_street_digits(np.arange(count) % 10, np.random.default_rng(seed))


def test_images_are_of_many_colours_and_those_of_their_seed():
    images = draw(40)
    assert images.shape == (40, STREET_SIZE)
    assert images.dtype == np.float32
    assert images.min() >= 0
    assert images.max() <= 1
    colours = images.reshape(40, *STREET_IMAGE).mean((2, 3))
    assert colours.std(0).min() > 0.1
    np.testing.assert_array_equal(images, draw(40))
    assert np.abs(images - draw(40, 1)).mean() > 0.1


def test_the_digit_in_the_middle_is_brighter_than_the_ground_and_others_are_at_the_edges():
    images = draw(1000).reshape(1000, *STREET_IMAGE).mean(1)
    columns = images[:, 8:24].mean((0, 1))  # over the rows of digits
    assert columns[12:20].mean() > columns[6:9].mean()  # the gaps beside the digit are ground
    bright = images[:, 8:24, :3].mean((1, 2)) - images[:, :3, :].mean((1, 2))
    assert bright.std() > 0.1  # with and without a neighbour


def test_digits_can_be_told_apart():
    digits = np.arange(1000) % 10
    images = draw(1000).reshape(1000, *STREET_IMAGE).mean(1)
    images -= images.mean((1, 2), keepdims=True)
    images = (images / images.std((1, 2), keepdims=True)).reshape(1000, -1)
    centres = np.stack([images[:800][digits[:800] == digit].mean(0) for digit in range(10)])
    nearest = (images[800:] @ centres.T).argmax(1)
    assert (nearest == digits[800:]).mean() > 0.4  # chance is 0.1


def test_what_is_no_digit_is_refused():
    with pytest.raises(DomainError, match="draws 0 to 9"):
        draw_street_digits(np.array([3, 10]), np.random.default_rng(0))
