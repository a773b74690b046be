"""Write the versions of constraints.txt with the hashes of their files: hashes.py TARGET.

pip's own client asks the index that pip is set up for; its name is not written. Files are those for
CPython 3.11 to 3.13 on Linux (x86_64, aarch64), macOS and Windows, and sources.
"""

import re
import sys
from pathlib import Path

from pip._internal.commands import create_command
from pip._internal.index.collector import parse_links
from pip._vendor.packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from pip._vendor.packaging.version import InvalidVersion, Version

PYTHONS = ("py3", "cp311", "cp312", "cp313")
PLATFORMS = re.compile(r"any|manylinux.*_(x86_64|aarch64)|linux_.*64|macosx_.*|win_(amd64|arm64)")
HEAD = """\
# The versions of constraints.txt, with a sha256 of each of their files on the Python Package Index:
# wheels for CPython 3.11 to 3.13 on Linux (x86_64, aarch64), macOS and Windows, and sources.
#   pip install --require-hashes --no-deps -r requirements-locked.txt && pip install --no-deps .
# installs exactly these. Linux's torch of the index is for CUDA, and needs NVIDIA's packages, which
# are not listed: leave its line out, and install torch before, for another kind of processor.
# make hashes writes this file anew.
"""


def fits(tags) -> bool:
    """Whether a wheel is for one of our systems."""
    return any(
        PLATFORMS.fullmatch(tag.platform)
        and (
            (tag.interpreter in PYTHONS and tag.abi in (tag.interpreter, "none"))
            or (tag.abi == "abi3" and int(tag.interpreter.removeprefix("cp3")) <= 13)
        )
        for tag in tags
    )


def is_wanted(filename: str, version: Version) -> bool:
    """Whether a file is a wheel for our systems, or the source, of a version."""
    try:
        if filename.endswith(".whl"):
            _, found, _, tags = parse_wheel_filename(filename)
            return found == version and fits(tags)
        return parse_sdist_filename(filename)[1] == version
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return False


def hashes_of(finder, name: str, version: str) -> list[str]:
    """Ask the index for the hashes of the files of a version; folders here are not read."""
    sources = finder._link_collector.collect_sources(name, candidates_from_page=lambda _: [])
    found = set()
    for source in sources.index_urls:
        if source is None or not source.link.scheme.startswith("http"):
            continue
        content = finder._link_collector.fetch_response(source.link)
        for link in () if content is None else parse_links(content):
            if is_wanted(link.filename, Version(version)) and "sha256" in link._hashes:
                found.add(link._hashes["sha256"])
    return sorted(found)


def main(target: Path) -> None:
    """Write the file."""
    lines = Path("constraints.txt").read_text().splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    command = create_command("index")
    options, _ = command.parse_args(["versions", "any"])
    text = HEAD
    with command.main_context():
        session = command.get_default_session(options)
        finder = command._build_package_finder(options, session)
        for name, version in sorted(pins, key=lambda pin: canonicalize_name(pin[0])):
            hashes = hashes_of(finder, name, version)
            if not hashes:
                raise SystemExit(f"{name} {version} has no files with hashes on the index")
            listed = "".join(f" \\\n    --hash=sha256:{each}" for each in hashes)
            text += f"{name}=={version}{listed}\n"
    target.write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
