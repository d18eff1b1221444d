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
    from serverless_wasm.storage.files.stores import Place
    from serverless_wasm.storage.kv.namespace import KeyValueSettings
    from serverless_wasm.storage.mounts import Mount
    from serverless_wasm.stores import Remote

PREFIX = "SERVERLESS_WASM_VARIABLE_"
"""What stands before a variable's name, in upper case, in the environment and in `.env`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationConfig:
    """One `[[applications]]` entry, with the defaults filled in."""

    name: str
    file_path: Path | Remote
    """A path is absolute; the file need not exist."""
    methods: tuple[str, ...]
    """Upper case; empty means any."""
    url_path: str
    host: str | None
    """As routing.host_name gives it; None means every host."""
    function: str | None
    """None means that the ABI decides."""
    env: Mapping[str, str] = field(repr=False)  # values may be secrets
    allowed_outbound_hosts: tuple[str, ...]
    limits: Limits
    abi: str | None
    """None means that the module's imports decide."""
    line: int
    """Where the entry begins in the file."""
    arguments: tuple[str, ...] | None = None
    """What a command is given; None means the words of the query."""
    digest: str | None = None
    """What the module has to be: "sha256:" and 64 hexadecimal digits in lower case."""
    mounts: tuple[Mount, ...] = ()
    files: tuple[Place, ...] = ()
    key_value: tuple[KeyValueSettings, ...] = ()
    """The first is that of contracts which know only one."""
    tmp: bool = False
    """Whether each invocation has a scratch folder."""
    precise_clocks: bool = False
    """Whether the clocks of WASI show nanoseconds."""
    reuse: int = 1
    """How many requests an instance of a component may answer."""

    @property
    def variables(self) -> dict[bytes, bytes]:
        """What guests read: `env` in UTF-8."""
        return {key.encode(): value.encode() for key, value in self.env.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsConfig:
    """The `[server.tls]` table: two PEM files, which nobody has looked at yet."""

    certificate: Path
    """Absolute."""
    key: Path
    """Absolute; may be the same file."""
    file: str
    """The configuration file, as problems name it."""
    certificate_line: int
    key_line: int


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
    workers: int | None
    """Processes that serve; None means one for each processor, 0 that there is one process for everything."""
    heartbeat: float
    """Seconds without a sign of life after which a worker is killed."""
    slots: int | None
    """Guests at once in a process; None means that the engine decides."""
    memory: int | None
    """Bytes of all guests of a process together; None means three quarters of the machine's."""
    stack: int
    """Bytes of a guest's stack."""
    drain: float
    """Seconds that running invocations get when the service stops."""
    tls: TlsConfig | None = None
    """None means that the doors speak plain HTTP."""
    variable_files: tuple[Path, ...] = ()
    """Where values were looked for, beside the environment and the command line; a file need not exist."""

    @property
    def counts_fuel(self) -> bool:
        """Whether an application has its instructions counted, which is done for all or none."""
        return any(item.limits.fuel for item in self.applications)
