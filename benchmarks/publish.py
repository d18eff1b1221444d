"""Reports as text: tables on the terminal, a page of Markdown, a record in JSON.

What a scenario found comes in; text goes out.
It must never leave out that a run is void or a figure marked.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict

import rich.table
from rich.console import Console

from benchmarks.report import Cell, Report
from benchmarks.rounds import Spread


def text(cell: Cell) -> str:
    """A cell as a person reads it: three digits, a median with its least and greatest, a dash for nothing."""
    match cell:
        case None:
            return "-"
        case Spread():
            least, greatest = _digits(cell.low), _digits(cell.high)
            alone = _digits(cell.median)
            return alone if least == greatest else f"{alone} ({least}-{greatest})"
        case float():
            return _digits(cell)
        case _:
            return f"{cell:,}" if isinstance(cell, int) else cell


def show(report: Report, console: Console) -> None:
    """Prints the tables and the notes."""
    console.rule(report.title)
    console.print(report.about, highlight=False)
    for table in report.tables:
        shown = rich.table.Table(title=table.title, caption=table.note or None)
        for number, column in enumerate(table.columns):
            shown.add_column(column, justify="right" if number else "left")
        for row in table.rows:
            shown.add_row(*map(text, row))
        console.print(shown)
    for line in remarks(report):
        console.print(f"- {line}", highlight=False, markup=False)


def remarks(report: Report) -> list[str]:
    """What must be said beside the figures: void, marked, left out, and the scenario's own notes."""
    said = [f"VOID, not to be quoted: {report.void}"] if report.void else []
    for results in report.results:
        if results.marked:
            said.append(f"{results.marked} of {len(results.samples)} samples were taken on a busy machine")
        said += [f"left out: {one}" for one in (*results.left_out, *results.moved)]
    return [*said, *report.notes]


def markdown(report: Report, head: Mapping[str, str]) -> str:
    """The report as a page: figures first, then how they came about, then the machine."""
    lines = [f"# {report.title}", "", report.about, ""]
    for chart in report.charts:
        lines += [f"![{chart.title}]({chart.name}.svg)", ""]
    for table in report.tables:
        rule = ["---", *("---:" for _ in table.columns[1:])]
        lines += [f"## {table.title}", "", _row(table.columns), _row(rule)]
        lines += [_row([text(cell) for cell in row]) for row in table.rows]
        lines += ["", *([table.note, ""] if table.note else [])]
    lines += [f"- {_flat(remark)}" for remark in remarks(report)]
    lines += ["", "## Machine and versions", "", _row(["what", "which"]), _row(["---", "---"])]
    return "\n".join([*lines, *(_row(pair) for pair in head.items()), ""])


def record(report: Report, head: Mapping[str, str]) -> str:
    """The report as JSON, with every sample."""
    return json.dumps({"head": dict(head), "void": report.void, **asdict(report)}, indent=1) + "\n"


def _digits(value: float) -> str:
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(_flat(cell).replace('|', '&#124;') for cell in cells)} |"


def _flat(line: str) -> str:
    return " ".join(line.split())
