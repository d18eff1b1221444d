"""TLS of a guest's HTTP requests, over a connection that was vetted.

Plain bytes of a client come in, records go out, and the other way round.
It must never take a certificate that the system does not trust, nor an end that nobody has said for one.
"""

from __future__ import annotations

import asyncio
import ssl

from serverless_wasm.limits import KIB
from serverless_wasm.net.connection import Connection

_PIECE = 64 * KIB


def trusting_the_system() -> ssl.SSLContext:
    """What the system trusts (SSL_CERT_FILE and SSL_CERT_DIR say where, of OpenSSL's), from TLS 1.2 on."""
    return ssl.create_default_context()


class TlsConnection:
    """A connection that has shaken hands; its own has to be one without limits, which count plain bytes.

    One read and one write may wait at once. Raises what the connection raises, and ssl.SSLError (an OSError).
    """

    __slots__ = ("_connection", "_incoming", "_outgoing", "_ssl", "_writing")

    def __init__(self, connection: Connection, context: ssl.SSLContext, host: str) -> None:
        self._connection = connection
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._ssl = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._writing = asyncio.Lock()

    async def shake_hands(self) -> None:
        """Raises ssl.SSLCertVerificationError when the other side is not who it has to be."""
        while True:
            try:
                self._ssl.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._receive()
            except ssl.SSLError:
                await self._flush()  # the alert that tells the other side why
                raise
            else:
                await self._flush()
                return

    async def read(self, size: int) -> bytes:
        """Waits for at least one byte; b"" at the end."""
        while True:
            try:
                return self._ssl.read(size)
            except ssl.SSLWantReadError:
                await self._flush()
                await self._receive()
            except ssl.SSLZeroReturnError:
                return b""

    async def write(self, data: bytes) -> None:
        """Writes all of it."""
        view = memoryview(data)
        for start in range(0, len(data), _PIECE):
            self._ssl.write(view[start : start + _PIECE])
            await self._flush()

    @property
    def is_quiet(self) -> bool:
        """As of a connection: a record that has not been read may be the word that it ends."""
        return self._connection.is_quiet and not self._ssl.pending()

    def close(self) -> None:
        """Closes the connection without a word: all that was due has been said, or will never be."""
        self._connection.close()

    async def _receive(self) -> None:
        data = await self._connection.read(_PIECE)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()  # an SSLEOFError for whoever reads on

    async def _flush(self) -> None:
        if self._outgoing.pending:
            async with self._writing:  # records in their order
                await self._connection.write(self._outgoing.read())
