"""wasi:io/poll: a guest waits for one thing, or for the first of many.

Pollables come in; those that are ready go out, at once if there is one already.
A look around must never be free: it is a host call, and one that finds something does not give the loop away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from serverless_wasm.abi.wasi_http.interface import Interface, Resource, borrow, function, method
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.errors import GuestTrap, HostLimit
from serverless_wasm.wasm.components.types import BOOL, U32, ListOf

MOST_POLLABLES = 1024
"""Of one call: each is a task while the guest waits."""


class Pollable(Resource):
    """Something that may be waited for; it is ready for as long as `is_ready` says so."""

    __slots__ = ("is_ready", "wait")
    name = "wasi:io/poll/pollable"

    def __init__(
        self,
        is_ready: Callable[[], bool],
        wait: Callable[[], Awaitable[None]],
        parent: Resource | None = None,
    ) -> None:
        super().__init__(parent)
        self.is_ready = is_ready
        self.wait = wait
        """Returns once it may be ready; may be cancelled, and begun again, at any time."""


def _ready(world: World, pollable: Pollable) -> bool:
    return pollable.is_ready()


def _block(world: World, pollable: Pollable) -> Awaitable[None] | None:
    if pollable.is_ready():
        return None
    world.flush()
    return _wait_for_one(pollable)


async def _wait_for_one(pollable: Pollable) -> None:
    while not pollable.is_ready():
        await pollable.wait()


def _poll(world: World, pollables: list[Pollable]) -> list[int] | Awaitable[list[int]]:
    if not pollables:
        raise GuestTrap("poll: an empty list would wait for ever")
    if len(pollables) > MOST_POLLABLES:
        raise HostLimit(f"poll: {len(pollables)} pollables at once, at most {MOST_POLLABLES}")
    found = _found(pollables)
    if found:
        return found
    world.flush()
    return _wait_for_some(pollables)


async def _wait_for_some(pollables: list[Pollable]) -> list[int]:
    while not (found := _found(pollables)):
        await _first(list({id(each): each for each in pollables}.values()))
    return found


def _found(pollables: list[Pollable]) -> list[int]:
    return [at for at, each in enumerate(pollables) if each.is_ready()]


async def _first(pollables: Sequence[Pollable]) -> None:
    """Returns when one of the waits is over; raises how one ended badly."""
    if len(pollables) == 1:
        await pollables[0].wait()
        return
    tasks = [asyncio.ensure_future(each.wait()) for each in pollables]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


POLL = Interface(
    "wasi:io/poll",
    (
        method(Pollable, "ready", _ready, gives=BOOL),
        method(Pollable, "block", _block, waits=True),
        function("poll", _poll, ("in", ListOf(borrow(Pollable))), gives=ListOf(U32), waits=True),
    ),
    (Pollable,),
)
