"""The guests of the benchmark, built from their text when it has changed.

The name of a text in benchmarks/guests comes in; the path of the module goes out.
It must never hand out a module that is older than its text.
"""

from __future__ import annotations

from pathlib import Path

import wasmtime

ROOT = Path(__file__).parent.parent
BENCH = ROOT / ".bench"
"""What is installed and built: never in the repository, and safe to remove."""
GUESTS = Path(__file__).parent / "guests"


def module(name: str) -> Path:
    """The module of benchmarks/guests/NAME.wat, in .bench/guests."""
    text, built = GUESTS / f"{name}.wat", BENCH / "guests" / f"{name}.wasm"
    if not built.exists() or built.stat().st_mtime <= text.stat().st_mtime:
        built.parent.mkdir(parents=True, exist_ok=True)
        built.write_bytes(wasmtime.wat2wasm(text.read_text(encoding="utf-8")))
    return built
