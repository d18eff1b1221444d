"""One application as a handler: admission, deadline, record, and what never gets out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from applications import HELLO, Host, body_of, request
from serverless_wasm.errors import RequestTimeout
from serverless_wasm.events import InternalFault
from serverless_wasm.limits import Limits
from serverless_wasm.messages import Body, Response
from serverless_wasm.server.intake import Intake
from serverless_wasm.wasm.fiber import Fiber

READ_BODY = """(module (import "env" "request_get_body" (func $body (param i64 i32 i64) (result i64)))
  (import "env" "response_set_body" (func $set (param i32 i64))) (memory (export "memory") 1)
  (func (export "handle")
    (call $set (i32.const 0) (call $body (i64.const 0) (i32.const 0) (i64.const 100)))))"""
ENDS = {
    "ok": (HELLO, 200),
    "trap": ('(module (func (export "handle") unreachable))', 500),
    "stack": ('(module (func $f (export "handle") (call $f)))', 500),
    "bad_response": ('(module (func (export "handle")))', 500),
    "deadline": ('(module (func (export "handle") (loop (br 0))))', 504),
}


class SlowBody:
    """A request body that arrives when the test says so."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.release = asyncio.Event()

    async def chunks(self) -> AsyncIterator[bytes]:
        self.asked.set()
        await self.release.wait()
        yield b"late"


@pytest.mark.parametrize("outcome", ENDS)
def test_each_end_has_one_record_and_one_status(host: Host, outcome: str) -> None:
    """One record per invocation; the client sees a code and the request's id."""
    module, status = ENDS[outcome]
    application = host.application(module, limits=Limits(timeout=0.1))

    response = asyncio.run(application(request()))

    assert status == response.status
    (record,) = host.finished
    assert (outcome, status, "app", "r-1") == (
        record.outcome, record.status, record.application, record.request_id,
    )  # fmt: skip
    if status != 200:
        assert {"error", "request_id"} == set(json.loads(body_of(response)))
    else:
        assert (1, 65_536) == (record.host_calls, record.memory_peak)
        assert 0 < record.cpu_ms <= record.wall_ms


def test_concurrency_is_limited_and_given_back(host: Host) -> None:
    """One more than allowed is 503 with Retry-After; after the end there is room again."""
    application = host.application(READ_BODY, limits=Limits(concurrency=2, queue=0))

    async def main() -> list[Response]:
        bodies = [SlowBody() for _ in range(2)]
        tasks = [asyncio.create_task(application(request(body=Body(body.chunks())))) for body in bodies]
        for body in bodies:
            await body.asked.wait()
        refused = await application(request())
        for body in bodies:
            body.release.set()
        return [refused, *await asyncio.gather(*tasks), await application(request())]

    refused, *answered = asyncio.run(main())

    assert (503, b"1") == (refused.status, refused.headers.get(b"retry-after"))
    assert [200, 200, 200] == [response.status for response in answered]
    assert ["overloaded", "ok", "ok", "ok"] == [record.outcome for record in host.finished]


def test_cancellation_is_recorded_and_frees_everything(host: Host) -> None:
    """A client that leaves: outcome cancelled, no answer, and the slot is free."""
    application = host.application(READ_BODY, limits=Limits(concurrency=1))

    async def main() -> Response:
        body = SlowBody()
        task = asyncio.create_task(application(request(body=Body(body.chunks()))))
        await body.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await application(request(body=Body.of(b"x")))

    assert asyncio.run(main()).status == 200
    assert ["cancelled", "ok"] == [record.outcome for record in host.finished]
    assert host.sandbox.scheduler.admission.taken == 0


def test_fault_of_ours_is_500_and_told_to_the_operator_alone(host: Host, monkeypatch: Any) -> None:
    """An exception outside the tree never shows its text to the client."""
    application = host.application(HELLO)

    def explode(_fiber: Fiber) -> bool:
        raise RuntimeError("secret")

    monkeypatch.setattr(host.sandbox.scheduler, "stretch", explode)

    response = asyncio.run(application(request()))

    assert response.status == 500
    assert b"secret" not in body_of(response)
    (fault,) = (event for event in host.events if isinstance(event, InternalFault))
    assert str(fault.exception) == "secret"
    assert ["internal"] == [record.outcome for record in host.finished]
    assert host.sandbox.scheduler.admission.taken == host.sandbox.engine._lent == 0


def test_neighbours_never_see_each_others_ends(host: Host) -> None:
    """Eight applications that fail in their own ways at once; each gets its own outcome, ten times."""
    applications = {
        outcome: host.application(module, limits=Limits(timeout=0.05))
        for outcome, (module, _) in ENDS.items()
    }

    async def main() -> None:
        await asyncio.gather(
            *(
                application(request(id=f"{outcome}-{turn}"))
                for turn in range(10)
                for outcome, application in applications.items()
            )
        )

    asyncio.run(main())

    assert len(host.finished) == 10 * len(ENDS)
    assert all(record.request_id.startswith(f"{record.outcome}-") for record in host.finished)


def test_client_that_sends_slowly_holds_no_slot(host: Host) -> None:
    """With room for one invocation and none to wait, others are answered until the body has come."""
    application = host.application(READ_BODY, limits=Limits(concurrency=1, queue=0))

    async def main() -> None:
        intake = Intake(lambda _: None)
        intake.feed(b"la")
        slow = asyncio.create_task(application(request(method="POST", body=Body(intake, 4))))
        await asyncio.sleep(0)
        for _ in range(3):
            assert body_of(await application(request(body=Body.of(b"quick")))) == b"quick"
        intake.feed(b"te")
        intake.end()
        assert body_of(await slow) == b"late"

    asyncio.run(main())


def test_body_that_is_refused_costs_no_invocation(host: Host) -> None:
    """What the door has refused a slow body with is the answer; the guest has not begun."""
    application = host.application(READ_BODY)

    async def main() -> None:
        intake = Intake(lambda _: None)
        slow = asyncio.create_task(application(request(method="POST", body=Body(intake, 4))))
        await asyncio.sleep(0)
        intake.fail(RequestTimeout("the body did not arrive in time"))
        assert (await slow).status == 408

    asyncio.run(main())
    assert [(record.outcome, record.host_calls) for record in host.finished] == [("request_timeout", 0)]
