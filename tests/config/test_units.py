"""Units: what a person writes becomes bytes and seconds, and garbage is refused with a remedy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_wasm.config.units import (
    duration_text,
    parse_byte_rate,
    parse_count,
    parse_duration,
    parse_size,
    size_text,
)

BAD: list[object] = ["", " ", "1", "x", "1x", "1 MiBs", "-1s", "1e3s", "٣s", "1_0s"]
BAD += [None, True, [], {}, float("nan"), float("inf")]


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (0, 0),
        (65536, 65536),
        ("0B", 0),
        ("512KiB", 524288),
        ("64MiB", 67108864),
        ("64 MiB", 67108864),
        ("1GiB", 1 << 30),
        ("64KB", 64000),
        ("64MB", 64_000_000),
        ("1GB", 10**9),
    ],
)
def test_sizes(value: object, size: int) -> None:
    """A size is an integer of bytes, or a whole number with a unit."""
    assert parse_size(value, 0, 1 << 32) == size


@pytest.mark.parametrize("value", [*BAD, 1.0, "1.5MiB", "64mib", "64M", "0x10B", "9" * 30 + "B", -1, 1 << 33])
def test_bad_sizes(value: object) -> None:
    """Whatever is not a size within the bounds is refused, naming the bounds."""
    with pytest.raises(ValueError, match=r'^a size such as "64MiB", from "0B" to "4GiB"$'):
        parse_size(value, 0, 1 << 32)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (0, 0.0),
        (3, 3.0),
        (0.25, 0.25),
        ("250ms", 0.25),
        ("10s", 10.0),
        ("1.5s", 1.5),
        ("10 s", 10.0),
        ("2m", 120.0),
        ("1h", 3600.0),
    ],
)
def test_durations(value: object, seconds: float) -> None:
    """A duration is a number of seconds, or a number with a unit."""
    assert parse_duration(value, 0, 3600) == seconds


@pytest.mark.parametrize("value", [*BAD, "10S", "1d", "1h2m", ".5s", "9" * 40 + "s", -0.1, 3600.1, 1 << 2000])
def test_bad_durations(value: object) -> None:
    """Whatever is not a duration within the bounds is refused, naming the bounds."""
    with pytest.raises(ValueError, match=r'^a duration such as "10s" or "250ms", from "0s" to "1h"$'):
        parse_duration(value, 0, 3600)


@pytest.mark.parametrize(
    ("value", "rate"), [(240, 240), ("240B/s", 240), ("64KiB/s", 65536), ("1 KB/s", 1000)]
)
def test_byte_rates(value: object, rate: int) -> None:
    """An integer of bytes a second, or a size with `/s`."""
    assert rate == parse_byte_rate(value, 1, 1 << 20)


@pytest.mark.parametrize("value", [*BAD, "240B", "1B/m", "/s", "240/s", 1.5, 0, "0B/s", "2MiB/s"])
def test_bad_byte_rates(value: object) -> None:
    """Whatever is none within the bounds is refused, naming the bounds."""
    with pytest.raises(ValueError, match=r'^bytes a second such as "240B/s", from "1B/s" to "1MiB/s"$'):
        parse_byte_rate(value, 1, 1 << 20)


@pytest.mark.parametrize("value", [*BAD, 1.0, "1", 0, 11, 1 << 9_000])
def test_bad_counts(value: object) -> None:
    """A count is an integer within the bounds, and nothing else."""
    assert parse_count(10, 1, 10) == 10
    with pytest.raises(ValueError, match=r"^a whole number from 1 to 10$"):
        parse_count(value, 1, 10)


@given(st.integers(min_value=0, max_value=1 << 50))
def test_size_text_reads_back(size: int) -> None:
    """What is written for a person is read as the same size."""
    assert parse_size(size_text(size), 0, 1 << 50) == size


@given(st.integers(min_value=0, max_value=10**8))
def test_duration_text_reads_back(milliseconds: int) -> None:
    """What is written for a person is read as the same duration."""
    seconds = milliseconds / 1000
    assert parse_duration(duration_text(seconds), 0, 10**8) == pytest.approx(seconds)


def test_texts() -> None:
    """The largest unit without a remainder is chosen."""
    assert [size_text(size) for size in (0, 1, 1024, 1000, 1 << 20, 3 << 30)] == [
        "0B",
        "1B",
        "1KiB",
        "1000B",
        "1MiB",
        "3GiB",
    ]
    assert [duration_text(seconds) for seconds in (0, 0.001, 0.25, 1.5, 10, 90, 120, 7200)] == [
        "0s",
        "1ms",
        "250ms",
        "1500ms",
        "10s",
        "90s",
        "2m",
        "2h",
    ]
