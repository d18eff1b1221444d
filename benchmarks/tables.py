"""The table and the chart that most scenarios show: everyone at one point, and us as a ratio to each.

Results come in; a table and bars go out.
It must never show a ratio of two medians: each is the median of the ratios within a round.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.contestants import Contestant
from benchmarks.report import Bars, Cell, Table
from benchmarks.rounds import SUBJECT, Figure, Results, Spread, cpu_per_request, p50, p99, rate

COLUMNS = ("server", "instance", "CPU µs/request", "ours / theirs", "requests/s", "p50 ms", "p99 ms")


def standing(
    results: Results, point: str, contestants: Sequence[Contestant], *more: tuple[str, Figure]
) -> Table:
    """Everyone at a point, cheapest first; `more` are further columns, each a heading and its figure."""
    rows = ranked(results, point, contestants, cpu_per_request)
    return Table(
        title=point,
        columns=(*COLUMNS, *(heading for heading, _ in more)),
        rows=tuple(
            (
                each.name,
                each.isolation,
                cost,
                None if each.name == SUBJECT else results.ratio(SUBJECT, each.name, point, cpu_per_request),
                *(_median(results, each.name, point, figure) for figure in (rate, p50, p99)),
                *(_median(results, each.name, point, figure) for _, figure in more),
            )
            for each, cost in rows
        ),
        note="CPU and ratio: median of the rounds (least-greatest). The other columns are medians.",
    )


def costs(results: Results, point: str, contestants: Sequence[Contestant], *, name: str, title: str) -> Bars:
    """CPU per request of everyone at a point, cheapest first."""
    rows = ranked(results, point, contestants, cpu_per_request)
    return Bars(
        name=name,
        title=title,
        unit="µs of CPU per request",
        bars=tuple((each.name, cost) for each, cost in rows),
    )


def ranked(
    results: Results, point: str, contestants: Sequence[Contestant], figure: Figure
) -> list[tuple[Contestant, Spread]]:
    """Those that have the figure at the point, least first."""
    found = ((each, results.spread(each.name, point, figure)) for each in contestants)
    known = ((each, spread) for each, spread in found if spread is not None)
    return sorted(known, key=lambda row: row[1].median)


def _median(results: Results, name: str, point: str, figure: Figure) -> Cell:
    spread = results.spread(name, point, figure)
    return None if spread is None else spread.median
