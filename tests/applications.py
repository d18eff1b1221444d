"""One application over inline WAT, as a deployment would make it, for tests of what guests see."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sandbox import Sandbox, wat
from serverless_wasm.abi import Abis
from serverless_wasm.abi.base import Grants, Invocation
from serverless_wasm.application import Application, Program, application
from serverless_wasm.events import Event, InvocationFinished
from serverless_wasm.limits import Limits
from serverless_wasm.messages import Request, Response
from serverless_wasm.net.policy import Policy
from serverless_wasm.net.tcp import Network

HELLO = """(module (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 1) (data (i32.const 0) "hello")
  (func (export "handle") (call $body (i32.const 0) (i64.const 5))))"""


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
        return application(program, grants, self.sandbox.scheduler)

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
