"""wasi:sockets/tcp: a component connects to whom its application may connect, and listens to nobody.

Addresses and bytes of the guest come in; connections that the policy permits, and codes, go out.
It must never bind a port of the machine, nor leave a connection behind a handle that was dropped.
"""

from __future__ import annotations

from typing import NoReturn

from serverless_wasm.abi.wasi_http.interface import (
    Interface,
    Ok,
    Refusal,
    Resource,
    borrow,
    function,
    method,
    own,
)
from serverless_wasm.abi.wasi_http.poll import Pollable
from serverless_wasm.abi.wasi_http.sockets_options import Options, option
from serverless_wasm.abi.wasi_http.sockets_types import (
    FAMILY,
    SOCKET_ADDRESS,
    Network,
    SocketAddress,
    code_of,
    or_error,
    read,
    unspecified,
    written_with_port,
)
from serverless_wasm.abi.wasi_http.streams import InputStream, OutputStream
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.errors import CapabilityError
from serverless_wasm.net.stream import Stream
from serverless_wasm.wasm.components.types import BOOL, U8, U32, U64, Enum, TupleOf

_UNBOUND, _BINDING, _BOUND, _CONNECTING, _CONNECTED, _CLOSED = range(6)


class TcpSocket(Resource):
    """A socket; it is one of the system's from `start_connect` on."""

    __slots__ = ("_local", "_remote", "_state", "_stream", "family", "options")
    name = "wasi:sockets/tcp/tcp-socket"

    def __init__(self, family: str) -> None:
        super().__init__()
        self.family = family
        self.options = Options()
        self._state = _UNBOUND
        self._stream: Stream | None = None
        # Kept from the connect on: the system forgets them when both sides have ended, and a C library
        # that is told so of a socket which it knows to be connected ends the guest.
        self._local = self._remote = unspecified(family)

    @property
    def is_ready(self) -> bool:
        """Whether what is under way is over."""
        if self._state != _CONNECTING or self._stream is None:
            return True
        try:
            return self._stream.is_connected
        except OSError:
            return True  # finish-connect will tell

    async def wait(self) -> None:
        """Waits until it is."""
        if self._stream is not None:
            await self._stream.settle()

    def require_settable(self) -> None:
        """Raises Refusal while it connects, and once it has failed."""
        if self._state in (_CONNECTING, _CLOSED):
            raise Refusal("invalid-state")

    def require_idle(self) -> None:
        """Raises Refusal while something is under way."""
        if self._state in (_BINDING, _CONNECTING):
            raise Refusal("concurrency-conflict")

    def start_bind(self, local: SocketAddress) -> None:
        """Agrees to leave the address to the system; any other is refused."""
        self.require_idle()
        if self._state != _UNBOUND:
            raise Refusal("invalid-state")
        address, port = read(local, self.family)
        if port or not address.is_unspecified:
            raise Refusal("access-denied")
        self._state = _BINDING

    def finish_bind(self) -> None:
        """Is done at once."""
        if self._state != _BINDING:
            raise Refusal("not-in-progress")
        self._state = _BOUND

    def start_connect(self, world: World, remote: SocketAddress) -> None:
        """Begins to connect, if that is permitted; a refusal leaves nothing of the socket."""
        self.require_idle()
        if self._state not in (_UNBOUND, _BOUND):
            raise Refusal("invalid-state")
        address, port = read(remote, self.family)
        if address.is_unspecified or not port:
            raise Refusal("invalid-argument")
        self._state = _CLOSED
        try:
            self._stream = world.invocation.sockets.begin(address, port)
        except (OSError, CapabilityError) as error:
            raise Refusal(code_of(error)) from None
        self._remote = written_with_port(address, port)
        self._state = _CONNECTING

    def finish_connect(self) -> tuple[InputStream, OutputStream]:
        """The connection's streams, which have to be dropped before it."""
        if self._state != _CONNECTING or self._stream is None:
            raise Refusal("not-in-progress")
        try:
            if not self._stream.is_connected:
                raise Refusal("would-block")
            self._local = written_with_port(*self._stream.local)
        except OSError as error:
            self.drop()
            raise Refusal(code_of(error)) from None
        self._state = _CONNECTED
        return _Received(self._stream, self), _Sent(self._stream, self)

    def start_listen(self) -> NoReturn:
        """Nobody reaches a guest but through its application's routes."""
        self.require_idle()
        raise Refusal("access-denied" if self._state == _BOUND else "invalid-state")

    @property
    def local(self) -> SocketAddress:
        """Its own address, without a port before it is connected: none is taken until then."""
        if self._state not in (_BOUND, _CONNECTED):
            raise Refusal("invalid-state")
        return self._local

    @property
    def remote(self) -> SocketAddress:
        """Whom it is connected to."""
        if self._state != _CONNECTED:
            raise Refusal("invalid-state")
        return self._remote

    def shut_down(self, direction: str) -> None:
        """Ends one direction, or both."""
        stream = self._connected
        if direction != "send":
            stream.stop_receiving()
        if direction != "receive":
            stream.stop_sending()

    def set_backlog(self, size: int) -> None:
        """Is taken from a socket that might yet listen."""
        if not size:
            raise Refusal("invalid-argument")
        if self._state not in (_UNBOUND, _BINDING, _BOUND):
            raise Refusal("invalid-state")

    def drop(self) -> None:
        """Closes the connection."""
        self._state = _CLOSED
        if self._stream is not None:
            self._stream.close()

    @property
    def _connected(self) -> Stream:
        if self._state != _CONNECTED or self._stream is None:
            raise Refusal("invalid-state")
        return self._stream


