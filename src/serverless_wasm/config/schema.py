"""The tables that an operator may write, key by key, and what each key takes.

A document that tomllib read comes in; tables of checked values go out, or a ValidationError.
A description completes the words "expected ..."; a key whose type does not say it all has one.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from serverless_wasm.config import values
from serverless_wasm.config.units import parse_byte_rate, parse_count, parse_duration, parse_rate, parse_size
from serverless_wasm.limits import KIB, MIB

if TYPE_CHECKING:
    from collections.abc import Mapping

ABIS = ("cgi", "env", "wws")
"""What the key `abi` may name; the names in the table of abi/__init__.py."""
GIB = 1024 * MIB
HOUR = 3600.0


def _size(at_least: int, at_most: int) -> BeforeValidator:
    return BeforeValidator(lambda value: parse_size(value, at_least, at_most))


def _duration(at_least: float, at_most: float) -> BeforeValidator:
    return BeforeValidator(lambda value: parse_duration(value, at_least, at_most))


def _byte_rate(at_least: int, at_most: int) -> BeforeValidator:
    return BeforeValidator(lambda value: parse_byte_rate(value, at_least, at_most))


def _count(at_least: int, at_most: int) -> BeforeValidator:
    return BeforeValidator(lambda value: parse_count(value, at_least, at_most))


def _abi(value: str) -> str:
    if value not in ABIS:
        raise ValueError(" or ".join(f'"{known}"' for known in ABIS))
    return value


def _pem_path(value: str) -> str:
    try:
        return values.file_path(value)
    except ValueError:
        raise ValueError('the path of a PEM file on this machine, such as "cert.pem"') from None


class Table(BaseModel):
    """The root of all tables: no unknown key, no conversion, no change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class LimitsTable(Table):
    """The fields of limits.Limits; what is left out stays as it is one floor further out."""

    memory: Annotated[int, _size(64 * KIB, 4 * GIB)] | None = None
    table_elements: Annotated[int, _count(0, 10_000_000)] | None = None
    timeout: Annotated[float, _duration(0.001, 24 * HOUR)] | None = None
    cpu: Annotated[float, _duration(0.001, 24 * HOUR)] | None = None
    fuel: Annotated[int, _count(1, 10**18)] | None = None
    concurrency: Annotated[int, _count(1, 1_000_000)] | None = None
    queue: Annotated[int, _count(0, 1_000_000)] | None = None
    queue_timeout: Annotated[float, _duration(0.001, HOUR)] | None = None
    rate: Annotated[float, BeforeValidator(parse_rate)] | None = None
    host_calls: Annotated[int, _count(0, 1_000_000_000)] | None = None
    request_body: Annotated[int, _size(0, 4 * GIB)] | None = None
    response_body: Annotated[int, _size(0, 4 * GIB)] | None = None
    response_headers: Annotated[int, _count(0, 10_000)] | None = None
    response_header_bytes: Annotated[int, _size(0, 16 * MIB)] | None = None
    sockets: Annotated[int, _count(0, 10_000)] | None = None
    application_sockets: Annotated[int, _count(0, 1_000_000)] | None = None
    socket_received: Annotated[int, _size(0, 1024 * GIB)] | None = None
    socket_sent: Annotated[int, _size(0, 1024 * GIB)] | None = None
    connect_timeout: Annotated[float, _duration(0.001, HOUR)] | None = None
    socket_timeout: Annotated[float, _duration(0.001, 24 * HOUR)] | None = None
    log_bytes: Annotated[int, _size(0, GIB)] | None = None
    log_lines: Annotated[int, _count(0, 1_000_000)] | None = None
    scratch: Annotated[int, _size(0, 1024 * GIB)] | None = None
    module_size: Annotated[int, _size(8, 256 * MIB)] | None = None


class DoorTable(Table):
    """The fields of limits.DoorLimits."""

    header_timeout: Annotated[float, _duration(0.001, HOUR)] | None = None
    body_timeout: Annotated[float, _duration(0.001, 24 * HOUR)] | None = None
    body_rate: Annotated[int, _byte_rate(1, GIB)] | None = None
    idle_timeout: Annotated[float, _duration(0.001, 24 * HOUR)] | None = None
    write_timeout: Annotated[float, _duration(0.001, 24 * HOUR)] | None = None
    write_rate: Annotated[int, _byte_rate(1, GIB)] | None = None
    unsent: Annotated[int, _size(MIB, 1024 * GIB)] | None = None
    target: Annotated[int, _size(256, MIB)] | None = None
    header_fields: Annotated[int, _count(8, 10_000)] | None = None
    header_bytes: Annotated[int, _size(KIB, 16 * MIB)] | None = None
    connections: Annotated[int, _count(1, 1_000_000)] | None = None


