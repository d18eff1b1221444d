"""wasi:filesystem as a component calls it: files are there afterwards, or the request is no success."""

from __future__ import annotations

import asyncio
from pathlib import Path

from applications import Host, request, whole
from components import Imports
from held import Held
from serverless_wasm.abi.wasi_http.interfaces import INTERFACES
from serverless_wasm.messages import Response
from serverless_wasm.storage.files.stores import Files
from serverless_wasm.storage.mounts import Mount, Mounts
from storage.gated import gated
from zoo.composed import hostile

_READ, _WRITE, _CREATE = 1, 3, 1
_WRITES = f"""(data (i32.const 1024) "file" "hello")
(func $must_be_well (if (i32.load8_u (i32.const 64)) (then unreachable)))
(func $open (param $how i32) (param $flags i32) (result i32)
  (call $preopens.get-directories (i32.const 16))
  (call $descriptor.open-at (i32.load (i32.load (i32.const 16))) (i32.const 0)
    (i32.const 1024) (i32.const 4) (local.get $how) (local.get $flags) (i32.const 64))
  (call $must_be_well) (i32.load (i32.const 68)))
(func $hostile (local $file i32)
  (local.set $file (call $open (i32.const {_CREATE}) (i32.const {_WRITE})))
  (call $descriptor.write (local.get $file) (i32.const 1028) (i32.const 5) (i64.const 0) (i32.const 64))
  (call $must_be_well)
  (call $drop.descriptor (local.get $file))
  (local.set $file (call $open (i32.const 0) (i32.const {_READ})))
  (call $descriptor.read (local.get $file) (i64.const 100) (i64.const 0) (i32.const 64))
  (call $must_be_well)
  (call $say (i32.load (i32.const 68)) (i32.load (i32.const 72))))"""


def component() -> bytes:
    return hostile(Imports(INTERFACES), _WRITES)


def mounts(path: Path) -> Mounts:
    return Mounts(mounts=(Mount(name="/data", path=path, write=True),))


def test_a_file_is_written_and_read(host: Host, tmp_path: Path) -> None:
    """By the same guest, and it is there for others; nothing stays open."""

    async def main() -> None:
        application = host.application(component(), mounts=mounts(tmp_path))
        await whole(host, application, request())
        before = Held.by(["self"]).descriptors
        for _ in range(3):
            assert (200, b"hello") == await whole(host, application, request())
        assert before == Held.by(["self"]).descriptors

    asyncio.run(main())
    assert b"hello" == (tmp_path / "file").read_bytes()


def test_scratch(host: Host, tmp_path: Path) -> None:
    """A scratch folder is gone with the request."""

    async def main() -> tuple[int, bytes]:
        scratch = Mounts(scratch=1_000_000, parent=str(tmp_path))
        return await whole(host, host.application(component(), mounts=scratch), request())

    assert (200, b"hello") == asyncio.run(main())
    assert [] == [each for each in tmp_path.rglob("*") if each.is_file()]


def test_a_file_of_a_store(host: Host, tmp_path: Path) -> None:
    """The same, through waits."""

    async def main() -> tuple[int, bytes]:
        async with gated(tmp_path) as (_, tree):
            return await whole(host, host.application(component(), files=Files({b"/data": tree})), request())

    assert (200, b"hello") == asyncio.run(main())
    assert b"hello" == (tmp_path / "file").read_bytes()


def test_a_file_that_is_not_kept(host: Host, tmp_path: Path) -> None:
    """500 with the outcome `unsaved`."""

    async def main() -> Response:
        async with gated(tmp_path) as (keeper, tree):
            keeper.failing = {"write"}
            return await host.application(component(), files=Files({b"/data": tree}))(request())

    assert 500 == asyncio.run(main()).status
    assert ["unsaved"] == [record.outcome for record in host.finished]


def test_nothing_is_left(host: Host, tmp_path: Path) -> None:
    """Of guests that are cut short while they wait for a store."""

    async def main() -> None:
        async with gated(tmp_path) as (keeper, tree):
            application = host.application(component(), files=Files({b"/data": tree}))
            admission = host.sandbox.scheduler.admission
            before = admission.taken, admission.committed
            for name in ("head", "read", "write") * 3:
                keeper.closed = {name}
                keeper.waited.clear()
                if name == "read":
                    (tmp_path / "file").write_bytes(b"x" * 10)
                task = asyncio.create_task(application(request()))
                await keeper.waited.wait()
                task.cancel()
                await asyncio.wait({task})
                assert {asyncio.current_task()} == asyncio.all_tasks()
                assert before == (admission.taken, admission.committed)

    asyncio.run(main())
    assert {"cancelled"} == {record.outcome for record in host.finished}
