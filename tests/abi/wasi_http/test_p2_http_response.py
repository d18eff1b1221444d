"""wasi:http/types, responses that a guest makes: set once, whole or as a stream, never cut short unseen."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abi.wasi_http.speaking import Speaker, asked
from applications import body_of
from serverless_wasm.abi.stream import PIPE, Stream
from serverless_wasm.abi.wasi_http.interface import Err, Ok
from serverless_wasm.errors import BadResponse, Failed, GuestTrap, HostLimit
from serverless_wasm.messages import Response


def stream_of(response: Response) -> Stream:
    """The body of a response that streams."""
    assert isinstance(response.body, Stream)
    return response.body


async def all_of(response: Response) -> bytes:
    """Its body, to the end."""
    return b"".join([piece async for piece in stream_of(response)])


def test_a_response() -> None:
    """Status, fields in their order, and body are as the guest set them; what frames it is the door's."""

    async def main() -> None:
        guest = Speaker()
        body, stream = guest.respond(201, ("X-B", b" 1 "), ("x-b", b"2"), ("Content-Length", b"5"))
        await guest.write(stream, b"hello")
        assert guest.finish(body, stream) == Ok()
        response = guest.answer.finish()
        assert (response.status, body_of(response)) == (201, b"hello")
        assert response.headers.fields == ((b"x-b", b"1"), (b"x-b", b"2"), (b"content-length", b"5"))

    asyncio.run(main())


def test_a_response_without_a_body() -> None:
    """A guest that never asks for the body means an empty one."""
    guest = Speaker()
    response = guest("[constructor]outgoing-response", guest.fields())
    assert guest("[method]outgoing-response.status-code", response) == 200

    guest("[static]response-outparam.set", guest.outparam, Ok(response))

    assert guest.answer.finish().body == b""


@pytest.mark.parametrize(
    ("status", "taken"),
    [(100, False), (103, False), (199, False), (200, True), (599, True), (600, False), (0, False)],
)
def test_statuses(status: int, *, taken: bool) -> None:
    """Only final ones are taken, and a status that is not leaves the one before."""
    guest = Speaker()
    response = guest("[constructor]outgoing-response", guest.fields())

    assert guest("[method]outgoing-response.set-status-code", response, status) == (Ok() if taken else Err())
    assert guest("[method]outgoing-response.status-code", response) == (status if taken else 200)


def test_bodies_and_streams_are_given_once() -> None:
    """The second time that either is asked for is an error."""
    guest = Speaker()
    response = guest("[constructor]outgoing-response", guest.fields())
    body = guest("[method]outgoing-response.body", response).value

    assert guest("[method]outgoing-response.body", response) == Err()
    assert isinstance(guest("[method]outgoing-body.write", body), Ok)
    assert guest("[method]outgoing-body.write", body) == Err()


def test_a_length_that_is_none() -> None:
    """A body whose declared length cannot be read is refused, and a response without one is bad."""
    guest = Speaker()
    for value in (b"+5", b"", b"5, 5", b"x"):
        response = guest("[constructor]outgoing-response", guest.fields(("content-length", value)))
        assert guest("[method]outgoing-response.body", response) == Err()

    with pytest.raises(BadResponse):
        guest("[static]response-outparam.set", guest.outparam, Ok(response))


def test_nothing_set() -> None:
    """A guest that ends without an answer has answered badly."""
    with pytest.raises(BadResponse):
        Speaker().answer.finish()


def test_outparam_is_used_up() -> None:
    """It is gone with the first answer."""
    guest = Speaker()
    guest.respond()
    response = guest("[constructor]outgoing-response", guest.fields())

    with pytest.raises(GuestTrap):
        guest("[static]response-outparam.set", guest.outparam, Ok(response))


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (("DNS-timeout", None), 504),
        (("HTTP-request-denied", None), 403),
        (("connection-refused", None), 502),
        (("internal-error", "because\n"), 500),
        (("HTTP-request-body-size", 7), 413),
    ],
)
def test_an_error_as_an_answer(code: tuple[str, Any], status: int) -> None:
    """The client sees a status that fits, and our words; the log has the guest's."""
    guest = Speaker()

    guest("[static]response-outparam.set", guest.outparam, Err(code))

    response = guest.answer.finish()
    assert response.status == status
    assert body_of(response) == b'{"error": "guest_fault", "request_id": "r-1"}\n'
    assert guest.lines[0].startswith(f"the guest answers with {code[0]}")


# Finished, or not


