"""Holds the current deployment, and the engine that every deployment shares.

A Configuration comes in; `handle` answers requests from `start` to `stop`.
It must never answer with an exception: whatever happens below becomes a response.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from serverless_wasm.abi import Abis
from serverless_wasm.config.configuration import Configuration
from serverless_wasm.deployment import Deployment, Loaded, Loader, Surroundings
from serverless_wasm.errors import EngineError, Error, RequestError, Unavailable
from serverless_wasm.events import Emit, InternalFault, Notice, RequestRefused
from serverless_wasm.messages import Request, Response
from serverless_wasm.net.policy import Target
from serverless_wasm.net.tcp import Network
from serverless_wasm.text import printable
from serverless_wasm.wasm.engine import Engine, EngineSettings
from serverless_wasm.wasm.modules import Cache, Compiler
from serverless_wasm.wasm.scheduler import Scheduler


class EngineRoom:
    """The engine, its scheduler and its loader; made once a process, closed last.

    Raises EngineError when the engine cannot start here.
    """

    def __init__(self, configuration: Configuration, emit: Emit) -> None:
        limits = [item.limits for item in configuration.applications]
        settings = EngineSettings(
            slots=configuration.slots,
            table_elements=max(item.table_elements for item in limits),
            fuel=any(item.fuel for item in limits),
            stack=configuration.stack,
        )
        self.engine = Engine(settings)
        self.scheduler = Scheduler(self.engine, configuration.memory)
        self._abis = Abis(self.scheduler)
        self._compiler = Compiler(self.engine, _open_cache(emit))
        if configuration.slots and configuration.slots > self.engine.slots:
            emit(
                Notice(
                    message=f"slots: {self.engine.slots} instead of {configuration.slots}, because "
                    "vm.max_map_count is too low for more; write: sysctl -w vm.max_map_count=262144"
                )
            )

    def load(self, configuration: Configuration) -> list[Loaded]:
        """Every application of a configuration, loaded or with the reason why not.

        Blocks for as long as compilation takes: seconds for a large module that is not cached.
        """
        loader = Loader(self._compiler, self._abis)
        return [loader.load(item) for item in configuration.applications]

    def close(self) -> None:
        """Stops the ticker and frees the engine, once every deployment is closed."""
        self._abis.close()
        self.engine.close()


class Service:
    """Answers requests with the applications of a configuration, from `start` to `stop`."""

    def __init__(self, configuration: Configuration, emit: Emit) -> None:
        self.configuration = configuration
        self._emit = emit
        self._room: EngineRoom | None = None
        self._network: Network | None = None
        self._deployment: Deployment | None = None

    @property
    def deployment(self) -> Deployment:
        """The current deployment; raises Unavailable before `start` and after `stop`."""
        if self._deployment is None:
            raise Unavailable("the service is not running")
        return self._deployment

    @property
    def slots(self) -> int:
        """How many guests may run at once; 0 before `start`."""
        return self._room.engine.slots if self._room else 0

    async def start(self, own_addresses: tuple[str, ...] = ()) -> None:
        """Starts the engine and loads every application, without blocking the loop.

        `own_addresses` are those the service listens on, as `host:port`: guests may not call them.
        Raises EngineError; an application that cannot be loaded only answers 503.
        """
        self._room = await asyncio.to_thread(EngineRoom, self.configuration, self._emit)
        self._network = Network()
        loaded = await asyncio.to_thread(self._room.load, self.configuration)
        surroundings = Surroundings(
            scheduler=self._room.scheduler,
            network=self._network,
            emit=self._emit,
            own=tuple(Target.parse(address.encode()) for address in own_addresses),
        )
        self._deployment = Deployment(loaded, surroundings)

    async def handle(self, request: Request) -> Response:
        """The response to a request; never raises but to pass a cancellation on."""
        try:
            return await self.deployment.handle(request)
        except Error as error:
            if isinstance(error, RequestError):
                self._emit(_refusal(request, error))
            return Response.of_error(error, request.id)
        except Exception as fault:
            self._emit(InternalFault(where="service", request_id=request.id, exception=fault))
            return Response.of_error(Error(), request.id)

    async def stop(self) -> None:
        """Waits for what is in flight, then frees everything; the engine last."""
        deployment, self._deployment = self._deployment, None
        if deployment:
            await deployment.close()
        if self._network:
            self._network.close()
        if self._room:
            self._room.close()
            self._room = None


def _refusal(request: Request, error: RequestError) -> RequestRefused:
    return RequestRefused(
        request_id=request.id,
        client=request.client,
        method=printable(request.method, 32),
        path=printable(request.path),
        status=error.status,
        code=error.code,
        detail=printable(str(error)),
    )


def _open_cache(emit: Emit) -> Cache | None:
    """The cache of compiled modules, or None with a notice: a service without one only starts slower."""
    try:
        return Cache(_cache_folder())
    except (EngineError, RuntimeError) as error:  # RuntimeError: there is no home folder
        emit(Notice(message=f"compiled modules are not kept: {error}"))
        return None


def _cache_folder() -> Path:
    """Where systemd says (CacheDirectory=), else where the XDG base directory specification says."""
    given = os.environ.get("CACHE_DIRECTORY") or os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given else Path.home() / ".cache") / "serverless-wasm"
