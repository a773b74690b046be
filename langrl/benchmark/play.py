"""Speed of the playground: from a key that is pressed to the belief, and frames of an episode.

Texts are sent to a server on this machine as the page sends them while somebody types, and the
answers are read. The baseline is the bare call of an agent's ``posterior`` for as many texts. The
critics have random weights, which take as long as trained ones.
"""

import json
import statistics
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from langrl.envs.grid.rooms import GRID_WORLDS, draw_rooms
from langrl.envs.maze.world import StreetMaze
from langrl.errors import check_extra
from langrl.play.grids import GridRoom
from langrl.play.mazes import MazeWorld
from langrl.play.playground import Playground
from langrl.play.session import Session
from langrl.tasks.grid.agent import agent_maker, build_grid_critic
from langrl.tasks.maze.run import build
from langrl.tasks.registry import load_run_config
from langrl.training.jobs import one_thread
from langrl.training.logs import progress

_TEXT = "go to row 3 or column 11"
_FASTEST = 60  # steps per second that are asked for


def _maze() -> Playground:
    config: Any = load_run_config("street-fork")
    data = config.data.model_copy(update={"num_trajectories": 200, "num_pairs": 2000})
    made = build(config.model_copy(update={"data": data}), Path())
    maze = StreetMaze(config.world.layout)
    own = config.grounding.strategy
    return Playground(
        "street-fork", MazeWorld("the fork maze", maze, maze), made.agent, (own,), own
    )


def _grid() -> Playground:
    config: Any = load_run_config("grid-goto")
    critic = build_grid_critic(config.critic, 0)
    make = agent_maker(critic, config.language, config.grounding)
    name, own = config.world.worlds[0], config.grounding.strategy
    room = draw_rooms(GRID_WORLDS[name], 1, np.random.default_rng(0))[0]
    return Playground("grid-goto", GridRoom(name, room), make, (own,), own)


WORLDS: dict[str, Callable[[], Playground]] = {"street-fork": _maze, "grid-goto": _grid}


def play(rounds: int) -> list[dict[str, Any]]:
    """Time keys, frames and the first page; medians in milliseconds.

    Raises:
        MissingExtraError: if the extra ``web`` is not installed.
    """
    check_extra("starlette", "web")
    check_extra("uvicorn", "web")
    rows = []
    with one_thread(), progress("speed: play", len(WORLDS)) as bar:
        for number, (name, make) in enumerate(WORLDS.items()):
            rows.append({"benchmark": "play", "variant": name} | _measure(make(), rounds))
            bar.update(number + 1, "worlds")
    return rows


def _measure(playground: Playground, rounds: int) -> dict[str, Any]:
    session = Session(playground)
    agent = playground.make(strategy=playground.strategy)
    seen = {"observation": session.world.observe(session.start)}
    agent.prepare(seen, _TEXT)
    began = time.perf_counter()
    with _served(playground) as address:
        _get(address)
        name = _post(address, "api/session", {})["session"]
        first = time.perf_counter() - began
        tell = partial(_post, address, "api/do")
        keys, bare = [], []
        for text in _typed(rounds):  # by turns, so that a machine that slows down slows both
            keys.append(_time(partial(tell, {"session": name, "do": "tell", "text": text})))
            bare.append(_time(partial(agent.posterior, seen, f"{text}?")))  # not cached either
        tell({"session": name, "do": "tell", "text": _TEXT[:5]})  # beyond the grammar: no end
        frames = _frames_per_second(address, name)
    return {
        "milliseconds": 1000 * statistics.median(keys),
        "slow_milliseconds": 1000 * statistics.quantiles(keys, n=10)[-1],
        "bare_milliseconds": 1000 * statistics.median(bare),
        "ratio": statistics.median(keys) / statistics.median(bare),
        "frames_per_second": frames,
        "first_page_milliseconds": 1000 * first,
    }


def _typed(rounds: int) -> Iterator[str]:
    """Yield what is in the text box after each key; every text is another one."""
    for number in range(rounds):
        text = f"{number} {_TEXT}"
        yield from (text[:length] for length in range(len(str(number)) + 2, len(text) + 1))


@contextmanager
def _served(playground: Playground) -> Iterator[str]:
    """Serve a playground in a thread, and give its address."""
    from langrl.play.serving import address_of, bind, make_server

    with bind("127.0.0.1", 0) as bound:
        server = make_server(playground, bound, "127.0.0.1")
        thread = threading.Thread(target=lambda: server.run(sockets=[bound]))
        thread.start()
        try:
            yield address_of(bound)
        finally:
            server.should_exit = True
            thread.join()


def _frames_per_second(address: str, name: str) -> float:
    """Return how many steps of an episode come in a second, of 60 that are asked for."""
    stream = f"{address}api/run?session={name}&rate={_FASTEST}"
    began = time.perf_counter()
    with urllib.request.urlopen(stream) as answer:
        frames = sum(line.startswith(b"event: message") for line in answer)
    return frames / (time.perf_counter() - began)


def _get(address: str) -> bytes:
    with urllib.request.urlopen(address) as answer:
        page: bytes = answer.read()
        return page


def _post(address: str, path: str, content: dict[str, Any]) -> Any:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(address + path, json.dumps(content).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def _time(run: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin
