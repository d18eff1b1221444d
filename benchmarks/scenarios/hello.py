"""Hello, world: what a request costs when the guest does next to nothing, in a fresh instance.

Rounds and seconds come in; CPU per request at 1, 32 and 256 connections goes out, against everyone.
It must never be read as what a guest can do: it is the price of the isolation and of the HTTP around it.
"""

from __future__ import annotations

from benchmarks.catalogue import peers
from benchmarks.load import Request
from benchmarks.modules import module
from benchmarks.report import Report
from benchmarks.rounds import Bench, Plan, Point, closed
from benchmarks.rounds import measure as run
from benchmarks.subject import Application, subject
from benchmarks.tables import costs, standing

PEERS = (
    "floor-plain", "floor-fresh", "nginx-return", "granian-rsgi", "uvicorn-asgi", "workerd-fresh",
    "deno-fresh", "node-fresh", "naive-wasmtimepy", "extism-fresh", "envoy-wasm", "wasmtime-serve", "spin",
)  # fmt: skip
CONNECTIONS = (1, 32, 256)


def measure(bench: Bench) -> Report:
    """Runs the scenario."""
    contestants = (subject([Application(url_path="/", module=module("hello"))]), *peers(*PEERS))
    points = tuple(
        Point(label=f"{count} connection{'s' * (count > 1)}", request=Request(), load=closed(count))
        for count in CONNECTIONS
    )
    results = run(bench, Plan(contestants=contestants, points=points))
    return Report(
        name="hello",
        title="Hello, world",
        about="GET / with keep-alive, as fast as it goes, fourteen bytes back; every answer of ours comes "
        "from a fresh instance under its default limits, with the access record on. The C floor has the same "
        "engine, and neither limits nor a parser; the V8 peers have no limits.",
        tables=tuple(standing(results, point.label, contestants) for point in points),
        charts=(
            costs(results, points[1].label, contestants, name="hello", title="Hello, world, 32 connections"),
        ),
        results=(results,),
    )
