"""An episode as a file: a page that opens without a server, or a film."""

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langrl.checkpoint import write_atomically
from langrl.errors import ConfigError, check_extra
from langrl.play.grids import room_of
from langrl.play.pictures import inlined
from langrl.play.playground import Playground
from langrl.play.session import Session, Walk
from langrl.plots.base import mark_outcome
from langrl.plots.grid import room_film, write_gif, write_mp4
from langrl.plots.maze import cell_mass, film
from langrl.protocols import check_instruction

SUFFIXES = (".html", ".gif", ".mp4")
_SCRIPTS = ("draw.js", "page.js", "episode.js")


def check_target(path: Path) -> Path:
    """Return where an episode goes, if it can be written in that format.

    Raises:
        ConfigError: if the name ends in something else, or names a folder.
        MissingExtraError: if it is an .mp4 and the extra ``video`` is not installed.
    """
    if path.suffix not in SUFFIXES:
        raise ConfigError(
            f"--out {path}: end the name in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        )
    if path.is_dir():
        raise ConfigError(f"--out {path} is a folder; name a file")
    if path.suffix == ".mp4":
        check_extra("imageio_ffmpeg", "video")
    return path


def play_episode(
    playground: Playground, text: str, strategies: Sequence[str] = (), seed: int = 0
) -> Session:
    """Return a session in which strategies have followed a text, from one start, to the end.

    Args:
        playground: the run.
        text: the instruction.
        strategies: the run's own, if not given.
        seed: of the start, and of the agents' randomness.

    Raises:
        InstructionError: if the text denotes nothing there.
        ConfigError, UnknownNameError: if there are no such strategies.
    """
    session = Session(playground, seed, keeps_frames=True)
    if strategies:
        session.compare(strategies)
    session.tell(check_instruction(text))
    session.restart()
    while session.step():
        pass
    return session


def write_episode(path: Path, session: Session, about: str) -> None:
    """Write a session's episodes as a page, a GIF or an MP4, as the name of the file says.

    Args:
        path: see ``check_target``.
        session: after its last step.
        about: what to say of the run.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".html":
        view = session.look()
        if session.world.kind == "frames":
            view["frames"] = [inlined(walk.frames) for walk in session.walks]
        write_atomically(path, episode_page(view, about))
        return
    frames = episode_frames(session)
    (write_gif if path.suffix == ".gif" else write_mp4)(frames, path)


def episode_page(view: dict[str, Any], about: str) -> str:
    """Return a page of HTML that shows an episode, and asks for nothing.

    Args:
        view: what ``Session.look`` returns; and as ``frames``, pictures of each walk, where the
            world has no map.
        about: what to say of the run.
    """
    style, script = _file("style.css"), "\n".join(map(_file, _SCRIPTS))
    said = "“" + view["text"] + "”"
    return Template(_file("episode.html")).substitute(
        title=html.escape(said),
        about=html.escape(f"{about}, in {view['scene']['name']}"),
        says=html.escape(" ".join(view["says"])),
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        data=json.dumps(view).replace("<", "\\u003c"),  # no text ends the element it is in
    )


def episode_frames(session: Session) -> list[NDArray[np.uint8]]:
    """Return the images of an episode, uint8 [height, width, 3], strategies side by side."""
    films = [
        mark_outcome(_film(session, walk), walk.success if walk.is_over else None)
        for walk in session.walks
    ]
    length = max(map(len, films))
    frames = [
        np.concatenate([each[min(step, len(each) - 1)] for each in films], 1)
        for step in range(length)
    ]
    # Formats of video take even sizes only.
    height, width = (side - side % 2 for side in frames[0].shape[:2])
    return [np.ascontiguousarray(frame[:height, :width]) for frame in frames]


def _film(session: Session, walk: Walk) -> list[NDArray[np.uint8]]:
    world, belief = session.world, session.belief()
    assert belief is not None  # something was said
    title = f"{walk.strategy}: “{session.text}”"
    scene, path = world.scene(), np.stack(walk.path)
    if world.kind == "frames":
        return _pictures(walk, scene["no_picture"])
    denoted = world.denoted(session.text)
    if world.kind == "maze":
        walls = np.array([[mark == "#" for mark in row] for row in scene["walls"]])
        cells = belief.cells.astype(np.float32)
        heat = cell_mass(cells, belief.probabilities, walls.shape)
        positions = path.astype(np.float32)
        return film(walls, positions, denoted=denoted, heat=heat, title=title)
    poses = belief.poses
    marks: dict[str, Any] = {}
    if poses is not None:
        marks = {"goals": poses[:, :3].astype(np.int64), "probabilities": poses[:, 3]}
    rooms, things = [], scene["things"]
    for changed in walk.things:
        things = things if changed is None else changed
        rooms.append(room_of(things, (scene["rows"], scene["columns"])))
    poses_of_agent = path.astype(np.int64)
    return room_film(np.stack(rooms), poses_of_agent, denoted=denoted, title=title, **marks)


def _pictures(walk: Walk, problem: str) -> list[NDArray[np.uint8]]:
    """Return the environment's own pictures; raises ConfigError if there are none."""
    pictures = [picture for picture in walk.frames if picture is not None]
    if not pictures:
        raise ConfigError(f"{problem or 'there are no pictures'}; write an .html file")
    return pictures


def _file(name: str) -> str:
    return files("langrl.play").joinpath("static", name).read_text("utf-8")


def _hash(text: str) -> str:
    """Return what a Content-Security-Policy calls a script or a style by."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
