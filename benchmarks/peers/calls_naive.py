"""The wheel's public API, with a new instance for each request; GET /calls/N asks a host function N times.

A request comes in; the bytes that the guest in $GUESTS was given go out as a decimal, over RSGI.
It must never keep an instance for a second request.
"""

from __future__ import annotations

from typing import Any

import wasmtime

from benchmarks.peers.naive import GUESTS, TYPE, engine

VARIABLES = {b"greeting": b"Hello, world!\n"}


def get(caller: wasmtime.Caller, key: int, key_size: int, buffer: int, size: int) -> int:
    """Writes a variable's value into the guest's buffer, and returns its length; -1 when there is none."""
    memory: Any = caller["memory"]
    value = VARIABLES.get(bytes(memory.read(caller, key, key + key_size)))
    if value is None:
        return -1
    memory.write(caller, value[:size], buffer)
    return len(value)


i32, i64 = wasmtime.ValType.i32(), wasmtime.ValType.i64()
module = wasmtime.Module.from_file(engine, GUESTS / "peers_calls.wasm")
linker = wasmtime.Linker(engine)
linker.define_func("host", "get", wasmtime.FuncType([i32, i64, i32, i64], [i64]), get, access_caller=True)


async def rsgi(scope: Any, protocol: Any) -> None:
    """Granian's own interface."""
    store = wasmtime.Store(engine)
    calls: Any = linker.instantiate(store, module).exports(store)["calls"]
    total = calls(store, int(scope.path.rpartition("/")[2] or 0))
    protocol.response_bytes(200, TYPE, b"%d\n" % total)
