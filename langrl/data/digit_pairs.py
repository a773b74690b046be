"""Related pairs of digits: handwritten ones, and rendered glyphs of the same digit.

Handwriting is scikit-learn's copy of the UCI optical recognition set, 1,797 images of 8 x 8. A
glyph is a digit of a random font, shifted, turned, scaled, of random stroke, brightness and ground,
under noise. Two observations are related if they show one digit.

Axes: ``N`` pairs, ``S`` handwritten digits.
Source: E. Alpaydin & C. Kaynak, Optical Recognition of Handwritten Digits, UCI repository, 1998.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional

from langrl.errors import DomainError, check_extra
from langrl.protocols import Floats, Integers

WRITTEN_SIZE, GLYPH_SIDE = 64, 8
GLYPH_SIZE = GLYPH_SIDE**2
_FONTS = (
    "DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf",
    "DejaVuSerif-Italic.ttf", "STIXGeneral.ttf", "STIXGeneralBol.ttf", "cmr10.ttf", "cmss10.ttf",
    "cmtt10.ttf",
)  # fmt: skip
_CANVAS = 40  # pixels along the side on which a glyph is rendered
Labels = Integers


@dataclass(frozen=True, eq=False)
class DigitPairs:
    """Related pairs.

    Attributes:
        written: handwritten digits, float32 in [0, 1] [N, 64].
        glyphs: rendered digits, float32 in [0, 1] [N, X]; X is 64 for ``draw_glyphs``.
        digits: what both show, 0 to 9 [N].
    """

    written: Floats
    glyphs: Floats
    digits: Labels

    def __len__(self) -> int:
        return len(self.digits)

    def take(self, rows: Any) -> "DigitPairs":
        """Return some of the pairs, by numbers or a slice."""
        return DigitPairs(self.written[rows], self.glyphs[rows], self.digits[rows])


@lru_cache(maxsize=1)
def written_digits() -> tuple[Floats, Labels]:
    """Return all handwritten digits in [0, 1] [S, 64] and what they are [S]; do not change them.

    Raises:
        MissingExtraError: if scikit-learn, which comes with the extra "text", is not installed.
    """
    check_extra("sklearn", "text")
    from sklearn.datasets import load_digits

    stored = load_digits()
    return (stored.data / 16).astype(np.float32), stored.target.astype(np.int64)


@lru_cache(maxsize=1)
def _shapes() -> Tensor:
    """Return all digits, fonts and strokes, upright, in [0, 1] [10, fonts * 2, 1, 40, 40]."""
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    images = []
    for digit in range(10):
        for name, stroke in itertools.product(_FONTS, (0, 1)):
            font = ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/{name}", 34)
            image = Image.new("L", (_CANVAS, _CANVAS))
            pen, centre = ImageDraw.Draw(image), (_CANVAS / 2, _CANVAS / 2)
            pen.text(centre, str(digit), 255, font, "mm", stroke_width=stroke)
            images.append(np.asarray(image, np.float32) / 255)
    return torch.from_numpy(np.stack(images)).unflatten(0, (10, -1)).unsqueeze(2)


def draw_glyphs(digits: Labels, generator: Generator) -> Floats:
    """Draw a glyph of each digit, 0 to 9 [N]; returns float32 in [0, 1] [N, 64].

    The generator draws fonts, transformations, brightness and noise. Raises DomainError if a
    number is no digit.
    """
    wrong = (digits < 0) | (digits > 9)
    if wrong.any():
        raise DomainError(f"digits holds {digits[wrong][0]}; draw_glyphs draws 0 to 9")
    shapes = _transformed(digits, generator)  # [N, 64]
    count = (len(digits), 1)
    ink, ground = generator.uniform(0.7, 1.0, count), generator.uniform(0.0, 0.15, count)
    images = ground + (ink - ground) * shapes
    noisy = images + 0.05 * generator.standard_normal(images.shape)
    return np.clip(noisy, 0, 1).astype(np.float32)


def _transformed(digits: Labels, generator: Generator) -> Floats:
    """Return how much of each pixel [N, 64] a digit of a random font covers."""
    fine = draw_shapes(digits, generator, 2 * GLYPH_SIDE)  # [N, 1, 16, 16]
    return functional.avg_pool2d(fine, 2).flatten(1).numpy()


def draw_shapes(
    digits: Labels,
    generator: Generator,
    side: int,
    *,
    zoom: tuple[float, float] = (0.85, 1.05),
    across: float = 0.0,
) -> Tensor:
    """Draw how much of each pixel a digit of a random font covers, shifted, turned and scaled.

    Args:
        digits: 0 to 9, [N].
        generator: source of fonts and transformations.
        side: pixels along a side of the images, H.
        zoom: least and greatest side of the window; 1 is a glyph as high as the image.
        across: how far right of the middle the digit is, in halves of the side.

    Returns:
        Shares [N, 1, H, H] in [0, 1].
    """
    count = len(digits)
    bank = _shapes()
    chosen = bank[digits, generator.integers(bank.shape[1], size=count)]  # [N, 1, 40, 40]
    angle = np.deg2rad(generator.uniform(-10, 10, count))
    size = generator.uniform(*zoom, (count, 1, 1))  # of the window, hence less is larger
    shift = generator.uniform(-0.08, 0.08, (count, 2, 1))  # of half the side
    shift[:, 0] -= across * size[:, 0]
    turn = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    window = np.concatenate([size * np.moveaxis(np.array(turn), 2, 0), shift], 2)  # [N, 2, 3]
    grid = functional.affine_grid(
        torch.from_numpy(window.astype(np.float32)), [count, 1, side, side], align_corners=False
    )
    return functional.grid_sample(chosen, grid, align_corners=False)


def draw_digit_pairs(
    seed: int,
    *,
    apart: int = 400,
    test: int = 400,
    glyphs: int = 4,
    draw: Callable[[Labels, Generator], Floats] = draw_glyphs,
) -> tuple[DigitPairs, DigitPairs, DigitPairs]:
    """Return related pairs for training, labelled ones apart from it, and ones for testing.

    No handwritten digit is in two of the parts.

    Args:
        seed: of the split and of the glyphs.
        apart: handwritten digits for classifiers and thresholds.
        test: handwritten digits for testing.
        glyphs: pairs that each handwritten digit of training is in, with a glyph of its own each.
        draw: draws a glyph of each digit [N], float32 [N, X]; ``draw_street_digits`` also does.

    Raises:
        DomainError: if there are not so many digits.
        MissingExtraError: as ``written_digits``.
    """
    written, digits = written_digits()
    if apart < 1 or test < 1 or apart + test >= len(digits) or glyphs < 1:
        raise DomainError(
            f"draw_digit_pairs got apart {apart}, test {test} and glyphs {glyphs}; each is at least"
            f" 1, and some of the {len(digits)} handwritten digits must be left for training"
        )
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(digits))
    parts = np.tile(order[apart + test :], glyphs), order[:apart], order[apart : apart + test]
    train, labelled, held_out = (
        DigitPairs(written[rows], draw(digits[rows], generator), digits[rows]) for rows in parts
    )
    return train, labelled, held_out
