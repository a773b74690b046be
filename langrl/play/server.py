"""The playground as a web application: one page, and what its script asks for.

Work on models is done in threads, so that one visitor does not keep another waiting.
"""

import json
import time
from collections.abc import AsyncIterator, Callable, Collection
from functools import partial
from importlib.resources import files
from typing import Annotated, Any, Literal, TypeVar

import anyio
from anyio.to_thread import run_sync
from pydantic import Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from langrl.envs.grid.grammar import COLOURS
from langrl.envs.grid.things import THINGS
from langrl.errors import ConfigError, LangRLError
from langrl.play.guard import LOOPBACK, Guard
from langrl.play.pictures import encoded
from langrl.play.playground import ABOUT, Playground
from langrl.play.session import MOST_COMPARED, MOST_EDITS, Session
from langrl.play.visitors import SessionGone, Visitors
from langrl.play.worlds import Edit
from langrl.settings import Settings, describe_invalid

T = TypeVar("T")
LARGEST = 1 << 16  # bytes of a request
_DRAINED = 1 << 23  # bytes of a larger one that are read, and dropped, before it is refused
_FASTEST = 60  # steps per second
_DIGITS = 4  # of a number in an address
_THREADS = 32  # visitors whose agents think at the same time
_TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]


class EditAsked(Settings):
    """A cell that is to be changed; see ``Edit``."""

    row: int = Field(ge=0, le=1000)
    column: int = Field(ge=0, le=1000)
    thing: str = Field(max_length=20)
    colour: str = Field("grey", max_length=20)


class Asked(Settings):
    """What the page asks for, in a session."""

    session: str = Field(max_length=100)
    do: Literal[
        "look", "tell", "compare", "step", "again", "restart", "reset_world",
        "place", "edit", "hide", "mean", "answer",
    ]  # fmt: skip
    text: str = Field("", max_length=LARGEST)
    strategies: tuple[Annotated[str, Field(max_length=40)], ...] = Field((), max_length=20)
    place: tuple[Number, ...] = Field((), max_length=3)
    hidden: bool = False
    answer: int = Field(0, ge=0, le=100)
    edits: tuple[EditAsked, ...] = Field((), max_length=MOST_EDITS)


def make_app(
    playground: Playground,
    *,
    hosts: Collection[str] = LOOPBACK,
    any_address: bool = False,
    visitors: Visitors | None = None,
) -> Guard:
    """Return the application that serves a playground.

    Args:
        playground: the run.
        hosts: names by which it may be called; see ``Guard``.
        any_address: see ``Guard``.
        visitors: where sessions are kept.
    """
    known = Visitors(partial(Session, playground)) if visitors is None else visitors
    server = _Server(playground, known)
    routes = [
        Route("/", server.page),
        Route("/static/{name}", server.file),
        Route("/api/session", server.open, methods=["POST"]),
        Route("/api/do", server.do, methods=["POST"]),
        Route("/api/run", server.run),
        Route("/api/frame", server.frame),
    ]
    handlers: dict[Any, Any] = {LangRLError: _refuse, 404: _missing, 405: _missing}
    return Guard(Starlette(routes=routes, exception_handlers=handlers), hosts, any_address)


