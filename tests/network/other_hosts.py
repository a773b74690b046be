"""No test asks another machine: connections to one, and questions for its address, are refused.

Each is noted, too, as what is tested may well take a refusal for a machine without a network. A
module of its own, with few imports: it is loaded at the start of every Python that a test starts.
"""

import os
import sys

NOTED = "LANGRL_TESTS_ASKED"  # names the file that each question is noted in, a line each
OWN = ("", "0.0.0.0", "::", "::1", "localhost", "testserver")
LOOKUPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
SENDS = ("socket.connect", "socket.sendto", "socket.sendmsg")


def is_own(host):
    """Whether a name or an address is of this machine."""
    host = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    return host is None or host in OWN or host.startswith("127.") or host == os.uname().nodename


def is_address(host):
    """Whether a host is given by its number, not by a name that has to be looked up."""
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    return ":" in text or text.replace(".", "").isdigit()


def asked(event, arguments):
    """Return the other machine that an event of Python is about; None if it is about none."""
    if event in LOOKUPS:
        host = None if is_address(arguments[0]) else arguments[0]  # nobody is asked for an address
    elif event in SENDS:
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # a path, of a socket here
    else:
        return None
    return None if is_own(host) else host


def _hook(event, arguments):
    if event.startswith("socket.") and (host := asked(event, arguments)) is not None:
        if not str(host).endswith(".invalid"):  # which is no machine's name, by RFC 6761
            with open(os.environ[NOTED], "a") as noted:
                test = os.environ.get("PYTEST_CURRENT_TEST", "no test")
                noted.write(f"{test}: {event} {host}\n")
        raise ConnectionRefusedError(f"tests ask no other machine, but {host!r} was asked for")


def refuse():
    """Refuse from now on, in this process and in those that are forked from it."""
    if NOTED in os.environ:
        sys.addaudithook(_hook)
