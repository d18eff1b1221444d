"""One release made live: every application loaded, and the router that finds them.

A Release comes in; a Handler goes out.
It must never fail as a whole because one application is broken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from msgspec.structs import replace

from serverless_wasm.abi.base import Grants
from serverless_wasm.application import Application, BrokenApplication, application
from serverless_wasm.config.configuration import ApplicationConfig
from serverless_wasm.engine_room import EngineRoom, Loaded
from serverless_wasm.errors import MethodNotAllowed, NotFound
from serverless_wasm.events import Emit
from serverless_wasm.messages import Handler, Headers, Prepared, Request, Response, Streaming
from serverless_wasm.net.policy import Policy, Target
from serverless_wasm.net.tcp import Network
from serverless_wasm.release import Part, Release
from serverless_wasm.routing import MatchKind, Pattern, Route, Router
from serverless_wasm.storage.files.stores import FileStores
from serverless_wasm.storage.kv.stores import KeyValueStores


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all deployments of a service share; `own` are the addresses the service listens on."""

    network: Network
    emit: Emit
    own: tuple[Target, ...] = ()
    files: FileStores = field(default_factory=FileStores)
    key_values: KeyValueStores = field(default_factory=KeyValueStores)

    async def close(self) -> None:
        """Frees what the applications had; called when none of them answers any more."""
        self.network.close()
        self.files.close()
        await self.key_values.close()


class Deployment:
    """Answers requests with the applications of one release.

    An application that is the same in `previous` is taken over from there with its queue and its rate, if
    both have the same `room`. Blocks while modules are loaded.
    """

    def __init__(
        self,
        release: Release,
        room: EngineRoom,
        surroundings: Surroundings,
        previous: Deployment | None = None,
    ) -> None:
        self.release = release
        self.room = room
        self.applications: list[Application | BrokenApplication] = []
        known = previous.applications_by_part() if previous is not None and previous.room is room else {}
        routes = []
        for part in release.parts:
            before = known.get(part.config.name)
            if before is not None and part.same(before[0]):
                made: Application | BrokenApplication = before[1]
            else:
                made = _application(room.load(part), room, surroundings)
            self.applications.append(made)
            routes.append(_route(part.config, made))
        self._router = Router(routes)
        self._in_flight = 0
        self._idle: asyncio.Event | None = None  # once somebody waits for it

    def applications_by_part(self) -> Mapping[str, tuple[Part, Application]]:
        """Every application that was loaded, with the part it was made of."""
        pairs = zip(self.release.parts, self.applications, strict=True)
        return {part.config.name: (part, made) for part, made in pairs if isinstance(made, Application)}

    @property
    def broken(self) -> dict[str, str]:
        """Why each application that answers 503 does so, by name."""
        return {made.name: made.reason for made in self.applications if isinstance(made, BrokenApplication)}

    @property
    def in_flight(self) -> int:
        """Requests that are being answered."""
        return self._in_flight

    def withdraw(self, names: AbstractSet[str]) -> None:
        """Takes these applications out of service, and puts all others back."""
        for made in self.applications:
            made.withdrawn = made.name in names

    async def handle(self, request: Request) -> Response:
        """The response of the application whose route fits best; raises NotFound or MethodNotAllowed."""
        match = self._router.match(request.host, request.method, request.path)
        if match.target is not None:
            if match.params:
                request = replace(request, params=match.params)
            return await self._counted(match.target(request))
        if request.method == "OPTIONS" and (match.allow or request.path == "*"):
            allow = ", ".join(match.allow).encode()
            return Response(status=204, headers=Headers(((b"allow", allow),) if allow else ()))
        if match.kind is MatchKind.PARTIAL:
            raise MethodNotAllowed(match.allow)
        raise NotFound("no route")

    def at_once(self, request: Request) -> Prepared | Awaitable[Response]:
        """The same without waiting, if it can be: see messages.PromptHandler."""
        match = self._router.match(request.host, request.method, request.path)
        if not isinstance(match.target, Application):
            return self.handle(request)
        answer = match.target.at_once(replace(request, params=match.params) if match.params else request)
        return answer if isinstance(answer, Prepared) else self._counted(answer)

    async def _counted(self, work: Awaitable[Response]) -> Response:
        """Counts it as in flight until it is over, its body included."""
        self._in_flight += 1
        try:
            response = await work
            if type(response.body) is not bytes and isinstance(response.body, Streaming):
                self._in_flight += 1
                response.body.when_over(self._left)
            return response
        finally:
            self._left()

    def _left(self, _task: object = None) -> None:
        """One is not in flight any more."""
        self._in_flight -= 1
        if self._idle is not None and not self._in_flight:
            self._idle.set()

    async def drained(self) -> None:
        """Waits until nothing is in flight."""
        while self._in_flight:
            self._idle = self._idle or asyncio.Event()
            self._idle.clear()
            await self._idle.wait()


def _route(config: ApplicationConfig, handler: Handler) -> Route[Handler]:
    return Route(
        pattern=Pattern.parse(config.url_path), target=handler, methods=config.methods, host=config.host
    )


def _application(
    loaded: Loaded, room: EngineRoom, surroundings: Surroundings
) -> Application | BrokenApplication:
    config = loaded.config
    if loaded.program is None:
        return BrokenApplication(config.name, loaded.error, surroundings.emit)
    try:
        files = surroundings.files.for_application(config.files, config.limits)
        keys = surroundings.key_values.for_application(config.name, config.key_value, config.limits)
    except ValueError as error:
        return BrokenApplication(config.name, str(error), surroundings.emit)
    policy = Policy.for_application(config.allowed_outbound_hosts, config.env.values(), surroundings.own)
    grants = Grants(
        application=config.name,
        number=loaded.number,
        route=config.url_path,
        arguments=config.arguments,
        precise_clocks=config.precise_clocks,
        reuse=config.reuse,
        limits=config.limits,
        variables=config.variables,
        outbound=surroundings.network.for_application(policy, config.limits),
        mounts=room.mounts(config),
        files=files,
        key_value=keys,
        emit=surroundings.emit,
    )
    return application(loaded.program, grants, room.scheduler)
