"""A guest of wasi:sockets without a guest: calls the host's functions by name, on handles of a world.

Values in Python go in and come out, an error as Err; a call with a signature of another length fails.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, ip_address
from typing import Any

from applications import request
from serverless_wasm.abi.base import Grants, Invocation
from serverless_wasm.abi.wasi_http.interface import Err, Refusal, Resource
from serverless_wasm.abi.wasi_http.io_error import ERROR
from serverless_wasm.abi.wasi_http.poll import POLL
from serverless_wasm.abi.wasi_http.sockets_names import IP_NAME_LOOKUP
from serverless_wasm.abi.wasi_http.sockets_tcp import TCP, TCP_CREATE_SOCKET
from serverless_wasm.abi.wasi_http.sockets_types import INSTANCE_NETWORK, NETWORK, SocketAddress
from serverless_wasm.abi.wasi_http.sockets_udp import UDP, UDP_CREATE_SOCKET
from serverless_wasm.abi.wasi_http.streams import STREAMS
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.events import ConnectionRefused, Event
from serverless_wasm.limits import Limits
from serverless_wasm.net.policy import Policy
from serverless_wasm.net.tcp import Network

SOCKETS = (NETWORK, INSTANCE_NETWORK, IP_NAME_LOOKUP, TCP, TCP_CREATE_SOCKET, UDP, UDP_CREATE_SOCKET)
CALLS = {function.name: function for each in (*SOCKETS, ERROR, POLL, STREAMS) for function in each.functions}
HERE = ("tcp://127.0.0.1:*", "tcp://[::1]:*")


class Guest:
    """What a guest would do, and the events that it caused."""

    def __init__(self, allowed: tuple[str, ...], network: Network, **limits: Any) -> None:
        self.events: list[Event] = []
        bounds = Limits(**limits)
        grants = Grants(
            application="app",
            limits=bounds,
            variables={},
            outbound=network.for_application(Policy.for_application(allowed, ()), bounds),
            emit=self.events.append,
        )
        self.invocation = Invocation(request(), grants)
        self.world = World(self.invocation)

    def __call__(self, name: str, *arguments: Any) -> Any:
        """A function that does not wait; a resource that it gives gets a handle, as its own are."""
        function = CALLS[name]
        assert len(arguments) == len(function.signature.params)
        try:
            return self._kept(function.call(self.world, *arguments))
        except Refusal as refused:
            return Err(refused.value)

    async def wait(self, name: str, *arguments: Any) -> Any:
        """One that may."""
        assert CALLS[name].waits
        try:
            answer = CALLS[name].call(self.world, *arguments)
            return self._kept(await answer if inspect.isawaitable(answer) else answer)
        except Refusal as refused:
            return Err(refused.value)

    def drop(self, resource: Resource) -> None:
        """As `resource.drop`."""
        self.world.handles.drop(self.world.handles._table.index(resource), resource.name)

    @property
    def refused(self) -> list[str]:
        """Targets of which the log was told."""
        return [each.target for each in self.events if isinstance(each, ConnectionRefused)]

    def socket(self, family: str = "ipv4") -> Any:
        """A new one."""
        return self("create-tcp-socket", family).value

    def start(self, socket: Any, remote: SocketAddress) -> Any:
        """What start-connect says."""
        return self("[method]tcp-socket.start-connect", socket, self("instance-network"), remote)

    async def settled(self, socket: Any) -> None:
        """Waits as guests do."""
        pollable = self("[method]tcp-socket.subscribe", socket)
        await self.wait("[method]pollable.block", pollable)
        self.drop(pollable)

    async def connected(self, port: int, host: str = "127.0.0.1") -> tuple[Any, Any, Any]:
        """A socket and its streams."""
        socket = self.socket("ipv6" if ":" in host else "ipv4")
        started = self.start(socket, address(host, port))
        assert not isinstance(started, Err), started
        await self.settled(socket)
        finished = self("[method]tcp-socket.finish-connect", socket)
        assert not isinstance(finished, Err), finished
        return socket, *finished.value

    def _kept(self, answer: Any) -> Any:
        value = getattr(answer, "value", answer)
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, Resource):
                self.world.handles.add(each)
        return answer


def address(host: str, port: int) -> SocketAddress:
    """A SOCKET_ADDRESS."""
    parsed = ip_address(host)
    if isinstance(parsed, IPv4Address):
        return "ipv4", (port, tuple(parsed.packed))
    groups = tuple(int.from_bytes(parsed.packed[at : at + 2]) for at in range(0, 16, 2))
    return "ipv6", (port, 0, groups, 0)


@contextmanager
def a_guest(
    allowed: tuple[str, ...] = HERE, network: Network | None = None, **limits: Any
) -> Iterator[Guest]:
    """A guest whose invocation ends with the block, and then holds no descriptor."""
    network = network or Network()
    guest = Guest(allowed, network, **limits)
    try:
        yield guest
    finally:
        guest.world.close()
        guest.invocation.close()
        network.close()
        assert guest.invocation.grants.outbound.open == 0
