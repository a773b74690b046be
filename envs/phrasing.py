"""Phrasings of instructions: those of training, others that are held out, and noisy ones."""

from typing import Any, Literal

Meaning = tuple[Any, ...]
Phrasing = Literal["seen", "held_out"]
PHRASINGS: tuple[Phrasing, ...] = ("seen", "held_out")
"""Those that grammars have templates of."""
TaskPhrasing = Literal["seen", "held_out", "noisy"]
TASK_PHRASINGS: tuple[TaskPhrasing, ...] = (*PHRASINGS, "noisy")
"""Those that tasks can have. A noisy text is a seen one with ``langrl.envs.noise`` on it."""
