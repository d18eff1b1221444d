"""Files on a disk: links, killed writers, full and vanished disks."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from conditions import ROOT, fill, small_disk
from serverless_wasm.errors import Failed, NotPermitted, NotThere, TooLarge
from serverless_wasm.limits import MIB
from serverless_wasm.storage.files.disk import LEFT_BEHIND, THREADS, Disk
from serverless_wasm.storage.files.keeper import ANY, NEW, TEMPORARY
from serverless_wasm.storage.files.stores import Place
from serverless_wasm.storage.quota import ENTRY
from serverless_wasm.stores import Remote
from storage.backends import LIMITS, content, files, run
from storage.trees import SECRET, descriptors, names_in


def place(root: Path) -> Place:
    return Place(name="/data", where=root, write=True)


def test_no_link_leads_out(root: Path) -> None:
    """Neither to a file nor to a folder; what is written there stays inside."""
    (root / "absolute").symlink_to(root.parent / "secret")
    (root / "relative").symlink_to("../secret")
    (root / "folder").symlink_to("../outside")
    (root / "circle").symlink_to("circle")

    async def main() -> None:
        async with files(place(root)) as guest:
            for name in (b"absolute", b"relative", b"folder/secret", b"circle"):
                with pytest.raises(NotPermitted):
                    await guest.get(b"/data/" + name, 0, 100)
                assert None is await guest.trees[b"/data"].head(name.decode())
            assert [] == await guest.list(b"/", 0)
            assert [] == await guest.trees[b"/data"].entries("")
            for call in (guest.put(b"/data/folder/new", b"x"), guest.delete(b"/data/folder/secret")):
                with pytest.raises(NotPermitted):
                    await call
            await guest.put(b"/data/relative", b"in place of the link")
            await guest.delete(b"/data/absolute")

    run(main())
    assert SECRET == (root.parent / "secret").read_bytes()
    assert {"secret"} == names_in(root.parent / "outside")
    assert not (root / "relative").is_symlink()


def test_links_inside_stand_for_what_they_lead_to(root: Path) -> None:
    """A file is read and listed under both names; a folder is read, and listed once."""
    (root / "in").mkdir()
    (root / "in" / "a").write_bytes(b"x")
    (root / "link").symlink_to("in/a")
    (root / "also").symlink_to("in")
    (root / "in" / "up").symlink_to("..")

    async def main() -> None:
        async with files(place(root)) as guest:
            assert b"x" == await content(guest, b"/data/link")
            assert b"x" == await content(guest, b"/data/also/up/in/a")
            assert ["/data/in/a", "/data/link"] == await guest.list(b"/", 100)
            entries = await guest.trees[b"/data"].entries("")
            assert [("also", True), ("in", True), ("link", False)] == [
                (name, found.is_folder) for name, found in entries
            ]

    run(main())


def test_only_files_are_files(root: Path) -> None:
    """A pipe or a socket is neither opened, which could wait for ever, nor listed."""
    os.mkfifo(root / "pipe")

    async def main() -> None:
        async with files(place(root)) as guest:
            with pytest.raises(NotPermitted):
                await guest.get(b"/data/pipe", 0, 1)
            assert None is await guest.trees[b"/data"].head("pipe")
            assert [] == await guest.list(b"/", 0)

    run(main())


def test_names_that_no_guest_can_say_are_not_listed(root: Path) -> None:
    """A listing has a name on each line, so none may hold a line's end, or bytes that are not text."""
    for name in (b"fine", b"line\nend", b"\xff\xfe", b"back\\slash", f"{TEMPORARY}1".encode()):
        (root / os.fsdecode(name)).write_bytes(b"x")

    async def main() -> None:
        async with files(place(root)) as guest:
            assert ["/data/fine"] == await guest.list(b"/", 100)

    run(main())


def test_file_and_folder_of_one_name_are_refused(root: Path) -> None:
    """A disk has room for only one of them."""

    async def main() -> None:
        async with files(place(root)) as guest:
            await guest.put(b"/data/a/b", b"x")
            for path in (b"/data/a", b"/data/a/b/c"):
                with pytest.raises(NotPermitted):
                    await guest.put(path, b"y")
            with pytest.raises(NotPermitted):
                await guest.put(b"/data/" + b"n" * 256, b"y")
            with pytest.raises(NotThere):
                await guest.get(b"/data/" + b"n" * 256, 0, 1)
            assert b"x" == await content(guest, b"/data/a/b")

    run(main())
    assert {"a"} == names_in(root)


