"""Keys and values as a guest of `env` has them (docs/abi/env.md, "Keys and values")."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from abi.storing import Into, filled, results, storing
from applications import Host, request
from serverless_wasm.events import StoreRefused
from serverless_wasm.limits import Limits
from serverless_wasm.messages import Response
from serverless_wasm.storage.kv.namespace import KEY_LIMIT, KeyValueSettings
from serverless_wasm.storage.kv.stores import KeyValueStores

LEAST = -(2**63)


@asynccontextmanager
async def stores() -> AsyncIterator[KeyValueStores]:
    """Stores that are closed in the end."""
    opened = KeyValueStores()
    try:
        yield opened
    finally:
        await opened.close()


def answered(host: Host, settings: KeyValueSettings, *calls: tuple[Any, ...], name: str = "app") -> Response:
    """What a guest says that was granted the store."""

    async def main() -> Response:
        async with stores() as opened:
            granted = opened.for_application(name, (settings,), Limits())
            return await host.application(storing(*calls), key_value=granted)(request())

    return asyncio.run(main())


@pytest.fixture
def settings(tmp_path: Path) -> KeyValueSettings:
    """A store of small quota."""
    return KeyValueSettings(name="default", url=f"sqlite:///{tmp_path}/keys.db", quota=4096, value=1000)


def refused(host: Host) -> list[str]:
    """What the log says of stores."""
    return [event.reason for event in host.events if isinstance(event, StoreRefused)]


def test_values_are_set_and_got(host: Host, settings: KeyValueSettings) -> None:
    """The full length, at most the window, -1 when there is none; an empty value is one."""
    response = answered(
        host,
        settings,
        ("kv_get", b"a", Into()),
        ("kv_set", b"a", b"hello"),
        ("kv_get", b"a", Into()),
        ("kv_get", b"a", Into(2)),
        ("kv_set", b"b\0\xff", b""),
        ("kv_get", b"b\0\xff", Into()),
        ("kv_delete", b"a"),
        ("kv_delete", b"a"),
        ("kv_get", b"a", Into(0)),
    )

    assert [-1, 0, 5, 5, 0, 0, 0, 0, -1] == results(response)
    assert (b"hello", b"he", b"") == (filled(response, 2), filled(response, 3), filled(response, 5))
    assert [] == refused(host)


def test_values_are_there_for_the_next_request(host: Host, settings: KeyValueSettings) -> None:
    """Of the same application, whatever was restarted meanwhile, and of no other."""
    answered(host, settings, ("kv_set", b"a", b"1"))

    assert [1] == results(answered(host, settings, ("kv_get", b"a", Into())))
    assert [-1] == results(answered(host, settings, ("kv_get", b"a", Into()), name="other"))


def test_numbers_are_added_to(host: Host, settings: KeyValueSettings) -> None:
    """Decimal text, 0 at first, deltas of both signs; for no number, and for too large a one, the least."""
    response = answered(
        host,
        settings,
        ("kv_increment", b"n", 5),
        ("kv_increment", b"n", -7),
        ("kv_get", b"n", Into()),
        ("kv_set", b"n", b"five"),
        ("kv_increment", b"n", 1),
        ("kv_set", b"n", str(2**63 - 1).encode()),
        ("kv_increment", b"n", 1),
    )

    assert [5, -2, 2, 0, LEAST, 0, LEAST] == results(response)
    assert b"-2" == filled(response, 2)


def test_values_are_swapped(host: Host, settings: KeyValueSettings) -> None:
    """Only for the expected one; nothing is expected of a key that is missing."""
    response = answered(
        host,
        settings,
        ("kv_swap", b"a", b"", b"1"),
        ("kv_swap", b"a", b"", b"2"),
        ("kv_swap", b"a", b"2", b"3"),
        ("kv_swap", b"a", b"1", b"4"),
        ("kv_get", b"a", Into()),
    )

    assert [1, 0, 0, 1, 1] == results(response)
    assert b"4" == filled(response, 4)


def test_values_end_with_their_time(host: Host, settings: KeyValueSettings) -> None:
    """A long one is there, a short one is gone, none at all is refused."""
    response = answered(
        host,
        settings,
        ("kv_set_ttl", b"a", b"1", 1),
        ("kv_set_ttl", b"b", b"1", 2**62),
        ("kv_set_ttl", b"c", b"1", 0),
    )
    later = answered(host, settings, ("kv_get", b"a", Into()), ("kv_get", b"b", Into()))

    assert [0, 0, -2] == results(response)
    assert [-1, 1] == results(later)


def test_keys_are_listed(host: Host, settings: KeyValueSettings) -> None:
    """Sorted, those with the prefix, each with a line feed; the full length, at most the window."""
    response = answered(
        host,
        settings,
        *(("kv_set", key, b"") for key in (b"b/2", b"a", b"b/1", b"c")),
        ("kv_list", b"b/", Into()),
        ("kv_list", b"", Into(3)),
        ("kv_list", b"x", Into()),
    )

    assert [8, 12, 0] == results(response)[4:]
    assert (b"b/1\nb/2\n", b"a\nb") == (filled(response, 4), filled(response, 5))


def test_what_has_no_room(host: Host, settings: KeyValueSettings) -> None:
    """A key, a value, a quota: -3, and the first has a record; nothing of it is kept."""
    response = answered(
        host,
        settings,
        ("kv_set", b"k" * (KEY_LIMIT + 1), b"1"),
        ("kv_set", b"a", b"v" * 1001),
        *(("kv_set", b"%d" % number, b"v" * 1000) for number in range(5)),
        ("kv_get", b"a", Into()),
    )

    assert [-3, -3, 0, 0, 0, -3, -3, -1] == results(response)
    (reason,) = refused(host)
    assert str(KEY_LIMIT) in reason


def test_a_guest_cannot_make_us_copy_what_is_too_large(host: Host, settings: KeyValueSettings) -> None:
    """Of a value far beyond the limit no more is read than says so."""
    response = answered(
        host,
        settings,
        ("kv_set", b"a", b"v" * 1000),
        ("kv_swap", b"a", b"v" * 30_000, b"1"),
        ("kv_set", b"a", b"v" * 30_000),
        ("kv_swap", b"a", b"v" * 1000, b"v" * 30_000),
        ("kv_get", b"a", Into(0)),
    )

    assert [0, 0, -3, -3, 1000] == results(response)


def test_an_empty_key_is_refused(host: Host, settings: KeyValueSettings) -> None:
    """-2, as it can name nothing."""
    assert [-2] == results(answered(host, settings, ("kv_set", b"", b"1")))


def test_an_application_without_a_store(host: Host) -> None:
    """-2 for everything, and the log says what to write."""
    module = storing(("kv_get", b"a", Into()), ("kv_set", b"a", b"b"), ("kv_increment", b"a", 1))

    response = asyncio.run(host.application(module)(request()))

    assert [-2, -2, LEAST] == results(response)
    assert ['no store of keys is granted; write key_value = ["default"] for the application'] == refused(host)


def test_a_store_that_cannot_be_opened(host: Host, tmp_path: Path) -> None:
    """-4 for the guest, one record for the operator, and a neighbour that does not notice."""
    broken = KeyValueSettings(name="broken", url=f"sqlite:///{tmp_path}")  # a folder
    good = KeyValueSettings(name="good", url=f"sqlite:///{tmp_path}/keys.db")

    failed = answered(
        host, broken, ("kv_get", b"a", Into()), ("kv_set", b"a", b"b"), ("kv_increment", b"a", 1)
    )

    assert [-4, -4, LEAST] == results(failed)
    assert 1 == len(refused(host))
    assert [0] == results(answered(host, good, ("kv_set", b"a", b"b")))


def test_a_listing_has_an_end(host: Host, tmp_path: Path) -> None:
    """More than 1 MiB of keys is -3: a longer prefix is needed."""
    settings = KeyValueSettings(name="default", url=f"sqlite:///{tmp_path}/keys.db")

    async def main() -> Response:
        async with stores() as opened:
            (namespace,) = granted = opened.for_application("app", (settings,), Limits())
            for page in range(3):
                await namespace.set_many(
                    [(b"%d-%03d-" % (page, key) + b"k" * 900, b"") for key in range(400)]
                )
            module = storing(("kv_list", b"", Into(0)), ("kv_list", b"0", Into(0)))
            return await host.application(module, key_value=granted)(request())

    assert [-3, 400 * 907] == results(asyncio.run(main()))
