"""Rounds of the benchmark: their order, ratios within a round, and what makes a run void."""

from __future__ import annotations

import http.server
import sys
from pathlib import Path

import pytest

from benchmarks.contestants import Contestant, Launch, NotStarted, Running
from benchmarks.load import Load, Request
from benchmarks.machine import Memory, Noise
from benchmarks.rounds import (
    Bench,
    DifferentAnswer,
    Plan,
    Point,
    Results,
    Sample,
    Spread,
    cpu_per_request,
    measure,
    order,
    still,
    void,
)

FOLDER = Request(path="/said", answer=b"as agreed")
POINT = "32 connections"


def contestant(name: str) -> Contestant:
    """Python's own file server, with one file."""

    def prepare(folder: Path, port: int) -> Launch:
        (folder / "said").write_bytes(b"as agreed")
        return Launch(command=(sys.executable, "-m", http.server.__name__, "--bind", "127.0.0.1", str(port)))

    return Contestant(name=name, about="files", isolation="none", prepare=prepare)


def broken(name: str) -> Contestant:
    return Contestant(
        name=name,
        about="ends at once",
        isolation="none",
        prepare=lambda _, __: Launch(command=(sys.executable, "-c", "raise SystemExit('no luck')")),
    )


def sample(name: str, number: int, cpu: float, errors: int = 0) -> Sample:
    """A sample of 1,000 requests for which the server took so many microseconds each."""
    return Sample(
        contestant=name,
        point=POINT,
        round=number,
        load=Load(requests=1000, seconds=1, errors=errors, p50=1, p99=2, p999=None, longest=3),
        cpu=cpu / 1000,
        memory=Memory(pss=1, page_tables=1, mappings=1),
        noise=Noise(steal=0, foreign=0),
    )


def asked(running: Running, _: Request, __: float) -> Load:
    assert running.port
    return Load.of([1.0, 2.0], 1.0, 0)


def plan(*contestants: Contestant, request: Request = FOLDER) -> Plan:
    return Plan(
        contestants=contestants,
        points=(Point(label=POINT, request=request, load=asked),),
        controls=False,
    )


def bench(rounds: int = 1) -> Bench:
    return Bench(rounds=rounds, seconds=1, tell=lambda _: None)


def test_rounds_turn_and_run_backwards() -> None:
    """Nobody is always first, always last, or always behind the same neighbour."""
    four = [contestant(name) for name in "abcd"]

    orders = ["".join(each.name for each in order(four, number)) for number in range(5)]

    assert ["abcd", "dcba", "bcda", "adcb", "cdab"] == orders


def test_a_ratio_is_the_median_of_ratios_within_rounds() -> None:
    """A machine that is slower in one round slows both: the ratio of that round stays."""
    samples = [sample("ours", number, cpu) for number, cpu in enumerate((10, 30, 20))]
    samples += [sample("theirs", number, cpu) for number, cpu in enumerate((20, 50, 80))]

    ratio = Results(samples=tuple(samples)).ratio("ours", "theirs", POINT, cpu_per_request)

    assert ratio == Spread(median=0.5, low=0.25, high=0.6)


def test_a_ratio_needs_a_round_with_both() -> None:
    """Rounds that only one of them has say nothing."""
    results = Results(samples=(sample("ours", 0, 10), sample("theirs", 1, 10)))

    assert results.ratio("ours", "theirs", POINT, cpu_per_request) is None
    assert results.spread("nobody", POINT, cpu_per_request) is None


@pytest.mark.parametrize(("last", "reason"), [(10.9, None), (11.2, "the control floor-plain")])
def test_controls_that_drift_make_a_run_void(last: float, reason: str | None) -> None:
    """Beyond a tenth of their median nothing may be quoted."""
    found = void(
        [sample("floor-plain", 0, 10), sample("floor-plain", 1, 10.5), sample("floor-plain", 2, last)]
    )

    assert (reason is None) == (found is None)
    assert (reason or "") in (found or "")


@pytest.mark.parametrize(
    ("costs", "kept", "told"),
    [
        ((10, 10.2, 10.1), {0, 1, 2}, ()),
        ((10, 14, 10.2, 10.1, 7), {0, 2, 3}, (f"{POINT}: round 2, 5, because the controls drifted",)),
        ((10, 14, 10.2, 18, 7), set(), (f"{POINT}: all, because the controls drifted",)),
        ((10, 14, 10.2, 10.1, 7, 20), set(), (f"{POINT}: all, because the controls drifted",)),
    ],
)
def test_rounds_in_which_the_machine_moved_are_left_out(
    costs: tuple[float, ...], kept: set[int], told: tuple[str, ...]
) -> None:
    """At the point where it shows, as long as three are left, and more than half."""
    samples = [sample("floor-plain", number, cost) for number, cost in enumerate(costs)]
    samples += [sample("ours", number, 50) for number in range(len(costs))]

    found, said = still(samples, len(costs))

    assert (kept, told) == ({each.round for each in found if each.contestant == "ours"}, said)
    assert void(found) is None


def test_peers_may_spread_as_they_like() -> None:
    """Only the controls tell about the machine."""
    assert void([sample("theirs", 0, 10), sample("theirs", 1, 40)]) is None


def test_errors_make_a_run_void() -> None:
    """A figure that leaves requests out is no figure."""
    assert "3 errors" in (void([sample("theirs", 0, 10, errors=3)]) or "")


def test_every_contestant_is_measured_in_every_round() -> None:
    """A sample for each, with what it cost and held."""
    results = measure(bench(rounds=2), plan(contestant("ours"), contestant("theirs")))

    found = [(each.contestant, each.round) for each in results.samples]
    assert [("ours", 0), ("theirs", 0), ("theirs", 1), ("ours", 1)] == found
    assert all(each.memory.pss > 0 for each in results.samples)


def test_a_different_answer_refuses_the_run() -> None:
    """Those who do not do the same work are not compared."""
    otherwise = Request(path="/said", answer=b"otherwise")

    with pytest.raises(DifferentAnswer, match="as agreed"):
        measure(bench(), plan(contestant("ours"), request=otherwise))


def test_a_peer_that_does_not_start_is_told() -> None:
    """It is left out by name, with what it printed."""
    results = measure(bench(), plan(contestant("ours"), broken("theirs")))

    assert ["ours"] == [each.contestant for each in results.samples]
    assert len(results.left_out) == 1
    assert "theirs: no luck" in results.left_out[0]


def test_without_us_there_is_no_report() -> None:
    """Nothing is left out in silence."""
    with pytest.raises(NotStarted, match="no luck"):
        measure(bench(), plan(broken("ours")))