def test_emptied_folders_go_while_others_write_there(root: Path) -> None:
    """A file can be put into a folder that is removed at the same moment, again and again."""

    async def main() -> None:
        async with files(place(root)) as guest:

            async def come_and_go(number: int) -> None:
                for _ in range(30):
                    await guest.put(f"/data/in/deep/{number}".encode(), b"x")
                    await guest.delete(f"/data/in/deep/{number}".encode())

            await asyncio.gather(*(come_and_go(number) for number in range(4)))
            assert [] == await guest.list(b"/", 0)

    run(main())
    assert set() == names_in(root)


def test_nothing_is_left_open(root: Path) -> None:
    """Whatever is done, and whether it fails."""

    async def main() -> None:
        async with files(place(root)) as guest:
            for _ in range(20):
                await guest.put(b"/data/in/a", b"x")
                await guest.get(b"/data/in/a", 0, 1)
                await guest.list(b"/", 100)
                for path in (b"/data/in", b"/data/nothing", b"/data/in/a/b"):
                    with pytest.raises(NotThere):
                        await guest.get(path, 0, 1)
                with pytest.raises(NotPermitted):
                    await guest.put(b"/data/in", b"x")
                assert not await guest.trees[b"/data"].write("in/a", b"y", NEW)

    before = descriptors()
    run(main())
    assert before == descriptors()
    assert {"a"} == names_in(root / "in")


WRITER = """
import asyncio, sys
from pathlib import Path
from serverless_wasm.storage.files.disk import Disk
from serverless_wasm.storage.files.keeper import ANY

async def main() -> None:
    disk, number = Disk(Path(sys.argv[1])), 0
    while True:
        number += 1
        await disk.write("in/file", str(number % 10).encode() * 300_000, ANY)
        print(number % 10, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("_turn", range(int(os.environ.get("FILES_KILLS", "4"))))
def test_writer_may_be_killed(root: Path, seed: int, _turn: int) -> None:
    """At any point: the file is whole, and no older than the last write that was acknowledged."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(root)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert writer.stdout is not None
    for _ in range(2 + (seed + _turn) % 9):
        last = writer.stdout.readline().strip()
    writer.send_signal(signal.SIGKILL)
    last = ([last, *writer.communicate()[0].split()])[-1]

    found = (root / "in" / "file").read_bytes()

    assert 300_000 == len(found)
    assert {found[:1]} == {bytes([byte]) for byte in set(found)}
    assert (int(found[:1]) - int(last)) % 10 in {0, 1}

    async def main() -> None:
        async with files(place(root)) as guest:
            assert ["/data/in/file"] == await guest.list(b"/", 100)
            await guest.put(b"/data/in/file", b"again")

    run(main())


def test_what_a_killed_writer_left_is_removed(root: Path) -> None:
    """With the first write, once it is so old that nobody can be writing it any more."""
    (root / "in").mkdir()
    old, young = root / "in" / f"{TEMPORARY}old", root / "in" / f"{TEMPORARY}young"
    old.write_bytes(b"half")
    young.write_bytes(b"half")
    long_ago = time.time() - 2 * LEFT_BEHIND
    os.utime(old, (long_ago, long_ago))

    async def main() -> None:
        disk = Disk(root)
        await disk.write("a", b"x", ANY)
        disk._pool.shutdown(wait=True)

    run(main())
    assert {young.name} == names_in(root / "in")


def test_folder_that_is_gone_is_found_again(root: Path) -> None:
    """A place whose folder is missing fails with a sentence; once it is remade it works."""

    async def main() -> None:
        async with files(place(root)) as guest:
            await asyncio.to_thread(root.rmdir)
            for call in (guest.get(b"/data/a", 0, 1), guest.put(b"/data/a", b"x"), guest.list(b"/", 9)):
                with pytest.raises(Failed, match="cannot be opened: No such file"):
                    await call
            await asyncio.to_thread(root.mkdir)
            await guest.put(b"/data/a", b"x")
            assert b"x" == await content(guest, b"/data/a")

    run(main())


