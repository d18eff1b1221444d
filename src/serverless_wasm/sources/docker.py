"""What `docker login` and its kin have written down: who we are for a registry.

The name of a registry comes in; a user and a password, or nothing, go out.
It must never run a program that a file names, nor print what it read.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """One user of one registry."""

    user: str
    password: str = field(repr=False)
    file: Path
    """Where it is written."""


def find_login(registry: str) -> Login | None:
    """The login for a registry, `host` or `host:port`, of the first file that has one.

    Those of credential helpers are not asked for: they are programs.
    """
    for path in _files():
        with suppress(OSError, ValueError, TypeError, RecursionError):
            with path.open("rb") as file:
                auths = json.loads(file.read(_LIMIT))["auths"]
            for key, entry in dict(auths).items():
                if _names(key, registry) and isinstance(entry, dict) and (pair := _pair(entry)):
                    return Login(user=pair[0], password=pair[1], file=path)
    return None


def _files() -> Iterator[Path]:
    """The usual places, of docker and podman."""
    if folder := os.environ.get("DOCKER_CONFIG"):
        yield Path(folder) / "config.json"
    with suppress(RuntimeError):  # there is no home folder
        yield Path.home() / ".docker" / "config.json"
    if file := os.environ.get("REGISTRY_AUTH_FILE"):
        yield Path(file)
    if folder := os.environ.get("XDG_RUNTIME_DIR"):
        yield Path(folder) / "containers" / "auth.json"


def _names(key: str, registry: str) -> bool:
    """Keys are hosts, but that of Docker's own registry is a URL."""
    host = key.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return host == registry or (registry == "docker.io" and host == "index.docker.io")


def _pair(entry: dict[str, Any]) -> tuple[str, str] | None:
    if isinstance(entry.get("username"), str) and isinstance(entry.get("password"), str):
        return entry["username"], entry["password"]
    try:
        user, colon, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
    except (KeyError, binascii.Error, UnicodeDecodeError):
        return None
    return (user, password.rstrip("\0")) if colon and user else None
