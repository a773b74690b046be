"""What kind of thing a noun means, by files in WordNet's format."""

from pathlib import Path

import numpy as np
import pytest

from langrl.errors import ConfigError
from langrl.tasks.language_image.colour_names import agreed
from langrl.tasks.language_image.thesaurus import COLOURS, THINGS, Thesaurus

LICENCE = "  1 This software and database is free.\n"
MEANINGS = {  # offset: file, words, what is just above it
    "00000001": (6, ["thing"], []),
    "00000002": (6, ["container"], ["00000001"]),
    "00000003": (6, ["box"], ["00000002"]),
    "00000004": (6, ["crate"], ["00000003"]),
    "00000005": (8, ["thorax", "chest"], []),
    "00000006": (6, ["chest"], ["00000003"]),
    "00000007": (6, ["movable_barrier"], ["00000001"]),
    "00000008": (6, ["door"], ["00000007"]),
    "00000009": (6, ["gate"], ["00000007"]),
    "00000010": (7, ["grey"], []),
    "00000011": (7, ["silver"], ["00000010"]),
    "00000012": (14, ["box"], []),
    "00000013": (14, ["jury_box"], ["00000012"]),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data, words = [LICENCE], dict[str, list[str]]()
    for offset, (file, names, above) in MEANINGS.items():
        listed = " ".join(f"{name} 0" for name in names)
        pointers = "".join(f" @ {up} n 0000" for up in above)
        counts = f"{len(names):02x} {listed} {len(above):03d}{pointers}"
        data.append(f"{offset} {file:02d} n {counts} | a gloss\n")
        for name in names:
            words.setdefault(name, []).append(offset)
    index = [LICENCE] + [
        f"{name} n {len(senses)} 1 @ {len(senses)} 0 {' '.join(senses)}\n"
        for name, senses in words.items()
    ]
    (tmp_path / "data.noun").write_text("".join(data))
    (tmp_path / "index.noun").write_text("".join(index))
    return tmp_path


def test_a_noun_is_of_the_kinds_that_its_meanings_are(folder: Path) -> None:
    found = Thesaurus(folder).memberships(("door", "box"), THINGS)
    shares = {word: tuple(share) for word, share in found.items()}
    assert shares["box"] == (0, 1)
    assert shares["crate"] == (0, 1)  # below a box
    assert shares["chest"] == (0, pytest.approx(0.85))  # its second meaning
    assert shares["container"] == (0, pytest.approx(0.7))  # just above a box
    assert shares["gate"] == (pytest.approx(0.5), 0)  # beside a door
    assert shares.keys() == {"door", "box", "crate", "chest", "container", "gate"}


def test_colours_are_meant_as_colours(folder: Path) -> None:
    thesaurus = Thesaurus(folder)
    assert thesaurus.memberships(("grey",), COLOURS)["silver"].tolist() == [1.0]
    assert "crate" not in thesaurus.memberships(("box",), COLOURS)


def test_two_sources_of_colours_count_alike() -> None:
    own = {"silver": np.array([0.4, 0.6]), "mauve": np.array([0.9, 0.1])}
    found = agreed(own, {"silver": np.array([0.0, 0.5]), "unknown": np.array([1.0, 0.0])})
    np.testing.assert_allclose(found["silver"], [0.2, 0.8])
    np.testing.assert_allclose(found["mauve"], own["mauve"])
    assert found.keys() == own.keys()


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no data\.noun; give the folder"):
        Thesaurus(tmp_path)


def test_a_file_that_was_cut_off_is_told_in_one_line(folder: Path) -> None:
    data = folder / "data.noun"
    data.write_text("".join(data.read_text().splitlines(keepends=True)[:4]))
    with pytest.raises(ConfigError, match=r"no files of WordNet 3 that can be read; install"):
        Thesaurus(folder)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\n", b"00000001 06\n", b"word n x\n"])
@pytest.mark.parametrize("name", ["data.noun", "index.noun"])
def test_files_that_hold_something_else_are_told_in_one_line(
    folder: Path, name: str, content: bytes
) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(ConfigError, match=r"no files of WordNet 3 that can be read; install"):
        Thesaurus(folder)
