"""The service's log: one line of text for each event.

Events come in from every room and thread; JSON for a collector or words for a person go out.
It must never raise, wait for a reader, or let a stranger's text begin a line of its own.
"""

from __future__ import annotations

import json
import math
import re
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from select import PIPE_BUF
from threading import RLock
from types import MappingProxyType
from typing import Any, TextIO

from serverless_wasm import events
from serverless_wasm.events import Event, InternalFault, InvocationFinished
from serverless_wasm.observe.sink import PATIENCE, Sink
from serverless_wasm.text import printable

TEXT_LIMIT = 8 * 1024
"""Characters of one field: half of the 16 KiB at which Docker begins to split a line."""
ITEMS_LIMIT = 100
"""Items of one field; nobody reads more reasons than that in a log."""
TRACEBACK_LIMIT = 64 * 1024
FRAMES_LIMIT = 64

Render = Callable[[float, str, str, Mapping[str, object]], str]
"""(seconds since 1970, event, level, fields) -> text that ends in a line feed."""
Later = Callable[[Callable[[], None]], object]
"""Calls a function soon, on the same thread."""


class Style(Enum):
    """Who reads the log."""

    JSON = "json"
    CONSOLE = "console"


@dataclass(frozen=True, slots=True)
class Kind:
    """How one type of event is called in the log, and what of it is shown."""

    name: str
    level: str
    fields: tuple[str, ...]

    @classmethod
    def of(cls, event: type[Event], level: str) -> Kind:
        """The kind of an event type: InvocationFinished becomes invocation_finished."""
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", event.__name__).lower()
        return cls(name, level, event.__struct_fields__)


KINDS: Mapping[type[Event], Kind] = MappingProxyType(
    {
        event: Kind.of(event, level)
        for event, level in (
            (events.InvocationFinished, "info"),  # a warning when it did not end well
            (events.RequestRefused, "info"),
            (events.GuestLogged, "info"),
            (events.ConnectionRefused, "warning"),
            (events.StoreRefused, "warning"),
            (events.ApplicationBroken, "error"),
            (events.ModuleFetched, "info"),
            (events.ModuleCompiling, "info"),
            (events.ServiceStarted, "info"),
            (events.ServiceStopped, "info"),
            (events.Reloaded, "info"),
            (events.ReloadRefused, "error"),
            (events.WorkerLost, "error"),
            (events.WorkerReplaced, "info"),
            (events.ApplicationWithdrawn, "error"),
            (events.ClientsTurnedAway, "warning"),
            (events.Notice, "warning"),
            (events.InternalFault, "error"),
        )
    }
)
"""Every event of events.py."""
_WELL = frozenset({"ok", "cancelled"})
_FREQUENT = frozenset({events.InvocationFinished, events.GuestLogged})


class Logs:
    """An Emit that writes each event to a stream, in the style that the caller chose.

    An event that the stream does not take, because it is closed, full or its reader pauses, is dropped
    and counted in `lost`; the next line that is written has a record before it that says how many.

    Processes that share a stream give the same `lock`, of sink.open_lock. `colours` are for the console
    style; None asks the stream whether it is a terminal.
    """

    def __init__(
        self,
        stream: TextIO,
        style: Style,
        clock: Callable[[], float] = time.time,
        *,
        lock: int | None = None,
        colours: bool | None = None,
    ) -> None:
        self.lost = 0
        self._lost_told = 0
        self._later: Later | None = None
        self._gathered: list[str] = []
        self._size = 0
        self._clock = clock
        self._sink = Sink(stream, lock)
        colours = _is_terminal(stream) if colours is None else colours
        self._render: Render = _Json() if style is Style.JSON else _Console(colours=colours)
        self._lock = RLock()  # a signal handler may emit while this thread emits

    def __call__(self, event: Event) -> None:
        """Writes one event; never raises."""
        with self._lock:
            try:
                text = self._text(event)
            except Exception:  # an event that cannot be shown: one record less
                self.lost += 1
                return
            if self._later is None or type(event) not in _FREQUENT:
                self._gather(text)
                self._flush()
                return
            if self._size + len(text) > PIPE_BUF:
                self._flush()
            if not self._gathered:
                self._later(self._flush_later)
            self._gather(text)

    def gather(self, later: Later) -> None:
        """From now on records that go out by the thousand are written together, when `later` calls back.

        To take turns with other processes costs more than a record. As many are gathered as a pipe takes at
        once; any other record goes out at once, behind them. `later` is called by the thread that emits.
        """
        self._later = later

    def finish(self) -> None:
        """Tells what was lost since the last record, for a process that ends; never raises.

        A reader that is behind has a moment to catch up.
        """
        with self._lock, suppress(Exception):
            self._sink.wait(PATIENCE)
            self._flush()

    def _text(self, event: Event) -> str:
        now = self._clock()
        if type(event) is InvocationFinished and isinstance(self._render, _Json):
            return self._render.finished(now, event)
        kind = KINDS[type(event)]
        return self._render(now, kind.name, _level(event, kind), _fields(event, kind))

    def _gather(self, text: str) -> None:
        self._gathered.append(text)
        self._size += len(text)

    def _flush_later(self) -> None:
        with self._lock:
            if self._gathered:
                self._flush()

    def _flush(self) -> None:
        """Writes what was gathered; what the stream does not take is counted as lost."""
        gathered, lost = self._gathered, self.lost
        self._gathered, self._size = [], 0
        text = "".join(gathered)
        try:
            if lost > self._lost_told:
                told = {"lost": lost - self._lost_told}
                text = self._render(self._clock(), "records_lost", "warning", told) + text
            self._sink.write(text)
        except Exception:  # a stream's fault
            self.lost += len(gathered)
        else:
            self._lost_told = lost


