"""One HTTP/1.1 connection: requests in, answers out in the same order, and a deadline for everything.

Bytes come from the transport and go through a Reader to the handler; responses go back through an Outlet.
It must never run two handlers at once, nor keep one running whose client is gone.

A client that ends its side of the connection (FIN) is gone, as it is for nginx and Go: nothing else tells
that a process died, and a guest that works for nobody must stop. While reading is paused, because more was
sent than is being read, that is noticed only afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from typing import cast

from serverless_wasm.eager import Eager
from serverless_wasm.errors import BadRequest, Error, RequestError, RequestTimeout
from serverless_wasm.messages import Prepared, Request, Response
from serverless_wasm.refusals import refusal
from serverless_wasm.server.deadline import Deadline
from serverless_wasm.server.head import address_text
from serverless_wasm.server.intake import HIGH_WATER, Intake
from serverless_wasm.server.outlet import Outlet
from serverless_wasm.server.pace import Pace
from serverless_wasm.server.reader import BETWEEN, DONE, HEAD, Reader, Turn
from serverless_wasm.server.shared import Shared
from serverless_wasm.server.wire import fault_response
from serverless_wasm.text import printable

PIPELINE = 16
"""Requests that may wait for their turn; reading pauses when there are more."""
DRAIN = 64 * 1024
"""Bytes of a body that no handler read which are received all the same, to keep the connection."""
LINGER = 2.0
"""Seconds that a client has to take its last answer and leave (RFC 9112 section 9.6)."""
LINGER_BYTES = 256 * 1024
"""Bytes that it may still send meanwhile: one that meets a closed socket destroys the answer on its way."""

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(asyncio.Protocol):
    """Serves one client, until either side has had enough."""

    __slots__ = (
        "_ahead",
        "_client",
        "_deadline",
        "_dropped",
        "_gone",
        "_held",
        "_leaving",
        "_loop",
        "_outlet",
        "_pace",
        "_queue",
        "_reader",
        "_refusal",
        "_rest",
        "_shared",
        "_task",
        "_transport",
    )

    _client: str
    _outlet: Outlet
    _pace: Pace
    _reader: Reader
    _transport: asyncio.Transport

    def __init__(self, shared: Shared, loop: asyncio.AbstractEventLoop) -> None:
        self._ahead = 0  # bytes that were read for requests in the queue
        self._deadline = Deadline(shared.alarms, self._too_late)
        self._dropped = 0
        self._gone = False  # the client is not there any more
        self._held = False  # reading is paused
        self._leaving = False  # the last answer is out
        self._loop = loop
        self._queue: list[Turn] = []  # a deque takes 700 bytes even when empty
        self._refusal: tuple[Request, Response] | None = None
        self._rest = b""
        self._shared = shared
        self._task: Eager | asyncio.Task[None] | None = None

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes a client in, if there is room for one more."""
        shared, limits = self._shared, self._shared.limits
        self._transport = cast("asyncio.Transport", transport)
        self._pace = Pace(self._transport, limits, shared.alarms)
        self._outlet = Outlet(self._transport, shared, self._pace)
        self._client = address_text(transport.get_extra_info("peername"))
        self._reader = Reader(limits, shared.ids, self._client, self._body_wanted)
        if not shared.crowd.admits(len(shared.open)):
            self._gone = True
            self._transport.abort()
            return
        shared.open.add(self)
        shared.closed.clear()
        self._wait()
        self._deadline.after(min(limits.header_timeout, limits.idle_timeout))

    def data_received(self, data: bytes) -> None:
        """Reads what came, and starts answering."""
        if self._held:
            self._rest += data
        elif self._leaving:
            self._dropped += len(data)
            if self._dropped > LINGER_BYTES:
                self._transport.close()
        elif not self._gone:
            try:
                request = self._reader.again(data) if self._task is None else None
                if request is None:
                    self._read(data)
                else:
                    self._repeat(request)
            except Exception as fault:
                self._fault("", fault)
                self.abort()

    def eof_received(self) -> None:
        """The client has gone: see the top of this file. The transport closes once it is flushed."""
        self._outlet.flush()
        self._abandon()
        self._see_off()

    def pause_writing(self) -> None:
        """The client does not read as fast as we write."""
        self._outlet.fill()
        self._wait()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._outlet.drain()
        if self._task is not None:
            self._shared.crowd.works_for(self)

    def connection_lost(self, _: Exception | None) -> None:
        """Nothing goes in or out any more: ends the handler and frees what the connection held."""
        self._abandon()
        self._held = False
        self._queue.clear()
        self._deadline.cancel()
        self._pace.stop()
        self._outlet.close()
        self._reader.free()
        self._part()

    # What the door calls.

    def retire(self) -> None:
        """Closes the connection if nothing is in progress, not even a request half sent."""
        self._outlet.flush()
        if self._task is None and not self._leaving and self._reader.phase != HEAD:
            self._transport.close()

    def abort(self) -> asyncio.Task[None] | None:
        """Cuts the connection off; returns the task that the handler's cleaning up may still keep busy."""
        self._outlet.flush()
        task = self._task
        self._abandon()
        self._transport.abort()
        return task if isinstance(task, asyncio.Task) else None

    # What the crowd calls.

    def turn_away(self) -> None:
        """Closes the connection because others need its room; it does not count as open from now on."""
        self._outlet.flush()
        self._part()
        if self._pace.unsent:
            self._pace.cut()
        else:
            self._transport.abort()

    # In.

    def _read(self, data: bytes) -> None:
        reader, queue, at = self._reader, self._queue, 0
        try:
            while at < len(data):
                began, at = at, reader.feed(data, at)
                if reader.turn is not None:
                    queue.append(reader.turn)
                    reader.turn = None
                if queue:
                    self._ahead += at - began
                if self._swamped(reader.intake):
                    self._hold(data[at:])
                    break
        except RequestError as error:
            self._refuse(error)
        if reader.moved:
            self._set_deadline()
        elif reader.intake is not None:
            limits = self._shared.limits
            self._deadline.earn(at / limits.body_rate, limits.body_timeout)
        if self._task is None:
            if queue or self._refusal:
                self._begin()
            elif reader.phase == DONE:  # what a handler left of its request's body turned out bad
                self._leave()

    def _swamped(self, intake: Intake | None) -> bool:
        """Whether there is more to do than is wise to keep."""
        if intake is not None and intake.unwanted > DRAIN:
            self._leave()
        return self._ahead > HIGH_WATER or len(self._queue) > PIPELINE or (intake is not None and intake.full)

    def _hold(self, rest: bytes) -> None:
        """Stops reading; a deadline for the client does not run while it is we who wait."""
        self._reader.moved = False
        self._held = True
        self._rest = rest
        self._transport.pause_reading()
        self._deadline.lift()

    def _unhold(self) -> None:
        """Reads on, if enough was done; a body that we made wait has all its time again."""
        intake = self._reader.intake
        if self._queue or (intake is not None and not intake.roomy):
            return
        rest, self._rest, self._held = self._rest, b"", False
        self._set_deadline()
        self._transport.resume_reading()
        if rest:
            self._read(rest)

    def _body_wanted(self, intake: Intake) -> None:
        """The handler asks for more of a body (Intake calls this)."""
        if not intake.invited:
            self._invite(intake)
        if self._held:
            self._unhold()

    def _invite(self, intake: Intake) -> None:
        """Tells a client to send its body, and by when."""
        intake.invited = True
        if intake is self._reader.intake:
            self._deadline.after(self._shared.limits.body_timeout)
            if not intake.buffered:  # RFC 9110 section 10.1.1: needless once the body has begun to arrive
                self._outlet.flush()
                self._transport.write(_CONTINUE)

    def _refuse(self, error: RequestError) -> None:
        """Answers a head that cannot be read, after everything before it; reads nothing more."""
        words = self._reader.line.split(b" ", 2)
        self._reader.stop()
        self._deadline.lift()
        path = words[1] if len(words) > 1 else b""
        request = Request(
            id=next(self._shared.ids),
            method=printable(words[0], 32),
            path=printable(path),
            client=self._client,
        )
        self._refusal = request, Response.of_error(error, request.id)
        self._shared.emit(refusal(request, error))

    # Deadlines.

    def _set_deadline(self) -> None:
        """Gives what has just begun its time."""
        limits, reader = self._shared.limits, self._reader
        reader.moved = False
        if reader.phase == HEAD:
            self._deadline.after(limits.header_timeout)
            if self._task is None:
                self._wait()
        elif reader.intake is not None and reader.intake.invited:
            self._deadline.after(limits.body_timeout)
        elif reader.phase == BETWEEN and self._task is None and not self._queue:
            self._deadline.after(limits.idle_timeout)
        else:
            self._deadline.lift()

    def _too_late(self) -> None:
        self._outlet.flush()
        reader, transport = self._reader, self._transport
        ending = self._leaving or transport.is_closing()
        if reader.phase == HEAD and not ending:
            self._refuse(RequestTimeout("the head did not arrive in time"))
            if self._task is None:
                self._begin()
        elif reader.intake is not None and not ending:
            reader.give_up(RequestTimeout("the body did not arrive in time"))
            if self._task is None:
                self._leave()
        elif self._pace.owed():
            self._deadline.after(LINGER)
        elif ending:
            transport.abort()
        elif self._task is None:  # idle
            transport.close()
            self._see_off()

    # Out.

    def _begin(self) -> None:
        """It is our turn."""
        begun, turn = None, self._queue[0] if len(self._queue) == 1 else None
        if turn is not None and turn.keep and turn.intake is None and not self._held and not self._refusal:
            begun = self._at_once(turn.request)
        if isinstance(begun, Prepared):
            self._queue.clear()
            self._ahead = 0
            self._finish(begun)
        else:
            self._work(begun)

    def _repeat(self, request: Request) -> None:
        """Answers a request that was read before, and has no body."""
        begun = self._at_once(request)
        if isinstance(begun, Prepared):
            self._finish(begun)
        else:
            self._deadline.lift()
            self._queue.append(Turn(request, None, keep=True))
            self._work(begun)

    def _at_once(self, request: Request) -> Prepared | Awaitable[Response] | None:
        """What a handler has for a request at once, if it may be asked: see messages.PromptHandler."""
        shared = self._shared
        if shared.prompt is None or shared.retiring or self._outlet.full:
            return None
        if request.version != "1.1" or request.method == "HEAD":
            return None
        if asyncio.current_task(self._loop) is not None:  # what has begun could not go on at once
            return None
        return shared.prompt.at_once(request)

    def _finish(self, response: Prepared) -> None:
        """Sends a response that nobody had to wait for."""
        self._outlet.write_prepared(response)
        self._settle()
        self._wait()

    def _work(self, begun: Awaitable[Response] | None) -> None:
        """Answers the queue, the first of which may have begun."""
        self._shared.crowd.works_for(self)
        self._task = eager = Eager(self._loop)
        task = eager.begin(self._serve(begun))
        if task is not None:
            self._task = task

    def _wait(self) -> None:
        """It is the client's turn."""
        if self in self._shared.open:
            self._shared.crowd.waits_for(self)

    async def _serve(self, begun: Awaitable[Response] | None) -> None:
        """Answers what is in the queue, in order, until it is empty; the first may have begun."""
        try:
            while self._queue and not self._leaving:
                turn = self._queue.pop(0)
                if not self._queue:
                    self._ahead = 0
                if self._held:
                    self._unhold()
                await self._answer(turn, begun)
                begun = None
            if self._refusal is not None and not self._leaving:
                request, response = self._refusal
                self._outlet.write(request, response, keep=False)
                self._leave()
            else:
                self._settle()
        except BaseException as fault:
            if not self._gone:  # nobody will say the rest of what may have begun
                self._pace.cut()
            if not isinstance(fault, Exception):
                raise
            self._fault("", fault)
        finally:
            self._task = None
            self._wait()

    def _settle(self) -> None:
        """All is answered: the client has its time to ask again."""
        if self._reader.phase == BETWEEN and not self._leaving:
            self._deadline.after(self._shared.limits.idle_timeout)

    async def _answer(self, turn: Turn, begun: Awaitable[Response] | None) -> None:
        request, intake, keep = turn
        try:
            response = await (begun or self._shared.handle(request))
        except Error as error:
            response = Response.of_error(error, request.id)
        except asyncio.CancelledError as fault:
            if self._gone or self._task is None or self._task.cancelling():
                raise
            response = self._fault(request.id, fault)  # cancelled from within, with the client still there
        except Exception as fault:
            response = self._fault(request.id, fault)
        keep = keep and not self._shared.retiring
        body = response.body
        if not isinstance(body, bytes):
            keep = await self._stream(turn, response, body, keep=keep)
        elif not self._gone:
            keep = keep and (intake is None or self._passable(intake))
            rest = self._outlet.write(request, response, keep=keep)
            if rest:
                await self._send_rest(rest)
        if intake is not None:
            keep = keep and self._passable(intake)
            self._forget(intake)
        if self._outlet.full:
            await self._outlet.room()
        if self._shared.retiring or not keep:
            self._leave()

    async def _send_rest(self, body: bytes) -> None:
        """Sends a large body, which counts towards what all clients have not taken yet."""
        crowd = self._shared.crowd
        crowd.keep(self, len(body))
        try:
            await self._outlet.write_rest(body)
        finally:
            crowd.free(self)

    async def _stream(
        self, turn: Turn, response: Response, chunks: AsyncIterator[bytes], *, keep: bool
    ) -> bool:
        """Sends a body as the handler makes it, and ends its iterator; returns whether to go on."""
        request, intake, _ = turn
        try:
            if self._gone:
                return False
            if intake is not None and not intake.invited and response.status < 400:
                self._invite(intake)  # the iterator may want it, and afterwards it is too late to ask
            return await self._outlet.stream(request, response, chunks, keep=keep)
        finally:
            close = getattr(chunks, "aclose", None)
            if close is not None:
                try:
                    await close()
                except Exception as fault:
                    self._fault(request.id, fault)

    def _passable(self, intake: Intake) -> bool:
        """Whether the next request can be found behind this body, with little to read until there."""
        if intake.whole:
            return True
        return intake.invited and not intake.broken and (self._reader.left or 0) <= DRAIN

    def _forget(self, intake: Intake) -> None:
        """Whatever is left of a body once its request is answered is read by nobody."""
        intake.discard(BadRequest("the request has been answered, and its body is gone"))
        if self._held:
            self._unhold()

    def _fault(self, request_id: str, fault: BaseException) -> Response:
        return fault_response(self._shared.emit, request_id, fault)

    # The end.

    def _leave(self) -> None:
        """Ends our side, then waits a little for the client to end its own (RFC 9112 section 9.6)."""
        if self._leaving:
            return
        self._leaving = True
        self._ahead = 0
        self._queue.clear()
        self._reader.stop()
        self._rest = b""
        if self._transport.is_closing():
            return
        self._outlet.flush()
        if self._held:
            self._held = False
            self._transport.resume_reading()
        with suppress(OSError):  # the client has reset the connection, and will be gone in a moment
            self._transport.write_eof()
        self._see_off()

    def _see_off(self) -> None:
        """Gives the client time to read what is still unsent, and then to close."""
        self._deadline.after(LINGER)

    def _part(self) -> None:
        """Counts for nothing any more."""
        shared = self._shared
        shared.crowd.forget(self)
        shared.open.discard(self)
        if not shared.open:
            shared.closed.set()

    def _abandon(self) -> None:
        self._gone = True
        if self._task is not None:
            self._task.cancel()