class TlsTable(Table):
    """The `[server.tls]` table."""

    certificate: Annotated[str, AfterValidator(_pem_path)] = Field(
        description='the path of a PEM file such as "cert.pem", the certificate and those that vouch for it'
    )
    key: Annotated[str, AfterValidator(_pem_path)] = Field(
        description='the path of a PEM file such as "key.pem", with the certificate\'s private key'
    )


class ServerTable(DoorTable):
    """The `[server]` table: what a connection may use, and what the process may."""

    workers: Annotated[int | None, BeforeValidator(values.workers)] = None
    heartbeat: Annotated[float, _duration(0.5, HOUR)] = 5.0
    slots: Annotated[int, _count(1, 1_000_000)] | None = None
    memory: Annotated[int, _size(MIB, 1024 * 1024 * GIB)] | None = None
    stack: Annotated[int, _size(64 * KIB, 8 * MIB)] = 256 * KIB
    drain: Annotated[float, _duration(0, HOUR)] = 10.0
    tls: TlsTable | None = Field(
        default=None, description="a [server.tls] table with the keys certificate and key"
    )


class MountTable(Table):
    """One entry of `mounts`: a folder that guests find under a name."""

    path: Annotated[str, AfterValidator(values.folder_path)] = Field(
        description='the path of a folder on this machine, such as "./site"'
    )
    write: bool = Field(default=False, description="true if guests may change what is in it, or false")


class RouteTable(BaseModel):
    """The keys that make an application's route; other keys are not looked at."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    method: Annotated[list[str], BeforeValidator(values.methods)] = []
    url_path: Annotated[str, AfterValidator(values.url_path)] = Field(
        description='a path such as "/hello", "/users/:id" or "/files/..."'
    )
    host: Annotated[str, AfterValidator(values.host)] | None = Field(
        default=None, description='a host name such as "www.example.com"'
    )


class ApplicationTable(RouteTable):
    """One `[[applications]]` entry."""

    model_config = ConfigDict(extra="forbid")

    file_path: Annotated[str, AfterValidator(values.file_path)] = Field(
        description='the path of a WebAssembly file, such as "./hello.wasm"'
    )
    function: Annotated[str, AfterValidator(values.function)] | None = Field(
        default=None, description='the name of a function that the module exports, such as "handle"'
    )
    env: dict[str, str] = Field(
        default={}, description='text in quotes for each variable, such as env = { greeting = "Bonjour" }'
    )
    name: Annotated[str, AfterValidator(values.name)] | None = Field(
        default=None, description='a name in quotes, such as "hello"'
    )
    allowed_outbound_hosts: list[Annotated[str, AfterValidator(values.outbound_host)]] = Field(
        default=[], description='a list such as ["tcp://127.0.0.1:6379"]'
    )
    arguments: list[Annotated[str, AfterValidator(values.argument)]] | None = Field(
        default=None, description='a list of texts such as arguments = ["script.py"]'
    )
    mounts: dict[Annotated[str, AfterValidator(values.mount_name)], MountTable] = Field(
        default={}, description='a table such as mounts = { "/data" = { path = "./site", write = false } }'
    )
    tmp: bool = Field(
        default=False, description="true for a scratch folder /tmp of each invocation, or false"
    )
    precise_clocks: bool = Field(
        default=False, description="true for clocks of nanoseconds, which measure neighbours, or false"
    )
    limits: LimitsTable = Field(
        default=LimitsTable(), description='a table such as limits = { memory = "64MiB", timeout = "10s" }'
    )
    abi: Annotated[str, AfterValidator(_abi)] | None = Field(
        default=None, description=" or ".join(f'"{known}"' for known in ABIS)
    )


class FileTable(Table):
    """The whole file."""

    listen_address: Annotated[values.Address, BeforeValidator(values.listen_address)] = values.Address(
        "127.0.0.1", 8080
    )
    applications: list[ApplicationTable] = Field(
        min_length=1, description="at least one [[applications]] table, in two pairs of brackets"
    )
    limits: LimitsTable = Field(
        default=LimitsTable(), description="a [limits] table of defaults for all applications"
    )
    server: ServerTable = Field(default=ServerTable(), description="a [server] table")


TABLES: Mapping[tuple[str, ...], type[BaseModel]] = MappingProxyType(
    {
        (): FileTable,
        ("limits",): LimitsTable,
        ("server",): ServerTable,
        ("server", "tls"): TlsTable,
        ("applications",): ApplicationTable,
        ("applications", "limits"): LimitsTable,
        ("applications", "mounts"): MountTable,
    }
)
"""Where each table stands, without the indexes of arrays, and without the names of mounts."""
