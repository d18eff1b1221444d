"""Files as a guest of `env` has them (docs/abi/env.md, "Files")."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from abi.storing import Into, filled, results, storing
from applications import Host, request
from serverless_wasm.events import StoreRefused
from serverless_wasm.limits import Limits
from serverless_wasm.messages import Response
from serverless_wasm.storage.files.stores import FileStores, Place
from serverless_wasm.stores import Remote
from services import Service


def answered(
    host: Host, places: tuple[Place, ...], *calls: tuple[Any, ...], limits: Limits | None = None
) -> Response:
    """What a guest says that was granted these places."""
    limits, stores = limits or Limits(), FileStores()

    async def main() -> Response:
        files = stores.for_application(places, limits)
        return await host.application(storing(*calls), files=files, limits=limits)(request())

    try:
        return asyncio.run(main())
    finally:
        stores.close()


@pytest.fixture
def places(tmp_path: Path) -> tuple[Place, ...]:
    """A folder that may be written, and one that may not."""
    for name in ("data", "assets"):
        (tmp_path / name).mkdir()
    (tmp_path / "assets" / "a.txt").write_bytes(b"hello")
    return (
        Place(name="/data", where=tmp_path / "data", write=True, quota=100_000),
        Place(name="/assets", where=tmp_path / "assets"),
    )


def refused(host: Host) -> list[str]:
    """What the log says of stores."""
    return [event.reason for event in host.events if isinstance(event, StoreRefused)]


def test_files_are_put_and_got(host: Host, places: tuple[Place, ...], tmp_path: Path) -> None:
    """The full length, a part from anywhere, at most the window; -1 when there is none."""
    response = answered(
        host,
        places,
        ("file_get", b"/data/a/b", 0, Into()),
        ("file_put", b"/data/a/b", b"hello"),
        ("file_get", b"/data/a/b", 0, Into()),
        ("file_get", b"/data/a/b", 1, Into(3)),
        ("file_get", b"/data/a/b", 5, Into()),
        ("file_get", b"/data/a/b", 2**63, Into()),
        ("file_put", b"/data/a/b", b""),
        ("file_get", b"/data/a/b", 0, Into()),
        ("file_put", b"/data/c", b"kept"),
    )

    assert [-1, 0, 5, 5, 5, 5, 0, 0, 0] == results(response)
    assert [b"hello", b"ell", b"", b""] == [filled(response, call) for call in (2, 3, 4, 5)]
    assert b"kept" == (tmp_path / "data" / "c").read_bytes()
    assert [] == refused(host)


def test_files_are_deleted(host: Host, places: tuple[Place, ...]) -> None:
    """0, also the second time."""
    response = answered(
        host,
        places,
        ("file_put", b"/data/a", b"1"),
        ("file_delete", b"/data/a"),
        ("file_delete", b"/data/a"),
        ("file_get", b"/data/a", 0, Into()),
    )

    assert [0, 0, 0, -1] == results(response)


def test_files_are_listed(host: Host, places: tuple[Place, ...]) -> None:
    """Whole paths that begin with the prefix, over all places, sorted, each with a line feed."""
    response = answered(
        host,
        places,
        *(("file_put", path, b"") for path in (b"/data/b/2", b"/data/a", b"/data/b/1")),
        ("file_list", b"/data/b", Into()),
        ("file_list", b"/", Into()),
        ("file_list", b"/", Into(4)),
        ("file_list", b"/other", Into()),
    )

    everything = b"/assets/a.txt\n/data/a\n/data/b/1\n/data/b/2\n"
    assert [20, len(everything), len(everything), 0] == results(response)[3:]
    assert [b"/data/b/1\n/data/b/2\n", everything, b"/ass"] == [filled(response, call) for call in (3, 4, 5)]


@pytest.mark.parametrize(
    "path",
    [b"", b"data/a", b"/", b"/data", b"/data/", b"/data/../assets/a.txt", b"/data//a", b"/data/./a",
     b"/other/a", b"/data/a\0b", b"/data/\xff", b"/data/" + b"a" * 1100, b"/dat", b"/data\\a", b"/data/a\nb"],
)  # fmt: skip
def test_paths_that_lead_nowhere(host: Host, places: tuple[Place, ...], path: bytes) -> None:
    """-2 for all calls, the first of which the log has."""
    response = answered(
        host, places, ("file_get", path, 0, Into()), ("file_put", path, b"1"), ("file_delete", path)
    )

    assert [-2, -2, -2] == results(response)
    assert 1 == len(refused(host))


def test_a_place_that_is_only_read(host: Host, places: tuple[Place, ...]) -> None:
    """-2 for what would change it; what is there can be read all the same."""
    response = answered(
        host,
        places,
        ("file_put", b"/assets/b", b"1"),
        ("file_delete", b"/assets/a.txt"),
        ("file_get", b"/assets/a.txt", 0, Into()),
    )

    assert [-2, -2, 5] == results(response)


def test_what_has_no_room(host: Host, places: tuple[Place, ...]) -> None:
    """-3 for a file that is too large, and for one that the quota has no room for; nothing of it is there."""
    limits = Limits(file_size=60_000)

    response = answered(
        host,
        places,
        ("file_put", b"/data/a", b"x" * 60_001),
        ("file_put", b"/data/a", b"x" * 60_000),
        ("file_put", b"/data/b", b"x" * 60_000),
        ("file_get", b"/data/b", 0, Into()),
        limits=limits,
    )

    assert [-3, 0, -3, -1] == results(response)


def test_an_application_without_files(host: Host) -> None:
    """-2 for everything; a listing is empty."""
    response = answered(
        host, (), ("file_get", b"/a", 0, Into()), ("file_put", b"/a", b"1"), ("file_list", b"/", Into())
    )

    assert [-2, -2, 0] == results(response)


def test_a_store_on_the_network(host: Host, s3: Service) -> None:
    """The same calls, whatever keeps the files."""
    place = Place(name="/far", where=s3.remote("env-files"), write=True)

    response = answered(
        host,
        (place,),
        ("file_put", b"/far/a/b", b"hello"),
        ("file_get", b"/far/a/b", 1, Into(3)),
        ("file_list", b"/far/", Into()),
        ("file_get", b"/far/a/b", 2**63, Into()),
        ("file_delete", b"/far/a/b"),
        ("file_get", b"/far/a/b", 0, Into()),
    )

    assert [0, 5, 9, 5, 0, -1] == results(response)
    assert (b"ell", b"/far/a/b\n") == (filled(response, 1), filled(response, 2))


def test_a_store_that_is_down(host: Host) -> None:
    """-4, in time, and one record; credentials are in none."""
    place = Place(name="/far", where=Remote(url="http://127.0.0.1:1/x"))

    response = answered(
        host, (place,), *[("file_get", b"/far/a", 0, Into())] * 2, limits=Limits(store_timeout=2.0)
    )

    assert [-4, -4] == results(response)
    assert 1 == len(refused(host))


def test_wrong_credentials(host: Host, s3: Service) -> None:
    """The guest learns nothing more than that; the operator which store it was, and no secret."""
    place = Place(name="/far", where=s3.remote("x", secret_access_key="can" + "ary"))

    response = answered(host, (place,), ("file_get", b"/far/a", 0, Into()))

    assert [-4] == results(response) or [-2] == results(response)
    (reason,) = refused(host)
    assert "canary" not in reason
    assert "s3://" in reason
