"""The engine's pool and the ticker of its epochs."""

from __future__ import annotations

import asyncio
import gc
import threading
from pathlib import Path

import pytest

from sandbox import Sandbox
from serverless_wasm.errors import DeadlineExceeded, EngineError
from serverless_wasm.limits import KIB, MIB, Limits
from serverless_wasm.wasm import engine
from serverless_wasm.wasm.engine import (
    KEEP_RESIDENT,
    MAPPINGS_PER_MODULE,
    MAPPINGS_PER_SLOT,
    MAPPINGS_RESERVED,
    Engine,
    EngineSettings,
    _require_address_space,
    available_slots,
)

SPIN = '(module (func (export "handle") (loop (br 0))))'
TOUCH = """(module (memory (export "memory") 2) (data (i32.const 70000) "*")
  (func (export "handle")
    (if (i32.or (i32.load (i32.const 0)) (i32.ne (i32.const 42) (i32.load8_u (i32.const 70000))))
      (then (unreachable)))
    (i32.store (i32.const 0) (i32.const 1)) (i32.store8 (i32.const 70000) (i32.const 1))))"""
"""Traps unless its memory is as its module says; then writes to it."""


def test_slots_stay_below_the_kernels_mappings() -> None:
    """However many are wanted, the pool's mappings and the process's own fit."""
    mappings = int(Path("/proc/sys/vm/max_map_count").read_text())

    assert available_slots(10) == 10
    assert MAPPINGS_PER_SLOT * available_slots(10**9) + MAPPINGS_RESERVED <= mappings


def test_modules_take_slots_from_guests() -> None:
    """Two mappings for each, beside those of the slots; and one slot there is always."""
    mappings = int(Path("/proc/sys/vm/max_map_count").read_text())
    modules = (mappings - MAPPINGS_RESERVED) // MAPPINGS_PER_MODULE // 2

    slots = available_slots(10**9, modules)

    used = MAPPINGS_PER_SLOT * slots + MAPPINGS_PER_MODULE * modules + MAPPINGS_RESERVED
    assert mappings - MAPPINGS_PER_SLOT < used <= mappings
    assert available_slots(None, 10**9) == 1
    assert available_slots(7, 1) == 7


def test_ticker_sleeps_and_wakes(sandbox: Sandbox) -> None:
    """After a rest without guests the ticker sleeps; a busy guest is still ended at its deadline."""
    linked = sandbox.link(SPIN)
    ticker = sandbox.engine.ticker

    for _ in range(2):
        rested = threading.Event()
        while not ticker.asleep:
            rested.wait(0.01)
        with pytest.raises(DeadlineExceeded):
            asyncio.run(sandbox.run(linked, limits=Limits(timeout=0.02)))


@pytest.mark.usefixtures("on_path")
def test_closed_engine_leaves_no_thread() -> None:
    """Several engines one after the other, each with its ticker."""
    before = threading.active_count()

    for _ in range(3):
        Engine(EngineSettings(slots=4)).close()

    assert before == threading.active_count()


def test_pool_that_does_not_fit_the_address_space_is_an_error_not_an_abort() -> None:
    """The library would end the process; the operator reads what to write instead."""
    with pytest.raises(EngineError, match=r"TiB of address space.*\[server\] slots"):
        _require_address_space(1_000_000)


@pytest.mark.usefixtures("on_path")
def test_closed_engine_gives_its_address_space_back() -> None:
    """Engines of a third of the address space each, one after the other, each used and closed."""
    for _ in range(8):
        room = Sandbox(slots=9_000)
        linked = room.link(SPIN)
        with pytest.raises(DeadlineExceeded):
            asyncio.run(room.run(linked, limits=Limits(timeout=0.01)))
        module, linker = linked.module, linked.kept
        del linked
        gc.collect()  # what was raised holds frames that hold it
        module.close()
        linker.close()
        room.close()


def resident() -> int:
    """Bytes of this process's own pages that are in memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) * KIB


@pytest.mark.usefixtures("on_path")
def test_a_crowd_leaves_little_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """What its memories kept resident is given back, and whoever comes next finds them as they were made."""
    guests, warm = 250, 10
    monkeypatch.setattr(engine, "WARM_GUESTS", warm)
    room = Sandbox(slots=guests)
    linked = room.link(TOUCH)

    async def crowd() -> None:
        fibers = [room.fiber(linked) for _ in range(guests)]
        for fiber in fibers:
            while not fiber.go():  # its slice began with it, and others have gone first
                fiber.renew_slice()
        for fiber in fibers:
            fiber.close()

    before = resident()
    for _ in range(3):
        asyncio.run(crowd())
    kept = resident() - before

    assert kept < warm * KEEP_RESIDENT + 8 * MIB < guests * KEEP_RESIDENT // 2
    for _ in range(2 * guests):
        asyncio.run(room.run(linked))
    room.close()
