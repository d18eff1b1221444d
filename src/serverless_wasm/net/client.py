"""HTTP requests of guests: through the policy, over connections that an application has for itself.

Calls of one invocation come in; exchanges go out, each of which counts as one of its descriptors.
It must never ask an address that was not vetted, nor follow what a response points to.
"""

from __future__ import annotations

import asyncio
import math
import sys
from dataclasses import replace

import h11

from serverless_wasm.errors import CapabilityError, Failed, NotPermitted, TooLarge
from serverless_wasm.limits import KIB, Limits
from serverless_wasm.net.call import Call, Upload
from serverless_wasm.net.connection import Connection
from serverless_wasm.net.exchange import Exchange
from serverless_wasm.net.idle import Channel, Wire
from serverless_wasm.net.tcp import Sockets
from serverless_wasm.net.tls import TlsConnection
from serverless_wasm.net.unanswered import Unanswered, unanswered

_HEAD = 64 * KIB
"""Bytes of a head, of a chunk's size or of trailers that h11 keeps until they are whole."""


class Client:
    """What one invocation sends its requests with; each is a descriptor of its `sockets` until it is over."""

    def __init__(self, sockets: Sockets) -> None:
        self.limits: Limits = sockets.outbound.limits
        self._sockets = sockets

    def send(self, call: Call, upload: Upload | None = None) -> Exchange:
        """A request on its way; raises Unanswered when there are too many."""
        try:
            self._sockets.enter()
        except TooLarge as error:
            raise unanswered(error) from None
        exchange = Exchange(self, call, upload)
        self._sockets.exchanges.add(exchange)
        return exchange

    # What exchanges call.

    async def obtain(self, call: Call, *, fresh: bool) -> Wire:
        """A connection, an idle one unless it has to be fresh; raises Unanswered."""
        outbound = self._sockets.outbound
        wire = None if fresh else outbound.network.idle.take(outbound, call.origin)
        if wire is not None:
            return wire
        try:
            outbound.take()
        except TooLarge as error:
            raise unanswered(error) from None
        try:
            channel = await self._connect(call)
        except BaseException:
            outbound.give()
            raise
        state = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD)
        return Wire(call.origin, channel, state)

    def keep(self, wire: Wire) -> None:
        """One that was left clean waits for the next request."""
        outbound = self._sockets.outbound
        outbound.network.idle.put(outbound, wire)

    def close(self, wire: Wire) -> None:
        """One that was not, is of no use any more."""
        wire.channel.close()
        self._sockets.outbound.give()

    def leave(self, exchange: Exchange) -> None:
        """It is over."""
        self._sockets.exchanges.discard(exchange)
        self._sockets.leave()

    async def _connect(self, call: Call) -> Channel:
        """Look-up, connection and handshake have one deadline."""
        origin, loop = call.origin, asyncio.get_running_loop()
        deadline = loop.time() + call.times.connect
        # what a request may take is counted by its exchange: a connection may serve several
        limits = replace(
            self.limits, socket_timeout=math.inf, socket_received=sys.maxsize, socket_sent=sys.maxsize
        )
        try:
            connection = await self._sockets.dial(origin, limits, deadline)
        except (NotPermitted, OSError) as error:
            raise unanswered(error) from None
        except CapabilityError as error:
            kind = "dns_timeout" if loop.time() >= deadline else "dns_error"
            raise Unanswered(kind, str(error)) from None
        return await self._secured(connection, call, deadline) if origin.scheme == "https" else connection

    async def _secured(self, connection: Connection, call: Call, deadline: float) -> Channel:
        context = self._sockets.outbound.network.trusted
        try:
            channel = TlsConnection(connection, context, str(call.origin.target.host))
            async with asyncio.timeout_at(deadline):
                await channel.shake_hands()
        except (OSError, Failed, ValueError) as error:
            connection.close()
            if isinstance(error, ValueError) and not isinstance(error, OSError):  # a name no certificate has
                raise Unanswered("tls_certificate_error", str(error)) from None
            raise unanswered(error) from None
        except BaseException:
            connection.close()
            raise
        return channel
