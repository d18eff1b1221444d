"""What the connections of one door have in common.

A door makes it, and each of its connections works with it.
It must never know more of a connection than that it is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import InitVar, dataclass, field
from typing import Protocol

from serverless_wasm.alarms import Alarms
from serverless_wasm.events import Emit
from serverless_wasm.limits import DoorLimits
from serverless_wasm.messages import AnyHandler, Handler, PromptHandler
from serverless_wasm.server.crowd import Client, Crowd
from serverless_wasm.server.departures import Departures
from serverless_wasm.server.head import request_ids
from serverless_wasm.server.wire import Heads


class Open(Client, Protocol):
    """A connection, as its door sees it."""

    def retire(self) -> None:
        """Closes it if nothing is in progress."""

    def abort(self) -> asyncio.Task[None] | None:
        """Cuts it off; returns the task that may still be busy cleaning up."""


@dataclass(slots=True, kw_only=True)
class Shared:
    """One for each door."""

    handler: InitVar[AnyHandler]
    limits: DoorLimits
    emit: Emit
    handle: Handler = field(init=False)
    prompt: PromptHandler | None = field(init=False)
    """The handler, if it answers some requests at once."""
    alarms: Alarms = field(default_factory=Alarms)
    crowd: Crowd = field(init=False)
    departures: Departures = field(default_factory=Departures)
    heads: Heads = field(default_factory=Heads)
    ids: Iterator[str] = field(default_factory=request_ids)
    open: set[Open] = field(default_factory=set)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever the last connection has closed."""
    retiring: bool = False
    """Whether every answer from now on is the last of its connection."""

    def __post_init__(self, handler: AnyHandler) -> None:
        self.prompt = handler if isinstance(handler, PromptHandler) else None
        self.handle = handler.handle if isinstance(handler, PromptHandler) else handler
        self.crowd = Crowd(self.limits, self.emit, self.alarms)
