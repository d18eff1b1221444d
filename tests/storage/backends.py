"""What keeps files in the tests: each a place of its own on a real service, and short words for using it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import pytest

from serverless_wasm.limits import MIB, Limits
from serverless_wasm.storage.files.stores import Files, FileStores, Place
from serverless_wasm.stores import Remote
from services import Service

BACKENDS = ("disk", "memory", "s3", "azure")
LIMITS = Limits(store_timeout=20.0, file_size=4 * MIB)
"""Patient: a machine under test may be slow."""
PATIENCE = 10.0
"""Seconds for a call of the system that is under way."""
Answer = TypeVar("Answer")
_number = count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One way to keep files; `fresh` gives a place with nothing in it."""

    name: str
    fresh: Callable[[], Path | Remote]

    def place(self, name: str = "/data", **more: Any) -> Place:
        """A fresh one that may be written."""
        return replace(Place(name=name, where=self.fresh(), write=True), **more)


def backend(name: str, request: pytest.FixtureRequest, folder: Path) -> Backend:
    """Of that name; skips where its server is not installed."""
    if name == "disk":
        return Backend(name=name, fresh=lambda: _made(folder / f"disk-{next(_number)}"))
    if name == "memory":
        return Backend(name=name, fresh=lambda: Remote(url=f"memory://{next(_number)}"))
    service: Service = request.getfixturevalue(name)
    return Backend(name=name, fresh=lambda: service.remote(f"place {next(_number)}"))


def _made(path: Path) -> Path:
    path.mkdir()
    return path


@asynccontextmanager
async def files(*places: Place, limits: Limits = LIMITS) -> AsyncIterator[Files]:
    """The files of an application, open for as long as a test needs them; threads of disks end with them."""
    before, stores = set(threading.enumerate()), FileStores()
    try:
        yield stores.for_application(places, limits)
    finally:
        stores.close()
        for thread in set(threading.enumerate()) - before:
            if thread.name.startswith("files"):  # the one that sweeps, for one, has a folder open
                thread.join(PATIENCE)


def run(main: Coroutine[Any, Any, Answer]) -> Answer:
    """On a loop of its own that complains about what is left."""
    return asyncio.run(main, debug=True)


async def content(files: Files, path: bytes) -> bytes:
    """What is in a file."""
    return (await files.get(path, 0, 64 * MIB))[1]
