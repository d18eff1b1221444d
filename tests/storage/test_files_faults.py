"""Files in object stores on a bad day: down, slow, other credentials, no bucket; and what a read moves."""

from __future__ import annotations

import asyncio
import socket
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import obstore
import pytest

from serverless_wasm.errors import Failed, NotPermitted, NotThere
from serverless_wasm.limits import MIB
from serverless_wasm.storage.files.stores import Place
from serverless_wasm.stores import Patience, Remote, Store, open_objects
from services import SECRET, Service, Web
from storage.backends import LIMITS, content, files, run
from throttle import Throttle, throttle

HURRY = replace(LIMITS, store_timeout=1.0)


def place(where: Path | Remote, name: str = "/data") -> Place:
    return Place(name=name, where=where, write=not (isinstance(where, Remote) and where.scheme == "http"))


def by_way_of(service: Service, proxy: Throttle, below: str) -> Place:
    """A place of that service behind a proxy."""
    return place(service.remote(below, endpoint=service.endpoint.replace(str(service.port), str(proxy.port))))


@contextmanager
def nobody() -> Iterator[str]:
    """The address of a port where nobody listens, and that nobody else gets meanwhile."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"


async def fails(where: Remote, words: str, tmp_path: Path) -> None:
    """Every call fails with a short sentence that tells no secret; a neighbour is not hurt."""
    async with files(place(where), place(tmp_path, "/fine"), limits=HURRY) as guest:
        calls = (guest.get(b"/data/a", 0, 9), guest.put(b"/data/a", b"x"), guest.delete(b"/data/a"))
        for call in (*calls, guest.list(b"/data/", 99), guest.trees[b"/data"].entries("")):
            with pytest.raises(Failed, match=words) as caught:
                await call
            told = "".join(traceback.format_exception(caught.value))
            assert SECRET not in told
            assert "Debug source" not in told
            assert len(str(caught.value)) < 200
            assert str(caught.value).isprintable()
            await guest.put(b"/fine/a", b"x")


def test_store_that_is_down(s3: Service, tmp_path: Path) -> None:
    """Nobody listens there."""
    with nobody() as endpoint:
        run(fails(s3.remote("x", endpoint=endpoint), "^s3://bucket/x: cannot be reached$", tmp_path))


def test_store_that_does_not_answer(s3: Service, tmp_path: Path) -> None:
    """It takes the connection, and that is all."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        run(fails(s3.remote("x", endpoint=endpoint), "no answer", tmp_path))


def test_store_that_refuses_us(s3: Service, tmp_path: Path) -> None:
    """The sentence says where the credentials are written."""
    words = r"refuses the credentials of \[stores.test\]"
    run(fails(s3.remote("x", secret_access_key=SECRET + "no"), words, tmp_path))
    run(fails(s3.remote("x", access_key_id="AKIAUNKNOWN"), words, tmp_path))


