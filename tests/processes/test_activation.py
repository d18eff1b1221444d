"""Socket activation, in real processes that are started with descriptors."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from serverless_wasm.processes.activation import NotUsable, inherited

LAUNCHER = """
import os, sys
count, program, *rest = sys.argv[1:]
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=count, LISTEN_FDNAMES="http")
os.execv(sys.executable, [sys.executable, "-c", program, *rest])
"""
"""Starts a program in its own process with descriptors from 3 on, as systemd does."""
SHOW = """
import os, subprocess, sys
from serverless_wasm.processes.activation import NotUsable, inherited
try:
    bound = inherited(os.environ, os.getpid())
except NotUsable as error:
    print(error)
    print(*(name for name in os.listdir("/dev/fd") if 3 <= int(name) < 3 + int(sys.argv[1])))
    sys.exit(2)
print(None if bound is None else bound.own_addresses())
print(sorted(name for name in os.environ if name.startswith("LISTEN_")))
if bound:
    print([sock.get_inheritable() for sock in bound.sockets])
    bound.listen()
    for sock in bound.sockets:
        client, _ = sock.accept()
        client.sendall(b"hello")
        client.close()
"""


@contextmanager
def listening(*families: socket.AddressFamily) -> Iterator[list[socket.socket]]:
    """Sockets that listen on loopback, as a .socket unit makes them."""
    made = []
    try:
        for family in families:
            sock = socket.socket(family, socket.SOCK_STREAM)
            made.append(sock)
            sock.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
            sock.listen()
        yield made
    finally:
        for sock in made:
            sock.close()


def start(descriptors: Sequence[int], count: str = "") -> subprocess.Popen[str]:
    """Starts SHOW with these descriptors as 3, 4, ... in their order."""

    def place() -> None:
        high = [os.dup2(descriptor, 100 + index) for index, descriptor in enumerate(descriptors)]
        for index, descriptor in enumerate(high):
            os.dup2(descriptor, 3 + index)

    count = count or str(len(descriptors))
    return subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, count, SHOW, count],
        preexec_fn=place,  # noqa: PLW1509 - this process has one thread here
        close_fds=False,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_sockets_are_taken_over() -> None:
    """The sockets come in their order, serve clients, are closed in children, and the variables are gone."""
    with listening(socket.AF_INET, socket.AF_INET6) as sockets:
        addresses = [sock.getsockname()[:2] for sock in sockets]
        with start([sock.fileno() for sock in sockets]) as child:
            for address in addresses:
                with socket.create_connection(address, timeout=10) as client:
                    assert client.recv(5) == b"hello"
            out, _ = child.communicate()

    (_, first), (_, second) = addresses
    assert out.splitlines() == [str((f"127.0.0.1:{first}", f"[::1]:{second}")), "[]", "[False, False]"]
    assert child.returncode == 0


def other(kind: str) -> int:
    """The descriptor of something that cannot be listened on."""
    match kind:
        case "file":
            return os.open(os.devnull, os.O_RDONLY)
        case "datagram":
            return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).detach()
        case "unix":
            return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).detach()
        case _:
            return socket.socket(socket.AF_INET, socket.SOCK_STREAM).detach()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("file", "descriptor 4 is no socket; hand over ListenStream= sockets alone"),
        ("datagram", "descriptor 4 takes no connections; write ListenStream= in the .socket unit"),
        ("unix", "descriptor 4 is no TCP socket; write ListenStream=127.0.0.1:8080 in the .socket unit"),
        ("silent", "descriptor 4 does not listen; write Accept=no in the .socket unit"),
    ],
)
def test_something_else(kind: str, words: str) -> None:
    """What is no listening TCP socket is refused in a sentence, and everything handed over is closed."""
    wrong = other(kind)
    try:
        with listening(socket.AF_INET) as sockets, start([sockets[0].fileno(), wrong]) as child:
            out, _ = child.communicate()
    finally:
        os.close(wrong)

    sentence, left = out.splitlines()
    assert sentence == f"socket activation: {words}"
    assert not {"3", "4"} & set(left.split()) - {"3"}  # listdir has a descriptor of its own meanwhile
    assert child.returncode == 2


def test_fewer_than_said() -> None:
    """A descriptor that is not open is refused in a sentence."""
    with start([], "1") as child:
        out, _ = child.communicate()

    assert out.splitlines()[0] == (
        "socket activation: descriptor 3 is not open; hand over ListenStream= sockets alone"
    )


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"LISTEN_PID": "77", "LISTEN_FDS": "x"}, "LISTEN_FDS is x, expected a number"),
        ({"LISTEN_PID": "77", "LISTEN_FDS": "-1"}, "LISTEN_FDS is -1, expected a number"),
        ({"LISTEN_PID": "77", "LISTEN_FDS": "²"}, "expected a number"),
        ({"LISTEN_PID": "77", "LISTEN_FDS": "9" * 5000}, "expected a number"),
        ({"LISTEN_PID": "77", "LISTEN_FDS": "1025"}, "LISTEN_FDS is 1025, more than 1024"),
        ({"LISTEN_PID": "me", "LISTEN_FDS": "1"}, "LISTEN_PID is me, expected a number"),
    ],
)
def test_variables_that_say_nothing(environ: dict[str, str], words: str) -> None:
    """A variable without a sensible number is refused in a sentence, and removed all the same."""
    with pytest.raises(NotUsable) as caught:
        inherited(environ, 77)

    assert words in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert environ == {}


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_PID": "78", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "http"},
        {"LISTEN_PID": "77"},
        {"LISTEN_PID": "77", "LISTEN_FDS": "0"},
    ],
)
def test_not_for_us(environ: dict[str, str]) -> None:
    """Sockets for another process, or none at all, are none for us; a child of ours must not see them."""
    environ = {**environ, "HOME": "/"}

    assert inherited(environ, 77) is None
    assert environ == {"HOME": "/"}


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="systemd-socket-activate is missing")
def test_with_systemd() -> None:
    """Systemd's own launcher hands over a socket that serves clients."""
    with listening(socket.AF_INET) as sockets:
        port = sockets[0].getsockname()[1]
    with subprocess.Popen(
        ["systemd-socket-activate", f"--listen=127.0.0.1:{port}", sys.executable, "-c", SHOW, "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stderr
        assert f"127.0.0.1:{port}" in child.stderr.readline()  # "Listening on ... as 3."
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            assert client.recv(5) == b"hello"
        out, _ = child.communicate()

    assert out.splitlines() == [str((f"127.0.0.1:{port}",)), "[]", "[False]"]
