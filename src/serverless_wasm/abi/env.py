"""The seed's contract: host functions of the import module `env` (docs/abi/env.md).

Windows of guest memory come in, capabilities are called, numbers and bytes go back.
It decides nothing: limits, policy and the validity of a response live in their own rooms.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable

from serverless_wasm.abi.base import Invocation, run_guest
from serverless_wasm.abi.command import reactor, run
from serverless_wasm.abi.core import CoreAbi
from serverless_wasm.abi.response import REASON_LIMIT
from serverless_wasm.abi.wasi.functions import NAMESPACE as WASI
from serverless_wasm.errors import HostLimit
from serverless_wasm.limits import KIB, MIB
from serverless_wasm.messages import Response
from serverless_wasm.wasm.linker import HostFunction, Kind, LinkedModule, Reply
from serverless_wasm.wasm.memory import Window
from serverless_wasm.wasm.modules import Module

NAMESPACE = "env"
MISSING = -1
NAME_LIMIT = 64 * KIB  # a longer key or target can name nothing
WRITE_LIMIT = 1 * MIB  # what one tcp_write takes: it is copied
RANDOM_LIMIT = 1 * MIB  # what one random_get gives


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
    return Reply(len(body), ((buffer, body[offset : offset + buffer.size]),))


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
    HostFunction("request_get_method", (_WINDOW,), "i64", request_get_method, compiled="fast_get_method"),
    HostFunction("request_get_path", (_WINDOW,), "i64", request_get_path, compiled="fast_get_path"),
    HostFunction("request_get_query", (_WINDOW,), "i64", request_get_query, compiled="fast_get_query"),
    HostFunction(
        "request_get_header", (_WINDOW, _WINDOW), "i64", request_get_header, compiled="fast_get_header"
    ),
    HostFunction(
        "request_get_param", (_WINDOW, _WINDOW), "i64", request_get_param, compiled="fast_get_parameter"
    ),
    HostFunction("request_get_body", (_U64, _WINDOW), "i64", request_get_body, waits=True),
    HostFunction("tcp_close", (_U32,), "i32", tcp_close),
    HostFunction("random_get", (_WINDOW,), None, random_get),
    HostFunction("clock_now_ms", (), "i64", clock_now_ms),
)


class EnvAbi(CoreAbi):
    """Runs modules that import nothing but the functions of `env` and WASI preview 1, or nothing at all."""

    name = "env"
    entry = "handle"
    streams = False

    def speaks(self, module: Module) -> bool:
        """Whether all imports are from `env`, or of WASI."""
        return all(wanted.module in {NAMESPACE, WASI} for wanted in module.imports)

    def is_prompt(self, linked: LinkedModule) -> bool:
        """Whether it makes no calls of WASI, for which there is a process."""
        return WASI not in linked.namespaces

    async def run(self, linked: LinkedModule, invocation: Invocation) -> Response:
        """Runs one invocation in a fresh store; whatever happens, the store is gone afterwards."""
        if WASI in linked.namespaces:
            invocation.process = reactor(invocation)
            await run(self._scheduler, linked, invocation)
        else:
            await run_guest(self._scheduler, linked, invocation)
        return invocation.response.finish()
