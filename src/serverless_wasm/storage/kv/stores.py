"""Every store of keys and values that the applications of one process use, in a database or on a server.

What the operator wrote comes in; the namespaces of an application go out.
It must never open a store before a guest asks it something, nor tell a URL, which may hold a password.
"""

from __future__ import annotations

from serverless_wasm.limits import Limits
from serverless_wasm.storage.kv.namespace import KeyValueSettings, KeyValueStore, Namespace
from serverless_wasm.storage.kv.sqlite import SqliteStore


class KeyValueStores:
    """Opens stores, and keeps them until `close`."""

    def __init__(self) -> None:
        self._stores: dict[tuple[KeyValueSettings, float], KeyValueStore] = {}

    def for_application(
        self, name: str, granted: tuple[KeyValueSettings, ...], limits: Limits
    ) -> tuple[Namespace, ...]:
        """The application's namespaces, in the order of what it is granted."""
        return tuple(self._store(settings, limits.store_timeout).namespace(name) for settings in granted)

    def _store(self, settings: KeyValueSettings, timeout: float) -> KeyValueStore:
        key = (settings, timeout)
        if key not in self._stores:
            self._stores[key] = open_key_value(settings, timeout)
        return self._stores[key]

    async def close(self) -> None:
        """Closes all of them, once nobody asks any more."""
        while self._stores:
            await self._stores.popitem()[1].close()


def open_key_value(settings: KeyValueSettings, timeout: float) -> KeyValueStore:
    """The store of a table, of which no operation takes longer than `timeout` seconds.

    Nothing is opened before the first call. Raises ValueError, a sentence without the URL, for one that
    cannot be a store's.
    """
    match settings.url.partition("://")[0]:
        case "sqlite":
            return SqliteStore(settings, timeout)
        case "redis" | "rediss":
            from serverless_wasm.storage.kv.redis import RedisStore  # noqa: PLC0415 - 200 ms few need

            return RedisStore(settings, timeout)
    raise ValueError("a store's URL begins with sqlite:///, redis:// or rediss://")
