"""wasi:random: bytes that nobody can guess, also where an interface would be content with less.

How many comes in; so many go out.
It must never make more at once than the event loop can spare the time for.
"""

from __future__ import annotations

import os

from serverless_wasm.abi.wasi_http.interface import Interface, function
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.errors import HostLimit
from serverless_wasm.limits import MIB
from serverless_wasm.wasm.components.types import BYTES, U64, TupleOf

MOST = MIB
"""Bytes of one call, as of preview 1's random_get."""


def _bytes(world: World, size: int) -> bytes:
    if size > MOST:
        raise HostLimit(f"random: {size} bytes at once, at most {MOST}")
    return os.urandom(size)


def _number(world: World) -> int:
    return int.from_bytes(os.urandom(8), "little")


def _seed(world: World) -> tuple[int, int]:
    return _number(world), _number(world)


RANDOM = Interface(
    "wasi:random/random",
    (
        function("get-random-bytes", _bytes, ("len", U64), gives=BYTES),
        function("get-random-u64", _number, gives=U64),
    ),
)
INSECURE = Interface(
    "wasi:random/insecure",
    (
        function("get-insecure-random-bytes", _bytes, ("len", U64), gives=BYTES),
        function("get-insecure-random-u64", _number, gives=U64),
    ),
)
INSECURE_SEED = Interface(
    "wasi:random/insecure-seed", (function("insecure-seed", _seed, gives=TupleOf((U64, U64))),)
)