class _Server:
    """Answers what the routes say."""

    def __init__(self, playground: Playground, visitors: Visitors) -> None:
        self._playground, self._visitors = playground, visitors
        self._threads: anyio.CapacityLimiter | None = None

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._threads is None:  # it belongs to the running loop
            self._threads = anyio.CapacityLimiter(_THREADS)
        return await run_sync(work, limiter=self._threads)

    async def page(self, request: Request) -> Response:
        """Return the page."""
        return _file("index.html")

    async def file(self, request: Request) -> Response:
        """Return a file that the page needs."""
        return _file(request.path_params["name"])

    async def open(self, request: Request) -> Response:
        """Open a session; returns its name, what there is to choose from, and the first view."""
        await _body(request)
        seed = self._visitors.next_seed()
        visitor = await self._in_thread(partial(self._visitors.open, seed))
        view = await self._in_thread(visitor.session.look)
        name = self._visitors.admit(visitor)
        return JSONResponse({"session": name, "info": _info(self._playground), "view": view})

    async def do(self, request: Request) -> Response:
        """Do one thing in a session, and return what there is then, or why it cannot be done.

        What cannot be done is an answer like others: browsers note all but those as errors.
        """
        asked = _read(await _body(request))
        visitor = self._visitors.find(asked.session)

        def work() -> dict[str, Any]:
            try:
                _carry_out(visitor.session, asked)
            except LangRLError as error:
                return {"error": str(error)}
            return visitor.session.look()

        async with visitor.lock:
            return JSONResponse(await self._in_thread(work))

    async def run(self, request: Request) -> Response:
        """Stream a frame for each step until the episode is over, or something else is done."""
        name, rate = request.query_params.get("session", ""), request.query_params.get("rate", "10")
        self._visitors.find(name)
        if not (rate.isascii() and rate.isdigit() and 0 < int(rate[:4]) <= _FASTEST):
            raise ConfigError(f"rate is 1 to {_FASTEST} steps per second")
        return StreamingResponse(self._frames(name, int(rate)), media_type="text/event-stream")

    async def frame(self, request: Request) -> Response:
        """Return a picture of where a strategy is now, of a world that is not drawn as a map."""
        walk = request.query_params.get("walk", "0")
        visitor = self._visitors.find(request.query_params.get("session", ""))
        if not (walk.isascii() and walk.isdigit() and len(walk) < _DIGITS):
            raise ConfigError("walk is the number of a strategy, counted from 0")
        async with visitor.lock:
            picture = await self._in_thread(partial(visitor.session.frame, int(walk)))
        if picture is None:
            raise ConfigError("this world is drawn as a map, and has no pictures")
        return Response(encoded(picture), media_type="image/jpeg")

    async def _frames(self, name: str, rate: int) -> AsyncIterator[str]:
        due, revision = time.monotonic(), self._visitors.find(name).session.revision
        try:
            while True:
                visitor = self._visitors.find(name)
                async with visitor.lock:
                    if visitor.session.revision != revision:
                        break
                    more = await self._in_thread(visitor.session.step)
                    frame = visitor.session.progress()
                if more or frame["question"]:
                    yield _event("message", frame)
                if not more:
                    break
                now = time.monotonic()
                due = max(due + 1 / rate, now)
                await anyio.sleep(due - now)
        except LangRLError as error:
            yield _event("problem", {"error": str(error)})
        yield _event("end", {})


def _carry_out(session: Session, asked: Asked) -> None:
    """Do what was asked for in a session."""
    if asked.do == "tell":
        session.tell(asked.text)
    elif asked.do == "compare":
        session.compare(asked.strategies)
    elif asked.do == "place":
        session.place(asked.place)
    elif asked.do == "mean":
        session.mean(asked.place)
    elif asked.do == "hide":
        session.hide(asked.hidden)
    elif asked.do == "answer":
        session.answer(asked.answer)
    elif asked.do == "edit":
        session.edit(Edit(**each.model_dump()) for each in asked.edits)
    elif asked.do != "look":
        getattr(session, asked.do)()  # one of the literals of ``Asked.do``


def _info(playground: Playground) -> dict[str, Any]:
    """Return what does not change: the run, and what there is to choose from."""
    strategies = [
        {"name": name, "about": ABOUT.get(name, "")} for name in playground.strategies
    ]  # fmt: skip
    return {
        "title": playground.title,
        "strategies": strategies,
        "examples": list(playground.world.examples),
        "things": list(THINGS),
        "colours": list(COLOURS),
        "most_compared": MOST_COMPARED,
    }


async def _body(request: Request) -> bytes:
    """Return the body of a request of JSON.

    Raises:
        _TooLarge: if there is too much of it.
        ConfigError: if it is something else.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise ConfigError("send JSON, with Content-Type: application/json")
    body, size = b"", 0
    try:
        async for part in request.stream():
            size += len(part)
            if size <= LARGEST:
                body += part
            elif size > _DRAINED:
                break
    except ClientDisconnect:
        raise ConfigError("the browser has gone") from None
    if size > LARGEST:
        raise _TooLarge(f"a request has at most {LARGEST:,} bytes; shorten the text")
    return body


class _TooLarge(ConfigError):
    """A request has too many bytes."""


def _read(body: bytes) -> Asked:
    try:
        content = json.loads(body)
        if not isinstance(content, dict):
            raise ConfigError("send a JSON object")
        return Asked.model_validate(content)
    except ValidationError as error:
        raise ConfigError(describe_invalid(error, Asked)) from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, LangRLError):
            raise
        raise ConfigError("this is no JSON") from None


async def _refuse(request: Request, error: Exception) -> Response:
    """Answer with what is wrong and how to mend it."""
    status = 410 if isinstance(error, SessionGone) else 400
    status = 413 if isinstance(error, _TooLarge) else status
    return JSONResponse({"error": str(error)}, status)


async def _missing(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "there is no such page here"}, 404)


def _file(name: str) -> Response:
    """Return a file of the folder ``static``."""
    kind = _TYPES.get(name.rpartition(".")[2])
    path = files("langrl.play").joinpath("static", name)
    if kind is None or "/" in name or "\\" in name or not path.is_file():
        return JSONResponse({"error": "there is no such page here"}, 404)
    return Response(path.read_bytes(), media_type=f"{kind}; charset=utf-8")


def _event(name: str, content: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(content)}\n\n"
