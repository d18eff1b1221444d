"""One configuration made live: every application loaded, and the router that finds them.

A Configuration comes in; a Handler goes out.
It must never fail as a whole because one application is broken.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from serverless_wasm.abi import Abis
from serverless_wasm.abi.base import Grants
from serverless_wasm.application import Application, BrokenApplication, Program
from serverless_wasm.config.configuration import ApplicationConfig
from serverless_wasm.errors import MethodNotAllowed, ModuleError, NotFound, SourceError
from serverless_wasm.events import ApplicationBroken, Emit
from serverless_wasm.messages import Handler, Headers, Request, Response
from serverless_wasm.net.policy import Policy, Target
from serverless_wasm.net.tcp import Network
from serverless_wasm.routing import MatchKind, Pattern, Route, Router
from serverless_wasm.sources import local
from serverless_wasm.wasm.modules import Compiler, Module
from serverless_wasm.wasm.scheduler import Scheduler


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What became of one `[[applications]]` table: a program, or the reason why there is none."""

    config: ApplicationConfig
    module: Module | None = None
    program: Program | None = None
    error: SourceError | ModuleError | None = None


class Loader:
    """Makes programs of configured applications; those with the same module share it."""

    def __init__(self, compiler: Compiler, abis: Abis) -> None:
        self._compiler = compiler
        self._abis = abis
        self._modules: dict[bytes, Module] = {}

    def load(self, config: ApplicationConfig) -> Loaded:
        """Reads, compiles, detects and links; whatever goes wrong is told in the result's `error`."""
        module = None
        try:
            data = local.read(config.file_path)
            if len(data) > config.limits.module_size:
                raise SourceError(
                    f"has {len(data)} bytes, more than module_size, {config.limits.module_size}"
                )
            module = self._module(data)
            abi = self._abis.detect(module, config.abi)
            linked = abi.link(module, config.function, config.limits)
            return Loaded(config=config, module=module, program=Program(abi=abi, linked=linked))
        except (SourceError, ModuleError) as error:
            return Loaded(config=config, module=module, error=error)

    def _module(self, data: bytes) -> Module:
        digest = hashlib.sha256(data).digest()
        if digest not in self._modules:
            self._modules[digest] = self._compiler.compile(data)
        return self._modules[digest]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the applications of one deployment share; `own` are the addresses the service listens on."""

    scheduler: Scheduler
    network: Network
    emit: Emit
    own: tuple[Target, ...] = ()


class Deployment:
    """Answers requests with the applications of one configuration."""

    def __init__(self, loaded: Iterable[Loaded], surroundings: Surroundings) -> None:
        self.applications: list[Application | BrokenApplication] = []
        self._modules: set[Module] = set()
        routes = []
        for item in loaded:
            application = _application(item, surroundings)
            self.applications.append(application)
            self._modules |= {item.module} if item.module else set()
            routes.append(_route(item.config, application))
        self._router = Router(routes)
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def handle(self, request: Request) -> Response:
        """The response of the application whose route fits best; raises NotFound or MethodNotAllowed."""
        match = self._router.match(request.host, request.method, request.path)
        if match.target is not None:
            if match.params:
                request = replace(request, params=match.params)
            self._in_flight += 1
            self._idle.clear()
            try:
                return await match.target(request)
            finally:
                self._in_flight -= 1
                if not self._in_flight:
                    self._idle.set()
        if request.method == "OPTIONS" and (match.allow or request.path == "*"):
            allow = ", ".join(match.allow).encode()
            return Response(status=204, headers=Headers(((b"allow", allow),) if allow else ()))
        if match.kind is MatchKind.PARTIAL:
            raise MethodNotAllowed(match.allow)
        raise NotFound("no route")

    async def close(self) -> None:
        """Waits until nothing is in flight, then frees every application and module."""
        await self._idle.wait()
        for application in self.applications:
            application.close()
        for module in self._modules:
            module.close()


def _route(config: ApplicationConfig, handler: Handler) -> Route[Handler]:
    return Route(
        pattern=Pattern.parse(config.url_path), target=handler, methods=config.methods, host=config.host
    )


def _application(loaded: Loaded, surroundings: Surroundings) -> Application | BrokenApplication:
    config = loaded.config
    if loaded.program is None:
        surroundings.emit(ApplicationBroken(application=config.name, reason=str(loaded.error)))
        return BrokenApplication(config.name, surroundings.emit)
    policy = Policy.for_application(config.allowed_outbound_hosts, config.env.values(), surroundings.own)
    grants = Grants(
        application=config.name,
        function=config.function,
        limits=config.limits,
        variables={key.encode(): value.encode() for key, value in config.env.items()},
        outbound=surroundings.network.for_application(policy, config.limits),
        emit=surroundings.emit,
    )
    return Application(loaded.program, grants, surroundings.scheduler)
