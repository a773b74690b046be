"""Sessions by their names: one's episodes are apart from another's, and idle ones are dropped."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from langrl.errors import ConfigError
from langrl.play.session import Session

IDLE = 30 * 60.0  # seconds until a session is dropped that nobody uses
MOST = 100  # sessions; of more, the one that is idle for longest is dropped


@dataclass(eq=False)
class Visitor:
    """A session, what holds it while something is done in it, and when that was last.

    Args:
        session: of the visitor.
        seen: when something was last done.
    """

    session: Session
    seen: float
    lock: anyio.Lock = field(default_factory=anyio.Lock)


class Visitors:
    """The sessions that are open.

    Args:
        open_session: makes a session from a seed.
        idle: seconds until one is dropped that nobody uses.
        most: how many there may be.
        clock: the time in seconds.
    """

    def __init__(
        self,
        open_session: Callable[[int], Session],
        idle: float = IDLE,
        most: int = MOST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open, self.idle, self.most, self._clock = open_session, idle, most, clock
        self._known: dict[str, Visitor] = {}
        self._opened = 0

    def __len__(self) -> int:
        self._drop_idle()
        return len(self._known)

    def next_seed(self) -> int:
        """Return a seed that no session had."""
        self._opened += 1
        return self._opened - 1

    def open(self, seed: int) -> Visitor:
        """Return a new session, which nobody can find yet."""
        return Visitor(self._open(seed), self._clock())

    def admit(self, visitor: Visitor) -> str:
        """Keep a session, and return its name, which cannot be guessed."""
        self._drop_idle()
        while len(self._known) >= self.most:
            del self._known[min(self._known, key=lambda name: self._known[name].seen)]
        name = secrets.token_urlsafe(18)
        self._known[name] = visitor
        return name

    def find(self, name: str) -> Visitor:
        """Return a session by its name.

        Raises:
            SessionGone: if there is none, perhaps not any longer.
        """
        self._drop_idle()
        visitor = self._known.get(name)
        if visitor is None:
            raise SessionGone("this session has ended; reload the page")
        visitor.seen = self._clock()
        return visitor

    def _drop_idle(self) -> None:
        now = self._clock()
        for name in [n for n, each in self._known.items() if now - each.seen > self.idle]:
            del self._known[name]


class SessionGone(ConfigError):
    """There is no session of that name, or not any longer."""
