"""The functions of `env` on files and on keys and values (docs/abi/env.md).

Windows of guest memory come in, a store is asked while the guest is suspended, numbers and bytes go back.
It decides nothing: what may be reached, and how much of it, live in storage/.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from serverless_wasm.abi.base import Invocation
from serverless_wasm.errors import CapabilityError, Failed, NotPermitted, NotThere, TooLarge
from serverless_wasm.limits import KIB, MIB
from serverless_wasm.storage.files.stores import Files
from serverless_wasm.storage.kv.namespace import Namespace
from serverless_wasm.wasm.linker import HostFunction, Kind, Reply
from serverless_wasm.wasm.memory import Window

T = TypeVar("T")
_NAME_LIMIT = 64 * KIB  # a longer name can name nothing
_FURTHEST = 2**62  # no file is that long
_READ_LIMIT = 16 * MIB  # what one file_get brings
_LIST_LIMIT = 1 * MIB  # what a listing may have
_PAGE = 1000
_CODES: tuple[tuple[type[CapabilityError], int], ...] = (
    (NotThere, -1),
    (NotPermitted, -2),
    (TooLarge, -3),
    (Failed, -4),
)
_NO_NUMBER = -(2**63)
"""What `kv_increment` answers in place of a code: any other number may be the sum."""


def file_get(call: Invocation, path: Window, offset: int, buffer: Window) -> Awaitable[Any]:
    name, size = path.read(_NAME_LIMIT), min(buffer.size, _READ_LIMIT)

    def give(found: tuple[int, bytes]) -> Reply:
        return Reply(found[0], ((buffer, found[1]),))

    return _answer(call, lambda: _files(call).get(name, min(offset, _FURTHEST), size), give)


def file_put(call: Invocation, path: Window, data: Window) -> Awaitable[Any]:
    most = call.grants.limits.file_size + 1
    name, content = path.read(_NAME_LIMIT), data.read(most)
    return _answer(call, lambda: _files(call).put(name, content), _done)


def file_delete(call: Invocation, path: Window) -> Awaitable[Any]:
    name = path.read(_NAME_LIMIT)
    return _answer(call, lambda: _files(call).delete(name), _done)


def file_list(call: Invocation, prefix: Window, buffer: Window) -> Awaitable[Any]:
    name = prefix.read(_NAME_LIMIT)

    def give(names: list[str]) -> Reply:
        return _listing([each.encode() for each in names], buffer)

    return _answer(call, lambda: _files(call).list(name, _LIST_LIMIT), give)


def kv_get(call: Invocation, key: Window, value: Window) -> Awaitable[Any]:
    name = key.read(_NAME_LIMIT)

    def give(found: bytes | None) -> Reply:
        return Reply(-1) if found is None else Reply(len(found), ((value, found),))

    return _answer(call, lambda: _keys(call).get(name), give)


def kv_set(call: Invocation, key: Window, value: Window) -> Awaitable[Any]:
    name, content = key.read(_NAME_LIMIT), _value(call, value)
    return _answer(call, lambda: _keys(call).set(name, content), _done)


def kv_set_ttl(call: Invocation, key: Window, value: Window, ttl: int) -> Awaitable[Any]:
    name, content = key.read(_NAME_LIMIT), _value(call, value)
    return _answer(call, lambda: _keys(call).set(name, content, ttl), _done)


def kv_delete(call: Invocation, key: Window) -> Awaitable[Any]:
    name = key.read(_NAME_LIMIT)
    return _answer(call, lambda: _keys(call).delete(name), _done)


def kv_increment(call: Invocation, key: Window, delta: int) -> Awaitable[Any]:
    name, signed = key.read(_NAME_LIMIT), delta - 2**64 if delta >= 2**63 else delta
    return _answer(call, lambda: _keys(call).increment(name, signed), int, failed=_NO_NUMBER)


def kv_swap(call: Invocation, key: Window, expected: Window, value: Window) -> Awaitable[Any]:
    name, before, after = key.read(_NAME_LIMIT), _value(call, expected), _value(call, value)
    return _answer(call, lambda: _keys(call).swap(name, before or None, after), int)


def kv_list(call: Invocation, prefix: Window, buffer: Window) -> Awaitable[Any]:
    name = prefix.read(_NAME_LIMIT)
    return _answer(call, lambda: _all_keys(_keys(call), name), lambda keys: _listing(keys, buffer))


async def _all_keys(namespace: Namespace, prefix: bytes) -> list[bytes]:
    """Every key, page by page; raises TooLarge when there are too many for one listing."""
    found: list[bytes] = []
    size, after = 0, None
    while True:
        page, after = await namespace.keys(prefix, after, _PAGE)
        found += page
        size += sum(len(key) + 1 for key in page)
        if size > _LIST_LIMIT:
            raise TooLarge(f"more than {_LIST_LIMIT} bytes of keys; ask for a longer prefix")
        if after is None:
            return found


def _listing(names: list[bytes], buffer: Window) -> Reply:
    text = b"".join(b"%b\n" % name for name in names)
    return Reply(len(text), ((buffer, text),))


def _done(_nothing: object) -> int:
    return 0


async def _answer(
    call: Invocation, ask: Callable[[], Awaitable[T]], give: Callable[[T], Any], failed: int = 0
) -> Any:
    """What the guest is given of what a store says; of an error its code, while the log has a record."""
    try:
        return give(await ask())
    except CapabilityError as error:
        call.tell_refusal(error)
        return failed or next(code for kind, code in _CODES if isinstance(error, kind))


def _files(call: Invocation) -> Files:
    return call.grants.files


def _keys(call: Invocation) -> Namespace:
    if not call.grants.key_value:
        raise NotPermitted('no store of keys is granted; write key_value = ["default"] for the application')
    return call.grants.key_value[0]


def _value(call: Invocation, window: Window) -> bytes:
    """What the guest means to keep; of what is too large one byte too many, for it is copied."""
    granted = call.grants.key_value
    return window.read(granted[0].largest + 1 if granted else 0)


_U64, _WINDOW = Kind.U64, Kind.WINDOW
FUNCTIONS = (
    HostFunction("file_get", (_WINDOW, _U64, _WINDOW), "i64", file_get, waits=True),
    HostFunction("file_put", (_WINDOW, _WINDOW), "i32", file_put, waits=True),
    HostFunction("file_delete", (_WINDOW,), "i32", file_delete, waits=True),
    HostFunction("file_list", (_WINDOW, _WINDOW), "i64", file_list, waits=True),
    HostFunction("kv_get", (_WINDOW, _WINDOW), "i64", kv_get, waits=True),
    HostFunction("kv_set", (_WINDOW, _WINDOW), "i32", kv_set, waits=True),
    HostFunction("kv_set_ttl", (_WINDOW, _WINDOW, _U64), "i32", kv_set_ttl, waits=True),
    HostFunction("kv_delete", (_WINDOW,), "i32", kv_delete, waits=True),
    HostFunction("kv_increment", (_WINDOW, _U64), "i64", kv_increment, waits=True),
    HostFunction("kv_swap", (_WINDOW, _WINDOW, _WINDOW), "i32", kv_swap, waits=True),
    HostFunction("kv_list", (_WINDOW, _WINDOW), "i64", kv_list, waits=True),
)
