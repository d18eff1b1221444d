"""What an HTTP request of a guest is, and the head of its response, without anything that moves.

Values of the guest come in, already judged by their grammar; an Exchange sends them.
A time must never be longer than the limits of the application.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from serverless_wasm.limits import Limits
from serverless_wasm.net.idle import Origin

Fields = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """What a request may take, in seconds."""

    connect: float
    """To look the name up, to connect, to shake hands."""
    first_byte: float
    """From the end of the request to the end of the response's head."""
    between_bytes: float
    """For more of the response's body."""

    @classmethod
    def of(
        cls,
        limits: Limits,
        connect: float | None = None,
        first_byte: float | None = None,
        between_bytes: float | None = None,
    ) -> Times:
        """What is wanted, but no more than the limits."""
        return cls(
            connect=_least(limits.connect_timeout, connect),
            first_byte=_least(limits.socket_timeout, first_byte),
            between_bytes=_least(limits.socket_timeout, between_bytes),
        )


def _least(limit: float, wanted: float | None) -> float:
    return limit if wanted is None else min(limit, wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request: `fields` without those of the connection, of its framing, and Host."""

    origin: Origin
    authority: bytes
    method: bytes
    target: bytes
    fields: Fields
    times: Times


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The beginning of a response."""

    status: int
    fields: Fields


class Upload(Protocol):
    """The body of a request."""

    @property
    def declared(self) -> int | None:
        """Its size, if it is known."""

    @property
    def is_empty(self) -> bool:
        """Whether it is over, and there was none."""

    @property
    def trailers(self) -> Fields:
        """Fields behind it, known at its end; none if its size is declared."""

    async def take(self) -> bytes:
        """What there is to be sent, waiting for it; b"" at the end. Raises CapabilityError if it has none."""

    def shut(self) -> None:
        """Nobody takes any more."""
