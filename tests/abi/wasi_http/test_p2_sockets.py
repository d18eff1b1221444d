"""wasi:sockets/tcp and udp: who may be connected to, states and codes, and nothing else."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abi.wasi_http.connecting import CALLS, SOCKETS, Guest, a_guest, address
from net.backends import backend, black_hole, echo, no_descriptor_left, silent
from serverless_wasm.abi.wasi_http.interface import Err, Ok
from serverless_wasm.abi.wasi_http.io_error import IoError
from serverless_wasm.abi.wasi_http.sockets_tcp import TcpSocket
from serverless_wasm.abi.wasi_http.sockets_types import Network, read, written_with_port
from serverless_wasm.abi.wasi_http.streams import InputStream, OutputStream
from serverless_wasm.errors import GuestTrap
from serverless_wasm.net.policy import Address

TCP, UDP = "[method]tcp-socket.", "[method]udp-socket."
READ, WRITE = "[method]input-stream.blocking-read", "[method]output-stream.blocking-write-and-flush"
CLOSED = Err(("closed", None))
SECOND = 1_000_000_000


async def read_all(guest: Guest, stream: Any) -> bytes:
    data = b""
    while isinstance(answer := await guest.wait(READ, stream, 65536), Ok):
        data += answer.value
    assert answer == CLOSED
    return data


def test_all_of_the_interfaces() -> None:
    """As many functions as the standard has; `test_tables_are_whole` looks at their shape."""
    assert [1, 1, 3, 28, 1, 18, 1] == [len(each.functions) for each in SOCKETS]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_bytes_go_both_ways(host: str) -> None:
    """What is written comes back; addresses are as they are; all is closed when the handles are dropped."""

    async def main() -> None:
        async with backend(echo, host) as port:
            with a_guest() as guest:
                connection, received, sent = await guest.connected(port, host)
                assert Ok(address(host, port)) == guest(TCP + "remote-address", connection)
                own = guest(TCP + "local-address", connection).value
                assert own[0] == guest(TCP + "address-family", connection)
                assert own[1][0] > 0
                for _ in range(100):
                    assert Ok() == await guest.wait(WRITE, sent, bytes(4096))
                assert Ok() == guest(TCP + "shutdown", connection, "send")
                assert len(await read_all(guest, received)) == 409600
                # Now the system knows neither of them any more.
                assert Ok(address(host, port)) == guest(TCP + "remote-address", connection)
                assert own == guest(TCP + "local-address", connection).value
                for each in (received, sent, connection):
                    guest.drop(each)
                assert guest.invocation.grants.outbound.open == 0

    with no_descriptor_left():
        asyncio.run(main())


def test_streams_before_sockets() -> None:
    """A socket is not dropped while its streams are there, nor what is polled of it."""

    async def main() -> None:
        async with backend(echo) as port:
            with a_guest() as guest:
                connection, received, sent = await guest.connected(port)
                for child in (received, sent, guest(TCP + "subscribe", connection)):
                    with pytest.raises(GuestTrap):
                        guest.drop(connection)
                    guest.drop(child)
                guest.drop(connection)

    with no_descriptor_left():
        asyncio.run(main())


def test_dropped_output_is_an_end() -> None:
    """The other side hears the end of what was sent, and can still answer."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"<" + await reader.read() + b">")
        await writer.drain()

    async def main() -> None:
        async with backend(answer) as port:
            with a_guest() as guest:
                _, received, sent = await guest.connected(port)
                assert Ok() == await guest.wait(WRITE, sent, b"hello")
                guest.drop(sent)
                assert await read_all(guest, received) == b"<hello>"

    asyncio.run(main())


def test_finish_before_it_is_done() -> None:
    """A connect under way would block; nothing else can be begun or asked for meanwhile."""

    async def main() -> None:
        with black_hole() as target, a_guest(connect_timeout=0.1) as guest:
            connection = guest.socket()
            host, _, port = target.decode().rpartition(":")
            remote = address(host, int(port))
            assert Ok() == guest.start(connection, remote)
            assert Err("would-block") == guest(TCP + "finish-connect", connection)
            conflict, network = Err("concurrency-conflict"), guest("instance-network")
            assert conflict == guest.start(connection, remote)
            assert conflict == guest(TCP + "start-bind", connection, network, address("0.0.0.0", 0))
            assert conflict == guest(TCP + "start-listen", connection)
            for asked in ("finish-bind", "finish-listen"):
                assert Err("not-in-progress") == guest(TCP + asked, connection)
            for asked in ("local-address", "remote-address", "accept", "hop-limit"):
                assert Err("invalid-state") == guest(TCP + asked, connection)
            assert Err("invalid-state") == guest(TCP + "shutdown", connection, "both")
            assert Err("invalid-state") == guest(TCP + "set-listen-backlog-size", connection, 1)
            await guest.settled(connection)
            assert Err("timeout") == guest(TCP + "finish-connect", connection)
            assert guest.invocation.grants.outbound.open == 0

    with no_descriptor_left():
        asyncio.run(main())


