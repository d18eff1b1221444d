"""What one application keeps in a key-value store.

Keys and values, bytes of a guest, come in; what every kind of store must never see is refused here.
It must never wait longer than it was told, nor tell another application's keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from serverless_wasm.errors import CapabilityError, Failed, NotPermitted, TooLarge
from serverless_wasm.limits import MIB
from serverless_wasm.text import printable

KEY_LIMIT = 1024
"""Bytes of a key."""
PAIR = 128
"""Bytes that a pair counts for in a quota, beside its key and its value: SQLite needs 32 to 50, Redis 170
(measured)."""
MANY = 1000
"""Keys in one call."""
MANY_BYTES = 16 * MIB
"""Bytes of values in one call, unless a single one may be larger: a guest asks for them with a few bytes."""
SWEPT = 16
"""Pairs whose time is over that a write removes in passing: more than it can add, so they do not gather."""
TTL_LIMIT = 100 * 365 * 24 * 3600 * 1000
"""Milliseconds; whoever asks for more gets this. Sums with it stay exact in the numbers of Lua."""
_INTEGERS = range(-(2**63), 2**63)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyValueSettings:
    """One `[key_value.NAME]` table."""

    name: str
    url: str = field(repr=False)
    """`sqlite:///` and an absolute path, `redis://` or `rediss://`; it may hold a password."""
    shared: bool = False
    """Whether all applications that are granted the store see the same keys."""
    quota: int = 64 * MIB
    """Bytes of keys and values, and PAIR for each pair, in a namespace."""
    value: int = 1 * MIB
    """The largest value."""


class Backend(Protocol):
    """A namespace as each kind of store has it; raises CapabilityError, a sentence without credentials.

    Each call is atomic: it happens as a whole, or not at all.
    """

    async def read(self, keys: Sequence[bytes], most_bytes: int) -> list[bytes | None]:
        """The value of each key; TooLarge if they have more bytes together."""

    async def has(self, key: bytes) -> bool:
        """Whether the key has a value."""

    async def write(self, pairs: Mapping[bytes, bytes], ttl: int | None) -> None:
        """Sets them all; TooLarge if the quota does not allow it."""

    async def remove(self, keys: Sequence[bytes]) -> None:
        """Removes those that are there."""

    async def page(self, start: bytes, stop: bytes | None, most: int) -> tuple[list[bytes], bytes | None]:
        """The keys from `start` to before `stop` in order, and the last that was looked at unless it is all.

        It looks at no more than `most` of them, those whose time is over included.
        """

    async def increment(self, key: bytes, delta: int) -> int:
        """Adds to a decimal number; Failed if the value is none, or the sum has more than 64 bits."""

    async def swap(self, key: bytes, expected: bytes | None, value: bytes) -> bool:
        """Sets the value if the present one is the expected one."""


class Namespace:
    """The keys of one application, or of all of them, in one store; in the same way whatever the store is.

    Every call raises CapabilityError: NotPermitted for an empty key or an impossible time to live, TooLarge
    for what is beyond a limit or the quota, Failed when the store is down, slow or damaged. A write that
    Failed may have happened nevertheless, and so may one that was cancelled.
    """

    def __init__(self, settings: KeyValueSettings, timeout: float, backend: Backend) -> None:
        self._settings = settings
        self._timeout = timeout
        self._backend = backend
        self._most_bytes = max(MANY_BYTES, settings.value)

    @property
    def name(self) -> str:
        """That of the store's table, by which an application is granted it."""
        return self._settings.name

    @property
    def largest(self) -> int:
        """Bytes of the largest value."""
        return self._settings.value

    async def get(self, key: bytes) -> bytes | None:
        """The value; None when it is missing, or its time is over."""
        return (await self.get_many([key]))[0]

    async def exists(self, key: bytes) -> bool:
        """Whether `get` would give a value; it is not read."""
        self._require_keys([key])
        return await self._within(self._backend.has(key))

    async def set(self, key: bytes, value: bytes, ttl: int | None = None) -> None:
        """Sets the value, for `ttl` milliseconds or for ever: a time to live that there was is gone."""
        if ttl is not None and ttl < 1:
            raise self._named(NotPermitted("a time to live of less than 1 ms"))
        self._require_pairs([(key, value)])
        await self._within(self._backend.write({key: value}, None if ttl is None else min(ttl, TTL_LIMIT)))

    async def delete(self, key: bytes) -> None:
        """Removes the key; a missing one is no error."""
        await self.delete_many([key])

    async def keys(
        self, prefix: bytes = b"", after: bytes | None = None, most: int = MANY
    ) -> tuple[list[bytes], bytes | None]:
        """The next keys that begin with `prefix`, in the order of their bytes, and where to go on.

        `after` is None for the first page, then what the page before said; None says that there are no more.
        A page has at most `most` keys, and never more than MANY; it may have fewer, even none, before the
        end. A key that was there from the first page to the last is listed exactly once.
        """
        for given in prefix, after or b"":
            if len(given) > KEY_LIMIT:
                raise self._named(TooLarge(f"a key of more than {KEY_LIMIT} bytes"))
        start = prefix if after is None else max(prefix, after + b"\0")
        most = max(1, min(most, MANY))
        return await self._within(self._backend.page(start, _behind(prefix), most))

    async def increment(self, key: bytes, delta: int) -> int:
        """Adds `delta` to the number that the key holds, 0 when it is missing, and gives the sum.

        The number is decimal text as Redis writes it; its time to live stays. Failed for a value that is no
        such number, and for a sum beyond 64 bits.
        """
        self._require_keys([key])
        if delta not in _INTEGERS:
            raise self._named(NotPermitted("an increment of more than 64 bits"))
        return await self._within(self._backend.increment(key, delta))

    async def swap(self, key: bytes, expected: bytes | None, value: bytes) -> bool:
        """Sets the value if the present one is `expected`, or missing for None; says whether it did.

        The new value has no time to live.
        """
        self._require_pairs([(key, value)])
        return await self._within(self._backend.swap(key, expected, value))

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The value of each key, all of one moment; TooLarge beyond MANY keys or MANY_BYTES."""
        self._require_keys(keys)
        return await self._within(self._backend.read(keys, self._most_bytes)) if keys else []

    async def set_many(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        """Sets all of them or, when it raises, none; of one key's values the last."""
        self._require_pairs(pairs)
        if pairs:
            await self._within(self._backend.write(dict(pairs), None))

    async def delete_many(self, keys: Sequence[bytes]) -> None:
        """Removes all of them; missing ones are no error."""
        self._require_keys(keys)
        if keys:
            await self._within(self._backend.remove(keys))

    def _require_keys(self, keys: Sequence[bytes]) -> None:
        if len(keys) > MANY:
            raise self._named(TooLarge(f"more than {MANY} keys at once"))
        for key in keys:
            if not key:
                raise self._named(NotPermitted("an empty key"))
            if len(key) > KEY_LIMIT:
                raise self._named(TooLarge(f"a key of more than {KEY_LIMIT} bytes"))

    def _require_pairs(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        self._require_keys([key for key, _ in pairs])
        if any(len(value) > self._settings.value for _, value in pairs):
            raise self._named(TooLarge(f"a value of more than {self._settings.value} bytes"))
        if sum(len(value) for _, value in pairs) > self._most_bytes:
            raise self._named(TooLarge(f"more than {self._most_bytes} bytes at once"))

    async def _within(self, doing: Awaitable[_T]) -> _T:
        try:
            async with asyncio.timeout(self._timeout):
                return await doing
        except TimeoutError:
            raise self._named(Failed(f"no answer within {self._timeout:g} s")) from None
        except CapabilityError as error:
            raise self._named(error) from None

    def _named(self, error: CapabilityError) -> CapabilityError:
        """The same error, which says of which store it is."""
        return type(error)(f"key_value.{printable(self._settings.name)}: {error}")


class KeyValueStore(Protocol):
    """The store of one table; each process opens its own."""

    def namespace(self, application: str) -> Namespace:
        """What this application may reach, which nobody else does unless the store is shared."""

    async def close(self) -> None:
        """Lets what is under way end and frees everything; whoever calls afterwards is told Failed."""


def full(quota: int) -> TooLarge:
    """The quota does not allow it."""
    return TooLarge(f"the quota of {quota} bytes is used up")


def _behind(prefix: bytes) -> bytes | None:
    """The first key behind all that begin with the prefix; None if no key is."""
    head = prefix.rstrip(b"\xff")
    return head[:-1] + bytes([head[-1] + 1]) if head else None
