"""The recipes of docs/http2.md: the commands that stand there, run as they stand there."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import wasmtime

from multiplexed import Multiplexed, h2_client, h3_client
from server.certificates import Issuer

PAGE = (Path(__file__).parent.parent / "docs/http2.md").read_text()
ECHO = """(module (import "env" "request_get_body" (func $get (param i64 i32 i64) (result i64)))
    (import "env" "response_set_body" (func $body (param i32 i64)))
    (memory (export "memory") 20)
    (func (export "handle") (call $body (i32.const 65536)
        (call $get (i64.const 0) (i32.const 65536) (i64.const 1000000)))))"""
HELLO = """(module (import "env" "response_set_body" (func $body (param i32 i64)))
    (memory (export "memory") 1) (data (i32.const 0) "hello")
    (func (export "handle") (call $body (i32.const 0) (i64.const 5))))"""
BUSY = """(module (import "env" "log" (func $log (param i32 i64)))
    (memory (export "memory") 1)
    (func (export "handle") (call $log (i32.const 0) (i64.const 1)) (loop $again (br $again))))"""
APPLICATION = """
[[applications]]
file_path = "{name}.wasm"
url_path = "/{name}"
limits = {{ timeout = "5m", cpu = "5m" }}
"""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A server, and how its clients come."""

    server: str
    version: int

    def client(self, port: int, authority: Path) -> Any:
        """Connects."""
        return (h3_client if self.version == 3 else h2_client)(port, authority)


RECIPES = [Recipe("granian", 2), Recipe("anycorn", 2), Recipe("anycorn", 3)]
recipes = pytest.mark.parametrize("recipe", RECIPES, ids=str)


class Running:
    """A server that runs in a folder."""

    def __init__(self, folder: Path, port: int, process: subprocess.Popen[bytes]) -> None:
        self.authority = folder / "ca.pem"
        self.port = port
        self.process = process
        self._log = folder / "log"

    def records(self, event: str) -> list[dict[str, Any]]:
        """The records of one kind so far."""
        lines = [line for line in self._log.read_text().splitlines(keepends=True) if line.endswith("}\n")]
        return [record for record in map(json.loads, lines) if record["event"] == event]

    async def until_outcome(self, application: str, outcomes: list[str]) -> None:
        """Waits until the application's invocations have ended, so."""
        while True:
            records = self.records("invocation_finished")
            found = [record["outcome"] for record in records if record["application"] == application]
            if len(found) >= len(outcomes):
                assert outcomes == found
                return
            await asyncio.sleep(0.02)

    async def until_busy(self, number: int) -> None:
        """Waits until so many guests have begun to be busy."""
        while len(self.records("guest_logged")) < number:  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.02)

    def stop(self) -> int:
        """Ends it as a supervisor does; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def command(server: str, port: int) -> list[str]:
    """The command of the page, at a port of ours."""
    examples = "".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL))
    (line,) = re.findall(rf"^{server} .*", examples, re.MULTILINE)
    words = line.replace("8443", str(port)).replace("0.0.0.0", "127.0.0.1").split()
    return [str(Path(sys.executable).with_name(words[0])), *words[1:]]


def free_port() -> int:
    """A port that is free for TCP and UDP."""
    while True:
        with closing(socket.create_server(("127.0.0.1", 0))) as tcp:
            port: int = tcp.getsockname()[1]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                try:
                    udp.bind(("127.0.0.1", port))
                except OSError:
                    continue
                return port


def start(words: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Runs a command with this package, and with nobody else's cache."""
    more = {"XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": os.pathsep.join(sys.path)}
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            words,
            cwd=folder,
            env={**os.environ, **more},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # it has workers, and they end with it whatever happens here
        )


