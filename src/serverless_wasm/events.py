"""What happened, as frozen records, and `Emit`, the way to say so.

Inner rooms make events and hand them to the `Emit` they were given; `observe` turns them into
log lines. Nothing here writes anywhere. Strings from strangers pass `text.printable` first.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct


class Event(Struct, frozen=True, kw_only=True):
    """The root of all records."""


class InvocationFinished(Event, frozen=True, kw_only=True, gc=False):
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


class RequestRefused(Event, frozen=True, kw_only=True):
    """A request was answered without an invocation: no route, or not a valid request."""

    request_id: str
    client: str
    method: str
    path: str
    status: int
    code: str
    detail: str = ""


class GuestLogged(Event, frozen=True, kw_only=True):
    """A guest wrote a line of its own."""

    request_id: str
    application: str
    message: str


class ConnectionRefused(Event, frozen=True, kw_only=True):
    """The network policy refused a guest's connection; `remedy` is the line that would allow it."""

    request_id: str
    application: str
    target: str
    reason: str
    remedy: str


class StoreRefused(Event, frozen=True, kw_only=True):
    """A store refused or failed what a guest asked of it, for the first time in an invocation."""

    request_id: str
    application: str
    reason: str


class ApplicationBroken(Event, frozen=True, kw_only=True):
    """An application could not be loaded and answers 503."""

    application: str
    reason: str


class ModuleFetched(Event, frozen=True, kw_only=True):
    """A module that is not on this machine was asked for; `from_cache` if there was nothing new to fetch."""

    url: str
    digest: str
    size: int
    from_cache: bool


class ModuleCompiling(Event, frozen=True, kw_only=True):
    """A module takes some seconds to compile; told now and then, and with `finished` at the end."""

    file: str
    size: int
    seconds: int
    """Since it began, in whole ones."""
    finished: bool


class ServiceStarted(Event, frozen=True, kw_only=True):
    """The service listens."""

    address: str
    applications: int
    slots: int


class ServiceStopped(Event, frozen=True, kw_only=True):
    """The service has ended every invocation and closed its doors."""


class Reloaded(Event, frozen=True, kw_only=True):
    """A new configuration is being served; `changes` says what differs from the one before."""

    changes: tuple[str, ...]
    wall_ms: float


class ReloadRefused(Event, frozen=True, kw_only=True):
    """A new configuration was not taken, and the one before is still being served."""

    reasons: tuple[str, ...]


class WorkerLost(Event, frozen=True, kw_only=True):
    """A worker process ended by itself, or had to be killed; what it was answering is lost.

    `application` is the one whose guest was running, or empty.
    """

    pid: int
    reason: str
    application: str
    in_flight: int


class WorkerReplaced(Event, frozen=True, kw_only=True):
    """Another process has taken a lost worker's place."""

    pid: int
    wall_ms: float


class ApplicationWithdrawn(Event, frozen=True, kw_only=True):
    """An application has taken workers down again and again, and answers 503 until a reload."""

    application: str
    reason: str


class ClientsTurnedAway(Event, frozen=True, kw_only=True):
    """Since the last such record clients had to go, because there are more than `limit` or take too much.

    `refused` of them were new, `closed` were asked for nothing by then, `cut` did not read their responses.
    """

    limit: int
    refused: int
    closed: int
    cut: int


class Notice(Event, frozen=True, kw_only=True):
    """Something that the operator should know, in a sentence."""

    message: str


class InternalFault(Event, frozen=True, kw_only=True):
    """An exception outside the error tree: a fault of ours."""

    where: str
    request_id: str
    exception: BaseException


Emit = Callable[[Event], None]
"""How a room says what happened; must not block and must not raise."""
