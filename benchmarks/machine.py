"""What the kernel counts: processor time, memory, and how busy the machine was with others.

Process ids come in; seconds, bytes and shares go out.
It must never change what it measures: it only reads, and only between two measurements.
"""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_PROCESS_CLOCK = 2
"""The clock of clock_getcpuclockid(3): every thread's time, ended ones too, in nanoseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What processes hold: KiB of proportional set size and of page tables, and mappings."""

    pss: int
    page_tables: int
    mappings: int

    @property
    def total(self) -> int:
        """KiB of memory that the machine gives for them, page tables included."""
        return self.pss + self.page_tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """How much of the machine's time others took in an interval, as shares between 0 and 1."""

    steal: float
    foreign: float

    @property
    def loud(self) -> bool:
        """Whether a figure taken meanwhile is not to be trusted."""
        return self.steal > 0.03 or self.foreign > 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """The machine's counters at one moment, in seconds of processor time; see `noise`."""

    total: float
    steal: float
    busy: float
    own: float


def tree(pid: int) -> list[int]:
    """A process and everything it has started, as far as it lives."""
    found = [pid]
    for each in found:
        with suppress(OSError):
            for task in (PROC / str(each) / "task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def cpu(pid: int) -> float:
    """Seconds of processor time that a process, and all it has started, have used so far.

    Children that have ended count as soon as they were waited for; a process that has ended counts 0.
    """
    return sum(map(_cpu, tree(pid)))


def born(pid: int) -> int | None:
    """When a process was started, in ticks since the machine was; None once it has ended."""
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def memory(pid: int) -> Memory:
    """What a process, and all it has started, hold now."""
    each = [found for found in map(_memory, tree(pid)) if found]
    return Memory(
        pss=sum(found.pss for found in each),
        page_tables=sum(found.page_tables for found in each),
        mappings=sum(found.mappings for found in each),
    )


def instant() -> Instant:
    """The counters now; `own` is this process and the load generators it has waited for."""
    ticks = [int(field) for field in (PROC / "stat").read_text().partition("\n")[0].split()[1:9]]
    user, nice, system, _, _, _, _, steal = ticks  # interrupts are counted apart: both sides cause them
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Instant(
        total=sum(ticks) / _TICKS,
        steal=steal / _TICKS,
        busy=(user + nice + system) / _TICKS,
        own=time.process_time() + children.ru_utime + children.ru_stime,
    )


def noise(before: Instant, after: Instant, accounted: float) -> Noise:
    """What others took between two instants; `accounted` is what the measured took, in seconds."""
    total = max(after.total - before.total, 1 / _TICKS)
    foreign = after.busy - before.busy - (after.own - before.own) - accounted
    return Noise(steal=(after.steal - before.steal) / total, foreign=max(foreign, 0.0) / total)


def about(root: Path) -> dict[str, str]:
    """The head of a report: processor, kernel, limits, and the commit of the repository at `root`."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "vm.max_map_count": (PROC / "sys/vm/max_map_count").read_text().strip(),
        "open files": str(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
        "commit": output(["git", "-C", str(root), "describe", "--always", "--dirty"]),
    }


def output(command: Sequence[str]) -> str:
    """The first line that a command prints, on either stream; "unknown" if it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return next(iter((done.stdout.strip() or done.stderr.strip()).splitlines()), "unknown")


def _cpu(pid: int) -> float:
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        ended = (int(fields[13]) + int(fields[14])) / _TICKS
        return time.clock_gettime(~pid << 3 | _PROCESS_CLOCK) + ended
    except OSError:
        return 0.0


def _memory(pid: int) -> Memory | None:
    folder = PROC / str(pid)
    try:
        return Memory(
            pss=_kib(folder / "smaps_rollup", "Pss:"),
            page_tables=_kib(folder / "status", "VmPTE:"),
            mappings=(folder / "maps").read_bytes().count(b"\n"),
        )
    except OSError:
        return None


def _kib(file: Path, key: str) -> int:
    lines = (line.split() for line in file.read_text().splitlines())
    return next((int(fields[1]) for fields in lines if fields[0] == key), 0)


def _processor() -> str:
    lines = (PROC / "cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown")
