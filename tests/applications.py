"""One application over inline WAT, as a deployment would make it, for tests of what guests see."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from sandbox import Sandbox, wat
from serverless_wasm.abi import Abis
from serverless_wasm.abi.base import Grants, Invocation
from serverless_wasm.ahead import Begin
from serverless_wasm.application import Application, Program, application
from serverless_wasm.events import Event, InvocationFinished
from serverless_wasm.limits import Limits
from serverless_wasm.messages import Headers, Prepared, Request, Response
from serverless_wasm.net.policy import Policy
from serverless_wasm.net.tcp import Network
from serverless_wasm.wasm.fast import CompiledSteps

HELLO = """(module (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 1) (data (i32.const 0) "hello")
  (func (export "handle") (call $body (i32.const 0) (i64.const 5))))"""


class AtOnce:
    """An application that is asked as a door asks it: what it answers at once becomes a response."""

    def __init__(self, made: Application) -> None:
        object.__setattr__(self, "_made", made)

    async def __call__(self, request: Request, begin: Begin | None = None) -> Response:
        """Its response."""
        answer = self._made(request, begin) if begin else self._made.at_once(request)
        return sent(answer) if isinstance(answer, Prepared) else await answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._made, name, value)


def sent(prepared: Prepared) -> Response:
    """The response that a client reads."""
    head, _, body = prepared.rest.partition(b"\r\n\r\n")
    *lines, length = head.split(b"\r\n")
    assert b"content-length: %d" % len(body) == length
    pairs = tuple((name, value) for name, _, value in (line.partition(b": ") for line in lines))
    return Response(status=prepared.status, reason=prepared.reason, headers=Headers(pairs), body=body)


class Host:
    """Runs applications in a sandbox and keeps every event they caused."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.abis = Abis(sandbox.scheduler)
        self.network = Network()
        self.events: list[Event] = []

    def application(
        self,
        module: str | bytes,
        *,
        env: Mapping[str, str] | None = None,
        allowed: tuple[str, ...] = (),
        limits: Limits | None = None,
        function: str | None = None,
        abi: str | None = None,
        **granted: Any,
    ) -> Application:
        """An application of a module given as WAT or as bytes; `granted` are further fields of its grants."""
        env, limits = env or {}, limits or Limits()
        compiled = self.sandbox.code(wat(module) if isinstance(module, str) else module)
        contract = self.abis.detect(compiled, abi)
        grants = replace(self.grants(env, limits, allowed), **granted)
        linked = contract.link(compiled, function or contract.entry, limits, grants.variables)
        program = Program(abi=contract, linked=linked)
        made = application(program, grants, self.sandbox.scheduler)
        is_prompt = isinstance(self.sandbox.engine.steps, CompiledSteps)
        return cast("Application", AtOnce(made)) if is_prompt else made

    def grants(self, env: Mapping[str, str], limits: Limits, allowed: tuple[str, ...] = ()) -> Grants:
        """What the application may use."""
        return Grants(
            application="app",
            limits=limits,
            variables={key.encode(): value.encode() for key, value in env.items()},
            outbound=self.network.for_application(Policy.for_application(allowed, env.values()), limits),
            emit=self.events.append,
        )

    def invocation(self, request: Request, env: Mapping[str, str], limits: Limits) -> Invocation:
        """An invocation for tests that drive a fiber themselves."""
        return Invocation(request, self.grants(env, limits))

    @property
    def finished(self) -> list[InvocationFinished]:
        """The invocation records so far."""
        return [event for event in self.events if isinstance(event, InvocationFinished)]

    def close(self) -> None:
        """Ends the resolver's threads."""
        self.network.close()


def request(**fields: Any) -> Request:
    """A GET of `/` but for what is given."""
    return Request(**{"id": "r-1", "method": "GET", "path": "/", **fields})


async def whole(host: Host, application: Application, asked: Request) -> tuple[int, bytes]:
    """Status and body of an answer, once its guest is gone: one that is not given the processor streams."""
    before = len(host.finished)
    response = await application(asked)
    body = (
        response.body
        if isinstance(response.body, bytes)
        else b"".join([part async for part in response.body])
    )
    while len(host.finished) == before:  # noqa: ASYNC110 - a guest tells nobody that it is over
        await asyncio.sleep(0.001)
    return response.status, body


def body_of(response: Response) -> bytes:
    """The body of a response that is not streamed."""
    assert isinstance(response.body, bytes)
    return response.body
