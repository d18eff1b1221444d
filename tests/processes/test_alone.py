"""The service in one process: what a crew does, without one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from address_space import little_address_space
from applications import HELLO
from configurations import application, configuration
from sandbox import wat
from serverless_wasm.config.configuration import TlsConfig
from serverless_wasm.errors import ReloadRefused
from serverless_wasm.processes.alone import Alone
from serverless_wasm.processes.channel import Report
from serverless_wasm.processes.station import Station
from serverless_wasm.release import Builder, Release
from serverless_wasm.server.sockets import Bound, bind
from serverless_wasm.service import Service
from serverless_wasm.wasm.artifacts import Cache
from serverless_wasm.wasm.code import InlineCompiler


class Yard:
    """A service alone, and releases for it."""

    def __init__(self, folder: Path, bound: Bound) -> None:
        cache = Cache(folder / "cache")
        self.builder = Builder(cache, InlineCompiler)
        self.station = Station(Service(lambda _: None, cache), bound.sockets, lambda _: None)
        self.alone = Alone(self.station, bound.own_addresses())
        self.address = bound.sockets[0].getsockname()
        self._folder = folder

    async def release(self, path: str, **fields: Any) -> Release:
        """A release of an application at that path."""
        (self._folder / "a.wasm").write_bytes(wat(HELLO))
        made = application("a", file_path=self._folder / "a.wasm", url_path=path)
        return await self.builder.build(configuration(self._folder / "c.toml", made, **fields))

    async def get(self, path: str) -> bytes:
        """What a client reads first."""
        reader, writer = await asyncio.open_connection(*self.address)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer.partition(b"\r\n")[0]


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Callable[[Yard], Awaitable[None]]], None]:
    """Runs a job with a service alone, and stops that."""

    def run_it(job: Callable[[Yard], Awaitable[None]]) -> None:
        async def main() -> None:
            bound = bind("127.0.0.1", 0)
            yard = Yard(tmp_path, bound)
            try:
                await job(yard)
            finally:
                await yard.alone.stop(0)
                bound.close()

        asyncio.run(main())

    return run_it


def accept(_: Report) -> None:
    """Takes every report."""


def refuse(_: Report) -> None:
    """Takes none."""
    raise ZeroDivisionError


def test_serves_what_is_accepted(run: Any) -> None:
    """And nothing else: not before the first is, nor when a later one is refused."""

    async def job(yard: Yard) -> None:
        assert 0.0 == yard.station.drain
        with pytest.raises(ZeroDivisionError):
            await yard.alone.deploy(await yard.release("/one"), refuse)
        with pytest.raises(ConnectionError):
            await yard.get("/one")
        await yard.alone.deploy(await yard.release("/one", drain=7.0), accept)
        assert 7.0 == yard.station.drain
        with pytest.raises(ZeroDivisionError):
            await yard.alone.deploy(await yard.release("/two"), refuse)
        assert [b"HTTP/1.1 200 OK", b"HTTP/1.1 404 Not Found"] == [
            await yard.get("/one"),
            await yard.get("/two"),
        ]
        await yard.alone.deploy(await yard.release("/two"), accept)
        assert [b"HTTP/1.1 404 Not Found", b"HTTP/1.1 200 OK"] == [
            await yard.get("/one"),
            await yard.get("/two"),
        ]
        assert ("one process: serves, 0 in flight",) == yard.alone.status()

    run(job)


def test_what_cannot_be_is_refused_in_words(run: Any, tmp_path: Path) -> None:
    """An engine that does not fit, a certificate that is gone: as a crew says it, and the old is served."""
    gone = TlsConfig(
        certificate=tmp_path / "c.pem", key=tmp_path / "k.pem", file="c.toml", certificate_line=3, key_line=4
    )

    async def job(yard: Yard) -> None:
        await yard.alone.deploy(await yard.release("/one"), accept)
        with little_address_space(), pytest.raises(ReloadRefused, match="address space"):
            await yard.alone.deploy(await yard.release("/two", slots=2_000), accept)
        with pytest.raises(ReloadRefused, match=r"c\.toml:3"):
            await yard.alone.deploy(await yard.release("/two", tls=gone), accept)
        assert b"HTTP/1.1 200 OK" == await yard.get("/one")

    run(job)


def test_nobody_listens_before_the_first(run: Any) -> None:
    """A socket that is bound takes no client until there is something to serve."""

    async def job(yard: Yard) -> None:
        with socket.socket() as client:
            assert client.connect_ex(yard.address)

    run(job)
