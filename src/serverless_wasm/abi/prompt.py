"""Guests that begin before there is an invocation, and mostly end before one is needed.

A request comes in; its response, ready to be sent, goes out, or the invocation that has begun for it.
It must never do for a guest what an invocation would not, nor lose one that goes on.

Compiled host functions give most guests what they ask for (wasm/fast.c). Of Python such a guest needs nothing
but the record that it was there; the rest is made when somebody first asks for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import Any

from serverless_wasm.abi.base import Grants, Invocation, noted
from serverless_wasm.abi.request_text import RequestTexts, reads
from serverless_wasm.events import InvocationFinished
from serverless_wasm.messages import Prepared, Request
from serverless_wasm.wasm.capi import NULL, ffi
from serverless_wasm.wasm.engine import Engine
from serverless_wasm.wasm.fiber import Fiber
from serverless_wasm.wasm.linker import LinkedModule
from serverless_wasm.wasm.plan import Plan
from serverless_wasm.wasm.pure import ANSWERED
from serverless_wasm.wasm.scheduler import Scheduler

Make = Callable[[], Invocation]


class PromptFiber(Fiber):
    """A fiber whose owner is made when it is first asked for.

    Its first `go` is True when the guest has answered and nobody has asked; the next goes on from there.
    """

    __slots__ = ("_answer", "_how", "_is_new", "_make", "_text")

    def __init__(self, engine: Engine, plan: Plan, make: Make) -> None:
        self._answer: Any = plan.answer
        self._how: int | None = None
        self._is_new = True
        self._make: Make | None = make
        self._text: Any = NULL
        super().__init__(engine, plan, None)
        del self.owner

    def __getattr__(self, name: str) -> Any:
        """Makes the owner, which is missing until somebody asks for it."""
        if name != "owner" or self._make is None:
            raise AttributeError(name)
        self.owner = self._make()
        self.own.attended = True
        return self.owner

    def tell(self, text: Any) -> None:
        """Lets compiled host functions read a request (request_text.py)."""
        self._text = self.own.request = text

    def go(self) -> bool:
        """See the class; raises as any fiber does, but not the first time."""
        is_first, self._is_new = self._is_new, False
        if is_first:
            self._how = self._answer(self.own)
            if self._how != ANSWERED and self.own.answer.touched:  # the next guest notes in the same place
                self.collect()
            return self._how == ANSWERED
        how, self._how = self._how, None
        return super().go() if how is None else self.settle(how)

    def retire(self) -> None:
        """Frees the guest, which has answered, and forgets who it was for."""
        self.free()
        self._make = self._text = None

    def renew(self, make: Make) -> None:
        """Makes it a new one."""
        self.lend()
        self._is_new = True
        self._make = make
        self.busy = 0.0


class Prompt:
    """Answers the requests of one application, each with a fresh guest."""

    def __init__(self, scheduler: Scheduler, linked: LinkedModule, grants: Grants) -> None:
        self._grants = grants
        self._linked = linked
        self._request: Request | None = None
        self._scheduler = scheduler
        self._since = 0.0
        self._spare: PromptFiber | None = None
        self._texts = RequestTexts() if reads(linked.module) else None
        self._noted = scheduler.engine.answer
        self._wire = self._noted.wire

    def answer(self, request: Request) -> Prepared | Invocation:
        """The response, and its record is told; or an invocation that has begun, and must be run at once."""
        self._since = perf_counter()
        self._request = request
        fiber = self._fiber()
        try:
            if self._texts is not None:
                fiber.tell(self._texts.of(request))
            invocation: Invocation | None = None if self._scheduler.stretch(fiber) else fiber.owner
        except BaseException:
            fiber.stop()
            fiber.close()
            raise
        finally:
            self._request = None
        if invocation is None:
            return self._answered(request, fiber)
        invocation.started = fiber
        return invocation

    def _fiber(self) -> PromptFiber:
        fiber, self._spare = self._spare, None
        if fiber is None:
            fiber = PromptFiber(self._scheduler.engine, self._linked.plan, self._invocation)
            fiber.number = self._grants.number
        else:
            fiber.renew(self._invocation)
        return fiber

    def _invocation(self) -> Invocation:
        """What an application makes for a request that it admits."""
        request, limits = self._request, self._grants.limits
        if request is None:
            raise RuntimeError("a guest without a request")
        invocation = Invocation(request, self._grants)
        invocation.since = self._since
        invocation.held = self._linked.module.begins.memory
        invocation.deadline = asyncio.get_running_loop().time() + limits.timeout
        return invocation

    def _answered(self, request: Request, fiber: PromptFiber) -> Prepared:
        own, answer = fiber.own, self._noted
        status, memory, calls = answer.status, own.size, own.host_calls
        prepared = Prepared(
            status or 200,
            noted(answer, answer.reason) if status else b"",
            ffi.buffer(self._wire, answer.wire_size)[:],
        )
        fiber.retire()
        self._spare = fiber
        self._grants.emit(
            InvocationFinished(
                request_id=request.id,
                application=self._grants.application,
                method=request.method,
                path=request.path,
                status=prepared.status,
                outcome="ok",
                wall_ms=(perf_counter() - self._since) * 1e3,
                cpu_ms=fiber.busy * 1e3,
                memory_peak=memory,
                host_calls=calls,
                log_dropped=0,
            )
        )
        return prepared
