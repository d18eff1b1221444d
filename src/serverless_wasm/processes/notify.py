"""What systemd is told about the service: sd_notify(3), the protocol behind Type=notify and notify-reload.

The environment of the process comes in; datagrams to the service manager go out, one for each new state.
It must never fail or hold up the service: a manager that cannot be told anything is told nothing.

    notifier = Notifier.from_environment(os.environ)   # takes its variables out of the environment
    notifier.ready("serves 4 applications")            # also when a reload is over, refused or not
    notifier.reloading(); notifier.status(text); notifier.stopping()
    notifier.watchdog()                                # more often than each `watchdog_seconds`
    notifier.problem                                   # why the manager hears nothing, or empty
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import MutableMapping

from serverless_wasm.text import printable

PATIENCE = 1.0
"""Seconds that the manager may leave its queue full before a message is given up."""
_MICROSECONDS = re.compile("0*[1-9][0-9]{0,18}")


class Notifier:
    """Tells the service manager; without an address it says nothing."""

    def __init__(self, address: str = "", watchdog_seconds: float | None = None) -> None:
        self.watchdog_seconds = watchdog_seconds
        """The manager kills a service that is silent for so long; beat twice as often. None: it does not."""
        self.problem = ""
        """Why the manager cannot be told, in a sentence for the log."""
        self._address = self._checked(address)

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str]) -> Notifier:
        """The notifier that the manager asked for; removes its variables, or children would speak for us."""
        address = environ.pop("NOTIFY_SOCKET", "")
        microseconds = environ.pop("WATCHDOG_USEC", "")
        own = str(os.getpid())
        if environ.pop("WATCHDOG_PID", own) != own or not _MICROSECONDS.fullmatch(microseconds):
            return cls(address)
        return cls(address, int(microseconds) / 1e6)

    def ready(self, status: str = "") -> None:
        """The service answers requests: after the start, and again after every reload."""
        self._send("READY=1", _status(status))

    def reloading(self) -> None:
        """A reload has begun; Type=notify-reload waits from here to `ready`, by the monotonic clock."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """The service takes no more requests."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(_status(text))

    def watchdog(self) -> None:
        """The service is alive."""
        if self.watchdog_seconds is not None:
            self._send("WATCHDOG=1")

    def _checked(self, address: str) -> str:
        """The address as the kernel takes it, an abstract one with its zero byte; empty if there is none."""
        if not address or address.startswith("/"):
            return address
        if address.startswith("@"):
            return f"\0{address[1:]}"
        self.problem = f"systemd cannot be notified: NOTIFY_SOCKET is {printable(address)}, no unix socket"
        return ""

    def _send(self, *assignments: str) -> None:
        if not self._address:
            return
        message = "\n".join(filter(None, assignments)).encode("utf-8", "backslashreplace")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(PATIENCE)
                sock.sendto(message, self._address)
        except (OSError, ValueError) as error:  # ValueError: a path that is no text
            self.problem = f"systemd cannot be notified: {printable(str(error))}"
        else:
            self.problem = ""


def _status(text: str) -> str:
    return f"STATUS={printable(text)}" if text else ""  # a line feed inside would begin another assignment
