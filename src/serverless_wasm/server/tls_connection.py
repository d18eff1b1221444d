"""TLS between one client and its Connection.

Records come from the client and plain bytes go to the Connection, for which this is the transport.
It must never wait for a client: a handshake has the time of a request's head, and one that has not begun
costs little more than its socket.

The event loops have TLS of their own. Theirs cannot end our side alone (RFC 9112 section 9.6), takes 256 KiB
for each connection, and says nothing of handshakes in progress, so that nobody could count them.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

from serverless_wasm.events import RequestRefused
from serverless_wasm.server.connection import Connection
from serverless_wasm.server.deadline import Deadline
from serverless_wasm.server.head import address_text
from serverless_wasm.server.shared import Shared
from serverless_wasm.text import printable

_RECORD = 16 * 1024
"""Bytes of plain text in a record, at most (RFC 8446 section 5.1)."""
_HANDSHAKE_RECORD = 22
_PLAIN = (
    b"HTTP/1.1 400 Bad Request\r\nserver: serverless-wasm\r\nconnection: close\r\n"
    b"content-type: text/plain\r\ncontent-length: 38\r\n\r\nThis port speaks HTTPS: use https://.\n"
)
"""For whoever forgot the s; no request of theirs is read."""


@dataclass(slots=True, kw_only=True)
class Arrivals:
    """The clients of one door whose handshakes are not over, and the context for the next one."""

    context: ssl.SSLContext
    shared: Shared
    waiting: set[TlsConnection] = field(default_factory=set)

    def admit(self, arrival: TlsConnection) -> bool:
        """Takes one more client in, if there is room among all those of the door."""
        crowd = self.shared.crowd
        if not crowd.admits(len(self.waiting) + len(self.shared.open)):
            return False
        self.waiting.add(arrival)
        crowd.waits_for(arrival)
        return True

    def forget(self, arrival: TlsConnection) -> None:
        """A client has left, or shaken hands."""
        self.waiting.discard(arrival)
        self.shared.crowd.forget(arrival)


class TlsConnection(asyncio.Protocol, asyncio.Transport):
    """The protocol of a client's socket, and the transport of its Connection once the handshake is over."""

    __slots__ = ("_arrivals", "_deadline", "_incoming", "_inner", "_outgoing", "_parting", "_raw", "_ssl")

    _raw: asyncio.Transport

    def __init__(self, arrivals: Arrivals) -> None:
        super().__init__()
        self._arrivals = arrivals
        self._deadline = Deadline(arrivals.shared.alarms, self.abort)
        self._incoming = ssl.MemoryBIO()
        self._inner: Connection | None = None
        self._outgoing = ssl.MemoryBIO()
        self._parting = False  # we have said that we send nothing more
        self._ssl: ssl.SSLObject | None = None

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes a client in, if there is room for one more."""
        self._raw = cast("asyncio.Transport", transport)
        if self._arrivals.admit(self):
            self._deadline.after(self._arrivals.shared.limits.header_timeout)
        else:
            self._raw.abort()

    def data_received(self, data: bytes) -> None:
        """Reads the records that came."""
        if self._ssl is None:
            if data[0] != _HANDSHAKE_RECORD:
                self._refuse_plain(data)
                return
            self._ssl = self._arrivals.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._incoming.write(data)
        try:
            if self._inner is None:
                self._ssl.do_handshake()
                self._begin()
            self._read(self._ssl)
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:
            self._fail(error)

    def eof_received(self) -> None:
        """The client has gone, with or without a word: a request's length tells whether it is whole."""
        if self._inner is not None:
            self._inner.eof_received()
            self._part()

    def pause_writing(self) -> None:
        """The client does not read as fast as we write."""
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """It has caught up."""
        if self._inner is not None:
            self._inner.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        """Nothing goes in or out any more."""
        self._deadline.cancel()
        self._ssl = None
        inner, self._inner = self._inner, None
        if inner is None:
            self._arrivals.forget(self)
            self._arrivals.shared.closed.set()  # the door looks whether this was the last
        else:
            inner.connection_lost(error)

    # What the door and the crowd call.

    def retire(self) -> None:
        """Closes the connection unless a handshake has begun, behind which a request may be on its way."""
        if self._ssl is None:
            self._raw.close()

    def turn_away(self) -> None:
        """Makes room for others; it does not count as open from now on."""
        self._arrivals.forget(self)
        self._raw.abort()

    # What the Connection calls.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Sends plain bytes as records."""
        if self._ssl is None or self._raw.is_closing():
            return
        view = memoryview(data)
        while view:  # a call takes one record
            view = view[self._ssl.write(view) :]
        self._flush()

    def write_eof(self) -> None:
        """Ends our side: close_notify, which a client needs to tell an end from a cut, then FIN."""
        self._part()
        self._raw.write_eof()

    def close(self) -> None:
        """Ends both sides once everything is sent."""
        if not self._raw.is_closing():
            self._part()
            self._raw.close()

    def abort(self) -> None:
        """Cuts the connection off."""
        self._raw.abort()

    def is_closing(self) -> bool:
        """Whether nothing more can be sent."""
        return self._raw.is_closing()

    def pause_reading(self) -> None:
        """Leaves what comes to the kernel."""
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Takes it again."""
        self._raw.resume_reading()

    def get_write_buffer_size(self) -> int:
        """Bytes of records that are not sent yet."""
        return self._raw.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the socket below tells."""
        return self._raw.get_extra_info(name, default)

    # Inside.

    def _begin(self) -> None:
        """The handshake is over: the client is like any other."""
        self._flush()
        self._deadline.cancel()
        self._arrivals.forget(self)
        self._inner = Connection(self._arrivals.shared, asyncio.get_running_loop())
        self._inner.connection_made(self)

    def _read(self, connection: ssl.SSLObject) -> None:
        pieces: list[bytes] = []
        ended = True
        try:
            while piece := connection.read(_RECORD):
                pieces.append(piece)
        except ssl.SSLWantReadError:
            ended = False
        except ssl.SSLZeroReturnError:  # close_notify, when ours is out already
            pass
        self._flush()  # what TLS itself answers, such as a new key
        if pieces and self._inner is not None:
            self._inner.data_received(b"".join(pieces))
        if ended and self._inner is not None:
            self._inner.eof_received()
            self.close()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._raw.write(self._outgoing.read())

    def _part(self) -> None:
        if self._ssl is not None and not self._parting:
            self._parting = True
            with suppress(ssl.SSLError):  # the client has not said it yet, or never will
                self._ssl.unwrap()
            self._flush()

    def _fail(self, error: ssl.SSLError) -> None:
        if self._inner is not None:
            self._raw.abort()
            return
        self._flush()  # the alert that tells the client why
        self._raw.close()
        reason = printable(str(error.reason or "unknown").lower().replace("_", " "))
        self._refused(0, "tls_handshake", f"the TLS handshake failed: {reason}")

    def _refuse_plain(self, data: bytes) -> None:
        if data[:1].isalpha():
            self._raw.write(_PLAIN)
            self._refused(400, "bad_request", "plain HTTP on a port that speaks TLS")
        self._raw.close()

    def _refused(self, status: int, code: str, detail: str) -> None:
        shared = self._arrivals.shared
        shared.emit(
            RequestRefused(
                request_id=next(shared.ids),
                client=address_text(self._raw.get_extra_info("peername")),
                method="",
                path="",
                status=status,
                code=code,
                detail=detail,
            )
        )