def test_polling_twice_for_one_socket() -> None:
    """Several pollables of one socket, and of one stream, may be in one list."""

    async def main() -> None:
        async with backend(echo) as port:
            with a_guest() as guest:
                connection = guest.socket()
                assert Ok() == guest.start(connection, address("127.0.0.1", port))
                both = [guest(TCP + "subscribe", connection) for _ in range(2)]
                assert [0, 1] == await guest.wait("poll", both)
                received, sent = guest(TCP + "finish-connect", connection).value
                readable = [guest("[method]input-stream.subscribe", received) for _ in range(3)]
                polling = asyncio.ensure_future(guest.wait("poll", readable))
                await asyncio.sleep(0)
                assert not polling.done()
                assert Ok() == await guest.wait(WRITE, sent, b"x")
                assert [0, 1, 2] == await polling
                assert [0, 1] == await guest.wait("poll", both)

    with no_descriptor_left():
        asyncio.run(main())


def test_refused_connection() -> None:
    """Where nobody listens the guest hears so once, and the socket is of no use any more."""

    async def main() -> None:
        with a_guest() as guest, socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            connection, remote = guest.socket(), address("127.0.0.1", bound.getsockname()[1])
            assert Ok() == guest.start(connection, remote)
            await guest.settled(connection)
            assert Err("connection-refused") == guest(TCP + "finish-connect", connection)
            assert Err("not-in-progress") == guest(TCP + "finish-connect", connection)
            assert Err("invalid-state") == guest.start(connection, remote)
            assert guest("[method]pollable.ready", guest(TCP + "subscribe", connection))
            assert not guest.refused

    with no_descriptor_left():
        asyncio.run(main())


def test_the_policy_is_asked() -> None:
    """Without an entry access is denied, and the log hears of it; an entry for http is none for tcp."""

    async def main() -> None:
        async with backend(echo) as port:
            with a_guest((f"http://127.0.0.1:{port}",)) as guest:
                connection = guest.socket()
                assert Err("access-denied") == guest.start(connection, address("127.0.0.1", port))
                assert Err("invalid-state") == guest.start(connection, address("127.0.0.1", port))
                assert Err("access-denied") == guest.start(guest.socket(), address("169.254.169.254", 80))
                assert [f"127.0.0.1:{port}", "169.254.169.254:80"] == guest.refused

    with no_descriptor_left():
        asyncio.run(main())


@pytest.mark.parametrize(
    ("family", "remote"),
    [
        ("ipv4", address("::1", 80)),
        ("ipv6", address("127.0.0.1", 80)),
        ("ipv4", address("0.0.0.0", 80)),
        ("ipv6", address("::", 80)),
        ("ipv4", address("127.0.0.1", 0)),
        ("ipv4", address("224.0.0.1", 80)),
        ("ipv4", address("255.255.255.255", 80)),
        ("ipv6", address("ff02::1", 80)),
        ("ipv6", address("::ffff:127.0.0.1", 80)),
        ("ipv6", ("ipv6", (80, 0, (0xFE80, 0, 0, 0, 0, 0, 0, 1), 2))),
    ],
)
def test_no_address_to_connect_to(family: str, remote: Any) -> None:
    """What is no unicast address of the socket's family is invalid, and the socket is not lost."""

    async def main() -> None:
        async with backend(echo) as port:
            with a_guest() as guest:
                connection = guest.socket(family)
                assert Err("invalid-argument") == guest.start(connection, remote)
                if family == "ipv4":
                    assert Ok() == guest.start(connection, address("127.0.0.1", port))
                assert not guest.refused

    with no_descriptor_left():
        asyncio.run(main())


