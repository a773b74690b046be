"""What people paste where an instruction is asked for: texts, and objects that are no texts."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

PLACES = [
    "http://127.0.0.1:9/x.png",
    "https://example.com/a?b=c#d",
    "ftp://h/x",
    "file:///etc/passwd",
    "/etc/passwd",
    "../../../etc/passwd",
    "~/.ssh/id_rsa",
    "C:\\Windows\\win.ini",
    "\\\\host\\share",
    "data:image/png;base64,iVBORw0KGgo=",
    "data:text/plain,hi",
    "s3://bucket/key",
    "hf://model",
    "-",
    "--help",
    "$HOME",
    "`id`",
    "$(id)",
    "%s%n%x",
    "{0.__class__}",
    "{{7*7}}",
    "${jndi:ldap://x}",
    "!!python/object/apply:os.system [id]",
    "__import__('os').system('id')",
    "<script>x</script>",
    "'; DROP TABLE t; --",
    "*" * 400,
    "(" * 900,
    "[" * 900,
    "a" * 999,
    "row " * 249,
    "\\" * 999,
]
LETTERS = [
    "go to row \u202e3",
    "\u200b",
    "\u2066go\u2069",
    "e" + "\u0301" * 900,
    "🙂" * 300,
    "👩‍👩‍👧‍👦 go",
    "行 3 へ",
    "اذهب إلى الصف",
    "Ⅲ",
    "½",
    "ﬀ",
    "İ" * 300,
    "ß",
    "\u00ad" * 100,
    "\ufeffgo to row 3",
    "row\u00a03",
    "row\u20033",
    "row\u20283",
    "\uff52\uff4f\uff57 \uff13",
    "٣",
    "row -3",
    "row 3.5",
    "row 1e9",
    "NaN",
    "inf",
    "row " + "9" * 900,
    "not " * 200 + "red",
    "row 3 or " * 100,
    "a key and " * 90,
    "null",
    "None",
    "true",
    "0",
    "\u0000",
    "row\x00 3",
    "row\x1b[2J 3",
    "\x07",
    "row\x7f",
    "\x85",
    "row \ud800",
    "\udfff",
    "",
    " ",
    " \n\t",
    "\n",
    "go\nto\nrow 3",
    "go\tto row 3",
    "x" * 1001,
    "x" * 10**6,
    "é" * 10**6,
]
TEXTS = [*PLACES, *LETTERS, *(f"go to {place[:900]}" for place in PLACES)]


class Raises:
    """Raises when it is printed, hashed, measured or compared."""

    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __len__ = __hash__ = __eq__ = __str__  # type: ignore[assignment]


class Text(str):
    """A text of another class."""


OBJECTS = {
    "None": None,
    "a number": 3,
    "a float": 3.5,
    "NaN": float("nan"),
    "a truth": True,
    "complex": 1j,
    "bytes": b"row",
    "a bytearray": bytearray(b"go"),
    "a memoryview": memoryview(b"go to"),
    "a dict": {"text": "go to row 3"},
    "a dict of an image": {"image": "/etc/passwd"},
    "a set": {"go to row 3"},
    "an empty dict": {},
    "a path": Path("/etc/passwd"),
    "a type": str,
    "a function": len,
    "an object": object(),
    "an error": ValueError("x"),
    "what raises": Raises(),
    "a list of None": [None],
    "a list of numbers": [3, 4],
    "a list of bytes": [b"row 3"],
    "a list of dicts": [{"text": "go to row 3"}],
    "a list of lists": [["go to row 3"]],
    "a list of a path": [Path("/etc/passwd")],
    "a mixed list": ["go to row 3", 3],
    "a tuple of a dict": ({"image": "http://127.0.0.1:9/x.png"},),
    "a list of a text and NUL": ["a\0"],
    "a list of sets": [{1}],
    "a list of what raises": [Raises()],
    "a range": range(3),
    "an array of none": np.array("go to row 3"),
    "numbers": np.zeros(3),
    "a matrix": np.zeros((2, 2)),
    "an array of bytes": np.array([b"row"]),
    "objects": np.array([None, {}], object),
    "a tensor": torch.zeros(3),
    "a scalar tensor": torch.tensor(1.0),
    "texts in rows": np.array([["a"]]),
    "an image": Image.new("RGB", (4, 4)),
    "a list of an image": [Image.new("RGB", (4, 4))],
    "an image as an array": np.zeros((8, 8, 3), np.uint8),
}
