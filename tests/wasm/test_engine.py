"""The engine's pool and the ticker of its epochs."""

from __future__ import annotations

import asyncio
import gc
import threading
from pathlib import Path

import pytest

from sandbox import Sandbox
from serverless_wasm.errors import DeadlineExceeded, EngineError
from serverless_wasm.limits import Limits
from serverless_wasm.wasm.engine import (
    MAPPINGS_PER_MODULE,
    MAPPINGS_PER_SLOT,
    MAPPINGS_RESERVED,
    Engine,
    EngineSettings,
    _require_address_space,
    available_slots,
)

SPIN = '(module (func (export "handle") (loop (br 0))))'


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