def _level(event: Event, kind: Kind) -> str:
    return "warning" if isinstance(event, InvocationFinished) and event.outcome not in _WELL else kind.level


def _fields(event: Event, kind: Kind) -> dict[str, object]:
    if isinstance(event, InternalFault):
        return _fault(event)
    return {name: _value(getattr(event, name)) for name in kind.fields}


def _value(value: object) -> object:
    if isinstance(value, str):
        return printable(value, TEXT_LIMIT)
    if isinstance(value, float):
        return round(value, 3) if math.isfinite(value) else None  # RFC 8259 has no infinity
    if isinstance(value, tuple):
        more = len(value) - ITEMS_LIMIT
        return [_value(item) for item in value[:ITEMS_LIMIT]] + ([f"{more} more"] if more > 0 else [])
    return value


def _fault(event: InternalFault) -> dict[str, object]:
    text = "".join(traceback.format_exception(event.exception, limit=-FRAMES_LIMIT))[:TRACEBACK_LIMIT]
    return {
        "where": printable(event.where, TEXT_LIMIT),
        "request_id": printable(event.request_id, TEXT_LIMIT),
        "error": printable(type(event.exception).__qualname__),
        "traceback": "\n".join(printable(line, TEXT_LIMIT) for line in text.splitlines()),
    }


class _Json:
    """One JSON object for each event, with `ts`, `event` and `level` first.

    Built by hand: one goes out for every request, and structlog's chain of processors takes 13 us for it,
    json.dumps of a dictionary 5, this 3 (measured).
    """

    def __init__(self) -> None:
        self._now = self._second = -1
        self._now_text = self._second_text = ""
        self._common = lru_cache(1024)(_common)

    def __call__(self, now: float, name: str, level: str, shown: Mapping[str, object]) -> str:
        members = "".join([f',"{key}":{_member(value)}' for key, value in shown.items()])
        return f'{{"ts":"{self._moment(now)}","event":"{name}","level":"{level}"{members}}}\n'

    def finished(self, now: float, event: InvocationFinished) -> str:
        """The same for the record of each request, in a quarter of the time."""
        level = "info" if event.outcome in _WELL else "warning"
        wall, cpu = event.wall_ms, event.cpu_ms
        if not math.isfinite(wall + cpu):
            return self(now, "invocation_finished", level, _fields(event, KINDS[InvocationFinished]))
        common = self._common(
            event.application, event.method, event.path, event.status, event.outcome, event.detail
        )
        return (
            f'{{"ts":"{self._moment(now)}","event":"invocation_finished","level":"{level}"'
            f',"request_id":{_string(event.request_id)}{common}'
            f',"wall_ms":{wall:.3f},"cpu_ms":{cpu:.3f}'
            f',"memory_peak":{event.memory_peak},"host_calls":{event.host_calls}'
            f',"log_dropped":{event.log_dropped}}}\n'
        )

    def _moment(self, now: float) -> str:
        moment = round(now * 1000)
        if moment != self._now:
            second, milliseconds = divmod(moment, 1000)
            if second != self._second:
                self._second = second
                self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._now, self._now_text = moment, f"{self._second_text}.{milliseconds:03}Z"
        return self._now_text


def _common(*said: str | int) -> str:
    """What the records of many requests have in common."""
    members = zip(("application", "method", "path", "status", "outcome", "detail"), said, strict=True)
    return "".join([f',"{name}":{_string(it) if isinstance(it, str) else it}' for name, it in members])


def _string(text: str) -> str:
    if text.isascii() and text.isprintable() and len(text) <= TEXT_LIMIT:
        return encode_basestring_ascii(text)
    return encode_basestring_ascii(printable(text, TEXT_LIMIT))


def _number(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "null"  # RFC 8259 has no infinity


def _member(value: object) -> str:
    if isinstance(value, str):
        return encode_basestring_ascii(value)
    if type(value) is float:
        return _number(value)
    return repr(value) if type(value) is int else json.dumps(value)


class _Console:
    """Words for a person: a form of their own for the two frequent records, structlog's for the rest."""

    def __init__(self, *, colours: bool) -> None:
        from structlog.dev import ConsoleRenderer  # noqa: PLC0415 - 70 ms that a JSON log need not spend

        self._colours = colours
        self._others = ConsoleRenderer(0, colours, sort_keys=False, pad_level=False)

    def __call__(self, now: float, name: str, level: str, shown: Mapping[str, object]) -> str:
        local = datetime.fromtimestamp(now, UTC).astimezone().time().isoformat("milliseconds")
        if name == "guest_logged":
            return f"{self._paint(2, local)} {self._guest(shown)}\n"
        if name == "invocation_finished":
            return f"{self._paint(2, local)} {self._invocation(shown)}\n"
        record: dict[str, Any] = {"timestamp": local, "level": level, "event": name, **shown}
        if trace := record.pop("traceback", ""):
            record["exception"] = "    " + trace.replace("\n", "\n    ")
        return f"{self._others(None, level, record)}\n"

    def _guest(self, shown: Mapping[str, object]) -> str:
        source = self._paint(36, f"{shown['application']} {shown['request_id']} |")
        return f"{source} {shown['message']}"

    def _invocation(self, shown: Mapping[str, object]) -> str:
        ended = self._paint(32 if shown["outcome"] in _WELL else 31, f"{shown['status']} {shown['outcome']}")
        words = f"{shown['method']} {shown['path']} {ended} {shown['wall_ms']} ms {shown['application']}"
        return f"{words} {shown['request_id']}" + (f": {shown['detail']}" if shown["detail"] else "")

    def _paint(self, code: int, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours else text


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False