def test_binding_leaves_the_address_to_the_system() -> None:
    """A socket may be bound to no address in particular, once, and then connects; to any other it may not."""

    async def main() -> None:
        async with backend(echo) as port:
            with a_guest() as guest:
                connection, network = guest.socket(), guest("instance-network")
                bind, anywhere = TCP + "start-bind", address("0.0.0.0", 0)
                assert Err("access-denied") == guest(bind, connection, network, address("0.0.0.0", 8080))
                assert Err("access-denied") == guest(bind, connection, network, address("127.0.0.1", 0))
                assert Err("invalid-argument") == guest(bind, connection, network, address("::", 0))
                assert Err("not-in-progress") == guest(TCP + "finish-bind", connection)
                assert Err("invalid-state") == guest(TCP + "local-address", connection)
                assert Err("invalid-state") == guest(TCP + "start-listen", connection)
                assert Ok() == guest(bind, connection, network, anywhere)
                assert Err("concurrency-conflict") == guest(bind, connection, network, anywhere)
                assert Ok() == guest(TCP + "finish-bind", connection)
                assert Err("invalid-state") == guest(bind, connection, network, anywhere)
                assert Ok(anywhere) == guest(TCP + "local-address", connection)
                assert Err("invalid-state") == guest(TCP + "remote-address", connection)
                assert Ok() == guest.start(connection, address("127.0.0.1", port))
                await guest.settled(connection)
                assert isinstance(guest(TCP + "finish-connect", connection), Ok)
                assert Err("invalid-state") == guest.start(connection, address("127.0.0.1", port))
                assert Err("invalid-state") == guest(bind, connection, network, anywhere)

    asyncio.run(main())


def test_nobody_listens() -> None:
    """A bound socket is denied to listen, and nothing is ever accepted."""
    with a_guest() as guest:
        listener, network = guest.socket(), guest("instance-network")
        guest(TCP + "start-bind", listener, network, address("0.0.0.0", 0))
        guest(TCP + "finish-bind", listener)
        assert Err("access-denied") == guest(TCP + "start-listen", listener)
        assert Err("not-in-progress") == guest(TCP + "finish-listen", listener)
        assert Err("invalid-state") == guest(TCP + "accept", listener)
        assert guest(TCP + "is-listening", listener) is False
        assert Ok() == guest(TCP + "set-listen-backlog-size", listener, 5)
        assert Err("invalid-argument") == guest(TCP + "set-listen-backlog-size", listener, 0)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("keep-alive-idle-time", {1: SECOND, 2**64 - 1: 32767 * SECOND, 5 * SECOND: 5 * SECOND}),
        ("keep-alive-interval", {1: SECOND, 3 * SECOND: 3 * SECOND}),
        ("keep-alive-count", {1: 1, 2**32 - 1: 127}),
        ("hop-limit", {1: 1, 255: 255}),
        ("receive-buffer-size", {1: 1, 2**64 - 1: 2**31 - 1}),
        ("send-buffer-size", {65536: 65536}),
    ],
)
def test_settings_are_kept(name: str, values: dict[int, int]) -> None:
    """A valid value is given back, as near as a system would keep it; 0 is invalid and changes nothing."""
    with a_guest() as guest:
        connection = guest.socket()
        first = guest(TCP + name, connection)
        assert first.value > 0
        assert Err("invalid-argument") == guest(TCP + f"set-{name}", connection, 0)
        assert first == guest(TCP + name, connection)
        for value, kept in values.items():
            assert Ok() == guest(TCP + f"set-{name}", connection, value)
            assert Ok(kept) == guest(TCP + name, connection)
        assert first == guest(TCP + name, guest.socket())


def test_keep_alive() -> None:
    """It is off until it is switched on, and can be switched off again."""
    with a_guest() as guest:
        connection = guest.socket()
        assert Ok(False) == guest(TCP + "keep-alive-enabled", connection)
        for value in (True, False):
            assert Ok() == guest(TCP + "set-keep-alive-enabled", connection, value)
            assert Ok(value) == guest(TCP + "keep-alive-enabled", connection)


def test_shut_down() -> None:
    """A direction that was shut is closed; again is no mistake; before the connection it is one."""

    async def main() -> None:
        with silent() as target, a_guest() as guest:
            assert Err("invalid-state") == guest(TCP + "shutdown", guest.socket(), "both")
            connection, received, sent = await guest.connected(int(target.rpartition(b":")[2]))
            for _ in range(2):
                assert Ok() == guest(TCP + "shutdown", connection, "receive")
                assert CLOSED == await guest.wait(READ, received, 1)
            assert Ok() == await guest.wait(WRITE, sent, b"x")
            for _ in range(2):
                assert Ok() == guest(TCP + "shutdown", connection, "both")
            assert CLOSED == await guest.wait(WRITE, sent, b"x")

    with no_descriptor_left():
        asyncio.run(main())


def test_failures_of_streams_have_codes() -> None:
    """A read that has met its deadline, and one that a reset ended, say so; other errors are none of ours."""

    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()

    async def main() -> None:
        async with backend(reset) as port:
            with silent() as target, a_guest(socket_timeout=0.05) as guest:
                _, received, _ = await guest.connected(int(target.rpartition(b":")[2]))
                failed = (await guest.wait(READ, received, 1)).value
                assert ("last-operation-failed", "timeout") == (failed[0], code(guest, failed[1]))
                assert CLOSED == await guest.wait(READ, received, 1)
            with a_guest() as guest:
                _, received, sent = await guest.connected(port)
                assert Ok() == await guest.wait(WRITE, sent, b"x")
                failed = (await guest.wait(READ, received, 1)).value
                assert code(guest, failed[1]) == "connection-reset"
                assert code(guest, IoError("no", ValueError())) is None
                assert code(guest, IoError("no", OSError())) == "unknown"

    asyncio.run(main())


