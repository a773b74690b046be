"""Images with captions from a folder of images.

``captions.jsonl`` has one ``{"image": "cat.png", "text": "a cat"}`` a line; ``captions.csv`` has
the columns ``image`` and ``text``. An image may have several captions, and a caption several
images.

Axes: ``M`` images, ``K`` texts.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.data.images.grid_scenes import ImageTexts
from langrl.errors import ConfigError, InstructionError, ShapeError
from langrl.models.language_image.image_inputs import frame_image
from langrl.protocols import Integers, Mask, check_instruction
from langrl.words import TextLimit

_NAMES = ("captions.jsonl", "captions.csv")
_FORMATS = ("PNG", "JPEG")
_MOST_PIXELS = 64_000_000
_MOST_BYTES = 100_000_000  # of the captions


@dataclass(frozen=True, eq=False)
class CaptionedImages:
    """Images and their captions.

    Args:
        images: uint8 [M, size, size, 3].
        texts: distinct captions, K.
        positives: bool [K, M], whether an image has a caption.
    """

    images: NDArray[np.uint8]
    texts: list[str]
    positives: Mask

    def draw(self, count: int, generator: Generator) -> ImageTexts:
        """Draw up to ``count`` distinct images, and one caption of each."""
        chosen = generator.permutation(len(self.images))[:count]
        captions = [generator.choice(np.flatnonzero(self.positives[:, n])) for n in chosen]
        texts = np.unique(captions)  # images with the same caption share it
        return self._part(chosen, texts)

    def split(self, share: float, generator: Generator) -> list["CaptionedImages"]:
        """Return images to train on, to calibrate on and to measure on; each has two or more.

        A part has the captions of its images; one that several parts have stays in each.

        Raises:
            ConfigError: if there are too few images.
        """
        order = generator.permutation(len(self.images))
        held = max(2, round(len(order) * share / 2))
        if len(order) < 2 * held + 2:
            raise ConfigError(
                f"{len(order)} images are too few to train on, calibrate on and measure on;"
                " give at least 6, or lower held_out"
            )
        parts = (order[2 * held :], order[:held], order[held : 2 * held])
        return [self._of(np.sort(part)) for part in parts]

    def _of(self, images: Integers) -> "CaptionedImages":
        part = self._part(images, np.flatnonzero(self.positives[:, images].any(1)))
        return CaptionedImages(part.images, part.texts, part.positives)

    def _part(self, images: Integers, texts: Integers) -> ImageTexts:
        chosen = [self.texts[k] for k in texts]
        return ImageTexts(self.images[images], chosen, self.positives[np.ix_(texts, images)])


def read_folder(folder: Path, size: int) -> CaptionedImages:
    """Read a folder's captions and images, the images framed to ``size`` pixels a side.

    Names of images are paths inside the folder; nothing outside it is opened, and no URL fetched.
    An oblong image keeps its proportions and gets black bars, see ``frame_image``.

    Raises:
        ConfigError: if there are no captions, a line is wrong, or images are missing or cannot be
            read; names all of those at once.
    """
    pairs = [(name, text) for _, name, text in _read_captions(folder)]
    images, bad = {}, []
    for name in dict.fromkeys(name for name, _ in pairs):
        image = _read_image(folder, name, size)
        if isinstance(image, str):
            bad.append(f"{name!r} {image}")
        else:
            images[name] = image
    if bad:
        raise ConfigError(
            f"{folder}: {len(bad)} images cannot be used: {'; '.join(bad)};"
            " repair them or take them out of the captions"
        )
    numbers = {name: n for n, name in enumerate(images)}
    texts = list(dict.fromkeys(text for _, text in pairs))
    places = {text: k for k, text in enumerate(texts)}
    positives = np.zeros((len(texts), len(images)), bool)
    for name, text in pairs:
        positives[places[text], numbers[name]] = True
    return CaptionedImages(np.stack(list(images.values())), texts, positives)


def check_captions(folder: Path, limit: TextLimit) -> None:
    """Raise ConfigError, with file and line, if a model would not read the whole of a caption."""
    for place, _, text in _read_captions(folder):
        try:
            limit(text)
        except InstructionError as error:
            raise ConfigError(f"{place}: {error}") from error


def _read_captions(folder: Path) -> list[tuple[str, str, str]]:
    """Return the place, in words, the image's name and the text of each caption."""
    path = _captions_file(folder)
    read = _jsonl if path.suffix == ".jsonl" else _csv
    captions = []
    try:
        for number, row in read(path):
            place = f"{path}, line {number}"
            name, text = (row.get(key) for key in ("image", "text"))
            if not isinstance(name, str) or not name or not isinstance(text, str):
                found = ", ".join(repr(key) for key in row) or "nothing"
                raise ConfigError(f"{place}: needs 'image' and 'text', both strings; has {found}")
            try:
                captions.append((place, name, check_instruction(text)))
            except InstructionError as error:
                raise ConfigError(f"{place}: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    if not captions:
        raise ConfigError(f"{path} holds no captions; give an image and a text on each line")
    return captions


def _captions_file(folder: Path) -> Path:
    if not folder.is_dir():
        raise ConfigError(f"no folder {folder}; give a folder of images with {_NAMES[0]}")
    present = [folder / name for name in _NAMES if (folder / name).is_file()]
    if len(present) != 1:
        what = "both" if present else "neither"
        raise ConfigError(f"{folder} has {what} of {_NAMES[0]} and {_NAMES[1]}; give one of them")
    if present[0].stat().st_size > _MOST_BYTES:
        raise ConfigError(f"{present[0]} is larger than {_MOST_BYTES:,} bytes; split it")
    return present[0]


Rows = Iterator[tuple[int, dict[str, object]]]
"""Numbers of lines, and what they hold by name."""


def _jsonl(path: Path) -> Rows:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ConfigError(f"{path}, line {number}: not JSON ({error})") from error
            yield number, row if isinstance(row, dict) else {}


def _csv(path: Path) -> Rows:
    # newline="": a quoted text may have line breaks, which stay as they are.
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            named = list(reader.fieldnames or ())
            if any(named.count(name) != 1 for name in ("image", "text")):
                found = ", ".join(map(repr, named)) or "none"
                raise ConfigError(
                    f"{path}: needs a column 'image' and a column 'text', and has {found}"
                )
            for row in reader:
                if None in row:
                    raise ConfigError(
                        f"{path}, line {reader.line_num}: more than {len(named)} columns; put a"
                        " text with commas in double quotes"
                    )
                yield reader.line_num, dict(row)
        except csv.Error as error:
            raise ConfigError(
                f"{path}, line {reader.reader.line_num}: not CSV ({error})"
            ) from error


def _read_image(folder: Path, name: str, size: int) -> NDArray[np.uint8] | str:
    """Return an image, or why it cannot be used."""
    from PIL import Image

    root = folder.resolve()
    try:
        path = (root / name).resolve()
        if not path.is_relative_to(root):
            return "is outside the folder"
        if not path.is_file():
            return "is missing"
        with Image.open(path, formats=_FORMATS) as image:
            if image.width * image.height > _MOST_PIXELS:
                return f"has more than {_MOST_PIXELS:,} pixels"
            return frame_image(image, size)
    except ShapeError as error:
        return f"cannot be read: {error}"
    # Pillow reports damaged files with many types of errors, SyntaxError among them.
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        return f"is no readable PNG or JPEG ({type(error).__name__})"
