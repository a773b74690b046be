"""Which axis of an image holds its channels: said, or guessed where it cannot be wrong."""

import pytest
import torch

from langrl.errors import ShapeError
from langrl.models.critics.instructed import CODES, ImageReader


@pytest.mark.parametrize(
    ("shape", "channels", "read"),
    [
        ((84, 84, 3), None, (3, 84, 84)),
        ((3, 7, 9), None, (3, 7, 9)),
        ((8, 7, 1), None, (1, 8, 7)),
        ((7, 7, 20), 20, (20, 7, 7)),  # one-hot codes
        ((8, 8, 12), 12, (12, 8, 8)),  # four frames, which Stable-Baselines3 leaves
        ((12, 84, 84), 12, (12, 84, 84)),  # four frames, which it has moved
        ((7, 20, 7), 20, (20, 7, 7)),  # (20, 7, 7), which it has moved, too
        ((7, 7, 7), "last", (7, 7, 7)),
        ((4, 4, 3), 3, (3, 4, 4)),
        ((4, 4, 3), "first", (4, 4, 3)),
    ],
)
def test_channels_are_where_they_are_said_to_be(shape, channels, read):
    reader = ImageReader(shape, channels=channels)
    assert reader.shape == read
    images = torch.rand(2, *shape)
    turned = reader(images)
    assert turned.shape == (2, *read)
    # The rows and columns keep their order: what is left when channels are summed up.
    axis = {"first": 0, "last": 2}.get(channels, shape.index(read[0]))
    torch.testing.assert_close(turned.sum(1), images.sum(axis + 1))


@pytest.mark.parametrize(
    ("shape", "channels"),
    [
        ((7, 7, 20), None),  # was read as 7 channels of 7 x 20
        ((8, 8, 12), None),
        ((12, 84, 84), None),
        ((3, 3, 3), None),
        ((4, 9, 3), None),
        ((9, 3, 9), None),
        ((7, 7, 7), 7),
        ((8, 8, 3), 4),
        ((8, 8, 3), 0),
        ((8, 8, 3), "middle"),
    ],
)
def test_what_is_not_certain_is_refused_with_the_argument(shape, channels):
    with pytest.raises(ShapeError, match="channels"):
        ImageReader(shape, channels=channels)


def test_fractions_that_are_no_shades_were_not_divided_by_255():
    with pytest.raises(ShapeError, match="norm_obs_keys"):
        ImageReader((3, 8, 8), CODES)(torch.full((1, 3, 8, 8), 0.3))
    with pytest.raises(ShapeError, match="norm_obs_keys"):
        ImageReader((3, 8, 8), CODES)(torch.full((1, 3, 8, 8), -1.0))
    with pytest.raises(ShapeError, match="normalize_images"):
        ImageReader((3, 8, 8), CODES)(torch.full((1, 3, 8, 8), 7 / 255))
