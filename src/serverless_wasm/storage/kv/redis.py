"""Keys and values on a Redis server, which any number of machines may share.

Keys and values come in; what is acknowledged the server has, as durably as it was told to keep it.
It must never tell a credential, nor use a connection again on which an answer may still arrive.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from redis.asyncio.connection import Connection, SSLConnection
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from serverless_wasm.errors import CapabilityError, Failed, TooLarge
from serverless_wasm.storage.kv import scripts
from serverless_wasm.storage.kv.namespace import SWEPT, KeyValueSettings, Namespace, full
from serverless_wasm.storage.kv.scripts import Script
from serverless_wasm.text import printable

CONNECTIONS = 32
"""Of one process, at once; a call beyond waits for its turn."""
_BROKEN: tuple[type[Exception], ...] = (
    RedisError,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    RecursionError,
)
"""What a server that answers something else makes of the library, or of us."""
_WORDS = frozenset({"BUSY", "MISCONF", "NOREPLICAS", "UNKILLABLE", "WRONGTYPE"})
"""What Redis's errors begin with that are worth telling; a server may say anything."""
_SHAPE = "a URL of Redis is redis://user:password@host:port/number, with %XX for : / ? # @ [ ] in a name"
_T = TypeVar("_T")
_Argument = bytes | str | int


class RedisStore:
    """A server, and the connections to it; they are made when they are needed."""

    def __init__(self, settings: KeyValueSettings, timeout: float) -> None:
        self._settings = settings
        self._timeout = timeout
        self._make, self._address = _connections(settings.url, timeout)
        self._idle: list[Connection] = []
        self._turns = asyncio.Semaphore(CONNECTIONS)
        self._is_closed = False

    def namespace(self, application: str) -> Namespace:
        """See KeyValueStore."""
        owner = "" if self._settings.shared else application
        return Namespace(
            self._settings,
            self._timeout,
            RedisPairs(self, _names(self._settings.name, owner), self._settings.quota),
        )

    async def close(self) -> None:
        """See KeyValueStore."""
        if self._is_closed:
            return
        self._is_closed = True
        while self._idle:
            await self._idle.pop().disconnect(nowait=True)
        for _ in range(CONNECTIONS):  # those in use: whoever has one puts it back
            await self._turns.acquire()

    async def call(self, script: Script, arguments: Sequence[_Argument], read: Callable[[Any], _T]) -> _T:
        """What `read` makes of the script's answer; raises CapabilityError."""
        if self._is_closed:
            raise Failed("the store is closed")
        async with self._turns:
            connection = self._idle.pop() if self._idle else self._make()
            try:
                return read(await _answer(connection, script, arguments))
            except ResponseError as error:
                if type(error) is ResponseError:  # after some of them the server hangs up
                    await connection.disconnect(nowait=True)
                raise self._failure(error) from None
            except CapabilityError:
                raise
            except BaseException as error:  # an answer may be under way
                await connection.disconnect(nowait=True)
                if isinstance(error, _BROKEN):
                    raise self._failure(error) from None
                raise
            finally:
                await self._put_back(connection)

    async def _put_back(self, connection: Connection) -> None:
        if self._is_closed:
            await connection.disconnect(nowait=True)
        else:
            self._idle.append(connection)

    def _failure(self, error: Exception) -> CapabilityError:
        """Without what the server says beyond its first word: it may repeat a password."""
        match error:
            case OutOfMemoryError():
                return TooLarge("Redis has no memory left (maxmemory)")
            case AuthenticationError() | NoPermissionError():
                return Failed("Redis refuses the user name or password")
            case BusyLoadingError():
                return Failed("Redis is still loading its data")
            case ReadOnlyError():
                return Failed("Redis is a read-only replica")
            case ResponseError():
                words = str(error).split()
                if "unauthenticated" in words:  # of a command that is longer than AUTH may be
                    return Failed("Redis refuses the user name or password")
                word = words[0] if words and words[0] in _WORDS else "ERR"
                return Failed(f"Redis answers with an error ({word})")
        cause = error.__cause__ or error.__context__ or error
        reason = cause.strerror if isinstance(cause, OSError) else None
        return Failed(
            f"Redis at {self._address} cannot be reached: {printable(reason or 'the connection broke')}"
        )


