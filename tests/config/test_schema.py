"""The schema: its keys are the fields that the house reads, and every key says what it takes."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from serverless_wasm.config.configuration import ApplicationConfig
from serverless_wasm.config.limit_tables import DoorTable, LimitsTable, ServerTable
from serverless_wasm.config.schema import TABLES, ApplicationTable
from serverless_wasm.limits import DoorLimits, Limits


def test_limits_are_the_fields_of_limits() -> None:
    """What can be limited can be written, under the same name, in the same order."""
    assert list(LimitsTable.model_fields) == [field.name for field in fields(Limits)]
    assert list(DoorTable.model_fields) == [field.name for field in fields(DoorLimits)]
    process = {"workers", "heartbeat", "slots", "memory", "stack", "drain", "tls"}
    assert {*ServerTable.model_fields} == {*DoorTable.model_fields, *process}


def test_application_keys() -> None:
    """Every key of an application reaches its configuration."""
    renamed = {"method": "methods"}
    keys = {renamed.get(key, key) for key in ApplicationTable.model_fields}
    assert keys == {field.name for field in fields(ApplicationConfig)} - {"line"}


@pytest.mark.parametrize("defaults", [Limits(), DoorLimits()])
def test_defaults_are_allowed(defaults: Any) -> None:
    """The default of a limit is within the bounds of what may be written."""
    table = LimitsTable if isinstance(defaults, Limits) else DoorTable
    written = {field.name: getattr(defaults, field.name) for field in fields(defaults)}
    assert table.model_validate(written).model_dump() == written


def test_each_table_is_under_its_key() -> None:
    """The map of tables names a key of the table around each of them."""
    for place in TABLES:
        assert not place or place[-1] in TABLES[place[:-1]].model_fields
