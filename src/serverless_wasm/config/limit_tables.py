"""The tables of limits: of applications, of connections, of the process.

A table that tomllib read comes in; its checked values go out, or a ValidationError.
A key whose type does not say it all has a description, which completes the words "expected ...".
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from serverless_wasm.config import values
from serverless_wasm.config.table import GIB, HOUR, Table, byte_rate, count, duration, pem_path, size
from serverless_wasm.config.units import parse_rate
from serverless_wasm.limits import KIB, MIB


class LimitsTable(Table):
    """The fields of limits.Limits; what is left out stays as it is one floor further out."""

    memory: Annotated[int, size(64 * KIB, 4 * GIB)] | None = None
    table_elements: Annotated[int, count(0, 10_000_000)] | None = None
    timeout: Annotated[float, duration(0.001, 24 * HOUR)] | None = None
    cpu: Annotated[float, duration(0.001, 24 * HOUR)] | None = None
    fuel: Annotated[int, count(1, 10**18)] | None = None
    concurrency: Annotated[int, count(1, 1_000_000)] | None = None
    queue: Annotated[int, count(0, 1_000_000)] | None = None
    queue_timeout: Annotated[float, duration(0.001, HOUR)] | None = None
    rate: Annotated[float, BeforeValidator(parse_rate)] | None = None
    host_calls: Annotated[int, count(0, 1_000_000_000)] | None = None
    request_body: Annotated[int, size(0, 4 * GIB)] | None = None
    response_body: Annotated[int, size(0, 4 * GIB)] | None = None
    response_headers: Annotated[int, count(0, 10_000)] | None = None
    response_header_bytes: Annotated[int, size(0, 16 * MIB)] | None = None
    sockets: Annotated[int, count(0, 10_000)] | None = None
    application_sockets: Annotated[int, count(0, 1_000_000)] | None = None
    application_files: Annotated[int, count(0, 1_000_000)] | None = None
    socket_received: Annotated[int, size(0, 1024 * GIB)] | None = None
    socket_sent: Annotated[int, size(0, 1024 * GIB)] | None = None
    connect_timeout: Annotated[float, duration(0.001, HOUR)] | None = None
    socket_timeout: Annotated[float, duration(0.001, 24 * HOUR)] | None = None
    log_bytes: Annotated[int, size(0, GIB)] | None = None
    log_lines: Annotated[int, count(0, 1_000_000)] | None = None
    scratch: Annotated[int, size(0, 1024 * GIB)] | None = None
    store_timeout: Annotated[float, duration(0.001, HOUR)] | None = None
    file_size: Annotated[int, size(0, GIB)] | None = None
    module_size: Annotated[int, size(8, 256 * MIB)] | None = None


class DoorTable(Table):
    """The fields of limits.DoorLimits."""

    header_timeout: Annotated[float, duration(0.001, HOUR)] | None = None
    body_timeout: Annotated[float, duration(0.001, 24 * HOUR)] | None = None
    body_rate: Annotated[int, byte_rate(1, GIB)] | None = None
    idle_timeout: Annotated[float, duration(0.001, 24 * HOUR)] | None = None
    write_timeout: Annotated[float, duration(0.001, 24 * HOUR)] | None = None
    write_rate: Annotated[int, byte_rate(1, GIB)] | None = None
    unsent: Annotated[int, size(MIB, 1024 * GIB)] | None = None
    target: Annotated[int, size(256, MIB)] | None = None
    header_fields: Annotated[int, count(8, 10_000)] | None = None
    header_bytes: Annotated[int, size(KIB, 16 * MIB)] | None = None
    connections: Annotated[int, count(1, 1_000_000)] | None = None


class TlsTable(Table):
    """The `[server.tls]` table."""

    certificate: Annotated[str, AfterValidator(pem_path)] = Field(
        description='the path of a PEM file such as "cert.pem", the certificate and those that vouch for it'
    )
    key: Annotated[str, AfterValidator(pem_path)] = Field(
        description='the path of a PEM file such as "key.pem", with the certificate\'s private key'
    )


class ServerTable(DoorTable):
    """The `[server]` table: what a connection may use, and what the process may."""

    workers: Annotated[int | None, BeforeValidator(values.workers)] = None
    heartbeat: Annotated[float, duration(0.5, HOUR)] = 5.0
    slots: Annotated[int, count(1, 1_000_000)] | None = None
    memory: Annotated[int, size(MIB, 1024 * 1024 * GIB)] | None = None
    stack: Annotated[int, size(64 * KIB, 8 * MIB)] = 256 * KIB
    drain: Annotated[float, duration(0, HOUR)] = 10.0
    tls: TlsTable | None = Field(
        default=None, description="a [server.tls] table with the keys certificate and key"
    )
