"""What a Python developer would write: the wheel's public API, a store and an instance for each request.

A request comes in; what the guests in $GUESTS make of it goes out, over RSGI.
It must never keep an instance for a second request.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import wasmtime
from wasmtime import _bindings

GUESTS = Path(os.environ["GUESTS"])
TYPE = [("content-type", "text/plain")]
INPUT = 65536


def pooling() -> wasmtime.Config:
    """The pooling allocator, which the public API has no word for; without it this peer is twice as slow."""
    config, pool = wasmtime.Config(), _bindings.wasmtime_pooling_allocation_config_new()
    _bindings.wasmtime_pooling_allocation_config_total_memories_set(pool, 1000)
    _bindings.wasmtime_pooling_allocation_config_total_core_instances_set(pool, 1000)
    _bindings.wasmtime_pooling_allocation_config_max_memory_size_set(pool, 64 << 20)
    _bindings.wasmtime_pooling_allocation_strategy_set(config.ptr(), pool)
    return config


engine = wasmtime.Engine(pooling())
linker = wasmtime.Linker(engine)
hello = wasmtime.Module.from_file(engine, GUESTS / "peers.wasm")
echo = wasmtime.Module.from_file(engine, GUESTS / "peers_echo.wasm")


def answer(path: str) -> bytes:
    """The body of a GET."""
    store = wasmtime.Store(engine)
    exports: Any = linker.instantiate(store, hello).exports(store)
    if path.startswith("/work/"):
        return b"%d\n" % exports["work"](store, int(path[6:]))
    packed = exports["handle"](store)
    begin, size = packed >> 32, packed & 0xFFFFFFFF
    return bytes(exports["memory"].read(store, begin, begin + size))


def echoed(body: bytes) -> bytes:
    """The body of a POST, through the guest's memory."""
    store = wasmtime.Store(engine)
    exports: Any = linker.instantiate(store, echo).exports(store)
    exports["memory"].write(store, body, INPUT)
    begin = exports["echo"](store, len(body))
    return bytes(exports["memory"].read(store, begin, begin + len(body)))


async def rsgi(scope: Any, protocol: Any) -> None:
    """Granian's own interface."""
    body = echoed(await protocol()) if scope.method == "POST" else answer(scope.path)
    protocol.response_bytes(200, TYPE, body)
