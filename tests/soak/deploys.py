"""Deploys under load (scripts/deploys): reloads, drains, killed workers, crashes and compile bombs.

What to do, how often and a seed come in; tables go out, and an exit code.
It must never call a run good in which one request was treated as it must not be.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random, SystemRandom
from types import MappingProxyType

from soak import bombs, crashes, drains, kills, reloads

Run = Callable[[Path, int, Random], list[str]]
"""Runs so many, prints its tables, and returns a sentence for everything that must not be."""


def run_reloads(folder: Path, number: int, random: Random) -> list[str]:
    """Half of them broken, while clients ask."""
    found = asyncio.run(reloads.reloads(folder, number, random))
    reloads.report(found)
    return found.wrongs


def run_drains(folder: Path, number: int, random: Random) -> list[str]:
    """SIGTERM in the middle of a load."""
    found = asyncio.run(drains.drains(folder, number, random))
    drains.report(found)
    return drains.wrongs(found)


def run_kills(folder: Path, number: int, random: Random) -> list[str]:
    """One worker is killed under load."""
    found = asyncio.run(kills.kills(folder, number, random))
    kills.report(found)
    return kills.wrongs(found)


def run_crashes(folder: Path, number: int, random: Random) -> list[str]:
    """Everything is killed in the middle of a deploy."""
    found = asyncio.run(crashes.crashes(folder, number, random))
    crashes.report(found)
    return crashes.wrongs(found)


def run_bombs(folder: Path, number: int, _: Random) -> list[str]:
    """Every compile bomb is deployed; with the number 2, also past the limits of structure."""
    found = asyncio.run(bombs.structural(folder / "structure"))
    bombs.report("Compile bombs", found)
    wrong = bombs.wrongs(found) + bombs.noticed(found)
    if number > 1:
        beyond = asyncio.run(bombs.own_limits(folder / "own"))
        bombs.report("The same without limits of structure: the compiler's own", beyond)
        wrong += bombs.wrongs(beyond) + bombs.noticed(beyond)
    return wrong


RUNS: Mapping[str, tuple[Run, int]] = MappingProxyType(
    {
        "reloads": (run_reloads, 200),
        "drains": (run_drains, 200),
        "kills": (run_kills, 20),
        "crashes": (run_crashes, 200),
        "bombs": (run_bombs, 1),
    }
)
"""What can be asked for, and how often it is done."""


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="scripts/deploys", description=__doc__)
    parser.add_argument("what", choices=RUNS)
    parser.add_argument(
        "number", type=int, nargs="?", help="how often; bombs: 2 for the compiler's own limits, too"
    )
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(10**6))
    given = parser.parse_args()
    run, usual = RUNS[given.what]
    print(f"{given.what}, seed {given.seed}, began {time.strftime('%H:%M:%S')}")  # noqa: T201 - a command
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), given.number or usual, Random(given.seed))  # noqa: S311 - a seed that can be told again
    load = " ".join(f"{number:.1f}" for number in os.getloadavg())
    print(f"took {time.monotonic() - began:.0f} s, load average {load}")  # noqa: T201
    for sentence in found:
        print(sentence[:2000], file=sys.stderr)  # noqa: T201
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
