"""`poll_oneoff`: a guest waits for the first of many things, which is how it sleeps, too.

Subscriptions come in; the events of those that are over go out, at once if there is one already.
A look around must never be free: it is a host call, and one that finds something does not give the loop away.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

from serverless_wasm.abi.wasi.buffers import MOST_BYTES, Writes
from serverless_wasm.abi.wasi.clocks import CLOCKS
from serverless_wasm.abi.wasi.descriptors import Input, Messages, OpenFile, OpenObject, Output
from serverless_wasm.abi.wasi.layout import (
    ABSOLUTE,
    CLOCK,
    EVENT,
    FD_READWRITE,
    HANGUP,
    SIZE,
    SUBSCRIPTION,
    EventKind,
    number_of,
    require_known,
)
from serverless_wasm.abi.wasi.process import Process
from serverless_wasm.abi.wasi.waiting import MOST_MESSAGES, Later
from serverless_wasm.storage.beneath import refusal
from serverless_wasm.wasm.memory import Window, window

MOST_SUBSCRIPTIONS = 1024
_LONGEST = 86_400.0
"""Seconds; loops have their bounds, and after a day we may look around."""
Wait = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Subscription:
    """One thing that a guest waits for: a time that a clock shows, or a descriptor."""

    user_data: int
    kind: EventKind
    on: int
    """The clock, or the descriptor."""
    end: int = 0
    """What the clock shows then."""

    @classmethod
    def of(cls, process: Process, user_data: int, kind: int, content: bytes) -> Subscription:
        """Raises OSError (EINVAL) for what is no subscription; one to a clock there is not is one."""
        if kind > max(EventKind):
            raise refusal(errno.EINVAL)
        if kind != EventKind.CLOCK:
            return cls(user_data, EventKind(kind), *FD_READWRITE.unpack(content))
        clock, timeout, _precision, flags = CLOCK.unpack(content)
        require_known(flags, ABSOLUTE)
        began = 0 if flags or clock not in CLOCKS else process.clocks.now(clock)
        return cls(user_data, EventKind.CLOCK, clock, began + timeout)

    def event(self, process: Process) -> bytes | None:
        """The event, if it is over, or can never be; None when one has to wait."""
        size, flags = 0, 0
        try:
            if self.kind is EventKind.CLOCK:
                if process.clocks.until(self.on, self.end) > 0:
                    return None
            else:
                found = _ready(process, self)
                if found is None:
                    return None
                size, flags = found
        except OSError as error:
            return EVENT.pack(self.user_data, number_of(error), self.kind, 0, 0)
        return EVENT.pack(self.user_data, 0, self.kind, size, flags)


def poll_oneoff(process: Process, given: int, over: int, number: int, count: Window) -> Later | None:
    if not 0 < number <= MOST_SUBSCRIPTIONS:
        raise refusal(errno.EINVAL)
    subscriptions = window(count.memory, given, number * SUBSCRIPTION.size)
    into = window(count.memory, over, number * EVENT.size)
    wanted = [Subscription.of(process, *raw) for raw in SUBSCRIPTION.iter_unpack(subscriptions.read())]
    events = _events(process, wanted)
    if not events:
        return partial(_wait, process, wanted, into, count)
    into.write(b"".join(events))
    count.write(SIZE.pack(len(events)))
    return None


async def _wait(process: Process, wanted: list[Subscription], into: Window, count: Window) -> Writes:
    while not (events := _events(process, wanted)):
        await _first(_waits(process, wanted), _seconds(process, wanted))
    return (into, b"".join(events)), (count, SIZE.pack(len(events)))


def _events(process: Process, wanted: list[Subscription]) -> list[bytes]:
    return [event for each in wanted if (event := each.event(process)) is not None]


def _ready(process: Process, wanted: Subscription) -> tuple[int, int] | None:
    """Bytes that can be read or written, and the event's flags; None when one has to wait.

    Raises OSError (EBADF) for a descriptor that is not for that.
    """
    reads = wanted.kind is EventKind.FD_READ
    match process.descriptors[wanted.on]:
        case Input(source=source) if reads:
            here = source.ready
            return None if here is None else (here, 0 if here else HANGUP)
        case Output(target=target) if not reads:
            left = target.left
            return (left, 0) if left else None
        case Messages() if not reads:
            return MOST_MESSAGES, 0
        case (OpenFile(reads=True) | OpenObject(reads=True)) as opened if reads:
            return max(0, opened.file.size - opened.offset), 0
        case OpenFile(writes=True) | OpenObject(writes=True) if not reads:
            return MOST_BYTES, 0
        case _:
            raise refusal(errno.EBADF)


def _seconds(process: Process, wanted: list[Subscription]) -> float | None:
    """How long to wait for the clocks; None without one."""
    waits = [process.clocks.until(each.on, each.end) for each in wanted if each.kind is EventKind.CLOCK]
    return max(0.0, min(min(waits) / 1e9, _LONGEST)) if waits else None


def _waits(process: Process, wanted: list[Subscription]) -> list[Wait]:
    """How to wait for the streams, each of which may be wanted many times."""
    waits: dict[int, Wait] = {}
    for each in wanted:
        if each.kind is not EventKind.CLOCK:
            match process.descriptors[each.on]:
                case Input(source=source):
                    waits[each.on] = source.arrive
                case Output(target=target):
                    waits[each.on] = target.room
    return list(waits.values())


async def _first(waits: list[Wait], seconds: float | None) -> None:
    """Returns when one of the waits is over, or so many seconds are; raises how one ended badly."""
    if not waits:
        await asyncio.sleep(seconds or 0)
        return
    tasks = [asyncio.create_task(wait()) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
