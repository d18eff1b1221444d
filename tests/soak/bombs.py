"""Compile bombs, deployed by reload while somebody asks for /hello (THREATS G12, S8).

A folder comes in; for each bomb why it was refused, what it cost, and what /hello noticed goes out.
It must never compare with another run: the idle figures are of the moment before.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from soak.canary import Good, asking
from soak.figures import percentile, show
from soak.operated import COMPILER, Operated, free_port
from soak.versions import deployment
from zoo.cards import Guest
from zoo.generated import make_all

IDLE = 2.0
"""Seconds of /hello alone before each bomb, ..."""
BESIDE = 3.0
"""... and beside at least: a bomb that is refused at once is deployed again."""
CPU = 10.0 + 1.0
"""Processor seconds: what the compiler allows, and the second that the kernel rounds by."""
MEMORY = 1536 * 2**20
TWICE = 2.0
_SAMPLES = 0.02
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Bomb:
    """One bomb, deployed once or more."""

    name: str
    size: int
    allowed: bool
    """Whether it may be taken, because it is harmless."""
    seconds: list[float] = field(default_factory=list)
    cpu: float = 0.0
    memory: int = 0
    """The most that a compiler had resident at any time, in bytes."""
    said: str = ""
    idle: Good = field(default_factory=Good)
    beside: Good = field(default_factory=Good)

    @property
    def wrongs(self) -> list[str]:
        """A sentence for everything that must not be."""
        found = []
        if not self.said and not self.allowed:
            found.append("was taken")
        if self.beside.wrong:
            found.append(f"{self.beside.wrong} answers of /hello are wrong: {self.beside.what}")
        if self.cpu > CPU:
            found.append(f"took {self.cpu:.1f} s of processor time")
        if self.memory > MEMORY:
            found.append(f"took {self.memory / 2**20:.0f} MiB")
        return [f"{self.name}: {sentence}" for sentence in found]


async def bombs(operated: Operated, guests: list[Guest], *, bounded: bool) -> list[Bomb]:
    """Deploys each guest; `bounded` says whether the limits of structure hold, so that all are refused."""
    deployment(0, operated.port).write(operated.folder)
    await operated.start()
    found = []
    for guest in guests:
        allowed = guest.refused is None or not bounded
        bomb = Bomb(guest.name, len(guest.module), allowed)
        _write(operated, guest, bounded=bounded)
        async with asking(operated.port, bomb.idle):
            await asyncio.sleep(IDLE)
        async with asking(operated.port, bomb.beside):
            await _deployed(operated, bomb)
        found.append(bomb)
    return found


def _write(operated: Operated, guest: Guest, *, bounded: bool) -> None:
    """Puts a bomb beside the applications that are served."""
    made = deployment(0, operated.port)
    made.files["bomb.wasm"] = guest.module
    limits = guest.limits if bounded else 'module_size = "64MiB"'
    made.tables.append(
        '[[applications]]\nname = "bomb"\nfile_path = "bomb.wasm"\nurl_path = "/bomb"\n'
        f"limits = {{ {limits} }}"
    )
    made.write(operated.folder)


async def _deployed(operated: Operated, bomb: Bomb) -> None:
    """Again and again, until /hello was asked often enough to say something."""
    end = perf_counter() + BESIDE
    watching = asyncio.create_task(_watch(operated, bomb))
    try:
        while not bomb.seconds or (bomb.said and perf_counter() < end):
            began = perf_counter()
            answer = await operated.reload()
            bomb.seconds.append(perf_counter() - began)
            bomb.said = "" if answer.ok else " ".join(answer.details)
    finally:
        watching.cancel()


async def _watch(operated: Operated, bomb: Bomb) -> None:
    """Looks at the compiler as often as may be."""
    while True:
        for child in _children(operated.process.pid):
            with suppress(OSError, ValueError, IndexError):
                folder = Path(f"/proc/{child}")
                if COMPILER.encode() in (folder / "cmdline").read_bytes():
                    peak = (folder / "status").read_text().split("\nVmHWM:")[1].split()[0]
                    times = (folder / "stat").read_text().rpartition(")")[2].split()[11:13]
                    bomb.memory = max(bomb.memory, 1024 * int(peak))
                    bomb.cpu = max(bomb.cpu, sum(map(int, times)) / _TICKS)
        await asyncio.sleep(_SAMPLES)


def _children(pid: int) -> list[str]:
    return [
        child
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]


async def structural(folder: Path) -> list[Bomb]:
    """Every bomb of the zoo against the program as it is."""
    return await _against(Operated(folder, free_port()), _all_guests(), bounded=True)


async def own_limits(folder: Path, names: Collection[str] = ()) -> list[Bomb]:
    """The bombs against a program whose compiler has nothing but its limits of time and memory."""
    program = (sys.executable, "-P", str(Path(__file__).with_name("unlimited.py")))
    chosen = [guest for guest in _all_guests() if not names or guest.name in names]
    return await _against(Operated(folder, free_port(), program), chosen, bounded=False)


async def _against(operated: Operated, guests: list[Guest], *, bounded: bool) -> list[Bomb]:
    try:
        return await bombs(operated, guests, bounded=bounded)
    finally:
        operated.close()


def _all_guests() -> list[Guest]:
    return [guest for guest in make_all() if "G12" in guest.rows]


def report(title: str, found: list[Bomb]) -> None:
    """Prints everything."""
    columns = (
        "bomb", "KiB", "deployed", "s", "cpu s", "peak MiB", "answers", "wrong",
        "idle p99 ms", "beside", "ratio", "said",
    )  # fmt: skip
    rows = [
        (
            bomb.name.removeprefix("g12-"), bomb.size // 1024, len(bomb.seconds), max(bomb.seconds), bomb.cpu,
            bomb.memory // 2**20, len(bomb.beside.milliseconds), bomb.beside.wrong,
            bomb.idle.p99, bomb.beside.p99, bomb.beside.p99 / bomb.idle.p99,
            bomb.said.removeprefix("bomb: ").rpartition("bomb.wasm ")[2] or "taken",
        )
        for bomb in found
    ]  # fmt: skip
    show(title, columns, rows)
    idle, beside = p99s(found)
    show("/hello in all of it", ("idle p99 ms", "beside", "ratio"), [(f"{idle:.2f}", beside, beside / idle)])


def p99s(found: list[Bomb]) -> tuple[float, float]:
    """Of /hello alone, and beside bombs."""
    idle = [value for bomb in found for value in bomb.idle.milliseconds]
    beside = [value for bomb in found for value in bomb.beside.milliseconds]
    return percentile(idle, 99), percentile(beside, 99)


def wrongs(found: list[Bomb]) -> list[str]:
    """A sentence for everything that must not be; whether /hello was slower is for `noticed`."""
    return [sentence for bomb in found for sentence in bomb.wrongs]


def noticed(found: list[Bomb]) -> list[str]:
    """A sentence if /hello was more than twice as slow."""
    idle, beside = p99s(found)
    return [f"the p99 of /hello is {beside / idle:.2f} times"] if beside > TWICE * idle else []
