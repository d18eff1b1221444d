"""Reports of the benchmark: figures as people read them, and nothing left unsaid."""

from __future__ import annotations

import json

import pytest

from benchmarks.machine import Instant, noise
from benchmarks.publish import markdown, record, text
from benchmarks.report import Bars, Cell, Report, Table
from benchmarks.rounds import Results, Spread

TABLE = Table(title="Bodies", columns=("server", "cost"), rows=(("a|b", 1.234), ("c", None)), note="In MiB.")
REPORT = Report(
    name="echo",
    title="Echo",
    about="How it was done.",
    tables=(TABLE,),
    charts=(Bars(name="echo-bars", title="Bars", unit="ms", bars=(("c", Spread(median=2, low=1, high=3)),)),),
    notes=("A note.",),
    results=(Results(samples=(), left_out=("spin: spin is not\ninstalled",), void="the control drifted"),),
)


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        (None, "-"),
        ("word", "word"),
        (12345, "12,345"),
        (0.0, "0"),
        (0.001234, "0.00123"),
        (1.0, "1.00"),
        (12.345, "12.3"),
        (1234.5, "1,234"),
        (Spread(median=1.0, low=0.5, high=2.0), "1.00 (0.500-2.00)"),
        (Spread(median=1.0, low=1.0, high=1.0), "1.00"),
    ],
)
def test_cells_have_three_digits(cell: Cell, shown: str) -> None:
    """More would be noise, less would hide a difference."""
    assert shown == text(cell)


def test_a_page_says_everything() -> None:
    """Void, left out and notes stand beside the table, the chart and the machine."""
    page = markdown(REPORT, {"kernel": "Linux"})

    for part in (
        "# Echo\n",
        "![Bars](echo-bars.svg)",
        "| a&#124;b | 1.23 |",
        "| c | - |",
        "In MiB.",
        "- VOID, not to be quoted: the control drifted",
        "- left out: spin: spin is not installed",
        "- A note.",
        "| kernel | Linux |",
    ):
        assert part in page


def test_a_record_holds_everything() -> None:
    """A later reader finds the figures, the machine, and why they are void."""
    found = json.loads(record(REPORT, {"kernel": "Linux"}))

    assert ("the control drifted", {"kernel": "Linux"}) == (found["void"], found["head"])
    assert [["a|b", 1.234], ["c", None]] == found["tables"][0]["rows"]


@pytest.mark.parametrize(("steal", "busy", "loud"), [(0.0, 2.5, False), (0.7, 2.5, True), (0.0, 4.1, True)])
def test_a_busy_machine_is_heard(*, steal: float, busy: float, loud: bool) -> None:
    """More than 3 % stolen, or more than 10 % used by somebody else, spoils a sample."""
    before = Instant(total=100, steal=0, busy=50, own=1)
    after = Instant(total=120, steal=steal, busy=50 + busy, own=2)

    assert loud == noise(before, after, accounted=1).loud
