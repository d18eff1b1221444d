"""The seed's contract: host functions of the import module `env` (docs/abi/env.md).

Windows of guest memory come in, capabilities are called, numbers and bytes go back.
It decides nothing: limits, policy and the validity of a response live in their own rooms.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Iterator, Mapping

from serverless_wasm.abi.base import Invocation
from serverless_wasm.abi.response import REASON_LIMIT
from serverless_wasm.errors import HostLimit, LinkError
from serverless_wasm.limits import KIB, MIB, Limits
from serverless_wasm.messages import Response
from serverless_wasm.text import printable
from serverless_wasm.wasm.fiber import Fiber
from serverless_wasm.wasm.linker import HostFunction, Kind, LinkedModule, Linker, Reply
from serverless_wasm.wasm.memory import Window
from serverless_wasm.wasm.modules import FunctionType, Module
from serverless_wasm.wasm.plan import Call, Terms
from serverless_wasm.wasm.scheduler import Scheduler

NAMESPACE = "env"
MISSING = -1
NAME_LIMIT = 64 * KIB  # a longer key or target can name nothing
WRITE_LIMIT = 1 * MIB  # what one tcp_write takes: it is copied
RANDOM_LIMIT = 1 * MIB  # what one random_get gives
_INITIALIZE = "_initialize"  # a reactor's constructor, to be called once before any export
_ENTRY = FunctionType()


def log(call: Invocation, message: Window) -> None:
    call.log(message.read(call.grants.limits.log_bytes + 1))


def response_set_status_line(call: Invocation, status: int, reason: Window) -> None:
    call.response.set_status(status, reason.read(REASON_LIMIT + 1))


def response_set_header(call: Invocation, name: Window, value: Window) -> None:
    most = call.grants.limits.response_header_bytes + 1
    call.response.add_header(name.read(most), value.read(most))


def response_set_body(call: Invocation, body: Window) -> None:
    limit = call.grants.limits.response_body
    if body.size > limit:
        raise HostLimit(f"response_body: {body.size} bytes, limit {limit}")
    call.response.set_body(body.read())


def db_get(call: Invocation, key: Window, value: Window) -> int:
    return _give(call.grants.variables.get(key.read(NAME_LIMIT)), value)


def request_get_method(call: Invocation, buffer: Window) -> int:
    return _give(call.request.method.encode(), buffer)


def request_get_path(call: Invocation, buffer: Window) -> int:
    return _give(call.request.path.encode(), buffer)


def request_get_query(call: Invocation, buffer: Window) -> int:
    return _give(call.request.query.encode(), buffer)


def request_get_header(call: Invocation, name: Window, buffer: Window) -> int:
    return _give(call.request.headers.get(name.read(NAME_LIMIT).lower()), buffer)


def request_get_param(call: Invocation, name: Window, buffer: Window) -> int:
    value = call.request.params.get(name.read(NAME_LIMIT).decode("utf-8", "replace"))
    return _give(None if value is None else value.encode(), buffer)


def request_get_body(call: Invocation, offset: int, buffer: Window) -> Awaitable[Reply]:
    return _body(call, offset, buffer)


async def _body(call: Invocation, offset: int, buffer: Window) -> Reply:
    body = await call.request.body.read(call.grants.limits.request_body)
    return Reply(len(body), buffer, body[offset : offset + buffer.size])


def tcp_connect(call: Invocation, target: Window) -> Awaitable[int]:
    return call.sockets.connect(target.read(NAME_LIMIT))


def tcp_read(call: Invocation, descriptor: int, buffer: Window) -> Awaitable[bytes]:
    return call.sockets.read(descriptor, buffer.size)


def tcp_write(call: Invocation, descriptor: int, data: Window) -> Awaitable[int]:
    return call.sockets.write(descriptor, data.read(WRITE_LIMIT))


def tcp_close(call: Invocation, descriptor: int) -> int:
    call.sockets.close(descriptor)
    return 0


def random_get(_call: Invocation, buffer: Window) -> None:
    if buffer.size > RANDOM_LIMIT:
        raise HostLimit(f"random_get: {buffer.size} bytes, limit {RANDOM_LIMIT}")
    buffer.write(os.urandom(buffer.size))


def clock_now_ms(_call: Invocation) -> int:
    return time.time_ns() // 1_000_000


def _give(value: bytes | None, buffer: Window) -> int:
    """Writes what fits and returns the full length, which may be more; -1 when there is no value."""
    if value is None:
        return MISSING
    buffer.write(value)
    return len(value)


_U32, _U64, _WINDOW = Kind.U32, Kind.U64, Kind.WINDOW
FUNCTIONS = (
    HostFunction("log", (_WINDOW,), None, log),
    HostFunction(
        "response_set_status_line",
        (_U32, _WINDOW),
        None,
        response_set_status_line,
        compiled="fast_set_status",
    ),
    HostFunction(
        "response_set_header", (_WINDOW, _WINDOW), None, response_set_header, compiled="fast_set_header"
    ),
    HostFunction("response_set_body", (_WINDOW,), None, response_set_body, compiled="fast_set_body"),
    HostFunction("tcp_connect", (_WINDOW,), "i32", tcp_connect, waits=True),
    HostFunction("tcp_read", (_U32, _WINDOW), "i64", tcp_read, waits=True),
    HostFunction("tcp_write", (_U32, _WINDOW), "i64", tcp_write, waits=True),
    HostFunction("db_get", (_WINDOW, _WINDOW), "i64", db_get, compiled="fast_db_get"),
    HostFunction("request_get_method", (_WINDOW,), "i64", request_get_method),
    HostFunction("request_get_path", (_WINDOW,), "i64", request_get_path),
    HostFunction("request_get_query", (_WINDOW,), "i64", request_get_query),
    HostFunction("request_get_header", (_WINDOW, _WINDOW), "i64", request_get_header),
    HostFunction("request_get_param", (_WINDOW, _WINDOW), "i64", request_get_param),
    HostFunction("request_get_body", (_U64, _WINDOW), "i64", request_get_body, waits=True),
    HostFunction("tcp_close", (_U32,), "i32", tcp_close),
    HostFunction("random_get", (_WINDOW,), None, random_get),
    HostFunction("clock_now_ms", (), "i64", clock_now_ms),
)


class EnvAbi:
    """Runs modules that import nothing but the functions of `env`, or nothing at all."""

    name = "env"

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._linker = Linker(scheduler.engine, scheduler, NAMESPACE)
        for function in FUNCTIONS:
            self._linker.define(function)

    def matches(self, module: Module) -> bool:
        """Whether all imports are from `env`."""
        return all(wanted.module == NAMESPACE for wanted in module.imports)

    def missing(self, module: Module) -> tuple[str, ...]:
        """A sentence for each import that is not offered, or offered with another type."""
        return self._linker.missing(module)

    def link(
        self, module: Module, function: str, limits: Limits, variables: Mapping[bytes, bytes]
    ) -> LinkedModule:
        """Resolves the module for calls of `function`; raises LinkError that names all that does not fit."""
        problems = [
            *self.missing(module),
            *_entry_problems(module, function),
            *_memory_problems(module, limits),
        ]
        if problems:
            raise LinkError("; ".join(problems))
        calls = [function] if module.export(_INITIALIZE) != _ENTRY else [_INITIALIZE, function]
        terms = Terms(limits=limits, calls=tuple(Call(name.encode()) for name in calls), variables=variables)
        return self._linker.link(module, terms)

    def close(self) -> None:
        """Frees the linker, once nothing is linked with it any more."""
        self._linker.close()

    async def run(self, linked: LinkedModule, invocation: Invocation) -> Response:
        """Runs one invocation in a fresh store; whatever happens, the store is gone afterwards."""
        scheduler = self._scheduler
        fiber = Fiber(scheduler.engine, linked.plan, invocation)
        fiber.deadline, fiber.held = invocation.deadline, invocation.held
        fiber.share, fiber.number = invocation.grants.application, invocation.grants.number
        try:
            await scheduler.run(fiber)
            return invocation.response.finish()
        finally:
            invocation.account(fiber)
            fiber.close()


def _entry_problems(module: Module, function: str) -> list[str]:
    """Why the configured function cannot be called, and which could be."""
    found = module.export(function)
    if found == _ENTRY:
        return []
    offered = [printable(export.name, 64) for export in module.exports if export.type == _ENTRY]
    hint = f"write one of: {', '.join(offered)}" if offered else "it exports no function () -> ()"
    reason = "does not exist" if found is None else f"is {found}, not a function () -> ()"
    return [f'function "{printable(function, 64)}" {reason}; {hint}']


def _memory_problems(module: Module, limits: Limits) -> Iterator[str]:
    """Why the module could never be given what it starts with, or its memory not be found."""
    named, begins = module.export("memory"), module.begins
    if named and not module.memory:
        yield f'export "memory" is {named}, not a memory'
    if begins.memory > limits.memory:
        yield f"memory starts at {begins.memory} bytes, beyond the application's limit of {limits.memory}"
    if begins.table_elements > limits.table_elements:
        yield f"a table starts with {begins.table_elements} elements, beyond {limits.table_elements}"
