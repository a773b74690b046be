"""Where things are in the checkout, and the code in its documents."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
STORED_CHECKPOINT = ROOT / "tests" / "fixtures" / "checkpoint-format-1"  # of a maze of its own


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a Markdown page that are in a language."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)
