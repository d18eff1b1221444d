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
from serverless_wasm.config.limit_tables import LimitsTable, ServerTable, TlsTable
from serverless_wasm.config.store_tables import (
    FilesEntry,
    FilesTable,
    KeyValueTable,
    MountTable,
    StoreTable,
    VariableTable,
)
from serverless_wasm.config.table import Table, count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ABIS = ("cgi", "env", "wasi-http", "wws")
"""What the key `abi` may name; the names in the table of abi/__init__.py."""
MAX_VARIABLES = 1000


def _abi(value: str) -> str:
    if value not in ABIS:
        raise ValueError(" or ".join(f'"{known}"' for known in ABIS))
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
    files: dict[Annotated[str, AfterValidator(values.mount_name)], FilesEntry] = Field(
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
    reuse: Annotated[int, count(1, 1_000_000)] = 1
    limits: LimitsTable = Field(
        default=LimitsTable(), description='a table such as limits = { memory = "64MiB", timeout = "10s" }'
    )
    abi: Annotated[str, AfterValidator(_abi)] | None = Field(
        default=None, description=" or ".join(f'"{known}"' for known in ABIS)
    )

    @field_validator("reuse")
    @classmethod
    def _fresh(cls, value: int, info: ValidationInfo) -> int:
        """What an invocation has open is closed with it, and an instance would still know its numbers."""
        if value > 1 and any(info.data.get(key) for key in ("mounts", "files", "tmp")):
            raise ValueError("1 beside mounts, files or tmp, which are closed with each invocation")
        return value

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
