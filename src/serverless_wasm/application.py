"""One application as a Handler: body limit, admission, deadline, ABI, capabilities, and the record.

A request comes in; a response goes out, whatever the guest does.
It must never let an exception of the guest's making pass, nor keep anything of it afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from dataclasses import dataclass
from time import monotonic, perf_counter
from typing import Any, NamedTuple

from serverless_wasm.abi.base import Abi, Grants, Invocation
from serverless_wasm.abi.prompt import Prompt
from serverless_wasm.ahead import Begin, answer_of
from serverless_wasm.errors import BodyTooLarge, Error, OutOfService, Unavailable, forget_frames
from serverless_wasm.events import Emit, InternalFault, InvocationFinished
from serverless_wasm.messages import Prepared, Request, Response
from serverless_wasm.rate import Rate
from serverless_wasm.text import printable
from serverless_wasm.wasm.admission import Gate
from serverless_wasm.wasm.linker import LinkedModule
from serverless_wasm.wasm.scheduler import Scheduler

CLIENT_CLOSED = 499  # nginx's word for a client that left; no client ever sees it


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A loaded module and the ABI that runs it."""

    abi: Abi
    linked: LinkedModule


class Application:
    """Answers requests by running `program` with `grants`, each in a fresh sandbox."""

    def __init__(self, program: Program, grants: Grants, scheduler: Scheduler) -> None:
        self.name = grants.application
        self.withdrawn = False
        """Whether it is out of service until a reload."""
        self._program = program
        self._grants = grants
        self._admission = scheduler.admission
        self._gate = Gate(grants.limits, program.linked.module.begins.memory)
        self._rate = Rate(grants.limits.rate) if grants.limits.rate else None
        self._prompt = _prompt(program, grants, scheduler)

    async def __call__(self, request: Request, begin: Begin | None = None) -> Response:
        """The guest's response, or its error's; `begin` takes one that begins before its guest has ended."""
        invocation = Invocation(request, self._grants)
        invocation.begin = begin
        return await self._concluded(invocation, self._admitted(invocation))

    def at_once(self, request: Request) -> Prepared | Awaitable[Response]:
        """The same without waiting, if it can be: see messages.PromptHandler."""
        prompt, gate, body = self._prompt, self._gate, request.body.arrived
        if prompt is None or self.withdrawn or body is None or len(body) > self._grants.limits.request_body:
            return self(request)
        if not self._admission.enters(gate):
            return self(request)
        try:
            answer = prompt.answer(request)
        except Exception as fault:
            self._admission.leave(gate, gate.memory)
            return self._concluded(Invocation(request, self._grants), _failing(fault))
        if isinstance(answer, Invocation):
            return self._concluded(answer, self._run(answer))
        self._admission.leave(gate, gate.memory)
        return answer

    async def _concluded(self, invocation: Invocation, work: Awaitable[Response]) -> Response:
        """The response of an invocation, or its error's; its record is told."""
        request, ending = invocation.request, _Ending("cancelled", CLIENT_CLOSED)
        try:
            response = await work
            ending = _Ending("ok", response.status)
        except Error as error:
            response = Response.of_error(error, request.id)
            ending = _Ending(getattr(error, "outcome", error.code), error.status, str(error))
            forget_frames(error)
        except Exception as fault:  # a fault of ours in one request stays in that request
            self._grants.emit(InternalFault(where=self.name, request_id=request.id, exception=fault))
            response = Response.of_error(Error(), request.id)
            ending = _Ending("internal", response.status)
        finally:
            invocation.close()
            self._grants.emit(_record(invocation, ending))
        return response

    async def _admitted(self, invocation: Invocation) -> Response:
        """Runs the guest once there is room; raises Overloaded, RateLimited or BodyTooLarge if it may not."""
        limits, gate = self._grants.limits, self._gate
        if self.withdrawn:
            raise OutOfService("it has taken workers down again and again")
        if self._rate:
            self._rate.take(monotonic())
        body = invocation.request.body
        declared = body.size or 0
        if declared > limits.request_body:
            raise BodyTooLarge(f"body of {declared} bytes, limit {limits.request_body}")
        if body.arrived is None:
            await body.ready()  # a slow client must not hold a slot, nor a place in the queue
        if not self._admission.enters(gate):
            await self._admission.enter(gate)
        invocation.held = gate.memory
        invocation.deadline = asyncio.get_running_loop().time() + limits.timeout
        return await self._run(invocation)

    async def _run(self, invocation: Invocation) -> Response:
        """Runs the guest of an invocation that was admitted."""
        try:
            return await self._program.abi.run(self._program.linked, invocation)
        finally:
            self._admission.leave(self._gate, invocation.held)


async def _failing(fault: Exception) -> Response:
    raise fault


class StreamingApplication(Application):
    """One whose responses may begin before their guests have ended."""

    async def __call__(self, request: Request, _begin: Begin | None = None) -> Response:
        """The response as soon as it begins; its guest goes on in a task of its own."""

        def work(begin: Begin) -> Coroutine[Any, Any, Response]:
            return Application.__call__(self, request, begin)

        return await answer_of(work)


def application(program: Program, grants: Grants, scheduler: Scheduler) -> Application:
    """The application of a program, of the kind that its ABI asks for."""
    kind = StreamingApplication if program.abi.streams else Application
    return kind(program, grants, scheduler)


class BrokenApplication:
    """Stands for an application that could not be loaded: answers 503, each time with a record."""

    def __init__(self, name: str, reason: str, emit: Emit) -> None:
        self.name = name
        self.reason = reason
        self.withdrawn = False
        self._emit = emit

    async def __call__(self, request: Request) -> Response:
        """503, as the neighbours' good health is no reason to say 404."""
        error = Unavailable("the application could not be loaded")
        self._emit(
            InvocationFinished(
                request_id=request.id,
                application=self.name,
                method=request.method,
                path=request.path,
                status=error.status,
                outcome=error.outcome,
                detail=str(error),
                wall_ms=0.0,
                cpu_ms=0.0,
                memory_peak=0,
                host_calls=0,
                log_dropped=0,
            )
        )
        return Response.of_error(error, request.id)


class _Ending(NamedTuple):
    outcome: str
    status: int
    detail: str = ""


def _prompt(program: Program, grants: Grants, scheduler: Scheduler) -> Prompt | None:
    """What answers without waiting: nothing where requests are counted, nor on the pure path."""
    linked = program.linked
    is_prompt = program.abi.is_prompt(linked) and linked.plan.answer is not None and not grants.limits.rate
    return Prompt(scheduler, linked, grants) if is_prompt else None


def _record(invocation: Invocation, ending: _Ending) -> InvocationFinished:
    return InvocationFinished(
        request_id=invocation.request.id,
        application=invocation.grants.application,
        method=invocation.request.method,
        path=invocation.request.path,
        status=ending.status,
        outcome=ending.outcome,
        detail=printable(ending.detail) if ending.detail else "",
        wall_ms=(perf_counter() - invocation.since) * 1e3,
        cpu_ms=invocation.busy * 1e3,
        memory_peak=invocation.memory_peak,
        host_calls=invocation.host_calls,
        log_dropped=invocation.log_dropped,
    )
