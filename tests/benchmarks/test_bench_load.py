"""What wrk and h2load say, and percentiles that their samples carry."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.load import Load, LoadFailed, corrected, parse_h2load, parse_wrk, percentile

WRK = """Running 1s test @ http://127.0.0.1:8080/
  1 threads and 8 connections
  52652 requests in 1.00s, 6.54MB read
{"requests":%d,"duration":1100000,"errors":2,"p50":101,"p99":609,"p999":3193,"max":4076}
"""
H2LOAD = """finished in 2.94s, 1021.90 req/s, 78.84KB/s
requests: 4 total, 4 started, 4 done, 3 succeeded, 1 failed, 0 errored, 0 timeout
status codes: 3 2xx, 0 3xx, 0 4xx, 1 5xx
"""
LOG = "1000000\t200\t500\n1010000\t200\t1500\n1020000\t503\t9000\n1499000\t200\t1000\n"


def test_wrk_is_read() -> None:
    """Microseconds become milliseconds, and errors are counted together."""
    load = parse_wrk(WRK % 52652)

    assert (
        Load(requests=52652, seconds=1.1, errors=2, p50=0.101, p99=0.609, p999=3.193, longest=4.076) == load
    )


def test_few_samples_have_no_tail() -> None:
    """A p99 asks for 1,000 samples and a p99.9 for 10,000."""
    few, some = parse_wrk(WRK % 999), parse_wrk(WRK % 1000)

    assert (None, None) == (few.p99, few.p999)
    assert (0.609, None) == (some.p99, some.p999)


@pytest.mark.parametrize("text", ["", "unable to connect", "{}"])
def test_what_wrk_says_otherwise_is_no_load(text: str) -> None:
    """It is shown, not guessed at."""
    with pytest.raises(LoadFailed):
        parse_wrk(text)


def test_h2load_is_read_with_its_log() -> None:
    """Only good answers are timed, the others counted."""
    load = parse_h2load(H2LOAD, LOG, interval=100)

    assert (3, 1) == (load.requests, load.errors)
    assert 0.5 == pytest.approx(load.seconds)
    assert (1.0, 1.5, None) == (load.p50, load.longest, load.p99)


def test_h2load_without_good_answers_is_no_load() -> None:
    """There is nothing to time."""
    with pytest.raises(LoadFailed):
        parse_h2load(H2LOAD, "1000000\t-1\t500\n", interval=100)


def test_a_stall_is_counted_for_those_who_could_not_ask() -> None:
    """A connection that asks every 10 ms and waits 35 has kept three others waiting."""
    assert [35.0, 25.0, 15.0, 5.0] == corrected([35.0], 10)
    assert [9.0, 10.0] == corrected([9.0, 10.0], 10)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=3000), st.sampled_from([0.5, 0.99, 0.999]))
def test_percentiles_are_samples(times: list[float], share: float) -> None:
    """At most the share told lies below, at least the share told does not exceed it."""
    ranked = sorted(times)
    found = percentile(ranked, share)

    if found is None:
        assert share > 0.5
        assert len(times) < 1000 * round(0.01 / (1 - share))
    else:
        assert sum(time < found for time in ranked) <= share * len(ranked)
        assert sum(time <= found for time in ranked) >= share * len(ranked) - 1e-6
