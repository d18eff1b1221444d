"""The service that the zoo lives in: every guest an application, a good neighbour, backends, and a door.

Guests come in; answers, events and the lines of the log go out.
It must never be gentler than the real service: the file, the door, the sockets and the log are real.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from held import Held
from net.backends import backend, black_hole
from sandbox import wat
from server.doors import Answer, Client, until
from serverless_wasm.events import ApplicationBroken, Event, InvocationFinished
from serverless_wasm.limits import DoorLimits
from serverless_wasm.messages import Prepared, Request, Response
from serverless_wasm.observe.logs import Logs, Style
from serverless_wasm.server.h1 import HttpDoor
from serving import started
from zoo.cards import Guest, Visit

CANARY = "canary"
"""Part of every secret; a guest that has no secret of its own must never show it."""
SETTLE = 5.0
"""Seconds in which everything must be back where it was (THREATS I3)."""
NEIGHBOUR = """(module
  (import "env" "db_get" (func $get (param i32 i64 i32 i64) (result i64)))
  (import "env" "request_get_header" (func $header (param i32 i64 i32 i64) (result i64)))
  (import "env" "request_get_body" (func $text (param i64 i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 1) (data (i32.const 0) "secretauthorization")
  (global $end (mut i32) (i32.const 1024))
  (func $took (param i64) (global.set $end (i32.add (global.get $end) (i32.wrap_i64 (local.get 0)))))
  (func (export "handle")
    (call $took (call $get (i32.const 0) (i64.const 6) (global.get $end) (i64.const 1000)))
    (call $took (call $header (i32.const 6) (i64.const 13) (global.get $end) (i64.const 1000)))
    (call $took (call $text (i64.const 0) (global.get $end) (i64.const 1000)))
    (call $body (i32.const 1024) (i64.extend_i32_u (i32.sub (global.get $end) (i32.const 1024))))))"""


_STORES = """[server]
slots = 64
[key_value.zoo]
url = "sqlite:///zoo.db"
quota = "16KiB"
value = "1KiB"
"""


class CutShort(Answer):
    """A response whose connection ended before it did; its body is left out."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the process holds; whatever happened, it must be the same afterwards."""

    held: Held
    tasks: int

    @classmethod
    def now(cls) -> Footprint:
        """That of this process and of the running loop."""
        return cls(Held.by(["self"]), len(asyncio.all_tasks()))


class Grounds:
    """A running service of all guests; opened with `grounds`."""

    def __init__(self, folder: Path, guests: Iterable[Guest]) -> None:
        self.guests = tuple(guests)
        self.events: list[Event] = []
        self.most = 0
        """Connections at once that the backend `counted` has seen."""
        self._folder = folder
        self._turn = 0
        self._counted = 0
        self._log = (folder / "log").open("w+", encoding="utf-8")
        self._logs = Logs(self._log, Style.JSON)
        self._config = folder / "config.toml"
        self._log_read = 0
        self._events_read = 0
        self._places: dict[str, str] = {}
        self._baseline = Footprint(Held(0, 0), 0)

    def emit(self, event: Event) -> None:
        """Keeps an event, and has it logged."""
        self.events.append(event)
        self._logs(event)

    async def open(self, stack: AsyncExitStack) -> None:
        """Starts backends, door and service; all is closed with the stack."""
        stack.callback(self._log.close)
        for name, serve in {
            "silent": self._silent, "counted": self._count, "drip": _drip, "flood": _flood,
            "resetting": _reset,
        }.items():  # fmt: skip
            self._places[name] = f"127.0.0.1:{await stack.enter_async_context(backend(serve))}"
        self._places["black_hole"] = stack.enter_context(black_hole()).decode()
        async with backend(_flood) as port:  # nobody listens there any more
            self._places["refusing"] = f"127.0.0.1:{port}"
        door = HttpDoor(self, DoorLimits(), self.emit)
        self._places["service"] = (await door.listen(("127.0.0.1", 0)))[0]
        stack.push_async_callback(door.close, 0)
        self._config.write_text(self._configuration())
        self._service = await started(self._config, self.emit, (self._places["service"],))
        stack.push_async_callback(self._service.stop)
        await self.neighbour()
        for guest in self.guests:
            if guest.first:
                answer, _ = await self.ask(guest, guest.visits[0])
                assert guest.first == answer.status, guest.name
        await until(lambda: not door.connections)
        self._baseline = Footprint.now()

    async def handle(self, request: Request) -> Response:
        """The service's response; there is a door before there is a service."""
        return await self._service.handle(request)

    def at_once(self, request: Request) -> Prepared | Awaitable[Response]:
        """The same, as the service has it at once."""
        return self._service.at_once(request)

    def _configuration(self) -> str:
        tables = [_table("neighbour", env=f'secret = "{CANARY}-variable"')]
        (self._folder / "neighbour.wasm").write_bytes(wat(NEIGHBOUR))
        for guest in self.guests:
            (self._folder / f"{guest.name}.wasm").write_bytes(guest.module)
            env = guest.env
            for name, place in self._places.items():
                env = env.replace(f"{{{name}}}", place)
            own = f'own-secret = "{CANARY}-of-{guest.name}"'
            tables.append(_table(guest.name, f"{own}, {env}", guest.limits, guest.outbound) + guest.grants)
        (self._folder / "files").mkdir(exist_ok=True)
        return _STORES + "\n".join(tables)

    def broken(self, name: str) -> str | None:
        """Why an application could not be loaded, or None."""
        told = [e.reason for e in self.events if isinstance(e, ApplicationBroken) and e.application == name]
        return told[0] if told else None

    async def neighbour(self, client: Client | None = None) -> None:
        """Asks the good neighbour, which must answer with its own secret and those of the request."""
        path, token = self._path("neighbour"), f"{CANARY}-{self._turn}"
        asked = _request("POST", path, f"Authorization: {token};", f"{token}-body".encode())
        if client is not None:
            await client.send(asked)
            answer = await client.answer()
        else:
            async with self.client() as own:
                answer = await own.ask(asked)
        right = 200, f"{CANARY}-variable{token};{token}-body".encode()
        assert right == (answer.status, answer.body), f"not {right}: {answer}"

    async def ask(self, guest: Guest, visit: Visit) -> tuple[Answer, list[Event]]:
        """The answer to a visit and all its events; the next answer on its connection is the neighbour's."""
        path, began = self._path(guest.name), len(self.events)
        query = f"?{visit.query}" if visit.query else ""
        secret = f"Authorization: {CANARY}-{self._turn}"
        async with self.client() as client:
            await client.send(_request(visit.method, path + query, secret, visit.body))
            answer = await _answer(client, visit.method)
            if not isinstance(answer, CutShort) and answer.header(b"connection") != b"close":
                await self.neighbour(client)
        if visit.early:  # it goes on behind its answer
            async with asyncio.timeout(SETTLE):
                await until(lambda: bool(self._records(path, began)))
        (record,) = self._records(path, began)
        own = [e for e in self.events[began:] if getattr(e, "request_id", "") == record.request_id]
        return answer, own

    def _records(self, path: str, began: int) -> list[InvocationFinished]:
        return [e for e in self.events[began:] if isinstance(e, InvocationFinished) and e.path == path]

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """A connection to the door."""
        host, _, port = self._places["service"].rpartition(":")
        client = Client(*await asyncio.open_connection(host, int(port)))
        try:
            yield client
        finally:
            client.writer.close()
            with suppress(ConnectionError):
                await client.writer.wait_closed()

    async def settled(self) -> None:
        """Waits until the process holds exactly what it held; fails if it never does."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE):
                await until(lambda: Footprint.now() == self._baseline)
        before, self._baseline = self._baseline, Footprint.now()  # what is left is told once
        assert before == self._baseline, f"{self._baseline}, not {before}"

    def logged(self) -> list[dict[str, Any]]:
        """The log's records since the last time: one line for each event since then, and no other line."""
        with (self._folder / "log").open("rb") as log:
            log.seek(self._log_read)
            text = log.read()
        lines, events = text.split(b"\n"), len(self.events) - self._events_read
        self._log_read += len(text)
        self._events_read += events
        assert lines.pop() == b""
        assert len(lines) == events, lines
        return [_strict(line) for line in lines]

    def _path(self, name: str) -> str:
        self._turn += 1
        return f"/{name}/{self._turn}"

    async def _silent(self, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass

    async def _count(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._counted += 1
        self.most = max(self.most, self._counted)
        try:
            await self._silent(reader, writer)
        finally:
            self._counted -= 1


@asynccontextmanager
async def grounds(folder: Path, guests: Iterable[Guest]) -> AsyncIterator[Grounds]:
    """A running service of these guests."""
    async with AsyncExitStack() as stack:
        made = Grounds(folder, guests)
        await made.open(stack)
        yield made


async def _answer(client: Client, method: str) -> Answer:
    """The next response, or as much of it as there is."""
    head = await client.head()
    try:
        body = await client.body(head, method)
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return CutShort(status=head.status, reason=head.reason, headers=head.headers, body=b"")
    return replace(head, body=body)


def _table(name: str, env: str = "", limits: str = "", outbound: str = "") -> str:
    return (
        f'[[applications]]\nname = "{name}"\nfile_path = "{name}.wasm"\nurl_path = "/{name}/..."\n'
        f"env = {{ {env.rstrip(', ')} }}\nlimits = {{ {limits} }}\n"
        f"allowed_outbound_hosts = [{outbound}]\ntmp = true\n"
    )


def _request(method: str, target: str, field: str, body: bytes) -> bytes:
    head = f"{method} {target} HTTP/1.1\r\nHost: zoo\r\n{field}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _strict(line: bytes) -> dict[str, Any]:
    """A line of the log as RFC 8259 reads it: visible ASCII, no word that JSON lacks, no name twice."""
    assert line.isascii()
    assert line.decode().isprintable()
    record = json.loads(line, parse_constant=_fail, object_pairs_hook=_distinct)
    assert isinstance(record, dict)
    return record


def _fail(word: str) -> None:
    raise AssertionError(f"{word} is no JSON")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(pairs) == len(dict(pairs))
    return dict(pairs)


async def _drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A byte every five milliseconds."""
    while not writer.is_closing():
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.005)


async def _flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As many bytes as the other side takes."""
    while not writer.is_closing():
        writer.write(bytes(65536))
        await writer.drain()


async def _reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ends the connection with an RST."""
    linger = struct.pack("ii", 1, 0)  # for no time: unsent data are forgotten
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
