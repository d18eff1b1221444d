"""What one guest of a component sees of the host: its invocation, its handles, its clocks and streams.

An invocation comes in; every host function is called with the world that was made of it.
It must never outlive the invocation: `close` drops whatever the guest has left, children first.
"""

from __future__ import annotations

from typing import Protocol

from serverless_wasm.abi.base import Invocation
from serverless_wasm.abi.wasi.clocks import QUANTUM, Clocks
from serverless_wasm.abi.wasi.descriptors import Messages
from serverless_wasm.abi.wasi_http.filesystem_open import OpenFiles
from serverless_wasm.abi.wasi_http.interface import Resource
from serverless_wasm.abi.wasi_http.ledger import Ledger
from serverless_wasm.errors import GuestTrap, HostLimit
from serverless_wasm.text import TEXT_LIMIT

FIRST = 3
"""The numbers below are those that an entry is called with."""
MOST_HANDLES = 10_000
"""Of one invocation; each is an object of some hundred bytes here."""


class Handles:
    """The table of a guest's handles: numbers from FIRST up, used again once they are free."""

    __slots__ = ("_free", "_table")

    def __init__(self) -> None:
        # Number 0 is none (CanonicalABI.md, `Table`); the next ones are for `place`.
        self._table: list[Resource | None] = [None] * FIRST
        self._free: list[int] = []

    def add(self, resource: Resource) -> int:
        """The number of a new handle; raises HostLimit when there are too many."""
        if resource.parent is not None:
            resource.parent.children += 1
        if self._free:
            number = self._free.pop()
            self._table[number] = resource
            return number
        if len(self._table) > MOST_HANDLES:
            raise HostLimit(f"handles: more than {MOST_HANDLES}")
        self._table.append(resource)
        return len(self._table) - 1

    def place(self, number: int, resource: Resource) -> None:
        """Makes a number below FIRST the handle of a resource, in place of what was there."""
        before = self._table[number]
        if before is not None:
            before.drop()
        self._table[number] = resource

    def get(self, number: int, name: str) -> Resource:
        """What a handle stands for; raises GuestTrap unless it is one of a resource of that name."""
        resource = self._table[number] if number < len(self._table) else None
        if resource is None:
            raise GuestTrap(f"handle: {number} is none")
        if resource.name != name:
            raise GuestTrap(f"handle: {number} is of {resource.name}, not {name}")
        return resource

    def take(self, number: int, name: str) -> Resource:
        """As `get`, and the handle is gone; raises GuestTrap while others depend on it."""
        resource = self.get(number, name)
        if resource.children:
            raise GuestTrap(f"handle: {resource.name} is given away before what was made of it")
        self._table[number] = None
        if number >= FIRST:
            self._free.append(number)
        if resource.parent is not None:
            resource.parent.children -= 1
        return resource

    def drop(self, number: int, name: str) -> None:
        """Drops a handle, as the guest asks for."""
        self.take(number, name).drop()

    def close(self) -> None:
        """Drops all that is left, the youngest first."""
        left = [resource for resource in self._table if resource is not None]
        self._table, self._free = [None] * FIRST, []
        for resource in sorted(left, key=_depth, reverse=True):
            resource.drop()


def _depth(resource: Resource) -> int:
    """How many resources it depends on."""
    depth = 0
    while resource.parent is not None:
        resource, depth = resource.parent, depth + 1
    return depth


class Flushing(Protocol):
    """What the guest has written for its client, and what may be under way already."""

    def flush(self) -> None:
        """Hands it on: the guest is about to wait."""


class World:
    """All that the host functions of one component's guest work on."""

    __slots__ = ("_clocks", "_files", "_printed", "answer", "handles", "invocation", "ledger")

    def __init__(self, invocation: Invocation) -> None:
        self.invocation = invocation
        self.handles = Handles()
        self.ledger = Ledger(invocation.grants.limits.response_body)
        self.answer: Flushing | None = None
        """What `response-outparam.set` sets."""
        self._printed: dict[str, Messages] = {}
        self._clocks: Clocks | None = None
        self._files: OpenFiles | None = None

    @property
    def clocks(self) -> Clocks:
        """The guest's; the monotonic one is counted from where it looks first."""
        if self._clocks is None:
            self._clocks = Clocks(1 if self.invocation.grants.precise_clocks else QUANTUM)
        return self._clocks

    @property
    def files(self) -> OpenFiles:
        """What it has open."""
        if self._files is None:
            self._files = OpenFiles(self.invocation)
        return self._files

    def printed(self, stream: str) -> Messages:
        """What the guest prints to a stream of that name: lines of its application's log."""
        messages = self._printed.get(stream)
        if messages is None:
            messages = self._printed[stream] = Messages(self._log, TEXT_LIMIT)
        return messages

    def _log(self, line: bytes) -> None:
        self.invocation.log(line)  # of the moment: the next request's guest may be the same

    def flush(self) -> None:
        """Hands on what the guest has written to its client: it is about to wait."""
        if self.answer is not None:
            self.answer.flush()

    def rest(self) -> None:
        """The guest has answered: what it has begun to print is a line."""
        for messages in self._printed.values():
            messages.close()

    def close(self) -> None:
        """Drops what the guest has left."""
        self.rest()
        self.handles.close()
        self._printed.clear()  # its Messages know this world