class RedisPairs:
    """The Backend of one namespace."""

    def __init__(self, store: RedisStore, names: tuple[bytes, ...], quota: int) -> None:
        self._store = store
        self._quota = quota
        self._always: tuple[_Argument, ...] = (len(names), *names, quota, SWEPT)

    async def read(self, keys: Sequence[bytes], most_bytes: int) -> list[bytes | None]:
        """See Backend."""

        def values(answer: Any) -> list[bytes | None]:
            if answer == 0:
                raise TooLarge(f"more than {most_bytes} bytes at once")
            found = [None if value is None else _bytes(value) for value in answer]
            return found if len(found) == len(keys) else _nonsense()

        return await self._call(scripts.READ, (most_bytes, *keys), values)

    async def has(self, key: bytes) -> bool:
        """See Backend."""
        return await self._call(scripts.HAS, (key,), self._is_done)

    async def write(self, pairs: Mapping[bytes, bytes], ttl: int | None) -> None:
        """See Backend."""
        flat = [part for pair in pairs.items() for part in pair]
        await self._call(scripts.WRITE, ("" if ttl is None else ttl, *flat), self._is_done)

    async def remove(self, keys: Sequence[bytes]) -> None:
        """See Backend."""
        await self._call(scripts.REMOVE, keys, self._is_done)

    async def page(self, start: bytes, stop: bytes | None, most: int) -> tuple[list[bytes], bytes | None]:
        """See Backend."""

        def found(answer: Any) -> tuple[list[bytes], bytes | None]:
            last, *keys = answer
            return [_bytes(key) for key in keys], None if last is None else _bytes(last)

        end = b"+" if stop is None else b"(" + stop
        return await self._call(scripts.PAGE, (b"[" + start, end, most), found)

    async def increment(self, key: bytes, delta: int) -> int:
        """See Backend."""

        def total(answer: Any) -> int:
            match answer:
                case 0:
                    raise Failed("the value is no number")
                case 1:
                    raise Failed("the sum has more than 64 bits")
                case 2:
                    raise full(self._quota)
            return int(_bytes(answer))

        return await self._call(scripts.INCREMENT, (key, delta), total)

    async def swap(self, key: bytes, expected: bytes | None, value: bytes) -> bool:
        """See Backend."""
        expecting = (0, b"") if expected is None else (1, expected)
        return await self._call(scripts.SWAP, (key, *expecting, value), self._is_done)

    async def _call(self, script: Script, arguments: Sequence[_Argument], read: Callable[[Any], _T]) -> _T:
        return await self._store.call(script, (*self._always, *arguments), read)

    def _is_done(self, answer: Any) -> bool:
        """1, 0, or 2 for no room."""
        if answer == 2:
            raise full(self._quota)
        return bool(answer) if answer in {0, 1} else _nonsense()


async def _answer(connection: Any, script: Script, arguments: Sequence[_Argument]) -> Any:
    if connection.is_connected and await connection.can_read():  # the end, or what nobody asked for
        await connection.disconnect(nowait=True)
    await connection.connect()
    try:
        await connection.send_command("EVALSHA", script.digest, *arguments)
        return await connection.read_response()
    except NoScriptError:
        await connection.send_command("EVAL", script.text, *arguments)
        return await connection.read_response()


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else _nonsense()


def _nonsense() -> NoReturn:
    raise TypeError("not what the script gives")


def _names(store: str, application: str) -> tuple[bytes, ...]:
    """The keys of a namespace on the server.

    Each part stands behind its length, so that no two namespaces have a key in common, whatever they are
    called. The braces put the four on one node of a cluster.
    """
    parts = (part.encode() for part in (store, application))
    prefix = b"serverless-wasm:{" + b"".join(b"%d:%b" % (len(part), part) for part in parts) + b"}:"
    return tuple(prefix + suffix for suffix in (b"v", b"k", b"e", b"u"))


def _connections(url: str, timeout: float) -> tuple[Callable[[], Connection], str]:
    """What makes a connection, and the server's address; raises ValueError, which repeats no password."""
    parts = _parts(url)
    given: dict[str, Any] = {
        "host": parts.hostname,
        "port": _port(parts),
        "db": _database(parts.path),
        "username": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        "protocol": 2,  # nothing arrives that was not asked for
        "driver_info": None,
        "socket_timeout": None,  # Namespace bounds the whole call
        "socket_connect_timeout": timeout,
    }
    if not parts.hostname or parts.fragment:
        raise ValueError(_SHAPE)
    address = f"{printable(parts.hostname)}:{given['port']}"
    if parts.scheme == "redis":
        _options(parts, frozenset())
        return (lambda: Connection(**given)), address
    given |= _options(parts, frozenset({"ssl_ca_certs"}))
    return (lambda: SSLConnection(**given)), address


def _parts(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # whose text has what stands before the address
        raise ValueError(_SHAPE) from None


def _port(parts: SplitResult) -> int:
    try:
        return parts.port or 6379
    except ValueError:
        raise ValueError("the port of Redis is no number up to 65535") from None


def _database(path: str) -> int:
    number = path.strip("/") or "0"
    if not re.fullmatch(r"[0-9]{1,9}", number):
        raise ValueError("the path of a URL of Redis is the number of a database")
    return int(number)


def _options(parts: SplitResult, known: frozenset[str]) -> dict[str, str]:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if not options.keys() <= known:
        raise ValueError("a URL of Redis has no options but, for rediss://, ssl_ca_certs")
    return options
