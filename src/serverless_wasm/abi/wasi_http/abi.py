"""wasi:http 0.2: components that export `incoming-handler` (docs/abi/wasi-http.md).

A request becomes a resource of the guest; the response that it sets goes out while it still runs.
It decides nothing: the interfaces beside this file translate, net and storage say what a guest may reach.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from serverless_wasm.abi.base import Invocation
from serverless_wasm.abi.wasi_http.answer import HttpAnswer
from serverless_wasm.abi.wasi_http.host import Host, key_of
from serverless_wasm.abi.wasi_http.incoming import IncomingRequest
from serverless_wasm.abi.wasi_http.interface import ANSWERS
from serverless_wasm.abi.wasi_http.interfaces import INTERFACES
from serverless_wasm.abi.wasi_http.outgoing import ResponseOutparam
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.errors import BadResponse, GuestExit, LinkError
from serverless_wasm.limits import Limits
from serverless_wasm.messages import Response
from serverless_wasm.text import printable
from serverless_wasm.wasm.capi import KIND_OF_TYPE
from serverless_wasm.wasm.code import Code
from serverless_wasm.wasm.components.blueprint import Lifted
from serverless_wasm.wasm.components.component import Component
from serverless_wasm.wasm.components.crossing import Crossing
from serverless_wasm.wasm.components.linking import ComponentLinker, call_of
from serverless_wasm.wasm.fiber import Fiber
from serverless_wasm.wasm.linker import LinkedModule, Linker
from serverless_wasm.wasm.plan import Terms
from serverless_wasm.wasm.scheduler import Scheduler

_HANDLER = ("wasi:http/incoming-handler", "0.2")
_REQUEST, _OUTPARAM = 1, 2
"""The handles that the entry is called with: the first two of each guest's table."""


class WasiHttpAbi:
    """Runs components that answer through wasi:http."""

    name = "wasi-http"
    entry = "handle"
    streams = True
    reuses = True

    def __init__(self, scheduler: Scheduler, linker: Linker) -> None:
        self._scheduler = scheduler
        self._linker = ComponentLinker(scheduler, linker, ANSWERS)
        self._host = Host(INTERFACES)

    def matches(self, code: Code) -> bool:
        """Whether it is a component that exports the interface, at any released 0.2."""
        return isinstance(code, Component) and _entry(code, self.entry) is not None

    def is_prompt(self, _linked: LinkedModule) -> bool:
        """No: there is a world for each."""
        return False

    def missing(self, code: Code) -> tuple[str, ...]:
        """A sentence for each function that the component calls, and that is not offered."""
        if not isinstance(code, Component):
            return ("it is a core module, not a component",)
        return self._host.missing(code.blueprint)

    def link(
        self, code: Code, function: str, limits: Limits, variables: Mapping[bytes, bytes]
    ) -> LinkedModule:
        """Resolves a component for calls of `function`; raises LinkError that names all that does not fit."""
        if not isinstance(code, Component):
            raise LinkError("it is a core module; wasi-http is for components")
        entry = _entry(code, function)
        problems = [*self.missing(code), *_problems(code, function, limits, found=entry is not None)]
        if problems or entry is None:
            raise LinkError("; ".join(problems))
        handle = KIND_OF_TYPE["i32"]
        call = call_of(entry, ((handle, _REQUEST), (handle, _OUTPARAM)))
        terms = Terms(limits=limits, calls=(call,), variables=variables)
        return self._linker.link(code, self._host.find, entry, terms)

    async def _run(self, fiber: Fiber) -> bool:
        """Runs a fiber to its end; False when the guest has ended itself, well."""
        try:
            await self._scheduler.run(fiber)
        except GuestExit as ended:
            if ended.exit_code:
                raise
            return False
        return True

    async def run(self, linked: LinkedModule, invocation: Invocation) -> Response:
        """Runs one invocation to its end; its response may begin before that (Invocation.begin)."""
        shelf, reuse = self._scheduler.admission.shelf, invocation.grants.reuse
        instance = shelf.take(linked.plan) if reuse > 1 else None
        fiber = Fiber(self._scheduler.engine, linked.plan, invocation, instance)
        fiber.deadline, fiber.held = invocation.deadline, invocation.held
        fiber.share, fiber.number = invocation.grants.application, invocation.grants.number
        world, answer = _begin(fiber, invocation)
        kept = False
        try:
            whole = await self._run(fiber)
            await invocation.keep_files()
            response = answer.finish()
            answered = 1 + (instance.answered if instance else 0)
            kept = whole and answered < reuse
        except (asyncio.CancelledError, Exception) as error:
            answer.fail(BadResponse("cut short") if isinstance(error, asyncio.CancelledError) else error)
            raise
        finally:
            invocation.account(fiber)
            if kept:
                world.rest()
                shelf.put(linked.plan, fiber.keep(answered))
            else:
                world.close()
                fiber.close()
        return response


def _begin(fiber: Fiber, invocation: Invocation) -> tuple[World, HttpAnswer]:
    """The world of a guest and its answer, with the two resources that its entry is called with."""
    answer = HttpAnswer(invocation)
    if fiber.crossing is None:
        world = World(invocation)
        fiber.crossing = Crossing(fiber, world)
    else:
        world = fiber.crossing.world
        world.invocation = invocation
        fiber.crossing.serve(fiber)
    world.answer = answer
    world.handles.place(_REQUEST, IncomingRequest(invocation))
    world.handles.place(_OUTPARAM, ResponseOutparam())
    return world, answer


def _entry(component: Component, function: str) -> Lifted | None:
    """The function of the component's handler that is called."""
    for each in component.blueprint.exports:
        if key_of(each.interface) == _HANDLER and each.name == function:
            return each
    return None


def _problems(component: Component, function: str, limits: Limits, *, found: bool) -> list[str]:
    """Why the component can never be run."""
    problems: list[str] = []
    if not found:
        offered = ", ".join(printable(each.interface, 64) for each in component.blueprint.exports)
        problems.append(
            f'function "{printable(function, 64)}" of wasi:http/incoming-handler@0.2 is not exported; '
            f"the component exports: {offered or 'nothing'}"
        )
    begins = component.begins
    if begins.memory > limits.memory:
        problems.append(f"memory starts at {begins.memory} bytes, beyond the limit of {limits.memory}")
    if begins.table_elements > limits.table_elements:
        problems.append(
            f"a table starts with {begins.table_elements} elements, beyond {limits.table_elements}"
        )
    return problems