def test_a_body_that_is_not_finished_is_not_whole() -> None:
    """Neither if its guest keeps it, nor if it drops it."""

    async def main() -> None:
        kept = Speaker()
        _, stream = kept.respond()
        await kept.write(stream, b"hello")
        with pytest.raises(BadResponse):
            kept.answer.finish()
        dropped = Speaker()
        body, stream = dropped.respond()
        dropped.drop(stream)
        dropped.drop(body)
        with pytest.raises(BadResponse):
            dropped.answer.finish()

    asyncio.run(main())


def test_a_body_is_dropped_after_its_stream() -> None:
    """Dropping or finishing it earlier ends the guest."""
    guest = Speaker()
    body, _ = guest.respond()

    with pytest.raises(GuestTrap):
        guest.drop(body)
    with pytest.raises(GuestTrap):
        guest("[static]outgoing-body.finish", body, None)


@pytest.mark.parametrize("written", [0, 3, 6])
def test_a_body_of_another_length_is_not_whole(written: int) -> None:
    """`finish` says how many bytes there were, and there is no response."""

    async def main() -> None:
        guest = Speaker()
        body, stream = guest.respond(200, ("content-length", b"5"))
        await guest.write(stream, b"x" * written)
        assert guest.finish(body, stream) == Err(("HTTP-response-body-size", written))
        with pytest.raises(BadResponse):
            guest.answer.finish()

    asyncio.run(main())


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304), ("GET", 204)])
def test_a_length_without_a_body(method: str, status: int) -> None:
    """Where there is no body, the length may be that of another response."""
    guest = Speaker(asked(method=method))
    body, stream = guest.respond(status, ("content-length", b"5"))

    assert guest.finish(body, stream) == Ok()
    assert guest.answer.finish().headers.get(b"content-length") == b"5"


def test_too_large_a_body_ends_the_guest() -> None:
    """The limit is that of all responses."""

    async def main() -> None:
        guest = Speaker(response_body=PIPE + 5)
        _, stream = guest.respond()
        with pytest.raises(HostLimit):
            await guest.write(stream, b"x" * (PIPE + 6))

    asyncio.run(main())


def test_messages_that_are_never_sent_are_bounded() -> None:
    """Each may have a body of a pipe; all of them together what a response may have."""
    guest = Speaker(response_body=3 * PIPE)

    def make() -> int:
        response: int = guest("[constructor]outgoing-response", guest.fields())
        guest("[method]outgoing-response.body", response)
        return response

    for response in [make() for _ in range(3)]:
        guest.drop(response)
    for _ in range(3):
        make()
    with pytest.raises(HostLimit):
        make()


def test_a_body_of_a_message_that_was_dropped_has_no_taker() -> None:
    """Its stream is closed, and what was written is gone."""

    async def main() -> None:
        guest = Speaker()
        response = guest("[constructor]outgoing-response", guest.fields())
        body = guest("[method]outgoing-response.body", response).value
        stream = guest("[method]outgoing-body.write", body).value
        await guest.write(stream, b"hello")
        guest.drop(response)
        assert guest("[method]output-stream.check-write", stream) == Err(("closed", None))

    asyncio.run(main())


# Streaming


def test_a_response_that_is_whole_in_its_turn_goes_out_whole() -> None:
    """Nothing begins while the guest keeps the event loop."""

    async def main() -> None:
        guest = Speaker(streams=True)
        body, stream = guest.respond()
        await guest.write(stream, b"hello")
        guest.finish(body, stream)
        assert body_of(guest.answer.finish()) == b"hello"
        await asyncio.sleep(0)
        assert guest.begun == []

    asyncio.run(main())


def test_a_response_begins_when_the_guest_gives_the_loop_back() -> None:
    """Its head goes out with what was written so far, the rest while it is made."""

    async def main() -> None:
        guest = Speaker(streams=True)
        body, stream = guest.respond(202)
        await guest.write(stream, b"one")
        await asyncio.sleep(0)
        (begun,) = guest.begun
        assert (begun.status, begun.headers.fields) == (202, ())
        assert await anext(stream_of(begun)) == b"one"
        await guest.write(stream, b"two")
        assert await anext(stream_of(begun)) == b"two"
        guest.finish(body, stream)
        assert await all_of(begun) == b""
        assert guest.answer.finish().status == 202

    asyncio.run(main())


def test_a_response_that_is_finished_while_its_guest_goes_on_has_its_length() -> None:
    """A guest may do something else after its answer, which the client need not wait for."""

    async def main() -> None:
        guest = Speaker(streams=True)
        body, stream = guest.respond()
        await guest.write(stream, b"hello")
        guest.finish(body, stream)
        await asyncio.sleep(0)
        (begun,) = guest.begun
        assert begun.headers.get(b"content-length") == b"5"
        assert await all_of(begun) == b"hello"

    asyncio.run(main())


