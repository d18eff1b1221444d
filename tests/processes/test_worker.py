"""A worker in this process, told what to do through a real channel, with a real door."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from configurations import application, configuration
from processes.running import asks, says
from sandbox import wat
from serverless_wasm.config.configuration import ApplicationConfig
from serverless_wasm.events import Event, InvocationFinished
from serverless_wasm.processes.channel import Channel, Commit, Discard, Order, Prepare, Report, Stop, Withdraw
from serverless_wasm.processes.crumbs import Crumbs
from serverless_wasm.processes.station import Station
from serverless_wasm.processes.worker import Worker
from serverless_wasm.release import Builder, Release
from serverless_wasm.server.sockets import bind
from serverless_wasm.service import Service
from serverless_wasm.wasm.artifacts import Cache
from serverless_wasm.wasm.code import InlineCompiler


class Yard:
    """A worker, and the supervisor's end of its channel."""

    def __init__(self, folder: Path, channel: Channel, worker: Worker, address: tuple[str, int]) -> None:
        self.channel = channel
        self.worker = worker
        self.running = asyncio.create_task(worker.run())
        self._address = address
        self._folder = folder

    async def ask(self, order: Order) -> Report:
        """The answer to an order."""
        await self.channel.order(order)
        return await self.channel.next_report()

    async def release(self, *applications: ApplicationConfig, **fields: Any) -> Release:
        """A release of these applications."""
        builder = Builder(Cache(self._folder / "cache"), InlineCompiler)
        return await builder.build(configuration(self._folder / "c.toml", *applications, **fields))

    async def serve(self, *applications: ApplicationConfig, **fields: Any) -> None:
        """Has the worker serve these applications."""
        release = await self.release(*applications, **fields)
        assert "" == (await self.ask(Prepare(release=release, own_addresses=()))).error
        assert Report() == await self.ask(Commit())

    def application(self, name: str, text: str = "", **fields: Any) -> ApplicationConfig:
        """An application of the module in WAT; of one that says its name if there is none."""
        (self._folder / f"{name}.wasm").write_bytes(wat(text or says(name)))
        return application(name, file_path=self._folder / f"{name}.wasm", **fields)

    async def get(self, path: str) -> bytes:
        """A response's body or status; empty when the connection was cut off."""
        reader, writer = await asyncio.open_connection(*self._address)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        except ConnectionError:
            return b""
        finally:
            writer.transport.abort()
        return body if b" 200 " in head else head[9:12]


Job = Callable[[Yard], Awaitable[None]]


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Job], list[Event]]:
    """Runs a job with a worker that has said that it can take orders, to the end of both."""
    events: list[Event] = []

    async def main(job: Job) -> None:
        crumbs, bound = Crumbs.create(1), bind("127.0.0.1", 0)
        crumb = Crumbs.open(os.dup(crumbs.descriptor), 0)
        ours, theirs = [await Channel.open(sock) for sock in socket.socketpair()]
        service = Service(events.append, Cache(tmp_path / "cache"), crumb.running)
        worker = Worker(theirs, crumb, Station(service, bound.sockets, events.append))
        yard = Yard(tmp_path, ours, worker, bound.sockets[0].getsockname())
        try:
            assert Report() == await ours.next_report()
            async with asyncio.timeout(60):
                await job(yard)
                ours.close()
                await yard.running
            assert crumbs.read(0).beats > 0
        finally:
            theirs.close()
            await service.stop()
            bound.close()
            crumb.close()
            crumbs.close()

    def run_it(job: Job) -> list[Event]:
        asyncio.run(main(job))
        return events

    return run_it


@pytest.fixture
def backend() -> Any:
    """Whom guests ask."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        yield sock


async def asked(yard: Yard, backend: socket.socket) -> tuple[asyncio.Task[bytes], socket.socket]:
    """A request that is in progress, and the connection of its guest."""
    target = f"127.0.0.1:{backend.getsockname()[1]}"
    await yard.serve(yard.application("ask", asks(backend), env={"BACKEND": target}), drain=60.0)
    request = asyncio.create_task(yard.get("/ask"))
    guest, _ = await asyncio.get_running_loop().sock_accept(backend)
    return request, guest


def outcomes(events: list[Event]) -> list[str]:
    """How invocations ended."""
    return [event.outcome for event in events if isinstance(event, InvocationFinished)]


def test_follows_orders(run: Any) -> None:
    """What is prepared is served once it is committed, unless it is discarded or withdrawn."""

    async def job(yard: Yard) -> None:
        await yard.serve(yard.application("a"), yard.application("b"))
        assert [b"a", b"b"] == [await yard.get("/a"), await yard.get("/b")]
        release = await yard.release(yard.application("a", url_path="/c"))
        await yard.ask(Prepare(release=release, own_addresses=()))
        assert [b"a", b"404"] == [await yard.get("/a"), await yard.get("/c")]
        assert Report() == await yard.ask(Discard())
        assert "nothing was prepared" in (await yard.ask(Commit())).error
        await yard.channel.order(Withdraw(frozenset({"b"})))
        assert Report() == await yard.ask(Discard())  # so it has followed the one before
        assert [b"a", b"503"] == [(await yard.get("/a")), (await yard.get("/b"))[:3]]
        await yard.ask(Prepare(release=release, own_addresses=()))
        assert Report() == await yard.ask(Commit(frozenset({"a"})))
        assert [b"404", b"503"] == [await yard.get("/a"), await yard.get("/c")]

    run(job)


def test_tells_what_it_cannot_serve(run: Any) -> None:
    """By name and reason; the rest it can."""

    async def job(yard: Yard) -> None:
        bad = yard.application("bad", says("x"), function="nothing")
        release = await yard.release(yard.application("a"), bad)
        report = await yard.ask(Prepare(release=release, own_addresses=()))
        assert ["bad"] == list(report.broken)
        assert "write one of: handle" in report.broken["bad"]
        assert 8 == report.slots

    run(job)


def test_an_order_to_stop_finishes_what_is_in_progress(run: Any, backend: socket.socket) -> None:
    """Then the worker is at its end, whatever the supervisor does."""

    async def job(yard: Yard) -> None:
        request, guest = await asked(yard, backend)
        await yard.channel.order(Stop(60.0))
        with guest:
            guest.sendall(b"late")
        assert b"late" == await request
        await yard.running

    assert ["ok"] == outcomes(run(job))


def test_a_second_order_is_now(run: Any, backend: socket.socket) -> None:
    """And so is the first, when it says so."""

    async def job(yard: Yard) -> None:
        request, guest = await asked(yard, backend)
        with guest:
            await yard.channel.order(Stop(60.0))
            await yard.channel.order(Stop(0.0))
            await asyncio.wait({yard.running})
            assert b"" == await request

    assert ["cancelled"] == outcomes(run(job))


def test_signals_are_not_counted(run: Any, backend: socket.socket) -> None:
    """A whole group may be sent the same signal: the supervisor's first order is no second one."""

    async def job(yard: Yard) -> None:
        request, guest = await asked(yard, backend)
        yard.worker.retire()
        yard.worker.retire()
        await yard.channel.order(Stop(60.0))
        yard.worker.retire()
        with guest:
            guest.sendall(b"late")
        assert b"late" == await request
        await yard.running

    assert ["ok"] == outcomes(run(job))


def test_a_supervisor_that_is_gone_is_the_end(run: Any, backend: socket.socket) -> None:
    """At once: nobody would look after the worker."""

    async def job(yard: Yard) -> None:
        request, guest = await asked(yard, backend)
        with guest:
            yard.channel.close()
            await yard.running
            assert not request.done()
        await request

    run(job)
