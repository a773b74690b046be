"""The built site: its links lead somewhere, and nothing in it comes from another host."""

import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from documents import ROOT
from generators import commands, names

pytestmark = pytest.mark.site
SITE = ROOT / "build" / "docs"
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src"}


class Page(HTMLParser):
    """What a page links to, what it loads, and where it can be linked to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links, self.loaded, self.names = [], [], set()
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.names |= {given.get("id"), given.get("name")}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag == "link" and "canonical" not in given.get("rel", ""):
            self.loaded.append(given["href"])
        if tag in LOADED and given.get(LOADED[tag]):
            self.loaded.append(given[LOADED[tag]])


@cache
def read(path):
    return Page(path)


@cache
def pages():
    return sorted(SITE.rglob("*.html"))


def test_the_site_is_built():
    assert (SITE / "index.html").is_file(), "run `make docs`"
    assert len(pages()) > 50


def leads(page, link):
    """Whether a link within the site leads to a file, and to a place in it."""
    parts = urlsplit(link)
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return False
    return not parts.fragment or target.suffix != ".html" or (
        unquote(parts.fragment) in read(target).names
    )  # fmt: skip


def test_every_link_within_the_site_leads_somewhere():
    dead = {
        (page.relative_to(SITE).as_posix(), link)
        for page in pages()
        for link in read(page).links + read(page).loaded
        if not urlsplit(link).scheme and link not in ("#", "") and not leads(page, link)
    }
    assert not dead


def test_nothing_is_loaded_from_another_host():
    for page in pages():
        assert not [link for link in read(page).loaded if urlsplit(link).netloc], page
    for style in SITE.rglob("*.css"):
        assert not re.findall(r"url\(['\"]?(?:https?:)?//|@import", style.read_text()), style


def test_every_command_and_public_name_has_a_place():
    here = read(SITE / "reference" / "commands.html").names
    assert {command.name.replace(" ", "-") for command in commands.commands()} <= here
    described = set().union(*(read(page).names for page in (SITE / "reference/api").glob("*.html")))
    for section in names.sections():
        assert {path for path, _ in names.public(section)} <= described


def test_the_list_of_public_names_links_to_their_descriptions():
    links = read(SITE / "reference" / "import-paths.html").links
    linked = {link.rpartition("#")[2] for link in links}
    assert "langrl.agents.grounded.GroundedAgent" in linked
    assert len([name for name in linked if name.startswith("langrl.")]) > 100
