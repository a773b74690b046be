"""Pictures of worlds that are not drawn as maps, as a browser takes them."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SIDE = 480  # pixels; larger pictures are made smaller
_QUALITY = 85
_MOST = 150  # pictures in one file


def encoded(picture: NDArray[np.uint8]) -> bytes:
    """Return a picture [height, width, 3] as a JPEG."""
    image = Image.fromarray(picture)
    image.thumbnail((_SIDE, _SIDE))
    written = io.BytesIO()
    image.save(written, "JPEG", quality=_QUALITY)
    return written.getvalue()


def inlined(pictures: Sequence[NDArray[np.uint8] | None]) -> list[str | None]:
    """Return pictures of an episode as addresses that hold them; None where one before is shown.

    Of long episodes, every second one is there, or every third, and so on; and the last.
    """
    every = -(-len(pictures) // _MOST)
    last = len(pictures) - 1
    return [
        _address(picture) if picture is not None and (step % every == 0 or step == last) else None
        for step, picture in enumerate(pictures)
    ]


def _address(picture: NDArray[np.uint8]) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(encoded(picture)).decode()
