"""What all ABIs share: the invocation that host functions work on, and the shape of an ABI.

A request and an application's grants come in; a response goes out.
It must never hand a guest's pointer to a capability, nor a capability's object to a guest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from serverless_wasm.abi.response import ResponseDraft
from serverless_wasm.events import ConnectionRefused, Emit, GuestLogged
from serverless_wasm.limits import Limits
from serverless_wasm.messages import Request, Response
from serverless_wasm.net.tcp import Outbound, Sockets
from serverless_wasm.text import TEXT_LIMIT, printable
from serverless_wasm.wasm.capi import ffi
from serverless_wasm.wasm.fiber import Fiber
from serverless_wasm.wasm.linker import LinkedModule
from serverless_wasm.wasm.modules import Module


@dataclass(frozen=True, slots=True, kw_only=True)
class Grants:
    """What one application may use, the same for all its invocations."""

    application: str
    number: int = 0
    """The application's number in the breadcrumb of its worker; 0 says nothing."""
    function: str
    limits: Limits
    variables: Mapping[bytes, bytes]
    outbound: Outbound
    emit: Emit


class Invocation:
    """One request through one guest: all that its host functions may touch, and what it used."""

    __slots__ = (
        "_log_bytes", "_log_lines", "_sockets", "busy", "deadline", "grants", "held", "host_calls",
        "log_dropped", "memory_peak", "request", "response",
    )  # fmt: skip

    def __init__(self, request: Request, grants: Grants) -> None:
        self.request = request
        self.grants = grants
        self.deadline = 0.0
        self.response = ResponseDraft(grants.limits)
        self.busy = 0.0
        self.memory_peak = 0
        self.held = 0
        self.host_calls = 0
        self.log_dropped = 0
        self._sockets: Sockets | None = None
        self._log_bytes = grants.limits.log_bytes
        self._log_lines = grants.limits.log_lines

    def log(self, message: bytes) -> None:
        """Emits one line of the guest; what is over the application's quota is dropped and counted.

        What counts is what the log will hold: a byte that has to be escaped is several there.
        """
        if self._log_lines <= 0 or len(message) > self._log_bytes:
            self.log_dropped += 1
            return
        text = printable(message, TEXT_LIMIT)
        size = max(len(message), len(json.dumps(text)) - 2)
        if size > self._log_bytes:
            self.log_dropped += 1
            return
        self._log_lines -= 1
        self._log_bytes -= size
        self.grants.emit(
            GuestLogged(request_id=self.request.id, application=self.grants.application, message=text)
        )

    @property
    def sockets(self) -> Sockets:
        """The invocation's descriptors."""
        if self._sockets is None:
            self._sockets = self.grants.outbound.for_invocation(self._refused)
        return self._sockets

    def _refused(self, target: str, reason: str, remedy: str) -> None:
        self.grants.emit(
            ConnectionRefused(
                request_id=self.request.id,
                application=self.grants.application,
                target=target,
                reason=reason,
                remedy=remedy,
            )
        )

    def close(self) -> None:
        """Closes what the guest left open."""
        if self._sockets is not None:
            self._sockets.close_all()

    def collect(self, answer: Any) -> None:
        """Takes over what compiled host functions have noted and checked: an answer_t of guest.h."""
        noted = ffi.buffer(answer.arena, answer.used)

        def text(span: Any) -> bytes:
            data: bytes = noted[span.at : span.at + span.size]
            return data

        response = self.response
        if answer.status:
            response.set_status(answer.status, text(answer.reason))
        for at in range(answer.fields):
            response.add_header(text(answer.names[at]), text(answer.values[at]))
        if answer.has_body:
            response.set_body(text(answer.body))

    def account(self, fiber: Fiber) -> None:
        """Takes over what a fiber used; called before it is closed."""
        self.busy, self.host_calls = fiber.busy, fiber.host_calls
        self.memory_peak, self.held = fiber.memory_size(), fiber.held


class Abi(Protocol):
    """One contract between guest and host, named as in the configuration's `abi`."""

    name: str

    def matches(self, module: Module) -> bool:
        """Whether the module's imports speak this contract."""

    def link(
        self, module: Module, function: str, limits: Limits, variables: Mapping[bytes, bytes]
    ) -> LinkedModule:
        """Resolves a module for calls of `function`; raises LinkError that names all that does not fit."""

    def missing(self, module: Module) -> tuple[str, ...]:
        """A sentence for each import of the module that this contract does not offer."""

    def close(self) -> None:
        """Frees what it holds of the engine, once nothing is linked with it any more."""

    async def run(self, linked: LinkedModule, invocation: Invocation) -> Response:
        """Runs one invocation to its end; raises the InvocationError or RequestError it ended with."""