@asynccontextmanager
async def running(server: str, folder: Path) -> AsyncIterator[Running]:
    """A server that has answered; it is gone afterwards."""
    issuer = Issuer(folder)
    issuer.issue()
    (folder / "ca.pem").write_bytes(issuer.authority.cert_pem.bytes())
    guests = {"echo": ECHO, "hello": HELLO, "busy": BUSY}
    for name, text in guests.items():
        (folder / f"{name}.wasm").write_bytes(wasmtime.wat2wasm(text))
    (folder / "config.toml").write_text("".join(APPLICATION.format(name=name) for name in guests))
    (folder / "app.py").write_text(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0])
    port = free_port()
    served = Running(folder, port, start(command(server, port), folder))
    try:
        async with httpx.AsyncClient(verify=issuer.client()) as client:
            while True:
                assert served.process.poll() is None, (folder / "log").read_text()
                try:
                    assert 200 == (await client.get(f"https://127.0.0.1:{port}/hello")).status_code
                    break
                except httpx.TransportError:  # it does not listen yet
                    await asyncio.sleep(0.05)
        yield served
    finally:
        with suppress(ProcessLookupError):
            os.killpg(served.process.pid, signal.SIGKILL)
        served.process.wait()


async def whole(client: Multiplexed, *request: Any) -> tuple[int, bytes]:
    """The answer to a request."""
    return await client.stream(await client.ask(*request)).whole()


@recipes
def test_the_recipe(tmp_path: Path, recipe: Recipe) -> None:
    """What the page's table says, in its order."""

    async def main() -> None:
        async with running(recipe.server, tmp_path) as served:
            async with recipe.client(served.port, served.authority) as client:
                await check_streams(client)
                await check_bodies(client)
                await check_giving_up(client, served)
            await check_leaving(recipe, served)
            async with recipe.client(served.port, served.authority) as client:
                await client.ask("GET", "/busy")
                await served.until_busy(4)
                assert 0 == await asyncio.to_thread(served.stop)
            assert not served.records("internal_fault")

    asyncio.run(asyncio.wait_for(main(), 100))


async def check_streams(client: Multiplexed) -> None:
    """Many at once, on one connection."""
    numbers = [await client.ask("GET", "/hello") for _ in range(40)]
    assert {(200, b"hello")} == {await client.stream(number).whole() for number in numbers}
    assert 404 == (await whole(client, "GET", "/nothing"))[0]


async def check_bodies(client: Multiplexed) -> None:
    """Bodies arrive whole; one that nobody reads, or that is too large, harms no other request."""
    body = bytes(range(256)) * 1000
    assert (200, body) == await whole(client, "POST", "/echo", body)
    assert (200, body) == await whole(client, "POST", "/echo", body, (b"content-length", b"256000"))
    assert (200, b"hello") == await whole(client, "POST", "/hello", body)
    assert 404 == (await whole(client, "POST", "/nothing", body))[0]
    length = (b"content-length", b"2000000")
    assert 413 == (await whole(client, "POST", "/echo", bytes(2_000_000), length))[0]
    assert (200, b"hello") == await whole(client, "GET", "/hello")


async def check_giving_up(client: Multiplexed, served: Running) -> None:
    """A stream that is reset ends its guest, and no other."""
    first, second = await client.ask("GET", "/busy"), await client.ask("GET", "/busy")
    await served.until_busy(2)
    await client.reset(first)
    await served.until_outcome("busy", ["cancelled"])
    assert (200, b"hello") == await whole(client, "GET", "/hello")
    assert not client.stream(second).ended.is_set()
    await client.reset(second)
    await served.until_outcome("busy", ["cancelled"] * 2)


async def check_leaving(recipe: Recipe, served: Running) -> None:
    """A connection that ends, ends its guests, where the server tells; and it is over with the server."""
    async with recipe.client(served.port, served.authority) as client:
        await client.ask("GET", "/busy")
        await served.until_busy(3)
        await client.leave()
    if recipe.version == 2:
        await served.until_outcome("busy", ["cancelled"] * 3)


@pytest.mark.parametrize("server", ["granian", "anycorn"])
def test_httpx_over_http_2(tmp_path: Path, server: str) -> None:
    """A client that people have."""

    async def main() -> None:
        async with running(server, tmp_path) as served:
            context = ssl.create_default_context(cafile=served.authority)
            async with httpx.AsyncClient(http2=True, verify=context) as client:
                url = f"https://127.0.0.1:{served.port}/hello"
                answers = await asyncio.gather(*(client.get(url) for _ in range(20)))
                assert {("HTTP/2", 200, "hello")} == {
                    (each.http_version, each.status_code, each.text) for each in answers
                }

    asyncio.run(asyncio.wait_for(main(), 100))
