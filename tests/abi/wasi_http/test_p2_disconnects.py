"""Clients that leave while a component waits: everything is given back, as often as it happens."""

from __future__ import annotations

import asyncio
import os

import pytest

from applications import Host, request
from components import Imports
from held import Held
from sandbox import wat
from serverless_wasm.abi.wasi_http.interfaces import INTERFACES
from serverless_wasm.messages import Body

TIMES = int(os.environ.get("DISCONNECTS", "300"))
AT_ONCE = 20
_LIFT = '(param "request" (own $incoming-request)) (param "response-out" (own $response-outparam))'
SLEEPS = """(func (export "handle") (param i32 i32)
  (call $pollable.block (call $monotonic-clock.subscribe-duration (i64.const 60000000000))))"""
POLLS = """(func (export "handle") (param i32 i32)
  (i32.store (i32.const 0) (call $monotonic-clock.subscribe-duration (i64.const 60000000000)))
  (i32.store (i32.const 4) (call $monotonic-clock.subscribe-duration (i64.const 50000000000)))
  (call $poll.poll (i32.const 0) (i32.const 2) (i32.const 16)))"""
READS = """(func (export "handle") (param i32 i32)
  (call $incoming-request.consume (local.get 0) (i32.const 16))
  (call $incoming-body.stream (i32.load (i32.const 20)) (i32.const 16))
  (call $input-stream.blocking-read (i32.load (i32.const 20)) (i64.const 10) (i32.const 32)))"""


def component(code: str) -> bytes:
    return wat(Imports(INTERFACES).component(code, "wasi:http/incoming-handler@0.2.0#handle", _LIFT))


async def _never() -> None:
    await asyncio.Event().wait()


class Coming:
    """A body that never comes."""

    def __aiter__(self) -> Coming:
        return self

    async def __anext__(self) -> bytes:
        await _never()
        raise StopAsyncIteration


@pytest.mark.parametrize("code", [SLEEPS, POLLS, READS], ids=["block", "poll", "read"])
def test_nothing_is_left(host: Host, code: str) -> None:
    """Neither a task, nor a descriptor, nor a slot, nor the memory of a guest."""
    application = host.application(component(code))
    admission = host.sandbox.scheduler.admission

    async def main() -> None:
        committed, before = admission.committed, Held.by(["self"]).descriptors
        for _ in range(TIMES // AT_ONCE):
            asked = (application(request(body=Body(Coming(), certain=False))) for _ in range(AT_ONCE))
            tasks = [asyncio.create_task(each) for each in asked]
            while admission.taken < AT_ONCE:  # noqa: ASYNC110 - a guest tells nobody that it waits
                await asyncio.sleep(0.001)
            for _ in range(3):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            assert (0, committed) == (admission.taken, admission.committed)
            assert {asyncio.current_task()} == asyncio.all_tasks()
            assert host.sandbox.scheduler.current is None
        assert before == Held.by(["self"]).descriptors
        assert {"cancelled"} == {record.outcome for record in host.finished}
        assert len(host.finished) == TIMES // AT_ONCE * AT_ONCE

    asyncio.run(main())
