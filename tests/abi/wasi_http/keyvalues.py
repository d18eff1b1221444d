"""Worlds of guests that were granted stores, and calls of what interfaces offer at a version."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from inspect import isawaitable
from pathlib import Path
from typing import Any

from applications import Host, request
from serverless_wasm.abi.base import Invocation
from serverless_wasm.abi.wasi_http.interface import Err, Function, Interface, Ok, Refusal
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.events import StoreRefused
from serverless_wasm.limits import Limits
from serverless_wasm.storage.kv.namespace import KeyValueSettings, Namespace
from serverless_wasm.storage.kv.stores import KeyValueStores
from serverless_wasm.wasm.components.types import Type

Test = Callable[[World], Awaitable[None]]


class Offered:
    """The functions of an interface, called as the canonical ABI calls them."""

    def __init__(self, interfaces: Iterable[Interface], name: str) -> None:
        (self.interface,) = (each for each in interfaces if each.name == name)

    def call(self, world: World, name: str, *arguments: Any, gives: Type | None = None) -> Any:
        """What a function answers, in a coroutine if it waits; `gives` chooses one of several of the name."""
        return self.function(name, gives).call(world, *arguments)

    async def ask(self, world: World, name: str, *arguments: Any, gives: Type | None = None) -> Ok | Err:
        """What a function answers in the end."""
        function = self.function(name, gives)
        try:
            answer = function.call(world, *arguments)
            if isawaitable(answer):
                assert function.waits
                answer = await answer
        except Refusal as refusal:
            answer = Err(refusal.value)
        assert isinstance(answer, Ok | Err)
        return answer

    def function(self, name: str, gives: Type | None = None) -> Function:
        """The one function of that name, and of that result if one is given."""
        found = [each for each in self.interface.functions if each.name == name]
        (function,) = (each for each in found if gives in {None, each.signature.result})
        return function


def with_stores(host: Host, folder: Path, test: Test, *names: str, **more: Any) -> None:
    """Runs a test in the world of a guest that was granted these stores, all of them in SQLite."""
    settings = [
        KeyValueSettings(**{"name": name, "url": f"sqlite:///{folder}/{name}.db", **more}) for name in names
    ]

    async def main() -> None:
        stores = KeyValueStores()
        try:
            granted = stores.for_application("app", tuple(settings), Limits(store_timeout=20.0))
            await test(world_of(host, granted))
        finally:
            await stores.close()

    asyncio.run(main())


def world_of(host: Host, granted: tuple[Namespace, ...] = (), **env: str) -> World:
    """A guest's world, with variables and stores."""
    grants = replace(host.grants(env, Limits()), key_value=granted)
    return World(Invocation(request(), grants))


def refusals(host: Host) -> list[str]:
    """What the log says of stores."""
    return [event.reason for event in host.events if isinstance(event, StoreRefused)]
