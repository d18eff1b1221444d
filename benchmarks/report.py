"""What a scenario hands over: tables and charts as plain values.

Figures come in; a value that can be printed, written and drawn goes out.
It must never know how: benchmarks/publish.py and benchmarks/charts.py do.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.rounds import Results, Spread

Cell = str | int | float | Spread | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table: rows of cells under columns; floats with three digits, a Spread as median (low-high)."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Horizontal bars, one for each contestant, in the order given."""

    name: str
    title: str
    unit: str
    bars: tuple[tuple[str, Spread], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One line of a chart: points from left to right."""

    label: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Curves over a logarithmic axis of how much work there is."""

    name: str
    title: str
    across: str
    up: str
    curves: tuple[Curve, ...]
    logarithmic: bool = False
    """Whether the upright axis is logarithmic too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a scenario found; `name` is its module's, and the names of its files."""

    name: str
    title: str
    about: str
    """How it was measured, in a sentence or two."""
    tables: tuple[Table, ...]
    charts: tuple[Bars | Lines, ...] = ()
    notes: tuple[str, ...] = ()
    results: tuple[Results, ...] = ()
    """For the JSON: every sample; a void one makes the report void."""

    @property
    def void(self) -> str | None:
        """Why nothing of this may be quoted, if so."""
        return next((results.void for results in self.results if results.void), None)
