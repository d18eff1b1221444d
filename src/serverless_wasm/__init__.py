"""serverless-wasm: one TOML file, many small sandboxed WebAssembly applications over HTTP.

`Service.from_file("config.toml")` is an ASGI application; the command line is `serverless-wasm`.
Nothing inside the package may import from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from serverless_wasm.errors import ConfigError, EngineError, Error, Problem

if TYPE_CHECKING:
    from serverless_wasm.embedded import Service

__all__ = ["ConfigError", "EngineError", "Error", "Problem", "Service"]


def __getattr__(name: str) -> object:
    """Loads `Service` when it is asked for: a process that only supervises must not load the engine."""
    if name == "Service":
        from serverless_wasm.embedded import Service  # noqa: PLC0415 - that is the point

        return Service
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
