"""Everything is killed in the middle of a deploy, again and again, and must be whole after (THREATS O8, S25).

How many and a seed come in; where each crash fell, and what was found after it, goes out.
It must never clean up between the crash and the next start: what is left must not matter.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import perf_counter

from serverless_wasm.processes.control import NoService
from soak.figures import percentile, show
from soak.operated import COMPILER, LINGER, WORKER, Operated, free_port, kill, until
from soak.versions import deployment
from soak.visitors import Asked, Fate, Visitors

AT_ONCE = 2
CLIENTS = 2
QUESTIONS = 8
"""On connections of their own, to the service that was started again."""
SCENES = {"start": 1.2, "start, compiling": 1.5, "reload": 0.5, "reload, compiling": 0.8}
"""What was going on, and within which part of the last start's time the crash comes."""
FIRST = ("all at once", "the supervisor only", "a worker, then all", "the compiler, then all")
PAUSE = 0.05
HEAVY = 1500
"""Functions of a module that takes a moment to compile."""
LONG_AGO = 24 * 3600
"""Seconds that pass, as far as a file's time tells, before the next start."""


@dataclass(slots=True)
class Crash:
    """One of them."""

    scene: str
    first: str
    phase: str = ""
    """What the log had said by then."""
    found: Counter[str] = field(default_factory=Counter)
    """Processes there were."""
    restart: float = 0.0
    wrongs: list[str] = field(default_factory=list)


async def crashes(folder: Path, number: int, random: Random) -> list[Crash]:
    """Crashes so often, in two folders at the same time."""
    found: list[Crash] = []
    numbers = iter(range(number))

    async def lane(at: int) -> None:
        operated = Operated(folder / str(at), free_port())
        try:
            await _crash_again_and_again(operated, Random(random.random()), numbers, found)  # noqa: S311
        finally:
            operated.close()

    async with asyncio.TaskGroup() as lanes:
        for at in range(min(AT_ONCE, number)):
            lanes.create_task(lane(at))
    return found


async def _crash_again_and_again(
    operated: Operated, random: Random, numbers: Iterator[int], found: list[Crash]
) -> None:
    version, seconds = 0, 0.0
    deployment(version, operated.port).write(operated.folder)
    began = perf_counter()
    await operated.start()
    seconds = perf_counter() - began
    for _ in numbers:
        crash = Crash(random.choice(list(SCENES)), random.choice(FIRST))
        before, version = version, version + 1
        within = random.uniform(0, SCENES[crash.scene] * seconds)
        asked = await _crash(operated, crash, random, version, within)
        crash.wrongs += [each.wrong for each in asked if each.fate is Fate.ANSWERED and each.wrong]
        versions = {each.version for each in asked if each.fate is Fate.ANSWERED} - {-1}
        if not versions <= {before, version}:
            crash.wrongs.append(f"versions {versions} were served, neither {before} nor {version}")
        await _look(operated, crash)
        await _again(operated, crash, version)
        seconds = crash.restart
        found.append(crash)


async def _crash(
    operated: Operated, crash: Crash, random: Random, version: int, within: float
) -> list[Asked]:
    """Deploys in the way of the scene, and kills after so many seconds; what clients saw until then."""
    starts, compiles = crash.scene.startswith("start"), crash.scene.endswith("compiling")
    if starts:
        operated.kill()
    if compiles:
        operated.forget_compiled()
    deployment(version, operated.port, heavy=HEAVY if compiles else 0).write(operated.folder)
    visitors = Visitors(operated.port, random)
    visitors.start(CLIENTS)
    deploying = None
    try:
        if starts:
            operated.begin()
        else:
            deploying = asyncio.create_task(_reload(operated))
        await asyncio.sleep(within)
        await _kill(operated, crash, random)
    finally:
        await visitors.end()
        if deploying is not None:
            await deploying
    return visitors.asked


async def _reload(operated: Operated) -> None:
    with suppress(NoService):  # it was killed
        await operated.reload()


async def _kill(operated: Operated, crash: Crash, random: Random) -> None:
    running = operated.running()
    crash.phase = operated.phase()
    for name, mark in (("workers", WORKER), ("compilers", COMPILER)):
        crash.found[name] = sum(mark in each.command for each in running)
    first = {"a worker, then all": WORKER, "the compiler, then all": COMPILER}.get(crash.first, "nobody")
    if victims := [each.pid for each in running if first in each.command]:
        kill(random.choice(victims))
        await asyncio.sleep(random.uniform(0, PAUSE))
    if crash.first == "the supervisor only":
        operated.process.kill()
        operated.process.wait()
    else:
        operated.kill()


async def _look(operated: Operated, crash: Crash) -> None:
    """What must not be there after a crash, before anything is started again."""
    crash.wrongs += [f"a process is left: {each.command}" for each in await operated.gone()]
    await until(operated.port_is_free, LINGER)  # threads of the dead may take longer than their processes
    if not operated.port_is_free():
        crash.wrongs.append("the port is taken")


async def _again(operated: Operated, crash: Crash, version: int) -> None:
    """Starts as an operator would; it must be the version of the files, whole, and nothing left over."""
    operated.age_parts(LONG_AGO)
    began = perf_counter()
    await operated.start()
    crash.restart = perf_counter() - began
    visitors = Visitors(operated.port, Random(version), pause=0, confirmed=version)  # noqa: S311
    visitors.start(1)
    await until(lambda: len(visitors.asked) >= QUESTIONS, LINGER)
    await visitors.end()
    for asked in visitors.asked:
        if asked.fate is not Fate.ANSWERED or asked.wrong or asked.version != version:
            crash.wrongs.append(f"after: {asked.fate.value}, version {asked.version}: {asked.wrong}")
    crash.wrongs += [f"a file is left: {name}" for name in operated.parts()]


def report(found: list[Crash]) -> None:
    """Prints everything."""
    columns = ("in the middle of", "crashes", *FIRST, "with a compiler", "phases", "restart p50 s", "most s")
    rows = []
    for scene in SCENES:
        some = [crash for crash in found if crash.scene == scene]
        firsts = Counter(crash.first for crash in some)
        phases = Counter(crash.phase for crash in some)
        told = ", ".join(f"{phase} {count}" for phase, count in phases.most_common())
        busy = sum(crash.found["compilers"] > 0 for crash in some)
        times = [crash.restart for crash in some]
        figures = (percentile(times, 50), max(times, default=float("nan")))
        rows.append((scene, len(some), *(firsts[first] for first in FIRST), busy, told, *figures))
    show("Crashes in the middle of a deploy", columns, rows)


def wrongs(found: list[Crash]) -> list[str]:
    """A sentence for everything that must not be."""
    return [
        f"{crash.scene}, {crash.first}, {crash.phase}: {sentence}"
        for crash in found
        for sentence in crash.wrongs
    ]
