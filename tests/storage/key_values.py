"""Short words for what tests of key-value stores do, and a real Redis for them."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from serverless_wasm.errors import CapabilityError
from serverless_wasm.storage.kv.namespace import KeyValueSettings, KeyValueStore, Namespace
from serverless_wasm.storage.kv.stores import open_key_value

TIMEOUT = 20.0
"""Of an operation, where a test is not about it: the machine may be busy."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@contextmanager
def redis_server(folder: Path, *arguments: str, port: int | None = None) -> Iterator[int]:
    """A Redis of our own, in memory unless the arguments say otherwise; yields its port."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed; scripts/test installs it where it can")
    port = port or free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert any("Ready to accept connections" in line for line in process.stdout), "redis-server ended"
        yield port
    finally:
        process.kill()
        process.communicate()


def settings_of(url: str, **more: Any) -> KeyValueSettings:
    """Those of a table [key_value.default], unless they say otherwise."""
    return KeyValueSettings(**{"name": "default", "url": url, **more})


@asynccontextmanager
async def opened(url: str, timeout: float = TIMEOUT, **more: Any) -> AsyncIterator[KeyValueStore]:
    """A store that is closed in the end."""
    store = open_key_value(settings_of(url, **more), timeout)
    try:
        yield store
    finally:
        await store.close()


def with_namespace(url: str, test: Callable[[Namespace], Awaitable[None]], **more: Any) -> None:
    """Runs a test on the namespace of one application."""

    async def main() -> None:
        async with opened(url, **more) as store:
            await test(store.namespace("application"))

    asyncio.run(main())


async def refused(call: Awaitable[object]) -> str:
    """The class and the text of the error that a call ends with."""
    try:
        answer = await call
    except CapabilityError as error:
        return f"{type(error).__name__}: {error}"
    return f"answered {answer!r}"


async def all_keys(namespace: Namespace, prefix: bytes = b"", most: int = 1000) -> list[bytes]:
    """Every key, page by page."""
    keys, after = await namespace.keys(prefix, None, most)
    while after is not None:
        assert len(keys) <= 10**6
        page, after = await namespace.keys(prefix, after, most)
        assert len(page) <= most
        keys += page
    return keys


async def gone(namespace: Namespace, *keys: bytes) -> None:
    """Waits until none of these keys is there any more."""
    for key in keys:
        while await namespace.exists(key):  # noqa: ASYNC110 - it is time that is waited for
            await asyncio.sleep(0.005)
