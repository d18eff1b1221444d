"""wasi:logging: lines of the guest's, each with a level and a context.

Texts come in; lines of the log go out, within the application's quota.
It must never put a level of the guest's in place of the record's own: a guest may claim anything.
"""

from __future__ import annotations

from serverless_wasm.abi.wasi_http.interface import Interface, function
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.wasm.components.types import STRING, Enum

LEVEL = Enum(("trace", "debug", "info", "warn", "error", "critical"))


def log(world: World, level: str, context: str, message: str) -> None:
    head = f"{level.upper()} {context}" if context else level.upper()
    world.invocation.log(f"{head}: {message}".encode())


LOGGING = Interface(
    "wasi:logging/logging",
    (function("log", log, ("level", LEVEL), ("context", STRING), ("message", STRING)),),
    versions=("0.1.0-draft", ""),
)
