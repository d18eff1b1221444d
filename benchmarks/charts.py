"""Charts as SVG: bars of what each costs, curves of what more work costs.

A chart's values and a path come in; a file goes out.
It must never differ when the values do not: no dates, no random identifiers.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report import Bars, Lines

OURS, THEIRS = "#c2410c", "#94a3b8"
OTHERS = ("#334155", "#0f766e", "#6d28d9", "#0369a1", "#a16207", "#be185d", "#4d7c0f")
_STYLE = {
    "svg.fonttype": "none",  # text stays text: small, and in the reader's own font
    "svg.hashsalt": "serverless-wasm",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw(chart: Bars | Lines, path: Path) -> None:
    """Writes the chart as SVG."""
    with mpl.rc_context(_STYLE):
        height = 1.2 + 0.36 * len(chart.bars) if isinstance(chart, Bars) else 4.5
        figure = Figure(figsize=(8.5, height), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(chart.title, loc="left", fontweight="bold")
        if isinstance(chart, Bars):
            _bars(axes, chart)
        else:
            _lines(axes, chart)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _bars(axes: Axes, chart: Bars) -> None:
    names = [name for name, _ in chart.bars]
    middle = [spread.median for _, spread in chart.bars]
    below = [spread.median - spread.low for _, spread in chart.bars]
    above = [spread.high - spread.median for _, spread in chart.bars]
    colours = [_colour(name) for name in names]
    drawn = axes.barh(
        names, middle, xerr=[below, above], color=colours, error_kw={"ecolor": "#475569", "lw": 1}
    )
    axes.bar_label(drawn, fmt="%.3g", padding=6)
    axes.invert_yaxis()
    axes.set_xlabel(chart.unit)
    axes.margins(x=0.12)


def _lines(axes: Axes, chart: Lines) -> None:
    for number, curve in enumerate(chart.curves):
        colour = OURS if _is_ours(curve.label) else OTHERS[number % len(OTHERS)]
        across, up = zip(*curve.points, strict=True) if curve.points else ((), ())
        axes.plot(across, up, marker="o", markersize=4, label=curve.label, color=colour)
    axes.set_xscale("symlog" if any(x <= 0 for curve in chart.curves for x, _ in curve.points) else "log")
    if chart.logarithmic:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(chart.across)
    axes.set_ylabel(chart.up)
    axes.grid(visible=True, color="#e2e8f0")
    axes.legend(frameon=False)


def _colour(name: str) -> str:
    return OURS if _is_ours(name) else THEIRS


def _is_ours(name: str) -> bool:
    return name.startswith("ours")
