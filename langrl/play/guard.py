"""What may be asked of the server: by whom, how much, and what its pages may load.

A page of another site must not steer the server: that site's browser sends its ``Origin``, which is
refused, and a name of that site that leads to this machine is refused as ``Host``.
"""

from collections.abc import Awaitable, Callable, Collection, MutableMapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Refuses requests of other sites, and sets the headers of every answer.

    Args:
        app: answers the others.
        hosts: names by which the server may be called; with ``any_address``, any address, too.
        any_address: whether it is called by addresses that it does not know beforehand.
    """

    def __init__(self, app: Any, hosts: Collection[str], any_address: bool = False) -> None:
        self._app, self._hosts, self._any_address = app, frozenset(hosts), any_address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, as an ASGI application does."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        problem = self._problem(Headers(scope=scope))
        app = self._app if problem is None else JSONResponse({"error": problem}, 403)
        await app(scope, receive, send_with_headers)

    def _problem(self, headers: Headers) -> str | None:
        """Return what is wrong with a request, if anything."""
        host = headers.get("host", "")
        if not self._is_ours(_name_of(host)):
            return "this server answers by the address that it printed; use that"
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            return "a page of another site asked; open the address that the server printed"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return "a page of another site asked; open the address that the server printed"
        return None

    def _is_ours(self, name: str) -> bool:
        if name in self._hosts:
            return True
        if not self._any_address:
            return False
        try:
            ip_address(name)
        except ValueError:
            return False
        return True


def _name_of(host: str) -> str:
    """Return the name in a header ``Host``, without the port; nothing if there is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
