"""What the operator wrote, checked and complete: the value that the rest of the house reads.

`load` makes a Configuration; deployments and doors read it.
Nothing here knows TOML, and nothing here is ever changed after it was made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from serverless_wasm.limits import DoorLimits, Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationConfig:
    """One `[[applications]]` entry, with the defaults filled in."""

    name: str
    file_path: Path
    """Absolute; the file need not exist."""
    methods: tuple[str, ...]
    """Upper case; empty means any."""
    url_path: str
    host: str | None
    """As routing.host_name gives it; None means every host."""
    function: str
    env: Mapping[str, str] = field(repr=False)  # values may be secrets
    allowed_outbound_hosts: tuple[str, ...]
    limits: Limits
    abi: str | None
    """None means that the module's imports decide."""
    line: int
    """Where the entry begins in the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One configuration file."""

    path: Path
    """Absolute."""
    listen_host: str
    """A name or an address, IPv6 without brackets."""
    listen_port: int
    """0 means that the system chooses."""
    applications: tuple[ApplicationConfig, ...]
    """In the order of the file."""
    door: DoorLimits
    slots: int | None
    """Guests at once in a process; None means that the engine decides."""
    memory: int | None
    """Bytes of all guests of a process together; None means three quarters of the machine's."""
    stack: int
    """Bytes of a guest's stack."""
    drain: float
    """Seconds that running invocations get when the service stops."""
