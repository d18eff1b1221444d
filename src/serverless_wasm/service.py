"""Holds the current deployment, and the engine that deployments share.

Releases come in; `handle` answers requests from `start` to `stop`, whatever is swapped meanwhile.
It must never answer with an exception: whatever happens below becomes a response.
"""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Awaitable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, nullcontext

from serverless_wasm.deployment import Deployment, Surroundings
from serverless_wasm.engine_room import EngineRoom, RoomSettings
from serverless_wasm.errors import Error, MethodNotAllowed, NotFound, RequestError, Unavailable
from serverless_wasm.events import ApplicationBroken, Emit, InternalFault, Notice
from serverless_wasm.messages import Headers, Prepared, Request, Response
from serverless_wasm.net.policy import Target
from serverless_wasm.net.tcp import Network
from serverless_wasm.refusals import refusal
from serverless_wasm.release import Release
from serverless_wasm.wasm.artifacts import Cache
from serverless_wasm.wasm.scheduler import Cells

OWN_PATHS = "/.well-known/serverless-wasm/"
"""What the service answers itself, before any application (RFC 8615)."""


class Service:
    """Answers requests with the applications of a release, from `start` to `stop`.

    `cache` holds the compiled modules that releases name; `running` is told which application's guest
    runs at any moment (EngineRoom). Who gives it, a worker, has the process to itself: there the garbage
    collector leaves deployments alone.
    """

    def __init__(self, emit: Emit, cache: Cache, running: Cells | None = None) -> None:
        self.draining = False
        """Whether the service is about to stop: it is not ready for more, says its health."""
        self._emit = emit
        self._cache = cache
        self._running = running
        self._surroundings: Surroundings | None = None
        self._deployment: Deployment | None = None
        self._candidate: asyncio.Task[Deployment] | None = None
        self._alive: list[Deployment] = []
        self._retiring: set[asyncio.Task[None]] = set()

    @property
    def deployment(self) -> Deployment:
        """The current deployment; raises Unavailable before `start` and after `stop`."""
        if self._deployment is None:
            raise Unavailable("the service is not running")
        return self._deployment

    async def start(self, release: Release, own_addresses: tuple[str, ...] = ()) -> None:
        """Serves the release, and tells what of it cannot be served; raises EngineError."""
        deployment = await self.prepare(release, own_addresses)
        for name, reason in deployment.broken.items():
            self._emit(ApplicationBroken(application=name, reason=reason))
        for notice in deployment.room.notices:
            self._emit(Notice(message=notice))
        await self.commit()

    async def prepare(self, release: Release, own_addresses: tuple[str, ...] = ()) -> Deployment:
        """Makes a release ready beside the one that is served, without blocking the loop.

        `own_addresses` are those the service listens on, as `host:port`: guests may not call them; those
        of the first release hold. Raises EngineError; an application that cannot be loaded is in the
        deployment's `broken`.
        """
        await self.discard()
        if self._surroundings is None:
            own = tuple(Target.parse(address.encode()) for address in own_addresses)
            self._surroundings = Surroundings(network=Network(), emit=self._emit, own=own)
        self._candidate = asyncio.create_task(self._make(release, self._surroundings))
        return await asyncio.shield(self._candidate)  # a thread cannot be cancelled: see `discard`

    async def _make(self, release: Release, surroundings: Surroundings) -> Deployment:
        deployment = await asyncio.to_thread(self._load, release, surroundings, self._deployment)
        self._alive.append(deployment)
        return deployment

    def _load(self, release: Release, surroundings: Surroundings, previous: Deployment | None) -> Deployment:
        """Blocks while modules are loaded; shares the room of the previous one if both want the same."""
        settings = RoomSettings.of(release.configuration)
        with nullcontext() if self._running is None else _uncollected(first=previous is None):
            if previous is not None and previous.room.settings == settings:
                return Deployment(release, previous.room, surroundings, previous)
            room = EngineRoom(settings, self._cache, self._running)
            try:
                return Deployment(release, room, surroundings)
            except BaseException:
                room.close()
                raise

    async def commit(self, withdrawn: AbstractSet[str] = frozenset()) -> None:
        """Serves what was prepared, but for the applications withdrawn.

        The deployment before ends once nothing is in flight there. Raises Unavailable if nothing was
        prepared, or what `prepare` raised.
        """
        candidate = self._candidate
        if candidate is None or not candidate.done():
            raise Unavailable("nothing was prepared")
        before, self._deployment, self._candidate = self._deployment, candidate.result(), None
        self._deployment.withdraw(withdrawn)
        if before is not None:
            task = asyncio.create_task(self._retire(before))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    async def discard(self) -> None:
        """Forgets what was prepared, or is being prepared."""
        candidate = self._candidate
        if candidate is None:
            return
        await asyncio.wait({candidate})  # whoever is cancelled here leaves it to the next
        if self._candidate is candidate:
            self._candidate = None
            if candidate.exception() is None:
                await self._retire(candidate.result())

    async def _retire(self, deployment: Deployment) -> None:
        """Ends a deployment once nothing is in flight there, and its room if nobody else has it."""
        await deployment.drained()
        self._alive.remove(deployment)
        if all(other.room is not deployment.room for other in self._alive):
            deployment.room.close()

    def withdraw(self, names: AbstractSet[str]) -> None:
        """Takes these applications out of service until the next release."""
        self.deployment.withdraw(names)

    async def handle(self, request: Request) -> Response:
        """The response to a request; never raises but to pass a cancellation on."""
        try:
            if request.path.startswith(OWN_PATHS):
                return self._own(request)
            return await self.deployment.handle(request)
        except Exception as error:
            return self._failed(request, error)

    def at_once(self, request: Request) -> Prepared | Awaitable[Response]:
        """The same without waiting, if it can be: see messages.PromptHandler."""
        deployment = self._deployment
        if deployment is None or request.path.startswith(OWN_PATHS):
            return self.handle(request)
        try:
            answer = deployment.at_once(request)
        except Exception as fault:
            return _given(self._failed(request, fault))
        return answer if isinstance(answer, Prepared) else self._guarded(request, answer)

    async def _guarded(self, request: Request, work: Awaitable[Response]) -> Response:
        try:
            return await work
        except Exception as error:
            return self._failed(request, error)

    def _failed(self, request: Request, error: Exception) -> Response:
        """What a client is told of an error, and the operator of a refusal or a fault of ours."""
        if isinstance(error, Error):
            if isinstance(error, RequestError):
                self._emit(refusal(request, error))
            return Response.of_error(error, request.id)
        self._emit(InternalFault(where="service", request_id=request.id, exception=error))
        return Response.of_error(Error(), request.id)

    def _own(self, request: Request) -> Response:
        """The service's health: `health` while it lives, `ready` while it takes requests."""
        question = request.path.removeprefix(OWN_PATHS)
        if question not in {"health", "ready"}:
            raise NotFound("no such question to the service")
        if request.method not in {"GET", "HEAD"}:
            raise MethodNotAllowed(("GET", "HEAD"))
        is_ready = self._deployment is not None and not self.draining
        status = 503 if question == "ready" and not is_ready else 200
        body = {"status": "ok" if is_ready else "draining", "in_flight": self.in_flight}
        fields = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))
        return Response(status=status, headers=Headers(fields), body=json.dumps(body).encode() + b"\n")

    @property
    def in_flight(self) -> int:
        """Requests that applications are answering."""
        return sum(deployment.in_flight for deployment in self._alive)

    async def stop(self) -> None:
        """Waits for what is in flight, then frees everything; the engine last."""
        await self.discard()
        deployment, self._deployment = self._deployment, None
        if deployment is not None:
            await self._retire(deployment)
        if self._retiring:
            await asyncio.wait(self._retiring)
        if self._surroundings is not None:
            surroundings, self._surroundings = self._surroundings, None
            await surroundings.close()


async def _given(response: Response) -> Response:
    return response


@contextmanager
def _uncollected(*, first: bool) -> Iterator[None]:
    """Spares the garbage collector what is made inside: of ten thousand applications a million objects.

    They are freed all the same when nobody has them any more, those in a circle the next time this is used.
    """
    if not first:
        gc.unfreeze()
        gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
