"""The tables that an operator may write, key by key, and what each key takes.

A document that tomllib read comes in; tables of checked values go out, or a ValidationError.
A description completes the words "expected ..."; a key whose type does not say it all has one.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from serverless_wasm.config import locations, values
from serverless_wasm.config.units import parse_byte_rate, parse_count, parse_duration, parse_rate, parse_size
from serverless_wasm.limits import KIB, MIB
from serverless_wasm.stores import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ABIS = ("cgi", "env", "wws")
"""What the key `abi` may name; the names in the table of abi/__init__.py."""
_OPTIONS = sorted(frozenset().union(*OPTIONS.values()))
SECRET_OPTIONS = frozenset(
    {
        "access_key_id",
        "secret_access_key",
        "session_token",
        "account_key",
        "sas_token",
        "username",
        "password",
        "token",
    }
)
"""The keys of a store that are never shown, and so may hold a secret."""
MAX_VARIABLES = 1000
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

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


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
    store_timeout: Annotated[float, _duration(0.001, HOUR)] | None = None
    file_size: Annotated[int, _size(0, GIB)] | None = None
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


class FilesTable(Table):
    """One entry of `files`: a place whose files guests find under a name."""

    url: Annotated[str, AfterValidator(locations.files_url)] = Field(
        description='a path or a URL, such as "./site", "file:///var/data" or "s3://bucket/site"'
    )
    write: bool = Field(default=False, description="true if guests may change what is there, or false")
    quota: Annotated[int, _size(0, 1024 * GIB)] | None = None

    @field_validator("write")
    @classmethod
    def _writable(cls, value: Any, info: ValidationInfo) -> Any:
        if value and info.data.get("url", "").startswith("http"):
            raise ValueError("false, as what HTTP serves is only read")
        return value


def _files_table(value: object) -> object:
    """A place that is only its URL."""
    return {"url": value} if isinstance(value, str) else value


_Files = Annotated[FilesTable, BeforeValidator(_files_table)]
_Option = Annotated[
    Annotated[str, AfterValidator(locations.option)] | None,
    Field(description='a text in quotes, such as "{{ name }}" with [variables]'),
]


class StoreTable(Table):
    """One `[stores.NAME]` table: who we are for what is below a URL."""

    url: Annotated[str, AfterValidator(locations.store_url)] = Field(
        description='a URL such as "s3://bucket", for which the table is meant, and all below it'
    )
    endpoint: Annotated[str, AfterValidator(locations.endpoint)] | None = Field(
        default=None, description='a URL such as "https://s3.example.com"'
    )
    region: _Option = None
    access_key_id: _Option = None
    secret_access_key: _Option = None
    session_token: _Option = None
    service_account: Annotated[str, AfterValidator(values.file_path)] | None = Field(
        default=None, description="the path of a JSON file of Google's"
    )
    account: _Option = None
    account_key: _Option = None
    sas_token: _Option = None
    username: _Option = None
    password: _Option = None
    token: _Option = None
    ca: Annotated[str, AfterValidator(_pem_path)] | None = Field(
        default=None, description="the path of a PEM file with certificates to trust"
    )
    anonymous: bool = Field(default=False, description="true for requests that are not signed, or false")

    @field_validator(*_OPTIONS)
    @classmethod
    def _fits(cls, value: str, info: ValidationInfo) -> str:
        scheme = info.data.get("url", "").partition(":")[0]
        if scheme in OPTIONS and info.field_name not in OPTIONS[scheme]:
            raise ValueError(f"for {scheme}:// only {', '.join(sorted(OPTIONS[scheme]))}, anonymous")
        return value


class KeyValueTable(Table):
    """One `[key_value.NAME]` table: where keys and values are kept."""

    url: Annotated[str, AfterValidator(locations.key_value_url)] = Field(
        description='a URL such as "sqlite:///state.db" or "redis://127.0.0.1:6379/0"'
    )
    shared: bool = Field(
        default=False, description="true if all applications see the same keys, or false if each has its own"
    )
    quota: Annotated[int, _size(0, 1024 * GIB)] = 64 * MIB
    value: Annotated[int, _size(0, 512 * MIB)] = MIB


class VariableTable(Table):
    """One entry of `[variables]`: a value from outside of the file."""

    required: bool = Field(
        default=False, description="true if the value must come from outside of this file, or false"
    )
    secret: bool = Field(default=False, description="true if the value must never be shown, or false")
    default: str | None = Field(default=None, description='a text in quotes such as "Bonjour"')
    file: Annotated[str, AfterValidator(values.file_path)] | None = Field(
        default=None, description='the path of a file on this machine, such as "/run/secrets/api_key"'
    )

    @field_validator("default")
    @classmethod
    def _not_required(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("required"):
            raise ValueError("no default beside required = true")
        return value


class RouteTable(BaseModel):
    """The keys that make an application's route; other keys are not looked at."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, hide_input_in_errors=True)

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

    file_path: Annotated[str, AfterValidator(locations.module_path)] = Field(
        description='the path of a WebAssembly file or its URL, such as "./hello.wasm"'
    )
    digest: Annotated[str, AfterValidator(locations.digest)] | None = Field(
        default=None, description='"sha256:" and 64 hexadecimal digits', validate_default=True
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
    files: dict[Annotated[str, AfterValidator(values.mount_name)], _Files] = Field(
        default={}, description='a table such as files = { "/assets" = "s3://bucket/site" }'
    )
    key_value: list[Annotated[str, AfterValidator(values.name)]] = Field(
        default=[], description='a list of stores such as key_value = ["default"]'
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

    @field_validator("digest")
    @classmethod
    def _pinned(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and locations.is_open(info.data.get("file_path", "")):
            raise ValueError("a digest, as anybody on the way can change what http:// brings; or https://")
        return value


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
    stores: dict[Annotated[str, AfterValidator(values.name)], StoreTable] = Field(
        default={}, description="tables such as [stores.main], with url and credentials"
    )
    key_value: dict[Annotated[str, AfterValidator(values.name)], KeyValueTable] = Field(
        default={}, description="tables such as [key_value.default], with url"
    )
    variables: dict[Annotated[str, AfterValidator(values.variable)], VariableTable] = Field(
        default={},
        max_length=MAX_VARIABLES,
        description=f"at most {MAX_VARIABLES} tables such as api_key = {{ required = true, secret = true }}",
    )
    require_digest: bool = Field(
        default=False, description="true if every application must have a digest, or false"
    )


TABLES: Mapping[tuple[str, ...], type[BaseModel]] = MappingProxyType(
    {
        (): FileTable,
        ("limits",): LimitsTable,
        ("server",): ServerTable,
        ("server", "tls"): TlsTable,
        ("applications",): ApplicationTable,
        ("applications", "limits"): LimitsTable,
        ("applications", "mounts"): MountTable,
        ("applications", "files"): FilesTable,
        ("stores",): StoreTable,
        ("key_value",): KeyValueTable,
        ("variables",): VariableTable,
    }
)
"""Where each table stands, without the indexes of arrays, and without the names of those in NAMED."""
NAMED = frozenset(
    {("applications", "mounts"), ("applications", "files"), ("stores",), ("key_value",), ("variables",)}
)
"""Where the operator chooses the keys, each of which is a table."""


def words_of(path: tuple[str | int, ...]) -> tuple[str, ...]:
    """The keys of a path without the indexes of arrays and without names, as `TABLES` has them."""
    words = tuple(part for part in path if isinstance(part, str))
    for place in NAMED:
        if words[: len(place)] == place:
            words = place + words[len(place) + 1 :]
    return words


def field_kinds(path: tuple[str | int, ...]) -> frozenset[Any]:
    """The types that the key at a path takes; nothing for what is no key of a table."""
    words = words_of(path)
    table = TABLES.get(words[:-1])
    field = table.model_fields.get(words[-1]) if table and words and isinstance(path[-1], str) else None
    return frozenset(_kinds(field.annotation)) if field else frozenset()


def _kinds(annotation: Any) -> Iterator[Any]:
    """A type, and those that it is made of."""
    yield from (annotation,) if isinstance(annotation, type) else ()
    for part in get_args(annotation):
        yield from _kinds(part)
