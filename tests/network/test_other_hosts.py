"""A test that asks another machine is refused and noted, in this process and in its children."""

import os
import socket
import subprocess
import sys

import pytest
from network.other_hosts import NOTED, asked
from network.plugin import noted

ASKS = "import socket\ntry:\n socket.getaddrinfo('example.com', 80)\nexcept OSError as e: print(e)"


@pytest.fixture
def notes(tmp_path, monkeypatch):
    """A file of its own for what is asked for here."""
    (tmp_path / "asked").touch()
    monkeypatch.setenv(NOTED, str(tmp_path / "asked"))
    return tmp_path / "asked"


@pytest.mark.parametrize("host", ["example.com", b"example.com", "langrl.example"])
def test_another_machine_is_refused_and_noted(host, notes):
    with pytest.raises(ConnectionRefusedError, match="no other machine"):
        socket.getaddrinfo(host, 80)
    assert len(noted()) == 1
    assert "test_another_machine_is_refused_and_noted" in noted()[0]


def test_connections_and_datagrams_are_refused(notes):
    with socket.socket() as stream, pytest.raises(ConnectionRefusedError):
        stream.connect(("192.0.2.1", 80))
    with (
        socket.socket(type=socket.SOCK_DGRAM) as datagrams,
        pytest.raises(ConnectionRefusedError),
    ):
        datagrams.sendto(b"", ("192.0.2.1", 80))
    assert [line.split(": ")[-1] for line in noted()] == [
        "socket.connect 192.0.2.1",
        "socket.sendto 192.0.2.1",
    ]


def test_another_python_is_refused_too(notes):
    printed = subprocess.run([sys.executable, "-c", ASKS], capture_output=True, text=True).stdout
    assert "no other machine" in printed
    assert len(noted()) == 1


def test_a_name_of_no_machine_is_refused_and_an_address_needs_no_answer(notes):
    with pytest.raises(ConnectionRefusedError):
        socket.getaddrinfo("nowhere.invalid", 80)
    for host in ("192.0.2.1", "2001:db8::1"):
        assert asked("socket.getaddrinfo", (host, 80, 0, 0, 0)) is None
    assert noted() == []


def test_this_machine_may_be_asked(notes):
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
    assert noted() == []
    for host in (None, "", "localhost", "127.0.0.2", "::1", os.uname().nodename):
        assert asked("socket.getaddrinfo", (host, 80, 0, 0, 0)) is None
    assert asked("socket.connect", (None, "/run/a.socket")) is None
    assert asked("open", ("example.com", "r", 0)) is None
