"""What colour a colour's name is: memberships from the xkcd survey that matplotlib carries.

Axes: ``V`` words, ``B`` basic colour terms.

Source: R. Munroe's colour survey of 2010 (CC0) and CSS 4, both as ``matplotlib.colors``; the
eleven basic terms are Berlin & Kay 1969.
"""

import numpy as np
from numpy.typing import NDArray

BASIC = (
    "red", "green", "blue", "purple", "yellow", "grey", "orange", "pink", "brown", "black", "white",
)  # fmt: skip
_WIDTH = 12.0  # of the kernel, in CIELAB units: about the size of a basic term's region


def colour_memberships() -> dict[str, NDArray[np.float64]]:
    """Return how much each one-word colour name is of each basic term, [B] that sum to 1.

    A name's memberships are the votes of the survey's phrases that end in a basic term, such as
    "brick red" or "dark grey", weighed by how near their colours are in CIELAB. A basic term is
    only itself. No phrase votes on a colour through a name that it has in common with it:
    "navy blue" does not vote on navy.
    """
    from matplotlib.colors import CSS4_COLORS, XKCD_COLORS, to_rgb

    named = {name.removeprefix("xkcd:"): colour for name, colour in XKCD_COLORS.items()}
    for name, colour in CSS4_COLORS.items():
        named.setdefault(name, colour)
    lab = {name: _lab(np.array(to_rgb(colour))) for name, colour in named.items()}
    voters = [name for name in lab if name.split(" ")[-1] in BASIC]
    places = np.stack([lab[name] for name in voters])
    says = np.array([BASIC.index(name.split(" ")[-1]) for name in voters])
    found = {}
    for name in sorted(lab):
        if not name.isalpha():
            continue
        if name in BASIC:
            found[name] = np.eye(len(BASIC))[BASIC.index(name)]
            continue
        weights = np.exp(-0.5 * np.square(places - lab[name]).sum(1) / _WIDTH**2) + 1e-12
        weights *= [name not in voter.split(" ") for voter in voters]
        votes = np.bincount(says, weights, minlength=len(BASIC))
        found[name] = votes / votes.sum()
    return found


def agreed(
    first: dict[str, NDArray[np.float64]], second: dict[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.float64]]:
    """Return memberships [B] by two sources: their mean, each summing to 1, where both know a name.

    The second source adds no names.
    """
    both = {name: second[name] / second[name].sum() for name in first if name in second}
    return {name: (own + both.get(name, own)) / 2 for name, own in first.items()}


def _lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return CIELAB of sRGB in [0, 1], for daylight (D65)."""
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = to_xyz @ linear / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])
