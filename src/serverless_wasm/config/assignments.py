"""Files that hold values for a configuration: one value each, or lines of NAME=VALUE as in `.env`.

A path comes in; text goes out, or the reason why there is none.
It must never wait, read without a bound, or show anything of what it has read.
"""

from __future__ import annotations

import stat
from io import StringIO
from typing import TYPE_CHECKING

from dotenv.parser import parse_stream

from serverless_wasm.errors import ConfigError, Problem
from serverless_wasm.limits import KIB
from serverless_wasm.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MAX_VALUE = 64 * KIB
"""The largest file that is one value."""
MAX_LINES = 256 * KIB
"""The largest file of lines."""
_LINE = 'NAME=VALUE, with quotes around a value of several lines or with "#"'


def read_text(path: Path, limit: int) -> str:
    """The text of a file; raises OSError, or ValueError with a reason, for what cannot be one."""
    if "\0" in str(path):  # Python's words for it differ from release to release
        raise ValueError("a path with a zero byte")
    if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait, and a device may never end
        raise ValueError("a directory or a device")
    with path.open("rb") as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"more than {limit // KIB}KiB")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError("bytes that are not UTF-8") from None  # its own words would show them


def reason(error: OSError | ValueError) -> str:
    """What `read_text` met, in a few words."""
    return printable(getattr(error, "strerror", None) or str(error))


def read_value(path: Path) -> str:
    """A file that is one value, without the newline at its end; raises as `read_text` does."""
    return read_text(path, MAX_VALUE).removesuffix("\n").removesuffix("\r")


def read_assignments(path: Path) -> dict[str, str]:
    """The lines of a file in dotenv's syntax, the last of each name; nothing is expanded in them.

    Raises ConfigError for a file that cannot be read, and with every line that is no assignment.
    """
    file = printable(str(path))
    try:
        text = read_text(path, MAX_LINES)
    except (OSError, ValueError) as error:
        expected = "a readable file of lines NAME=VALUE"
        raise ConfigError(_problems(file, [1], reason(error), expected)) from None
    bindings = list(parse_stream(StringIO(text)))
    wrong = [
        binding.original.line + _blank_lines(binding.original.string) for binding in bindings if binding.error
    ]
    if wrong:
        raise ConfigError(_problems(file, wrong, "a line that is no assignment", _LINE))
    return {item.key: item.value for item in bindings if item.key is not None and item.value is not None}


def _blank_lines(text: str) -> int:
    """How many lines come before the first word: dotenv counts them to what follows."""
    return text[: len(text) - len(text.lstrip())].count("\n")


def _problems(file: str, lines: Sequence[int], found: str, expected: str) -> tuple[Problem, ...]:
    return tuple(Problem(file=file, line=line, key="file", found=found, expected=expected) for line in lines)
