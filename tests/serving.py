"""A service with the applications of a configuration file, without processes and doors of its own."""

from __future__ import annotations

from pathlib import Path

from serverless_wasm.config.load import load
from serverless_wasm.events import Emit
from serverless_wasm.release import Builder, Release
from serverless_wasm.service import Service
from serverless_wasm.wasm.artifacts import Cache, open_cache


async def started(path: Path, emit: Emit, own_addresses: tuple[str, ...] = ()) -> Service:
    """A service that has started; whoever asked for it stops it."""
    cache = open_cache(emit)
    service = Service(emit, cache)
    await service.start(await released(path, cache), own_addresses)
    return service


async def released(path: Path, cache: Cache) -> Release:
    """The release of what the file says now."""
    return await Builder(cache).build(load(path))
