"""The command line: scripts/bench [SCENARIO ...] [--rounds N] [--seconds N] [--only NAME,...].

Names of scenarios come in; reports, and an exit code that says whether they may be quoted, go out.
It must never leave a server behind, nor put figures into docs/benchmarks that may not be quoted.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from collections.abc import Mapping
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import machine
from benchmarks.catalogue import CATALOGUE, versions
from benchmarks.charts import draw
from benchmarks.contestants import LOAD_CORE, NotStarted, adopt, sweep
from benchmarks.install import install
from benchmarks.load import LoadFailed
from benchmarks.modules import BENCH, ROOT
from benchmarks.publish import markdown, record, show
from benchmarks.report import Report
from benchmarks.rounds import Bench, DifferentAnswer
from benchmarks.scenarios import NAMES, scenario

DOCS = ROOT / "docs" / "benchmarks"
TRIALS = BENCH / "report"
"""Where reports go that may not be quoted: of short runs, of a selection, and void ones."""
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
IMPATIENT = 15.0
"""Seconds that an ending may take; a signal within them is a person who presses twice."""


def main(
    names: Annotated[list[str] | None, typer.Argument(metavar="[SCENARIO ...]", show_default=False)] = None,
    *,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    seconds: Annotated[float, typer.Option(min=1.0)] = 8.0,
    only: Annotated[str, typer.Option(help="Peers to measure beside us and the controls: NAME,NAME.")] = "",
) -> None:
    """Measures this service beside its peers; exits with 1 if anything may not be quoted."""
    chosen = tuple(names or NAMES)
    _refuse_strangers(chosen)
    console = Console(width=None if sys.stdout.isatty() else 140)
    bench = Bench(
        rounds=rounds,
        seconds=seconds,
        only=frozenset(filter(None, only.split(","))),
        tell=lambda line: console.print(line, style="dim", highlight=False, markup=False),
    )
    adopt()
    _catch_endings()
    try:
        install(bench.tell)
        _pin()
        good = _run(bench, chosen, console)
    except KeyboardInterrupt:
        bench.tell("interrupted; everything that was started has been ended")
        raise typer.Exit(130) from None
    finally:
        sweep()
    raise typer.Exit(0 if good else 1)


def _run(bench: Bench, names: tuple[str, ...], console: Console) -> bool:
    head = {**machine.about(ROOT), **versions(CATALOGUE)}
    good = True
    for name in names:
        try:
            report = scenario(name)(bench)
        except (DifferentAnswer, NotStarted, LoadFailed) as error:
            console.print(f"{name}: refused: {error}", style="red", highlight=False, markup=False)
            good = False
            continue
        show(report, console)
        good &= report.void is None
        _keep(bench, report, head)
    return good


def _keep(bench: Bench, report: Report, head: Mapping[str, str]) -> None:
    quotable = not (report.void or bench.short or bench.only or bench.rounds < 3)
    folder = DOCS if quotable else TRIALS
    folder.mkdir(parents=True, exist_ok=True)
    how = {"rounds": str(bench.rounds), "seconds of each measurement": f"{bench.seconds:g}"}
    (folder / f"{report.name}.md").write_text(markdown(report, {**head, **how}), encoding="utf-8")
    (folder / f"{report.name}.json").write_text(record(report, {**head, **how}), encoding="utf-8")
    for chart in report.charts:
        draw(chart, folder / f"{chart.name}.svg")
    bench.tell(f"written to {folder.relative_to(ROOT)}/{report.name}.md, .json and .svg")


def _refuse_strangers(names: tuple[str, ...]) -> None:
    if strangers := [name for name in names if name not in NAMES]:
        raise typer.BadParameter(f"no such scenario: {', '.join(strangers)}; there are {', '.join(NAMES)}")


def _pin() -> None:
    """Puts this process, and every load generator it starts, on the core that no server has."""
    core = int(LOAD_CORE)
    if core not in os.sched_getaffinity(0):
        raise typer.BadParameter("two cores are needed: 0 for the server, 1 for the load")
    os.sched_setaffinity(0, {core})


def _catch_endings() -> None:
    """A signal ends the run through every `with`; another one soon after must not end that ending."""
    last = -math.inf

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal last
        if time.monotonic() - last > IMPATIENT:
            last = time.monotonic()
            raise KeyboardInterrupt

    for ending in ENDINGS:
        signal.signal(ending, interrupt)


if __name__ == "__main__":
    typer.run(main)
