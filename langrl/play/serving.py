"""Serving a playground: the port, the address that is printed, and the server's loop."""

import socket

import uvicorn

from langrl.errors import ConfigError
from langrl.play.guard import LOOPBACK
from langrl.play.playground import Playground
from langrl.play.server import make_app

_TRIES = 50  # ports after the one that was asked for
_GRACE = 1  # seconds for answers under way when the server is stopped


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens at a port, or at the next one that is free.

    Args:
        host: an address of this machine, or a name of it.
        port: the first to try; 0 for any.

    Raises:
        ConfigError: if there is no such address, or no free port.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"--host {host}: {error}; use 127.0.0.1") from error
    problem: OSError | None = None
    for number in range(port, min(port + _TRIES, 65536)):
        found = socket.socket(family)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((address[0], number))
            found.listen(128)
            return found
        except OSError as error:
            found.close()
            problem = error
            if isinstance(error, PermissionError) or error.errno == 99:
                break
    reason = problem.strerror if problem is not None and problem.strerror else "no port is free"
    raise ConfigError(f"cannot listen at {host}:{port}: {reason.lower()}; use another --port")


def address_of(bound: socket.socket) -> str:
    """Return the address of a page at a socket, for a browser."""
    host, port = bound.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def serve(playground: Playground, bound: socket.socket, host: str) -> None:
    """Serve a playground until the process is stopped.

    Args:
        playground: the run.
        bound: a socket that listens.
        host: what was asked to listen at, by which the server may be called.
    """
    make_server(playground, bound, host).run(sockets=[bound])


def make_server(playground: Playground, bound: socket.socket, host: str) -> uvicorn.Server:
    """Return the server of a playground; see ``serve``."""
    own = str(bound.getsockname()[0])
    any_address = own in ("0.0.0.0", "::")
    hosts = {*LOOPBACK, host, own} | ({socket.gethostname()} if any_address else set())
    app = make_app(playground, hosts=hosts, any_address=any_address)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=_GRACE,
        server_header=False, lifespan="off",
    )  # fmt: skip
    return uvicorn.Server(config)
