"""Certificates as an operator has them, in files; and a door that shows one."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest
import trustme

from server.doors import Client, Served
from serverless_wasm.config.configuration import TlsConfig
from serverless_wasm.events import Event, RequestRefused
from serverless_wasm.limits import DoorLimits
from serverless_wasm.messages import AnyHandler
from serverless_wasm.server.h1 import HttpDoor
from serverless_wasm.server.tls import open_context

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


def tls_config(folder: Path, certificate: str = "cert.pem", key: str = "key.pem") -> TlsConfig:
    """What load makes of these two names in a configuration's folder."""
    return TlsConfig(
        certificate=folder / certificate,
        key=folder / key,
        file="config.toml",
        certificate_line=4,
        key_line=5,
    )


class Issuer:
    """An authority, and the folder where its certificates go."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.folder = folder

    def issue(self, name: str = "", expires: datetime | None = None) -> TlsConfig:
        """Writes a certificate for 127.0.0.1, with one that vouches for it, and its key."""
        middle = self.authority.create_child_ca()
        issued = middle.issue_cert("127.0.0.1", "localhost", not_after=expires)
        config = tls_config(self.folder, f"{name}cert.pem", f"{name}key.pem")
        config.certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        config.key.write_bytes(issued.private_key_pem.bytes())
        config.key.chmod(0o600)
        return config

    def client(self) -> ssl.SSLContext:
        """A client's context that trusts the authority, and takes an end without close_notify for a cut."""
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        context.set_alpn_protocols(["h2", "http/1.1"])
        return context


@dataclass(slots=True, kw_only=True)
class SecureServed(Served):
    """A door with TLS that listens."""

    issuer: Issuer
    context: ssl.SSLContext = field(init=False)

    def __post_init__(self) -> None:
        """Makes the clients' context."""
        self.context = self.issuer.client()

    async def connect_tls(self, context: ssl.SSLContext | None = None) -> Client:
        """A new client whose handshake is done."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=context or self.context, server_hostname="127.0.0.1"
        )
        client = Client(reader, writer)
        self.clients.append(client)
        return client


@asynccontextmanager
async def serving_tls(
    handler: AnyHandler, folder: Path, limits: DoorLimits | None = None
) -> AsyncIterator[SecureServed]:
    """A door with TLS for `handler` on a free port of 127.0.0.1."""
    issuer = Issuer(folder)
    events: list[Event] = []
    context = open_context(issuer.issue(), events.append)
    door = HttpDoor(handler, limits or DoorLimits(), events.append, context)
    address = (await door.listen(("127.0.0.1", 0)))[0]
    served = SecureServed(door=door, port=int(address.rpartition(":")[2]), events=events, issuer=issuer)
    try:
        yield served
    finally:
        for client in served.clients:
            client.close()
        await door.close(0)


def speaking(served: SecureServed, version: ssl.TLSVersion) -> ssl.SSLContext:
    """A client's context for one version."""
    context = served.issuer.client()
    context.minimum_version = context.maximum_version = version
    return context


def refusals(served: SecureServed) -> list[tuple[int, str, str]]:
    """What was refused before there was a request."""
    events = [event for event in served.events if isinstance(event, RequestRefused)]
    assert all(event.client.startswith("127.0.0.1:") and event.request_id for event in events)
    return [(event.status, event.code, event.detail) for event in events]


class ByHand:
    """A client that keeps its records in its own hands."""

    def __init__(self, served: SecureServed, context: ssl.SSLContext | None = None) -> None:
        self.served = served
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = context or served.context
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="127.0.0.1")

    async def shake(self, piece: int = 1 << 20) -> None:
        """Shakes hands, sending so many bytes at once."""
        self.client = await self.served.connect()
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                await self.send(self.outgoing.read(), piece)
                self.incoming.write(await self.client.reader.read(65536))
            else:
                await self.send(self.outgoing.read(), piece)
                return

    async def send(self, records: bytes, piece: int = 1 << 20) -> None:
        """Sends bytes, so many at once."""
        for at in range(0, len(records), piece):
            await self.client.send(records[at : at + piece])
            await asyncio.sleep(0)

    def sealed(self, data: bytes) -> bytes:
        """Records of this text."""
        self.tls.write(data)
        return self.outgoing.read()

    async def text(self, size: int) -> bytes:
        """So much of what comes."""
        found = b""
        while len(found) < size:
            try:
                found += self.tls.read(size - len(found))
            except ssl.SSLWantReadError:
                data = await self.client.reader.read(65536)
                assert data, "the door has ended the connection"
                self.incoming.write(data)
        return found

    async def rest(self) -> bytes:
        """Everything up to close_notify, which must come."""
        found = b""
        while True:
            try:
                piece = self.tls.read(65536)
            except ssl.SSLWantReadError:
                data = await self.client.reader.read(65536)
                assert data, "the connection was cut"
                self.incoming.write(data)
            else:
                if not piece:
                    return found
                found += piece

    async def leave(self, way: str) -> None:
        """Goes away."""
        if way == "close_notify":
            with pytest.raises(ssl.SSLWantReadError):
                self.tls.unwrap()
            await self.send(self.outgoing.read())
        elif way == "fin":
            self.client.writer.write_eof()
        else:
            sock: socket.socket = self.client.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.client.close()
