"""Files of the repository as pages of the site, and links that lead from a page to them."""

import os.path
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
}
"""Files at the top of the repository, and the pages of the site that show them."""
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)#:\s]+)(#[^)]*)?\)")


def render(name: str) -> str:
    """Return a file of the repository, with links to pages as from ``docs/project``."""

    def moved(found: re.Match[str]) -> str:
        target = os.path.relpath(ROOT / found[2], ROOT / "docs" / "project")
        return f"[{found[1]}]({target}{found[3] or ''})"

    return _LINK.sub(moved, (ROOT / name).read_text())


def with_pages(text: str, site: Path, page: str) -> str:
    """Return a page whose links to files outside the site lead to pages of it, or are plain text.

    Args:
        text: the page's Markdown.
        site: the folder of all pages.
        page: the page's name in it, without a suffix.
    """
    folder = (site / page).parent

    def inside(found: re.Match[str]) -> str:
        target = os.path.normpath(folder / found[2])
        outside = os.path.relpath(target, ROOT)
        if outside in PAGES:
            return f"[{found[1]}]({os.path.relpath(site / PAGES[outside], folder)}{found[3] or ''})"
        if os.path.isdir(target) or not target.startswith(f"{site}{os.sep}"):
            return found[1]
        return found[0]

    return _LINK.sub(inside, text)