def test_a_client_that_has_it_all_leaves_the_guest_alone() -> None:
    """Closing the stream ends a guest that still writes, not one that has finished its answer."""

    async def main() -> None:
        async def work(*, finishes: bool) -> str:
            guest = Speaker(streams=True)
            body, stream = guest.respond()
            if finishes:
                guest.finish(body, stream)
            await asyncio.sleep(0)
            begun.put_nowait(guest.begun[0])
            await go_on.wait()
            return "done"

        begun: asyncio.Queue[Response] = asyncio.Queue()
        go_on = asyncio.Event()
        for finishes in (True, False):
            task = asyncio.create_task(work(finishes=finishes))
            stream = stream_of(await begun.get())
            if finishes:
                assert await anext(stream, None) is None
            await stream.aclose()
            go_on.set()
            ended = await asyncio.gather(task, return_exceptions=True)
            assert (ended[0] == "done") is finishes
            go_on.clear()

    asyncio.run(main())


def test_a_guest_waits_for_its_reader() -> None:
    """A pipe is full, and has room again once something was taken."""

    async def main() -> None:
        guest = Speaker(streams=True)
        _, stream = guest.respond()
        await guest.write(stream, b"x" * PIPE)
        assert guest("[method]output-stream.check-write", stream) == Ok(0)
        writing = asyncio.ensure_future(guest.write(stream, b"more"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not writing.done()
        reader = stream_of(guest.begun[0])
        assert len(await anext(reader)) == PIPE
        await writing
        assert await anext(reader) == b"more"

    asyncio.run(main())


def test_a_trap_after_the_head_cuts_the_body() -> None:
    """What was written may arrive, an end does not."""

    async def main() -> None:
        guest = Speaker(streams=True)
        _, stream = guest.respond()
        await guest.write(stream, b"one")
        await asyncio.sleep(0)
        reader = stream_of(guest.begun[0])
        assert await anext(reader) == b"one"
        guest.answer.fail(GuestTrap("unreachable"))
        with pytest.raises(GuestTrap):
            await anext(reader)

    asyncio.run(main())


def test_a_body_dropped_after_the_head_is_cut() -> None:
    """The client is told by the connection's end, and the log by the outcome."""

    async def main() -> None:
        guest = Speaker(streams=True)
        body, stream = guest.respond()
        await asyncio.sleep(0)
        guest.drop(stream)
        guest.drop(body)
        with pytest.raises(Failed):
            await anext(stream_of(guest.begun[0]))
        with pytest.raises(BadResponse):
            guest.answer.finish()

    asyncio.run(main())


def test_a_declared_length_goes_out_with_the_head() -> None:
    """The door holds the body to it."""

    async def main() -> None:
        guest = Speaker(streams=True)
        guest.respond(200, ("content-length", b"500"))
        await asyncio.sleep(0)
        assert guest.begun[0].headers.get(b"content-length") == b"500"

    asyncio.run(main())


def test_trailers_go_out_behind_the_body() -> None:
    """Those that the guest finishes its body with are with the stream once it has ended."""

    async def main() -> None:
        for whole in (True, False):
            guest = Speaker(streams=True)
            body, stream = guest.respond()
            await guest.write(stream, b"hello")
            if not whole:
                await asyncio.sleep(0)
            assert guest.finish(body, stream, guest.fields(("Sum", b"7"))) == Ok()
            response = guest.answer.finish()
            assert await all_of(response) == b"hello"
            assert response.headers.fields == ()
            assert stream_of(response).trailers.fields == ((b"Sum", b"7"),)

    asyncio.run(main())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.integers(1, 3 * 4096), st.sampled_from(["turn", "take"])), max_size=30))
def test_whatever_is_written_arrives(steps: list[int | str]) -> None:
    """In its order, once, however writing and taking alternate."""

    async def main() -> None:
        guest = Speaker(streams=True)
        body, stream = guest.respond()
        written, taken, number = b"", b"", 0
        for step in steps:
            room = guest("[method]output-stream.check-write", stream).value
            if isinstance(step, int) and step <= room:
                number += 1
                data = bytes([number]) * step
                guest("[method]output-stream.write", stream, data)
                written += data
            elif step == "take" and guest.begun and len(taken) < len(written):
                taken += await anext(stream_of(guest.begun[0]))
            else:
                await asyncio.sleep(0)
        guest.finish(body, stream)
        response = guest.answer.finish()
        taken += response.body if isinstance(response.body, bytes) else await all_of(response)
        assert taken == written

    asyncio.run(main())
