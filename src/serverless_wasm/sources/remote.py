"""What comes from elsewhere, however it is asked for: one face of web servers, object stores and registries.

A place and what is known of its last copy come in; an open download goes out, or that nothing is new.
It must never load a client that nobody needs, nor hold more of a module in memory than a piece.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from serverless_wasm.errors import SourceError
from serverless_wasm.stores import Remote
from serverless_wasm.text import printable

CONNECT = 5.0
"""Seconds for a connection."""
SILENCE = 15.0
"""Seconds after which a server that says nothing is taken for dead."""
WHOLE = 900.0
"""Seconds for one module, however it trickles."""
PIECE = 256 * 1024


class Away(Exception):
    """A place that could not be asked: no connection, no answer, a server that is ill.

    The text is a reason that follows "cannot be fetched:". A copy from before may do instead. With `server`
    nothing of what is there can be asked for, and not only this.
    """

    def __init__(self, reason: str, *, server: bool = False) -> None:
        super().__init__(reason)
        self.server = server


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What there is of a place already."""

    digest: str
    """SHA-256 of the module, in hexadecimal."""
    validator: str
    """What the server called that version: an entity tag, or the digest of a manifest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A module on its way."""

    pieces: AsyncGenerator[bytes, None]
    size: int | None = None
    """As the server announces it."""
    validator: str = ""
    digest: str | None = None
    """What the bytes must have, where the server says it beforehand."""


Opened = AbstractAsyncContextManager[Download | None]
"""None: it is what it was when it was known."""


def cannot(url: str, reason: str) -> SourceError:
    """The error of a place that cannot be fetched."""
    return SourceError(f"{printable(url)} cannot be fetched: {reason}")


def about(url: str, error: SourceError) -> SourceError:
    """The same error, with the place in its text."""
    return error if printable(url) in str(error) else cannot(url, str(error))


def open_remote(remote: Remote, known: Known | None) -> Opened:
    """Asks for a module; leaving the context frees all that was opened.

    Raises, when it is entered or read, Away when there is no answer, and SourceError when that is no.
    """
    match remote.url.partition("://")[0]:
        case "http" | "https":
            from serverless_wasm.sources import web  # noqa: PLC0415 - takes a quarter of a second to load

            return web.opened(remote, known)
        case "oci":
            from serverless_wasm.sources import oci  # noqa: PLC0415 - the same

            return oci.opened(remote, known)
        case _:
            from serverless_wasm.sources import objects  # noqa: PLC0415 - the same

            return objects.opened(remote, known)
