"""What every table of a configuration is made of: its base, and types of what is written with units.

A value that tomllib read comes in; the same value in the unit of the house goes out, or a ValueError.
It must never know a table by its name.
"""

from __future__ import annotations

from pydantic import BaseModel, BeforeValidator, ConfigDict

from serverless_wasm.config import values
from serverless_wasm.config.units import parse_byte_rate, parse_count, parse_duration, parse_size
from serverless_wasm.limits import MIB

GIB = 1024 * MIB
HOUR = 3600.0


def size(at_least: int, at_most: int) -> BeforeValidator:
    """A size in bytes, written with or without a unit."""
    return BeforeValidator(lambda value: parse_size(value, at_least, at_most))


def duration(at_least: float, at_most: float) -> BeforeValidator:
    """Seconds, written with or without a unit."""
    return BeforeValidator(lambda value: parse_duration(value, at_least, at_most))


def byte_rate(at_least: int, at_most: int) -> BeforeValidator:
    """Bytes a second."""
    return BeforeValidator(lambda value: parse_byte_rate(value, at_least, at_most))


def count(at_least: int, at_most: int) -> BeforeValidator:
    """A whole number."""
    return BeforeValidator(lambda value: parse_count(value, at_least, at_most))


def pem_path(value: str) -> str:
    """Reads the path of a PEM file."""
    try:
        return values.file_path(value)
    except ValueError:
        raise ValueError('the path of a PEM file on this machine, such as "cert.pem"') from None


class Table(BaseModel):
    """The root of all tables: no unknown key, no conversion, no change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)
