"""The tables of what lies elsewhere: folders, places of files, stores, keys and values, variables.

A table that tomllib read comes in; its checked values go out, or a ValidationError.
A key whose type does not say it all has a description, which completes the words "expected ...".
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from serverless_wasm.config import locations, values
from serverless_wasm.config.table import GIB, Table, pem_path, size
from serverless_wasm.limits import MIB
from serverless_wasm.stores import OPTIONS

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
    quota: Annotated[int, size(0, 1024 * GIB)] | None = None

    @field_validator("write")
    @classmethod
    def _writable(cls, value: Any, info: ValidationInfo) -> Any:
        if value and info.data.get("url", "").startswith("http"):
            raise ValueError("false, as what HTTP serves is only read")
        return value


def _files_table(value: object) -> object:
    """A place that is only its URL."""
    return {"url": value} if isinstance(value, str) else value


FilesEntry = Annotated[FilesTable, BeforeValidator(_files_table)]
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
    ca: Annotated[str, AfterValidator(pem_path)] | None = Field(
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
    quota: Annotated[int, size(0, 1024 * GIB)] = 64 * MIB
    value: Annotated[int, size(0, 512 * MIB)] = MIB


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
