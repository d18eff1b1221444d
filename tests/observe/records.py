"""Events to log, and what became of them: for the tests of the log.

Events come in; records, read as strictly as any collector may, go out.
It must never repair a line.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NoReturn, TextIO, get_type_hints

from hypothesis import strategies as st

from serverless_wasm import events
from serverless_wasm.events import (
    Event,
    GuestLogged,
    InvocationFinished,
)
from serverless_wasm.observe.logs import Logs, Style

NOW = 1_700_000_000.123
LOCAL = datetime.fromtimestamp(NOW, UTC).astimezone().strftime("%H:%M:%S.123")
EVENTS = [kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event)]
EVENTS.remove(Event)

FINISHED = InvocationFinished(
    request_id="r-1",
    application="hello",
    method="GET",
    path="/hello",
    status=200,
    outcome="ok",
    wall_ms=0.81234,
    cpu_ms=0.4,
    memory_peak=65536,
    host_calls=4,
    log_dropped=0,
)
SAID = GuestLogged(request_id="r-1", application="hello", message="I am here")

FIELDS: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(),
    bool: st.booleans(),
    int: st.integers(),
    float: st.floats(),
    BaseException: st.builds(ValueError, st.text()),
    tuple[str, ...]: st.lists(st.text()).map(tuple),
}


def fields_of(kind: type[Event]) -> dict[str, st.SearchStrategy[Any]]:
    """Any value for each field."""
    return {name: FIELDS[hint] for name, hint in get_type_hints(kind).items() if not name.startswith("__")}


ANY_EVENT = st.one_of([st.builds(kind, **fields_of(kind)) for kind in EVENTS])


def clock() -> float:
    return NOW


def text_of(event: Event, style: Style) -> str:
    """What one event becomes on a stream that is no terminal."""
    stream = io.StringIO()
    logs = Logs(stream, style, clock)
    logs(event)
    assert logs.lost == 0
    return stream.getvalue()


def record_of(line: str) -> dict[str, Any]:
    """One line as strict JSON: an object, without NaN and Infinity."""

    def refuse(word: str) -> NoReturn:
        raise AssertionError(f"{word} is no JSON")

    record = json.loads(line, parse_constant=refuse)
    assert isinstance(record, dict)
    return record


@contextmanager
def pipe() -> Iterator[tuple[int, TextIO]]:
    """The end to read from, not blocking, and the stream to log to."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with os.fdopen(writer, "w") as stream:
        try:
            yield reader, stream
        finally:
            os.close(reader)


def all_from(reader: int) -> str:
    """Everything that waits in a pipe."""
    chunks = []
    while True:
        try:
            chunks.append(os.read(reader, 1 << 16))
        except BlockingIOError:
            return b"".join(chunks).decode()
