"""Slow clients: each opens, says a little now and then, and notes when the service has had enough of it.

A port, a kind and a number come in; how many opened, and how long each lasted, go out.
It must never use much of the processor that it shares with the service: one thread, one epoll, no reading
to speak of.
"""

from __future__ import annotations

import argparse
import json
import resource
import select
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field

KIB = 1024
GET = b"GET %b HTTP/1.1\r\nHost: slow\r\n"
POST = b"POST %b HTTP/1.1\r\nHost: slow\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a slow client does."""

    path: str
    about: str
    first: bytes
    """Sent when it has connected; `%b` is for the path."""
    more: bytes = b""
    """Sent in each round."""
    sips: int = 0
    """Bytes read in each round."""
    window: int = 0
    """Of its kernel's buffer for what it receives; 0 leaves it as it is."""


KINDS = {
    "silent": Kind(path="", about="connect and say nothing", first=b""),
    "kept": Kind(path="/hello", about="ask once, then nothing", first=GET + b"\r\n"),
    "heads": Kind(path="/hello", about="a header field a second", first=GET, more=b"X-a: b\r\n"),
    "bytes": Kind(path="/hello", about="a byte of a header a second", first=GET + b"X-a: ", more=b"b"),
    "bodies": Kind(
        path="/upload", about="10 bytes of a body a second", more=b"x" * 10,
        first=POST + b"Content-Length: 8192\r\n\r\n",
    ),
    "chunks": Kind(
        path="/upload", about="a chunk of a body a second", more=b"1\r\nx\r\n",
        first=POST + b"Transfer-Encoding: chunked\r\n\r\n",
    ),
    "unread": Kind(
        path="/hello", about="a body that nobody reads", more=b"x" * 10,
        first=POST + b"Content-Length: 8192\r\n\r\n",
    ),
    "readers": Kind(
        path="/page", about="read 10 bytes a second of 128 KiB", first=GET + b"\r\n", sips=10, window=4 * KIB
    ),
    "large": Kind(
        path="/large", about="read nothing of 4 MiB", first=GET + b"\r\n", window=4 * KIB
    ),
}  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of one kind of slow clients."""

    opened: int = 0
    lasted: list[float] = field(default_factory=list)
    """Seconds from the opening of each to its end, of those that ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How an attack goes."""

    number: int
    seconds: float
    """After which those that are still there are given up."""
    rate: float = 500.0
    """Clients that are opened in a second; all at once would be another attack."""
    pause: float = 1.0
    """Seconds between two rounds."""


def attack(port: int, kind: Kind, plan: Plan) -> Outcome:
    """Opens clients, and keeps them going until all have been closed or the time is over."""
    poll, outcome = select.epoll(), Outcome()
    clients: dict[int, tuple[socket.socket, float]] = {}
    began = time.monotonic()
    try:
        for index in range(plan.number):
            client = _open(port, kind, f"127.0.0.{2 + index // 20_000}")
            if client is not None:
                poll.register(client, select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR)
                clients[client.fileno()] = client, time.monotonic()
            _bury(poll, clients, outcome, max(0.0, began + index / plan.rate - time.monotonic()))
        outcome.opened = len(clients) + len(outcome.lasted)
        while clients and time.monotonic() < began + plan.seconds:
            due = time.monotonic() + plan.pause
            for client, _ in clients.values():
                _go_on(client, kind)
            while clients and (left := due - time.monotonic()) > 0:
                _bury(poll, clients, outcome, left)
    finally:
        for client, _ in clients.values():
            client.close()
        poll.close()
    return outcome


def _open(port: int, kind: Kind, source: str) -> socket.socket | None:
    client = socket.socket()
    try:
        if kind.window:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, kind.window)
        client.bind((source, 0))
        client.settimeout(5.0)
        client.connect(("127.0.0.1", port))
        client.setblocking(False)
        client.send(kind.first.replace(b"%b", kind.path.encode()))
    except OSError:
        client.close()
        return None
    return client


def _go_on(client: socket.socket, kind: Kind) -> None:
    with suppress(OSError):  # epoll tells of the end
        if kind.more:
            client.send(kind.more)
        if kind.sips:
            client.recv(kind.sips)


def _bury(
    poll: select.epoll, clients: dict[int, tuple[socket.socket, float]], outcome: Outcome, wait: float
) -> None:
    for number, _ in poll.poll(wait):
        client, opened = clients.pop(number)
        outcome.lasted.append(time.monotonic() - opened)
        client.close()


def allow_descriptors() -> None:
    """As many as the system lets this process have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> None:
    """The command: the outcome as a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("number", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("rate", type=float)
    given = parser.parse_args()
    allow_descriptors()
    plan = Plan(number=given.number, seconds=given.seconds, rate=given.rate)
    outcome = attack(given.port, KINDS[given.kind], plan)
    json.dump({"opened": outcome.opened, "lasted": outcome.lasted}, sys.stdout)


if __name__ == "__main__":
    main()