class _Received(InputStream):
    """What the other side sends."""

    __slots__ = ("_stream",)

    def __init__(self, stream: Stream, socket: TcpSocket) -> None:
        super().__init__(stream, socket)
        self._stream = stream

    def drop(self) -> None:
        """Nobody reads the rest."""
        self._stream.stop_receiving()


class _Sent(OutputStream):
    """What the guest sends."""

    __slots__ = ("_stream",)

    def __init__(self, stream: Stream, socket: TcpSocket) -> None:
        super().__init__(stream, socket)
        self._stream = stream

    def drop(self) -> None:
        """Tells the other side that it was all."""
        self._stream.stop_sending()


def _create_tcp_socket(world: World, family: str) -> Ok:
    return Ok(TcpSocket(family))


def _start_bind(world: World, socket: TcpSocket, network: Network, local: SocketAddress) -> Ok:
    socket.start_bind(local)
    return Ok()


def _finish_bind(world: World, socket: TcpSocket) -> Ok:
    socket.finish_bind()
    return Ok()


def _start_connect(world: World, socket: TcpSocket, network: Network, remote: SocketAddress) -> Ok:
    socket.start_connect(world, remote)
    return Ok()


def _finish_connect(world: World, socket: TcpSocket) -> Ok:
    return Ok(socket.finish_connect())


def _start_listen(world: World, socket: TcpSocket) -> NoReturn:
    socket.start_listen()


def _finish_listen(world: World, socket: TcpSocket) -> NoReturn:
    raise Refusal("not-in-progress")


def _accept(world: World, socket: TcpSocket) -> NoReturn:
    raise Refusal("invalid-state")  # it never listens


def _local_address(world: World, socket: TcpSocket) -> Ok:
    return Ok(socket.local)


def _remote_address(world: World, socket: TcpSocket) -> Ok:
    return Ok(socket.remote)


def _is_listening(world: World, socket: TcpSocket) -> bool:
    return False


def _address_family(world: World, socket: TcpSocket) -> str:
    return socket.family


def _set_listen_backlog_size(world: World, socket: TcpSocket, size: int) -> Ok:
    socket.set_backlog(size)
    return Ok()


def _subscribe(world: World, socket: TcpSocket) -> Pollable:
    return Pollable(lambda: socket.is_ready, socket.wait, socket)


def _shutdown(world: World, socket: TcpSocket, direction: str) -> Ok:
    socket.shut_down(direction)
    return Ok()


_ON, _NOTHING = ("network", borrow(Network)), or_error()
_STREAMS = (own(InputStream), own(OutputStream))
TCP = Interface(
    "wasi:sockets/tcp",
    (
        method(TcpSocket, "start-bind", _start_bind, _ON, ("local-address", SOCKET_ADDRESS), gives=_NOTHING),
        method(TcpSocket, "finish-bind", _finish_bind, gives=_NOTHING),
        method(
            TcpSocket, "start-connect", _start_connect, _ON, ("remote-address", SOCKET_ADDRESS),
            gives=_NOTHING,
        ),
        method(TcpSocket, "finish-connect", _finish_connect, gives=or_error(TupleOf(_STREAMS))),
        method(TcpSocket, "start-listen", _start_listen, gives=_NOTHING),
        method(TcpSocket, "finish-listen", _finish_listen, gives=_NOTHING),
        method(TcpSocket, "accept", _accept, gives=or_error(TupleOf((own(TcpSocket), *_STREAMS)))),
        method(TcpSocket, "local-address", _local_address, gives=or_error(SOCKET_ADDRESS)),
        method(TcpSocket, "remote-address", _remote_address, gives=or_error(SOCKET_ADDRESS)),
        method(TcpSocket, "is-listening", _is_listening, gives=BOOL),
        method(TcpSocket, "address-family", _address_family, gives=FAMILY),
        method(
            TcpSocket, "set-listen-backlog-size", _set_listen_backlog_size, ("value", U64), gives=_NOTHING
        ),
        *option(TcpSocket, "keep-alive-enabled", BOOL),
        *option(TcpSocket, "keep-alive-idle-time", U64),
        *option(TcpSocket, "keep-alive-interval", U64),
        *option(TcpSocket, "keep-alive-count", U32),
        *option(TcpSocket, "hop-limit", U8),
        *option(TcpSocket, "receive-buffer-size", U64),
        *option(TcpSocket, "send-buffer-size", U64),
        method(TcpSocket, "subscribe", _subscribe, gives=own(Pollable)),
        method(
            TcpSocket, "shutdown", _shutdown, ("shutdown-type", Enum(("receive", "send", "both"))),
            gives=_NOTHING,
        ),
    ),
    (TcpSocket,),
)  # fmt: skip
TCP_CREATE_SOCKET = Interface(
    "wasi:sockets/tcp-create-socket",
    (
        function(
            "create-tcp-socket",
            _create_tcp_socket,
            ("address-family", FAMILY),
            gives=or_error(own(TcpSocket)),
        ),
    ),
)
