"""The service inside another program: an ASGI application made of one configuration file.

A path comes in; an object that any ASGI server can run or any ASGI application can mount goes out.
It must never start an engine before an event loop asks: the server may still fork.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from types import MappingProxyType

from serverless_wasm import service
from serverless_wasm.config.configuration import Configuration
from serverless_wasm.config.load import load
from serverless_wasm.events import Emit
from serverless_wasm.messages import Request, Response
from serverless_wasm.observe.logs import Logs, Style
from serverless_wasm.release import Builder
from serverless_wasm.server.asgi import AsgiDoor, Receive, Scope, Send
from serverless_wasm.wasm.artifacts import open_cache


class Service:
    """An ASGI application that serves a configuration.

    It starts with the server's lifespan, or, mounted inside another application, with its first
    request. The file's `listen_address` and `[server]` deadlines are the server's business here.
    """

    def __init__(self, configuration: Configuration, emit: Emit | None = None) -> None:
        self._emit = emit or Logs(sys.stderr, Style.CONSOLE if sys.stderr.isatty() else Style.JSON)
        self._configuration = configuration
        self._cache = open_cache(self._emit)
        self._service = service.Service(self._emit, self._cache)
        self._starting: asyncio.Task[None] | None = None
        self._door = AsgiDoor(self._handle, self._emit, startup=self.start, shutdown=self.stop)

    @classmethod
    def from_file(
        cls,
        path: str | PathLike[str],
        emit: Emit | None = None,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> Service:
        """Reads a configuration file; raises ConfigError with every mistake in it.

        `variables` are values of its `[variables]` that come before those of all other places.
        """
        return cls(load(Path(path), variables), emit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI 3 interface."""
        await self._door(scope, receive, send)

    async def start(self) -> None:
        """Starts the engine and loads every application, once; raises EngineError."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        await asyncio.shield(self._starting)  # one impatient client must not cancel it for the others

    async def _start(self) -> None:
        await self._service.start(await Builder(self._cache, emit=self._emit).build(self._configuration))

    async def stop(self) -> None:
        """Waits for what is in flight, then frees everything."""
        if self._starting is not None:
            await self._starting
            self._starting = None
            await self._service.stop()

    async def _handle(self, request: Request) -> Response:
        if self._starting is None or not self._starting.done():
            await self.start()
        return await self._service.handle(request)
