"""wasi:filesystem on stores: what waits for them, what they cannot do, and when a file is in one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from abi.wasi_http.filing import NOTHING, WRITE, Filer, Folders
from abi.wasi_http.speaking import Speaker
from abi.wasi_http.test_p2_files import run
from serverless_wasm.abi.stream import Stream
from serverless_wasm.abi.wasi_http.interface import Err, Ok
from serverless_wasm.errors import Unsaved
from serverless_wasm.storage.files.stores import Files
from serverless_wasm.storage.mounts import Mount, Mounts
from storage.gated import gated


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_what_no_store_does(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    """Links and times are refused by name."""

    async def test(guest: Filer) -> None:
        await guest.put("file", b"x")
        file, now = await guest.open("file", WRITE), ("now", None)
        assert "unsupported" == await guest.do("symlink-at", "file", "soft")
        assert "unsupported" == await guest.do("link-at", NOTHING, "file", guest.root, "hard")
        assert "unsupported" == await guest.do("set-times", now, now, on=file)
        assert "unsupported" == await guest.do("set-times-at", NOTHING, "file", now, now)
        assert "invalid" == await guest.do("readlink-at", "file")
        assert "no-entry" == await guest.do("readlink-at", "nothing")

    run(Folders(kind, request, tmp_path), test)


def test_not_between_two_kinds(tmp_path: Path) -> None:
    """A file of a store is not renamed into a folder of this machine, nor linked there."""
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()

    async def main() -> None:
        async with gated(tmp_path / "there") as (_, tree):
            mounts = Mounts(mounts=(Mount(name="/here", path=tmp_path / "here", write=True),))
            speaker = Speaker(mounts=mounts, files=Files({b"/there": tree}))
            (here, first), (there, second) = speaker("get-directories")
            assert ("/here", "/there") == (first, second)
            rename = "[method]descriptor.rename-at"
            assert Err("cross-device") == await speaker.wait(rename, here, "x", there, "x")
            assert Err("cross-device") == await speaker.wait(rename, there, "x", here, "x")
            link = "[method]descriptor.link-at"
            assert Err("unsupported") == await speaker.wait(link, here, NOTHING, "x", there, "x")
            speaker.close()

    asyncio.run(main())


def test_a_dropped_file_is_kept(tmp_path: Path) -> None:
    """With the next one that is opened, or at the end; its bytes count until then."""

    async def main() -> None:
        async with gated(tmp_path) as (keeper, tree):
            guest = Filer(files=Files({b"/data": tree}), file_size=1000)
            await guest.put("a", b"x" * 600)
            assert "write" not in keeper.calls
            await guest.put("b", b"y" * 600)
            assert 1 == keeper.calls.count("write")
            file = await guest.open("b", WRITE)
            assert "file-too-large" == await guest.do("write", b"z" * 500, 600, on=file)
            await guest.invocation.keep_files()
            assert 2 == keeper.calls.count("write")
            assert b"y" * 600 == (tmp_path / "b").read_bytes()
            guest.close()

    asyncio.run(main())


def test_a_store_that_fails(tmp_path: Path) -> None:
    """Is told by a code where there is one, by the stream, and else ends the guest."""

    async def main() -> None:
        async with gated(tmp_path) as (keeper, tree):
            guest = Filer(files=Files({b"/data": tree}))
            (tmp_path / "there").write_bytes(b"x" * 100_000)
            file = await guest.open("there", WRITE)
            keeper.failing = {"read"}
            assert "io" == await guest.do("read", 10, 0, on=file)
            assert "io" == await guest.do("write-via-stream", 0, on=file)
            source = await guest.do("read-via-stream", 0, on=file)
            failed = await guest.wait("[method]input-stream.blocking-read", source, 10)
            assert "last-operation-failed" == failed.value[0]
            assert "io" == guest("filesystem-error-code", failed.value[1])
            keeper.failing = {"write"}
            await guest.put("new", b"x")
            with pytest.raises(Unsaved, match="down"):
                await guest.open("there")
            guest.close()

    asyncio.run(main())


def test_an_answer_waits_for_its_files(tmp_path: Path) -> None:
    """It does not begin before they are in their store if it is finished by then, else does not end."""

    async def main() -> None:
        async with gated(tmp_path) as (_, tree):
            for has_begun in (False, True):
                guest = Filer(files=Files({b"/data": tree}), streams=True)
                if not has_begun:
                    await guest.put("file", b"x")
                body, stream = guest.respond()
                await guest.write(stream, b"all of it")
                if has_begun:
                    await guest.put("file", b"x")
                assert Ok() == guest.finish(body, stream)
                guest.answer.flush()
                assert has_begun is bool(guest.begun)
                if has_begun:
                    sent = guest.begun[0].body
                    assert isinstance(sent, Stream)
                    assert b"all of it" == await anext(sent)
                    await sent.aclose()  # the client leaves with what it has, and the file is kept
                await guest.invocation.keep_files()
                assert 200 == guest.answer.finish().status
                guest.close()

    asyncio.run(main())
    assert b"x" == (tmp_path / "file").read_bytes()
