"""Record the moving picture of the README from the page of ``langrl play`` in Chromium.

    python docs/scripts/record_playground.py runs/demo/run docs/images/playground.webp

It needs Chromium and the extras ``langrl[web,test]``. A frame is taken after each key and each few
steps, so that the speed of this machine does not matter; the film's own speed is below.
"""

import argparse
import base64
import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from chromium import Chromium, find_chromium

WIDTH, HEIGHT = 1000, 960  # pixels of the window
SIZE = (880, 845)  # of the film
START = (8.5, 2.5)  # row and column, in a corridor of the fork maze
TYPED, STEPPED, READ = 90, 80, 1600  # milliseconds of a frame
STEPS, LATER = 2, 10  # of the episode in a frame; and once one of its walks is over
LONGEST = 100  # steps of an episode
TEXTS = ("go to row 3", " or column 11")
_IDLE = "!telling && document.body.dataset.text === document.getElementById('text').value"


class Recorder:
    """A page, and the frames that were taken of it with how long each is shown."""

    def __init__(self, page: Chromium) -> None:
        self.page = page
        self.frames: list[Image.Image] = []
        self.times: list[int] = []

    def take(self, milliseconds: int) -> None:
        """Take a frame."""
        shot = base64.b64decode(self.page.call("Page.captureScreenshot")["data"])
        image = Image.open(io.BytesIO(shot)).convert("RGB")
        self.frames.append(image.resize(SIZE, Image.Resampling.LANCZOS))
        self.times.append(milliseconds)

    def type(self, text: str) -> None:
        """Type a text after what is there; a frame for each letter."""
        self.page.evaluate("document.getElementById('text').focus()")
        for letter in text:
            self.page.type(letter)
            self.page.wait(_IDLE)
            self.take(TYPED)
        self.times[-1] = READ

    def run(self) -> None:
        """Step until every episode is over."""
        for step in range(LONGEST):
            if self.page.evaluate("state.view.over"):
                break
            before = self.page.evaluate("state.view.step")
            self.page.evaluate("document.getElementById('step').click()")
            self.page.wait(f"state.view.step > {before}")
            waits = self.page.evaluate("state.view.walks.some((walk) => walk.over)")
            if step % (LATER if waits else STEPS) == 0:
                self.take(STEPPED)
        self.take(READ)

    def compare(self, strategy: str) -> None:
        """Tick a strategy, or take its tick away, and go back to the start."""
        before = self.page.evaluate("state.view.walks.length")
        self.page.evaluate(f"document.querySelector('input[value={strategy}]').click()")
        self.page.wait(f"state.view.walks.length !== {before}")
        self.page.evaluate("state.view.step && act({do: 'again'})")
        self.take(READ // 2)

    def write(self, path: Path) -> None:
        """Write the frames as a film that begins anew at its end."""
        first, *rest = self.frames
        first.save(
            path,
            save_all=True,
            append_images=rest,
            duration=self.times,
            loop=0,
            quality=60,
            method=4,
        )


def serve(run: Path) -> tuple[subprocess.Popen[str], str]:
    """Start ``langrl play`` and return it with its address."""
    command = [sys.executable, "-c", "from langrl.cli.main import main; main()", "play", str(run)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    for line in server.stdout:
        if found := re.search(r"http://\S+", line):
            return server, found[0]
    raise SystemExit(f"langrl play {run} has ended without an address")


def record(page: Chromium, address: str) -> Recorder:
    """Play: an instruction, the same beside direct comparison, and a more ambiguous one."""
    page.resize(WIDTH, HEIGHT)
    page.prefer("light")
    page.open(address)
    page.wait("state.view")
    page.evaluate(f"act({{do: 'place', place: {list(START)}}})")
    film = Recorder(page)
    film.take(READ // 2)
    film.type(TEXTS[0])
    film.run()
    film.compare("direct")
    film.run()
    film.compare("direct")
    film.type(TEXTS[1])
    film.run()
    return film


def main() -> None:
    """Record a run."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("run", type=Path)
    reader.add_argument("out", type=Path)
    given = reader.parse_args()
    server, address = serve(given.run)
    try:
        with (
            tempfile.TemporaryDirectory() as profile,
            Chromium(find_chromium(), Path(profile)) as page,
        ):
            film = record(page, address)
    finally:
        server.terminate()
        server.wait()
    film.write(given.out)
    print(f"{given.out}: {len(film.frames)} frames, {given.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
