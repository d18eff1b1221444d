"""Instances that wait for their next request, of applications whose operator wants them used again.

An instance that has answered comes in; the youngest of its application goes out again, or nothing.
It must never keep one that failed, nor one whose room somebody needs.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Protocol

IDLE = 10.0
"""Seconds that an instance waits for a request."""


class Closing(Protocol):
    """What the host has of an instance (components/crossing.py)."""

    def close(self) -> None: ...


class Freeing(Protocol):
    """What frees an instance (Engine)."""

    def free_guest(self, guest: Any) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One that has answered `answered` requests, and nothing of the last one is under way."""

    engine: Freeing
    own: Any
    memory: Any
    """What its host functions see of its memory (wasm/memory.py), or None."""
    crossing: Closing
    answered: int
    since: float
    """When it was put here, on the loop's clock."""

    @property
    def size(self) -> int:
        """Bytes of its memory."""
        size: int = self.own.size
        return size

    def free(self) -> None:
        """Frees it; nobody may use it any more."""
        self.crossing.close()
        if self.memory is not None:
            self.memory.close()
        self.engine.free_guest(self.own)


class Shelf:
    """All that wait in one process, the oldest first; each takes a slot and its memory."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[tuple[Hashable, int], Instance] = OrderedDict()
        self._kinds: dict[Hashable, list[int]] = {}
        self._next = 0
        self._timer: asyncio.TimerHandle | None = None
        self.count = 0
        self.memory = 0

    def put(self, kind: Hashable, instance: Instance) -> None:
        """Keeps an instance of a kind for a while."""
        self._next += 1
        self._waiting[kind, self._next] = instance
        self._kinds.setdefault(kind, []).append(self._next)
        self.count += 1
        self.memory += instance.size
        if self._timer is None:
            self._watch(IDLE)

    def take(self, kind: Hashable) -> Instance | None:
        """The youngest of a kind, which is its own again."""
        numbers = self._kinds.get(kind)
        return self._remove(kind, numbers[-1]) if numbers else None

    def free_oldest(self) -> bool:
        """Frees the one that has waited longest; False when there is none."""
        if not self._waiting:
            return False
        self._remove(*next(iter(self._waiting))).free()
        return True

    def close(self) -> None:
        """Frees all."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self.free_oldest():
            pass

    def _remove(self, kind: Hashable, number: int) -> Instance:
        instance = self._waiting.pop((kind, number))
        numbers = self._kinds[kind]
        numbers.remove(number)
        if not numbers:
            del self._kinds[kind]
        self.count -= 1
        self.memory -= instance.size
        return instance

    def _watch(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._waiting:
            left = next(iter(self._waiting.values())).since + IDLE - now
            if left > 0:
                self._watch(left)
                return
            self.free_oldest()
