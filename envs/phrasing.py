"""Phrasings of instructions: those of training, and others that are held out."""

from typing import Any, Literal

Meaning = tuple[Any, ...]
Phrasing = Literal["seen", "held_out"]
PHRASINGS: tuple[Phrasing, ...] = ("seen", "held_out")
