"""wasi:sockets as a component calls them: bytes go to a server and back, and nothing is left."""

from __future__ import annotations

import asyncio
import socket

from applications import Host, request
from components import Imports
from held import Held
from net.backends import backend, echo
from sandbox import wat
from serverless_wasm.abi.wasi_http.interfaces import INTERFACES
from serverless_wasm.events import GuestLogged

AT_ONCE = 5
_LIFT = '(param "request" (own $incoming-request)) (param "response-out" (own $response-outparam))'
_CONNECTS = """(data (i32.const 64) "hello")
(func $check (if (i32.load8_u (i32.const 16)) (then unreachable)))
(func (export "handle") (param i32 i32) (local $socket i32) (local $in i32) (local $out i32)
  (local $ready i32)
  (call $tcp-create-socket.create-tcp-socket (i32.const 0) (i32.const 16)) (call $check)
  (local.set $socket (i32.load (i32.const 20)))
  (call $tcp-socket.start-connect (local.get $socket) (call $instance-network.instance-network)
    (i32.const 0) (i32.const {port}) (i32.const 127) (i32.const 0) (i32.const 0) (i32.const 1)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
    (i32.const 16)) (call $check)
  (local.set $ready (call $tcp-socket.subscribe (local.get $socket)))
  (call $pollable.block (local.get $ready))
  (call $tcp-socket.finish-connect (local.get $socket) (i32.const 16)) (call $check)
  (local.set $in (i32.load (i32.const 20)))
  (local.set $out (i32.load (i32.const 24)))
  (call $output-stream.blocking-write-and-flush
    (local.get $out) (i32.const 64) (i32.const 5) (i32.const 16)) (call $check)
  (call $input-stream.blocking-read (local.get $in) (i64.const 100) (i32.const 16)) (call $check)
  (call $output-stream.blocking-write-and-flush (call $stdout.get-stdout)
    (i32.load (i32.const 20)) (i32.load (i32.const 24)) (i32.const 16))
  {drops})"""
_IN_ORDER = "(call $drop.input-stream (local.get $in)) (call $drop.output-stream (local.get $out))"


def component(port: int, drops: str = "") -> bytes:
    code = _CONNECTS.format(port=port, drops=drops)
    return wat(Imports(INTERFACES).component(code, "wasi:http/incoming-handler@0.2.0#handle", _LIFT))


def said(host: Host) -> list[str]:
    return [event.message for event in host.events if isinstance(event, GuestLogged)]


def test_bytes_go_both_ways(host: Host) -> None:
    """A guest connects, waits, writes and reads, and what it leaves open is closed."""

    async def main() -> None:
        async with backend(echo) as port:
            application = host.application(component(port), allowed=(f"tcp://127.0.0.1:{port}",))
            before = Held.by(["self"]).descriptors
            for _ in range(3):
                await application(request())
            assert ["hello"] * 3 == said(host)
            while Held.by(["self"]).descriptors > before:  # noqa: ASYNC110 - the server closes its ends
                await asyncio.sleep(0.001)

    asyncio.run(main())


def test_streams_are_dropped_first(host: Host) -> None:
    """A guest that drops a socket before its streams is ended; one that drops all in order is not."""
    drop = "(call $drop.pollable (local.get $ready)) (call $drop.tcp-socket (local.get $socket))"
    tell = """(call $output-stream.blocking-write-and-flush (call $stdout.get-stdout)
      (i32.const 64) (i32.const 5) (i32.const 16))"""

    async def main() -> None:
        async with backend(echo) as port:
            for drops in (f"{drop} {tell}", f"{_IN_ORDER} {drop} {tell}"):
                allowed = (f"tcp://127.0.0.1:{port}",)
                await host.application(component(port, drops), allowed=allowed)(request())

    asyncio.run(main())
    assert "is given away before" in host.finished[0].detail
    assert "is given away before" not in host.finished[1].detail
    assert ["hello", "hellohello"] == said(host)  # the second went on


def test_without_an_entry(host: Host) -> None:
    """It is refused, whoever listens there."""

    async def main() -> None:
        async with backend(echo) as port:
            await host.application(component(port))(request())

    asyncio.run(main())
    assert not said(host)
    assert "unreachable" in host.finished[0].detail


def test_nothing_is_left(host: Host) -> None:
    """Of guests that are cut short while they wait for a server neither a task nor a descriptor remains."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.setblocking(False)
            port, loop = listening.getsockname()[1], asyncio.get_running_loop()
            application = host.application(component(port), allowed=("tcp://127.0.0.1:*",))
            admission = host.sandbox.scheduler.admission
            committed, before = admission.committed, Held.by(["self"]).descriptors
            for _ in range(20):
                tasks = [asyncio.create_task(application(request())) for _ in range(AT_ONCE)]
                others = [(await loop.sock_accept(listening))[0] for _ in tasks]
                assert admission.taken == AT_ONCE
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
                for other in others:
                    other.close()
                assert {asyncio.current_task()} == asyncio.all_tasks()
                assert (0, committed) == (admission.taken, admission.committed)
            assert before == Held.by(["self"]).descriptors

    asyncio.run(main())
    assert {"cancelled"} == {record.outcome for record in host.finished}
