"""Configurations as values, without a file: what `load` would have made of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from serverless_wasm.config.configuration import ApplicationConfig, Configuration
from serverless_wasm.limits import DoorLimits, Limits


def application(name: str, **fields: Any) -> ApplicationConfig:
    """An application NAME.wasm at /NAME, but for what is given."""
    usual: dict[str, Any] = {
        "name": name,
        "file_path": Path("/", f"{name}.wasm"),
        "methods": ("GET",),
        "url_path": f"/{name}",
        "host": None,
        "function": "handle",
        "env": {},
        "allowed_outbound_hosts": (),
        "limits": Limits(),
        "abi": None,
        "line": 1,
    }
    return ApplicationConfig(**usual | fields)


def configuration(path: Path, *applications: ApplicationConfig, **fields: Any) -> Configuration:
    """A configuration of these applications, for two workers of a few guests each, but for what is given."""
    usual: dict[str, Any] = {
        "listen_host": "127.0.0.1",
        "listen_port": 0,
        "door": DoorLimits(),
        "workers": 2,
        "heartbeat": 5.0,
        "slots": 8,
        "memory": None,
        "stack": 256 * 1024,
        "drain": 10.0,
    }
    return Configuration(path=path, applications=applications, **usual | fields)
