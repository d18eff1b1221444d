"""What happened, as frozen records, and `Emit`, the way to say so.

Inner rooms make events and hand them to the `Emit` they were given; `observe` turns them into
log lines. Nothing here writes anywhere. Strings from strangers pass `text.printable` first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The root of all records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationFinished(Event):
    """One invocation is over; exactly one of these for each."""

    request_id: str
    application: str
    method: str
    path: str
    status: int
    outcome: str
    detail: str = ""
    wall_ms: float
    cpu_ms: float
    memory_peak: int
    host_calls: int
    log_dropped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRefused(Event):
    """A request was answered without an invocation: no route, or not a valid request."""

    request_id: str
    client: str
    method: str
    path: str
    status: int
    code: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestLogged(Event):
    """A guest wrote a line of its own."""

    request_id: str
    application: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionRefused(Event):
    """The network policy refused a guest's connection; `remedy` is the line that would allow it."""

    request_id: str
    application: str
    target: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationBroken(Event):
    """An application could not be loaded and answers 503."""

    application: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStarted(Event):
    """The service listens."""

    address: str
    applications: int
    slots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStopped(Event):
    """The service has ended every invocation and closed its doors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded(Event):
    """A new configuration is being served; `changes` says what differs from the one before."""

    changes: tuple[str, ...]
    wall_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadRefused(Event):
    """A new configuration was not taken, and the one before is still being served."""

    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLost(Event):
    """A worker process ended by itself, or had to be killed; what it was answering is lost.

    `application` is the one whose guest was running, or empty.
    """

    pid: int
    reason: str
    application: str
    in_flight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReplaced(Event):
    """Another process has taken a lost worker's place."""

    pid: int
    wall_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationWithdrawn(Event):
    """An application has taken workers down again and again, and answers 503 until a reload."""

    application: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientsTurnedAway(Event):
    """Since the last such record clients had to go, because there are more than `limit` or take too much.

    `refused` of them were new, `closed` were asked for nothing by then, `cut` did not read their responses.
    """

    limit: int
    refused: int
    closed: int
    cut: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice(Event):
    """Something that the operator should know, in a sentence."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InternalFault(Event):
    """An exception outside the error tree: a fault of ours."""

    where: str
    request_id: str
    exception: BaseException


Emit = Callable[[Event], None]
"""How a room says what happened; must not block and must not raise."""