@pytest.mark.skipif(ROOT, reason="root may write everywhere")
def test_folder_that_may_not_be_written(root: Path) -> None:
    """What the system refuses to this user is not permitted."""
    root.chmod(0o500)

    async def main() -> None:
        async with files(place(root)) as guest:
            with pytest.raises(NotPermitted):
                await guest.put(b"/data/a", b"x")

    run(main())


def test_full_disk(root: Path, tmp_path: Path) -> None:
    """Is too large for the guest, changes nothing, hurts no other place, and is over when there is room."""
    with small_disk(tmp_path / "small", "512k") as small:

        async def main() -> None:
            async with files(place(small), Place(name="/other", where=root, write=True)) as guest:
                await guest.put(b"/data/a", b"before")
                filler = fill(small)
                with pytest.raises(TooLarge, match="No space left"):
                    await guest.put(b"/data/a", b"x" * 100_000)
                assert b"before" == await content(guest, b"/data/a")
                assert {"a", filler.name} == names_in(small)
                await guest.put(b"/other/a", b"x")
                filler.unlink()
                await guest.put(b"/data/a", b"x" * 100_000)

        run(main())


def test_disk_that_hangs_hurts_nobody_else(root: Path, tmp_path: Path) -> None:
    """Its calls fail in time, those to another place go on, and it works again when it answers again."""
    limits = replace(LIMITS, store_timeout=0.3)
    (tmp_path / "fine").mkdir()
    answers = threading.Event()

    async def main() -> None:
        other = Place(name="/fine", where=tmp_path / "fine", write=True)
        async with files(place(root), other, limits=limits) as guest:
            disk = guest.trees[b"/data"]._keeper
            assert isinstance(disk, Disk)
            hanging = [disk._pool.submit(answers.wait) for _ in range(THREADS)]
            calls = [asyncio.create_task(guest.put(b"/data/a", b"x")) for _ in range(10)]
            await guest.put(b"/fine/a", b"x")
            assert not any(call.done() for call in calls)
            for outcome in await asyncio.gather(*calls, return_exceptions=True):
                assert isinstance(outcome, Failed)
                assert "no answer within 0.3 s" in str(outcome)
            answers.set()
            await asyncio.gather(*map(asyncio.wrap_future, hanging))
        async with files(place(root)) as guest:
            assert [] == await guest.list(b"/", 0)
            await guest.put(b"/data/a", b"x")

    run(main())


def test_part_of_a_huge_file_is_all_that_is_read(root: Path) -> None:
    """1 MiB out of 10 GiB: the kernel has handed this process that much, and some for what Python reads."""
    with (root / "huge").open("wb") as file:
        file.truncate(10 * 1024 * MIB)
        file.seek(7 * 1024 * MIB)
        file.write(b"here")

    async def main() -> None:
        async with files(place(root)) as guest:
            await guest.get(b"/data/huge", 0, 1)
            before = bytes_read()
            length, part = await guest.get(b"/data/huge", 7 * 1024 * MIB, MIB)
            moved = bytes_read() - before
        assert (10 * 1024 * MIB, MIB, b"here\0") == (length, len(part), part[:5])
        assert MIB <= moved < MIB + 64 * 1024

    run(main())


def bytes_read() -> int:
    """What this process has read so far, by proc(5)."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("rchar:")).split()[1])


def test_quota_counts_what_lies_there(root: Path, tmp_path: Path) -> None:
    """In folders, too; a place beside it has a quota of its own, and memory one."""
    (root / "in").mkdir()
    (root / "in" / "a").write_bytes(b"x" * 1000)

    async def main() -> None:
        mine = replace(place(root), quota=2 * ENTRY + 1000)
        memory = Place(name="/memory", where=Remote(url="memory://"), write=True, quota=2 * ENTRY)
        async with files(mine, memory) as guest:
            with pytest.raises(TooLarge):
                await guest.put(b"/data/b", b"x")
            await guest.put(b"/data/b", b"")
            await guest.put(b"/memory/b", b"x")

    run(main())
