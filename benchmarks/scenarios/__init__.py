"""The scenarios, in the order in which they run.

A name comes in; the function that measures it goes out.
It must never know what a scenario does: each is a module of its own with `measure(bench) -> Report`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from benchmarks.report import Report
from benchmarks.rounds import Bench

NAMES = (
    "budget",
    "hello",
    "tail",
    "compute",
    "echo",
    "neighbour",
    "host_calls",
    "workers",
    "applications",
    "fan_out",
    "suspended",
    "concurrency",
    "bodies",
    "components",
)


def scenario(name: str) -> Callable[[Bench], Report]:
    """The function `measure` of a scenario."""
    found: Callable[[Bench], Report] = import_module(f"benchmarks.scenarios.{name}").measure
    return found
