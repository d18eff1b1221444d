"""Listening sockets from the service manager: sd_listen_fds(3), the protocol of systemd's .socket units.

The environment of the process comes in; the sockets it was started with go out, or what is wrong with them.
It must never take a descriptor that was not handed to this very process, nor hand one on to a child.

    inherited(os.environ, os.getpid()) -> Bound | None     # raises NotUsable; takes its variables out
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import MutableMapping
from contextlib import ExitStack

from serverless_wasm.server.sockets import Bound
from serverless_wasm.text import printable

FIRST = 3
"""SD_LISTEN_FDS_START: after standard input, output and error."""
MOST = 1024
"""Sockets that one service may be handed; a number beyond it is a mistake."""
_VARIABLES = ("LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES")


class NotUsable(Exception):
    """The service was handed something else than sockets it can listen on; the text says what to write."""


def inherited(environ: MutableMapping[str, str], pid: int) -> Bound | None:
    """The sockets handed to process `pid`, in the order of the unit; None when it was handed none.

    Removes the variables, whoever they were for. Raises NotUsable, and has then closed what it was handed.
    """
    values = {name: environ.pop(name, "") for name in _VARIABLES}
    if not values["LISTEN_FDS"] or _number("LISTEN_PID", values["LISTEN_PID"]) != pid:
        return None
    count = _number("LISTEN_FDS", values["LISTEN_FDS"])
    if count > MOST:
        raise NotUsable(f"socket activation: LISTEN_FDS is {count}, more than {MOST}")
    return Bound(_wrapped(count)) if count else None


def _number(name: str, text: str) -> int:
    """A variable's number; 0 when it is not set. Raises NotUsable."""
    if not (text or "0").isdecimal() or not text.isascii() or len(text) > 10:
        raise NotUsable(f"socket activation: {name} is {printable(text)}, expected a number")
    return int(text or "0")


def _wrapped(count: int) -> list[socket.socket]:
    descriptors = range(FIRST, FIRST + count)
    with ExitStack() as on_failure:
        for descriptor in descriptors:
            on_failure.callback(_close, descriptor)
        for descriptor in descriptors:
            _check(descriptor)
        on_failure.pop_all()
    return [socket.socket(fileno=descriptor) for descriptor in descriptors]


def _check(descriptor: int) -> None:
    """Keeps the descriptor from children; raises NotUsable unless it is a listening TCP socket."""
    what = f"socket activation: descriptor {descriptor}"
    try:
        os.set_inheritable(descriptor, False)
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        problem = "is not open" if error.errno == errno.EBADF else "is no socket"
        raise NotUsable(f"{what} {problem}; hand over ListenStream= sockets alone") from None
    try:
        if sock.family not in {socket.AF_INET, socket.AF_INET6}:
            raise NotUsable(f"{what} is no TCP socket; write ListenStream=127.0.0.1:8080 in the .socket unit")
        if sock.type != socket.SOCK_STREAM:
            raise NotUsable(f"{what} takes no connections; write ListenStream= in the .socket unit")
        if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise NotUsable(f"{what} does not listen; write Accept=no in the .socket unit")
    finally:
        sock.detach()


def _close(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError:  # it was not open
        return