def test_credentials_of_the_environment(s3: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a table they are those of the provider's usual variables; the sentence says so, too."""
    names = {
        "AWS_ENDPOINT_URL": s3.endpoint,
        "AWS_ACCESS_KEY_ID": s3.options["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }
    for name, value in names.items():
        monkeypatch.setenv(name, value)

    async def main() -> None:
        async with files(place(Remote(url="s3://bucket/environment"))) as guest:
            await guest.put(b"/data/a", b"x")
            assert b"x" == await content(guest, b"/data/a")

    run(main())
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET + "no")
    run(fails(Remote(url="s3://bucket/x"), "refuses the credentials of the environment", tmp_path))


def test_bucket_that_is_not_there(s3: Service) -> None:
    """Is the operator's mistake: not a file that is missing."""
    store = Store(name="test", url="s3://nowhere", options=s3.options)

    async def main() -> None:
        async with files(place(Remote(url="s3://nowhere", store=store))) as guest:
            for call in (guest.get(b"/data/a", 0, 9), guest.list(b"/data/", 9)):
                with pytest.raises(Failed, match="there is no such bucket or container"):
                    await call

    run(main())


def test_store_that_answers_no_more(s3: Service, tmp_path: Path) -> None:
    """A call that hangs fails in time, hurts no other place, and the next one works."""
    with throttle(s3.port) as proxy:

        async def main() -> None:
            slow = by_way_of(s3, proxy, "slow")
            async with files(slow, place(tmp_path, "/fine"), limits=HURRY) as guest:
                await guest.put(b"/data/a", b"x")
                proxy.flowing.clear()
                calls = [asyncio.create_task(content(guest, b"/data/a")) for _ in range(20)]
                await guest.put(b"/fine/a", b"x")
                assert b"x" == await content(guest, b"/fine/a")
                assert not any(call.done() for call in calls)
                outcomes = await asyncio.gather(*calls, return_exceptions=True)
                assert all(isinstance(outcome, Failed) for outcome in outcomes)
                assert all("no answer" in str(outcome) for outcome in outcomes)
                proxy.flowing.set()
                assert b"x" == await content(guest, b"/data/a")

        run(main())


def test_write_that_is_cut_off_is_counted(s3: Service) -> None:
    """It may have happened: the quota holds nevertheless."""
    with throttle(s3.port) as proxy:

        async def main() -> None:
            slow = replace(by_way_of(s3, proxy, "cut off"), quota=3 * 5096)
            async with files(slow, limits=HURRY) as guest:
                await guest.put(b"/data/a", b"x" * 1000)
                proxy.flowing.clear()
                for name in (b"b", b"c", b"d"):
                    with pytest.raises(Failed):
                        await guest.put(b"/data/" + name, b"x" * 1000)
                proxy.flowing.set()
                for name in (b"e", b"f", b"g"):
                    await asyncio.gather(guest.put(b"/data/" + name, b"x" * 1000), return_exceptions=True)
                assert len(await guest.list(b"/", 1000)) <= 3

        run(main())


def test_part_of_a_large_object_is_all_that_moves(s3: Service) -> None:
    """1 MiB out of 40 MiB: what a proxy counts is that, and a response's head."""
    store = open_objects(s3.remote("large"), Patience(request=30))
    obstore.put(store, "object", (bytes([number]) * MIB for number in range(40)))
    with throttle(s3.port) as proxy:

        async def main() -> None:
            async with files(by_way_of(s3, proxy, "large")) as guest:
                length, part = await guest.get(b"/data/object", 7 * MIB, MIB)
                assert (40 * MIB, b"\7" * MIB) == (length, part)
                assert MIB <= proxy.received < MIB + 4096

        run(main())


def test_part_of_a_huge_file_of_a_web_server_is_all_that_moves(web: Web) -> None:
    """1 MiB out of 10 GiB."""
    with (web.folder / "huge").open("wb") as file:
        file.truncate(10 * 1024 * MIB)
        file.seek(7 * 1024 * MIB)
        file.write(b"here")
    with throttle(web.port) as proxy:

        async def main() -> None:
            async with files(place(Remote(url=f"http://127.0.0.1:{proxy.port}/"))) as guest:
                length, part = await guest.get(b"/data/huge", 7 * 1024 * MIB, MIB)
                assert (10 * 1024 * MIB, MIB, b"here\0") == (length, len(part), part[:5])
                assert MIB <= proxy.received < MIB + 4096

        run(main())


def test_web_server_is_read(web: Web) -> None:
    """Files are had, in part as well; there is no list of them, and nothing is written."""
    folder = web.folder / "site ö"
    (folder / "in").mkdir(parents=True)
    (folder / "in" / "a%b?c#d").write_bytes(b"0123456789")
    (folder / "empty").write_bytes(b"")

    async def main() -> None:
        site = place(Remote(url=f"{web.url}/site%20%C3%B6"))
        async with files(site, Place(name="/own", where=Remote(url="memory://"), write=True)) as guest:
            tree = guest.trees[b"/data"]
            assert (10, b"34") == await guest.get(b"/data/in/a%b?c#d", 3, 2)
            assert (10, b"") == await guest.get(b"/data/in/a%b?c#d", 10, 2)
            assert (0, b"") == await guest.get(b"/data/empty", 0, 2)
            found = await tree.head("in/a%b?c#d")
            assert found is not None
            assert 10 == found.size
            assert found.etag
            assert None is await tree.head("nothing")
            with pytest.raises(NotThere):
                await guest.get(b"/data/nothing", 0, 2)
            for call in (guest.list(b"/data/", 99), guest.put(b"/data/a", b"x"), guest.delete(b"/data/a")):
                with pytest.raises(NotPermitted):
                    await call
            await guest.put(b"/own/a", b"x")
            assert ["/own/a"] == await guest.list(b"/", 99)

    run(main())


def test_web_server_that_refuses_us(web: Web) -> None:
    """Is told as such."""

    async def main() -> None:
        async with files(place(Remote(url=f"{web.url}/secret"))) as guest:
            with pytest.raises(Failed, match="refuses"):
                await guest.get(b"/data/a", 0, 9)

    run(main())


def test_google_client_reads(s3: Service) -> None:
    """Of a server that speaks the XML interface, which S3 and Google's share; writing needs an account."""
    mine = Store(name="test", url="s3://open", options=s3.options)
    theirs = Store(name="test", url="gs://open", options={"endpoint": s3.endpoint}, anonymous=True)

    async def main() -> None:
        places = (
            place(Remote(url="s3://open/x", store=mine)),
            place(Remote(url="gs://open/x", store=theirs), "/gs"),
        )
        async with files(*places) as guest:
            await guest.put(b"/data/in/a", b"0123456789")
            assert (10, b"34") == await guest.get(b"/gs/in/a", 3, 2)
            assert (10, b"") == await guest.get(b"/gs/in/a", 10, 2)
            assert ["/gs/in/a"] == await guest.list(b"/gs", 99)
            with pytest.raises(NotThere):
                await guest.get(b"/gs/b", 0, 9)

    run(main())


def test_objects_that_stand_for_folders_are_no_files(s3: Service) -> None:
    """Consoles and some servers make an empty object "folder/"; nobody could read it as a file."""
    for key in ("marked/", "marked/in/", "marked/in/deep/"):
        assert httpx.put(f"{s3.endpoint}/open/{key}", content=b"").is_success
    store = Store(name="test", url="s3://open", options=s3.options)

    async def main() -> None:
        where = Remote(url="s3://open/marked", store=store)
        async with files(place(where)) as guest:
            tree = guest.trees[b"/data"]
            await guest.put(b"/data/in/deep/a", b"")
            assert ["/data/in/deep/a"] == await guest.list(b"/", 100)
            for folder, name in (("", "in"), ("in", "deep")):
                assert [(name, True)] == [
                    (name, found.is_folder) for name, found in await tree.entries(folder)
                ]
            assert ["a"] == [name for name, _ in await tree.entries("in/deep")]

    run(main())
