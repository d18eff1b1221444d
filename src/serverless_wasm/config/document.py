"""From a path to what its TOML says, before anything is asked about its meaning.

The path of a file comes in; its text and its tables go out.
Whatever hinders that is a ConfigError with a line; it must never wait, or read without a bound.
"""

from __future__ import annotations

import re
import stat
import tomllib
from typing import TYPE_CHECKING, Any

from serverless_wasm.config.syntax import explain_syntax, line_of
from serverless_wasm.errors import ConfigError, Problem
from serverless_wasm.limits import MIB
from serverless_wasm.text import printable

if TYPE_CHECKING:
    from pathlib import Path

MAX_FILE = 3 * MIB
"""Ten thousand applications with 300 bytes each. To read a hostile file takes a second or two for a MiB."""
MAX_APPLICATIONS = 20_000
"""Twice as many as a process was measured to serve."""
MAX_VALUES = 300_000
"""Keys and items of lists, all together: 15 for each application. To check one that is wrong takes 10 us
and 1 KiB."""

_PART = r"""(?:[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')[ \t]*+"""
_LONG_KEY = re.compile(rf"(?:^|[\[{{,])[ \t]*+{_PART}(?:\.[ \t]*+{_PART}){{99,}}+[=\]]", re.MULTILINE)
_DEEP = re.compile(r"(?:[\[{][^\[\]{}\n]{0,64}\s*){50}")


def read_document(file: str, path: Path) -> tuple[str, dict[str, Any]]:
    """Reads a TOML file; `file` is its name in problems.

    Raises ConfigError for a file that is missing, unreadable, no file, too large, not UTF-8 or not TOML,
    and for one with so much in it that even looking for mistakes would take long.
    """
    text = _decode(file, _read(file, path))
    document = _parse(file, text)
    _require_few(file, document)
    return text, document


def _require_few(file: str, document: dict[str, Any]) -> None:
    applications = document.get("applications")
    if isinstance(applications, list) and len(applications) > MAX_APPLICATIONS:
        found, expected = f"{len(applications)} applications", f"at most {MAX_APPLICATIONS}"
        raise _error(file, 1, found, expected, "applications")
    count = 0
    containers: list[Any] = [document]
    while containers and count <= MAX_VALUES:
        container = containers.pop()
        values = container.values() if isinstance(container, dict) else container
        count += len(container)
        containers += [value for value in values if isinstance(value, dict | list)]
    if count > MAX_VALUES:
        raise _error(file, 1, f"more than {MAX_VALUES} keys and items", "a smaller file")


def _error(file: str, line: int, found: str, expected: str, key: str = "file") -> ConfigError:
    return ConfigError((Problem(file=file, line=line, key=key, found=printable(found), expected=expected),))


def _read(file: str, path: Path) -> bytes:
    try:
        # Opening a pipe would wait for its writer, and a device may never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise _error(file, 1, "a directory or a device", "the path of a TOML file")
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        reason = getattr(error, "strerror", None) or "an impossible path"
        raise _error(file, 1, reason, "the path of a readable TOML file") from None
    if len(data) > MAX_FILE:
        raise _error(file, 1, f"more than {MAX_FILE} bytes", f"a file of at most {MAX_FILE // MIB}MiB")
    return data


def _decode(file: str, data: bytes) -> str:
    if data.startswith(b"\xef\xbb\xbf"):
        raise _error(file, 1, "a byte order mark", "UTF-8 without a byte order mark")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _error(file, line, f"the byte 0x{data[error.start]:02x}", "UTF-8 text") from None


def _parse(file: str, text: str) -> dict[str, Any]:
    # tomllib takes cubic time over the parts of a dotted key: 40,000 are half a minute.
    if chain := _LONG_KEY.search(text):
        line = line_of(text, chain.end())
        raise _error(file, line, "a key of a hundred parts", "a shorter key", "syntax")
    try:
        return tomllib.loads(text)
    except RecursionError:
        place = _DEEP.search(text)
        line = line_of(text, place.start() if place else 0)
        raise _error(file, line, "arrays or tables nested too deep", "fewer levels", "syntax") from None
    except ValueError as error:
        line, key, found, expected = explain_syntax(text, str(error))
        raise _error(file, line, found, expected, key) from None
