import numpy as np
import pytest
from scipy import ndimage

from langrl.envs.grid.bits import flood, one_of, pack, spread, unpack
from langrl.errors import LayoutError

SIZES = [(5, 8), (8, 8), (3, 11), (16, 16), (4, 17), (2, 33), (3, 64)]
every_size = pytest.mark.parametrize(("height", "width"), SIZES)


def masks(height, width, count=30, seed=0):
    generator = np.random.default_rng(seed)
    return generator.random((count, height, width)) < generator.choice([0.1, 0.6], (count, 1, 1))


@every_size
def test_bits_are_masks_again(height, width):
    cells = masks(height, width)
    bits = pack(cells)
    assert bits.shape == (height, 30)
    np.testing.assert_array_equal(unpack(bits, width), cells)


@every_size
def test_cells_spread_to_those_that_share_an_edge(height, width):
    cells = masks(height, width)
    grown = unpack(spread(pack(cells)), width)
    np.testing.assert_array_equal(grown, [ndimage.binary_dilation(mask) for mask in cells])


@every_size
def test_flood_reaches_what_hangs_together(height, width):
    cells, seeds = masks(height, width), masks(height, width, seed=1)
    found = unpack(flood(pack(cells), pack(seeds & cells)), width)
    for mask, seed, reached in zip(cells, seeds & cells, found, strict=True):
        np.testing.assert_array_equal(reached, ndimage.binary_propagation(seed, mask=mask))


@every_size
def test_one_cell_is_found_in_each_mask_that_has_any(height, width):
    cells = masks(height, width)
    cells[7] = False
    found = unpack(one_of(pack(cells), width), width)
    assert not (found & ~cells).any()
    np.testing.assert_array_equal(found.sum((1, 2)), cells.any((1, 2)))


def test_rooms_wider_than_a_number_are_refused():
    with pytest.raises(LayoutError, match="65 columns; use at most 64"):
        pack(np.zeros((1, 2, 65), bool))
