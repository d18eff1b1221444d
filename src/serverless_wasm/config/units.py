"""Sizes, durations and counts as a person writes them.

A value from a TOML file and its bounds come in; bytes, seconds or a plain number go out.
It must never guess: what has no unit that is listed here is refused, saying what to write.
"""

from __future__ import annotations

import re

_SIZE = re.compile(r"([0-9]{1,18}) ?(B|KB|MB|GB|KiB|MiB|GiB)")
_BYTES = {"GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "GB": 10**9, "MB": 10**6, "KB": 10**3, "B": 1}
_DURATION = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?(ms|s|m|h)")
_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?/ ?(s|m|h)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def parse_size(value: object, at_least: int, at_most: int) -> int:
    """Bytes from an integer or from text such as `64MiB`; raises ValueError beyond the bounds."""
    size = value
    if isinstance(value, str) and (match := _SIZE.fullmatch(value)):
        size = int(match[1]) * _BYTES[match[2]]
    if type(size) is int and at_least <= size <= at_most:
        return size
    raise ValueError(f'a size such as "64MiB", from "{size_text(at_least)}" to "{size_text(at_most)}"')


def parse_duration(value: object, at_least: float, at_most: float) -> float:
    """Seconds from a number or from text such as `250ms`; raises ValueError beyond the bounds."""
    seconds = value
    if isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        seconds = float(match[1]) * _SECONDS[match[2]]
    # Not a number compares false with everything, so it falls through with what is out of bounds.
    if isinstance(seconds, int | float) and type(seconds) is not bool and at_least <= seconds <= at_most:
        return float(seconds)
    bounds = f'from "{duration_text(at_least)}" to "{duration_text(at_most)}"'
    raise ValueError(f'a duration such as "10s" or "250ms", {bounds}')


def parse_rate(value: object) -> float:
    """Requests a second from text such as `100/s` or `6/m`; raises ValueError for anything else."""
    if isinstance(value, str) and (match := _RATE.fullmatch(value)) and float(match[1]) > 0:
        return float(match[1]) / _SECONDS[match[2]]
    raise ValueError('a rate such as "100/s", "600/m" or "1000/h", more than 0')


def parse_byte_rate(value: object, at_least: int, at_most: int) -> int:
    """Bytes a second from an integer or from text such as `240B/s`; raises ValueError beyond the bounds."""
    rate = value
    if isinstance(value, str) and value.endswith("/s") and (match := _SIZE.fullmatch(value[:-2])):
        rate = int(match[1]) * _BYTES[match[2]]
    if type(rate) is int and at_least <= rate <= at_most:
        return rate
    bounds = f'from "{size_text(at_least)}/s" to "{size_text(at_most)}/s"'
    raise ValueError(f'bytes a second such as "240B/s", {bounds}')


def parse_count(value: object, at_least: int, at_most: int) -> int:
    """A whole number between the bounds; raises ValueError for anything else."""
    if type(value) is int and at_least <= value <= at_most:
        return value
    raise ValueError(f"a whole number from {at_least} to {at_most}")


def size_text(size: int) -> str:
    """Writes bytes as `parse_size` reads them, in the largest binary unit without a remainder."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return f"{size}B"


def duration_text(seconds: float) -> str:
    """Writes seconds as `parse_duration` reads them, in the largest unit without a remainder."""
    for unit in ("h", "m", "s"):
        if seconds and seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:.0f}{unit}"
    return f"{seconds * 1000:.10g}ms" if seconds else "0s"