def code(guest: Guest, error: IoError) -> Any:
    return guest("network-error-code", error)


def test_limits_are_those_of_tcp() -> None:
    """One connection too many is a socket limit, and bytes beyond what may be sent fail the stream."""

    async def main() -> None:
        async with backend(echo) as port:
            with a_guest(sockets=1, socket_sent=3) as guest:
                _, _, sent = await guest.connected(port)
                connection = guest.socket()
                assert Err("new-socket-limit") == guest.start(connection, address("127.0.0.1", port))
                assert Ok(3) == guest("[method]output-stream.check-write", sent)
                failed = (await guest.wait(WRITE, sent, b"1234")).value
                assert failed[0] == "last-operation-failed"
                assert "socket_sent" in guest("[method]error.to-debug-string", failed[1])

    with no_descriptor_left():
        asyncio.run(main())


def test_a_guest_that_is_kept_finds_its_socket_closed() -> None:
    """Handles that outlive their request's connections answer: closed, or an invalid state."""

    async def main() -> None:
        async with backend(echo) as port:
            with a_guest() as guest:
                connection, received, sent = await guest.connected(port)
                under_way = guest.socket()
                assert Ok() == guest.start(under_way, address("127.0.0.1", port))
                guest.invocation.close()
                assert CLOSED == await guest.wait(READ, received, 1)
                assert CLOSED == await guest.wait(WRITE, sent, b"x")
                assert Ok(address("127.0.0.1", port)) == guest(TCP + "remote-address", connection)
                assert Ok() == guest(TCP + "shutdown", connection, "both")
                assert Err("invalid-state") == guest(TCP + "finish-connect", under_way)
                await guest.settled(under_way)

    with no_descriptor_left():
        asyncio.run(main())


def test_datagrams_are_denied() -> None:
    """A UDP socket can be made and set, and goes nowhere."""
    with a_guest(("*://*:*", "udp://127.0.0.1:*")) as guest, no_descriptor_left():
        made, network = guest("create-udp-socket", "ipv4").value, guest("instance-network")
        assert Err("access-denied") == guest(UDP + "start-bind", made, network, address("0.0.0.0", 0))
        assert Err("invalid-argument") == guest(UDP + "start-bind", made, network, address("::", 0))
        assert Err("not-in-progress") == guest(UDP + "finish-bind", made)
        for remote in (None, address("127.0.0.1", 53)):
            assert Err("invalid-state") == guest(UDP + "stream", made, remote)
        for asked in ("local-address", "remote-address"):
            assert Err("invalid-state") == guest(UDP + asked, made)
        assert guest(UDP + "address-family", made) == "ipv4"
        for name in ("unicast-hop-limit", "receive-buffer-size", "send-buffer-size"):
            assert Err("invalid-argument") == guest(UDP + f"set-{name}", made, 0)
            assert Ok() == guest(UDP + f"set-{name}", made, 7)
            assert Ok(7) == guest(UDP + name, made)
        assert guest("[method]pollable.ready", guest(UDP + "subscribe", made))


def test_no_stream_of_datagrams() -> None:
    """What takes one has none to be called with."""
    names = [name for name in CALLS if "datagram-stream." in name]
    assert len(names) == 5
    with a_guest() as guest:
        for name in names:
            with pytest.raises(GuestTrap):
                guest(name, *[None] * len(CALLS[name].signature.params))


def test_kinds_of_handles() -> None:
    """What is given is what the types say."""

    async def main() -> None:
        async with backend(echo) as port:
            with a_guest() as guest:
                assert isinstance(guest("instance-network"), Network)
                kinds = (TcpSocket, InputStream, OutputStream)
                made = await guest.connected(port)
                assert all(isinstance(each, kind) for each, kind in zip(made, kinds, strict=True))

    asyncio.run(main())


@given(st.ip_addresses(), st.integers(0, 65535))
def test_addresses_are_read_as_they_are_written(given_address: Address, port: int) -> None:
    """An address is itself after a way there and back, or is refused for what it is."""
    value = written_with_port(given_address, port)
    special = given_address.is_multicast or str(given_address) == "255.255.255.255"
    if special or getattr(given_address, "ipv4_mapped", None) is not None:
        return
    assert (given_address, port) == read(value, value[0])
