"""The shared memory of supervisor and workers, with real processes as workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_wasm.processes.crumbs import NOBODY, Crumbs, Trace

WORKER = """
import sys, time
from serverless_wasm.processes.crumbs import Crumbs
crumb = Crumbs.open(int(sys.argv[1]), int(sys.argv[2]))
crumb.in_flight[0] = 3
for _ in range(1000):
    crumb.running[0] = 7
    crumb.beats[0] += 1
    crumb.running[1] += 1
    crumb.running[0] = 0
crumb.running[0] = 42
print("runs", flush=True)
while True:
    time.sleep(1000)
"""


@pytest.fixture
def crumbs() -> Iterator[Crumbs]:
    """Three slots."""
    made = Crumbs.create(3)
    yield made
    made.close()


def start(program: str, crumbs: Crumbs, slot: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, str(crumbs.descriptor), str(slot)],
        pass_fds=[crumbs.descriptor],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_outlives_a_worker_that_is_killed(crumbs: Crumbs) -> None:
    """What a worker was doing when it was killed can be read afterwards, until its slot is cleared."""
    with start(WORKER, crumbs, 1) as worker:
        assert worker.stdout
        assert worker.stdout.readline() == "runs\n"
        alive = crumbs.read(1)
        worker.kill()
        worker.wait()

    assert worker.returncode == -signal.SIGKILL
    assert alive == crumbs.read(1) == Trace(beats=1000, application=42, slices=1000, in_flight=3)
    assert crumbs.read(0) == crumbs.read(2) == Trace(beats=0, application=NOBODY, slices=0, in_flight=0)

    crumbs.clear(1)
    assert crumbs.read(1) == Trace(beats=0, application=NOBODY, slices=0, in_flight=0)


HOSTILE = """
import os, sys
descriptor = int(sys.argv[1])
os.pwrite(descriptor, b"\\xff" * 192, 0)
for size in (0, 1, 1 << 20):
    try:
        os.ftruncate(descriptor, size)
        print("cut")
    except OSError as error:
        print(error.strerror)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux seals files")
def test_a_worker_that_has_been_taken_over(crumbs: Crumbs) -> None:
    """It can write any number, and cannot take the memory away from its neighbours."""
    neighbour = Crumbs.open(os.dup(crumbs.descriptor), 0)
    with start(HOSTILE, crumbs, 1) as worker:
        out, _ = worker.communicate()
    neighbour.beats[0] = 1

    most = 2**64 - 1
    assert out.splitlines() == ["Operation not permitted"] * 3
    assert crumbs.read(1) == Trace(beats=most, application=most, slices=most, in_flight=most)
    neighbour.close()


def test_a_file_that_was_cut() -> None:
    """Where a file cannot be sealed, what is missing reads as zero."""
    descriptor = os.memfd_create("test")
    os.write(descriptor, (258).to_bytes(8, sys.byteorder))
    crumbs = Crumbs(descriptor, 2)

    assert crumbs.read(0) == Trace(beats=258, application=0, slices=0, in_flight=0)
    assert crumbs.read(1) == Trace(beats=0, application=0, slices=0, in_flight=0)
    crumbs.close()


@given(
    beats=st.integers(0, 2**64 - 1),
    application=st.integers(0, 2**64 - 1),
    slices=st.integers(0, 2**64 - 1),
    in_flight=st.integers(0, 2**64 - 1),
)
def test_every_number(beats: int, application: int, slices: int, in_flight: int) -> None:
    """What is written is what is read, in every slot apart."""
    crumbs = Crumbs.create(2)
    crumb = Crumbs.open(os.dup(crumbs.descriptor), 1)
    crumb.beats[0] = beats
    crumb.running[0], crumb.running[1] = application, slices
    crumb.in_flight[0] = in_flight

    written = Trace(beats=beats, application=application, slices=slices, in_flight=in_flight)
    assert crumbs.read(1) == written
    assert crumbs.read(0) == Trace(beats=0, application=0, slices=0, in_flight=0)
    crumb.close()
    crumbs.close()


@pytest.mark.parametrize("number", [-1, 2**64])
def test_numbers_that_do_not_fit(crumbs: Crumbs, number: int) -> None:
    """A number beyond 64 bits is a mistake of the worker's."""
    crumb = Crumbs.open(os.dup(crumbs.descriptor), 0)
    with pytest.raises(ValueError, match="invalid value"):
        crumb.in_flight[0] = number
    crumb.close()


@pytest.mark.parametrize("slot", [-1, 3])
def test_slots_that_are_not_there(crumbs: Crumbs, slot: int) -> None:
    """Nobody reads, clears or opens a slot that was not made; a descriptor handed over is closed."""
    handed = os.dup(crumbs.descriptor)
    with pytest.raises(ValueError, match="no slot"):
        Crumbs.open(handed, slot)
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(handed)
    with pytest.raises(ValueError, match="no slot"):
        crumbs.read(slot)
    with pytest.raises(ValueError, match="no slot"):
        crumbs.clear(slot)


def test_closed(crumbs: Crumbs) -> None:
    """A worker that has closed its slot cannot write by mistake into memory that is gone."""
    crumb = Crumbs.open(os.dup(crumbs.descriptor), 0)
    cell = crumb.running
    crumb.close()
    crumb.close()

    with pytest.raises(ValueError, match="released"):
        cell[0] = 1


def test_children_do_not_inherit(crumbs: Crumbs) -> None:
    """Only a child that is handed the descriptor has it."""
    assert not os.get_inheritable(crumbs.descriptor)
