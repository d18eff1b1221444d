"""One engine for the process: its settings, its pool, and the ticker of its epochs.

Compiled modules and stores come from here; nothing of HTTP, network or storage is known.
It must never outlive its ticker, nor be created in a process that will fork.
"""

from __future__ import annotations

import asyncio
import mmap
import select
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import wasmtime

from serverless_wasm.errors import EngineError
from serverless_wasm.limits import KIB, MIB, Limits
from serverless_wasm.wasm.capi import borrow, check_version, ffi, lib
from serverless_wasm.wasm.fast import find_steps

TICK = 0.001
"""Seconds between two epochs; a slice is `SLICE_TICKS` of them, so between one and two."""
SLICE_TICKS = 2
WASM_STACK = 256 * KIB
HOST_STACK = 256 * KIB
"""Behind the guest's own stack, for host functions: Python runs there and touches 8 KiB (measured)."""
MAPPINGS_PER_SLOT = 7  # five measured for a plain guest; a table and a grown memory may split two more
MAPPINGS_PER_MODULE = 2  # its code and its facts, for as long as it is loaded
MAPPINGS_RESERVED = 4_000  # the interpreter and its libraries, 300; the first thousand compiled modules
INSTANCES_PER_SLOT = 64
"""A guest of a component may be made of many modules: Python's of 14. Nothing is reserved for one."""
TABLES_PER_SLOT = 2
"""Guests of components whose modules have more of them together take those of others."""
DEFAULT_SLOTS = 10_000
MAX_MEMORY = 4 * 1024 * MIB
SLOT_ADDRESSES = MAX_MEMORY + 34 * MIB
"""Reserved for a slot and never used up: its memory, the guard behind it, a table, a stack."""
KEEP_RESIDENT = 128 * KIB
"""Bytes of a memory that are cleared, not given back. For a memory of two pages, as a small program in C or
Zig has, 9 us instead of 12; for one of a megabyte the same as before, where clearing all of it takes 21."""
WARM_GUESTS = 256
"""Guests at once whose memories stay resident as far as that: 32 MiB. What a crowd beyond them has used is
given back as each of them ends; kept, it was 760 MiB after 5,000 (measured)."""
ffi.cdef("int madvise(void *, size_t, int);")  # sys/mman.h
_LIBC = ffi.dlopen(None)
MAP_NORESERVE = 0x4000 if sys.platform == "linux" else 0x40  # Python does not name it
_IDLE_TICKS = 100
_GLANCE = 0.0002


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What the operator may choose of the engine; `slots` are guests at once in this process."""

    slots: int | None = None
    table_elements: int = Limits().table_elements
    fuel: bool = False
    """Whether instructions are counted, which makes every guest of the process slower."""
    stack: int = WASM_STACK
    modules: int = 0
    """Compiled modules that there is to be room for, beside the first thousand."""


def available_slots(wanted: int | None, modules: int = 0) -> int:
    """How many guests fit under vm.max_map_count, at most `wanted`, beside so many more modules.

    A slot is about five mappings. Past the kernel's limit a mapping fails wherever it happens to, so the
    pool stays below it.
    """
    try:
        mappings = int(Path("/proc/sys/vm/max_map_count").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return wanted or DEFAULT_SLOTS  # macOS has no such limit
    free = mappings - MAPPINGS_RESERVED - MAPPINGS_PER_MODULE * modules
    return max(1, min(wanted or DEFAULT_SLOTS, free // MAPPINGS_PER_SLOT))


def _code_config(*, fuel: bool) -> wasmtime.Config:
    """Everything that compiled code depends on; what changes here raises artifacts.FORMAT."""
    config = wasmtime.Config()
    config.epoch_interruption = True
    config.consume_fuel = fuel
    _features(config)
    return config


def _features(config: wasmtime.Config) -> None:
    """Switches off what guests do not need: each has been on an advisory list (DESIGN 2.6)."""
    config.wasm_gc = False
    config.wasm_exceptions = False
    config.wasm_function_references = False
    config.wasm_memory64 = False
    config.wasm_threads = False
    config.shared_memory = False
    config.wasm_stack_switching = False
    config.wasm_relaxed_simd_deterministic = True
    config.wasm_multi_memory = False
    config.wasm_wide_arithmetic = False
    config.strategy = "cranelift"


def _pool(config: wasmtime.Config, slots: int, table_elements: int) -> None:
    """One stack more than guests: a guest of a component may be called within a host call of its own."""
    pool = lib.wasmtime_pooling_allocation_config_new()
    lib.wasmtime_pooling_allocation_config_total_core_instances_set(pool, slots * INSTANCES_PER_SLOT)
    lib.wasmtime_pooling_allocation_config_total_memories_set(pool, slots)
    lib.wasmtime_pooling_allocation_config_total_tables_set(pool, slots * TABLES_PER_SLOT)
    lib.wasmtime_pooling_allocation_config_total_stacks_set(pool, slots + 1)
    lib.wasmtime_pooling_allocation_config_max_memory_size_set(pool, MAX_MEMORY)
    lib.wasmtime_pooling_allocation_config_table_elements_set(pool, table_elements)
    lib.wasmtime_pooling_allocation_config_linear_memory_keep_resident_set(pool, KEEP_RESIDENT)
    lib.wasmtime_pooling_allocation_strategy_set(borrow("wasm_config_t *", config), pool)
    lib.wasmtime_pooling_allocation_config_delete(pool)


def _require_address_space(slots: int) -> None:
    """Tries to reserve what the pool will; the library itself ends the process when that fails."""
    size = slots * SLOT_ADDRESSES + SLOT_ADDRESSES
    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE, prot=0).close()
    except (OSError, OverflowError) as error:
        raise EngineError(
            f"{slots} slots need {size >> 40} TiB of address space, which this process may not reserve "
            f"({error}); write a smaller [server] slots, or raise the limit: ulimit -v unlimited"
        ) from error


class CompilingEngine:
    """Compiles what an Engine of the same `fuel` runs, and runs nothing: no pool, no ticker."""

    def __init__(self, *, fuel: bool) -> None:
        check_version()
        self.fuel = fuel
        self.wheel = wasmtime.Engine(_code_config(fuel=fuel))

    def close(self) -> None:
        """Frees the engine."""
        self.wheel.close()


class Engine:
    """The compiler and the pool that all guests of a process share.

    Raises EngineError when the library's version or the machine's address space do not fit.
    """

    def __init__(self, settings: EngineSettings | None = None) -> None:
        check_version()
        settings = settings or EngineSettings()
        self.slots = available_slots(settings.slots, settings.modules)
        self.fuel = settings.fuel
        config = _code_config(fuel=settings.fuel)
        config.max_wasm_stack = settings.stack
        stack = settings.stack + HOST_STACK
        lib.wasmtime_config_async_stack_size_set(borrow("wasm_config_t *", config), stack)
        _pool(config, self.slots, settings.table_elements)
        _require_address_space(self.slots)
        self.wheel = wasmtime.Engine(config)
        self.pointer = borrow("wasm_engine_t *", self.wheel)
        self.ticker = Ticker(self.pointer, self.wheel)
        self.steps = find_steps()
        self.answer = ffi.new("answer_t *")
        """What compiled host functions note of the guest that runs."""
        self._empty = ffi.new("guest_t *", {"answer": self.answer, "answers": True})[0]
        self._guests: list[Any] = []
        self._lent = 0
        self._memories: dict[Any, Any] = {}

    def lend_guest(self) -> Any:
        """A guest_t for one fiber, empty; to be given back with `free_guest`."""
        self._lent += 1
        return self._guests.pop() if self._guests else ffi.new("guest_t *", self._empty)

    def memory_of(self, guest: Any) -> Any:
        """Where in a guest_t its memory is; they are few, and used again and again."""
        place = self._memories.get(guest)
        if place is None:
            place = self._memories[guest] = ffi.addressof(guest, "memory", "of", "memory")
        return place

    def free_guest(self, guest: Any) -> None:
        """Frees its store, if it has one, empties it and keeps it for the next fiber."""
        if guest.store:
            crowded = self._lent > WARM_GUESTS and guest.has_memory
            data = lib.wasmtime_memory_data(guest.context, self.memory_of(guest)) if crowded else ffi.NULL
            lib.wasmtime_store_delete(guest.store)
            if data:
                _give_back(data, guest.size)
        self._lent -= 1
        guest[0] = self._empty
        self._guests.append(guest)

    def close(self) -> None:
        """Stops the ticker and frees the engine; modules that are still alive keep what they need."""
        self.ticker.stop()
        self.wheel.close()


def _give_back(data: Any, size: int) -> None:
    """Gives the system what is resident of a memory whose store has just been deleted.

    Nobody uses it before the next guest is made, by this thread. The library has cleared it to what a new
    guest finds, which this does once more: it is a private mapping of the module's data, or of nothing
    (madvise(2)).
    """
    if sys.platform == "linux":  # elsewhere the advice does not clear
        _LIBC.madvise(data, min(size, KEEP_RESIDENT), mmap.MADV_DONTNEED)


class Ticker:
    """Advances the engine's epoch every `TICK` seconds while a guest runs; sleeps when none does.

    A thread is needed because a busy guest never gives the event loop back by itself. It needs
    Python's lock for an instant, which a running guest does not hold. While a guest of the background
    runs, the thread also watches the event loop's own poll set: as soon as the loop has something to do
    for others, the epoch advances and the guest gives way.
    """

    def __init__(self, engine: Any, owner: object) -> None:
        self._owner = owner  # or the engine could be freed while the thread still uses it
        self.running = False
        self.yielding = False
        self.asleep = False
        self._engine = engine
        self._stopped = False
        self._poll_set: select.poll | None = None  # the thread's; a poll object must not be used by two
        self._own_poll_set: select.poll | None = None
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._tick, name="epochs", daemon=True)
        self._thread.start()

    def attend(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Watches this loop while there are guests in its background, until None is given.

        A loop that does not tell its poll set is not watched: then only ticks end a slice.
        """
        number = None if loop is None else _poll_set_of(loop)
        self._poll_set, self._own_poll_set = (
            (None, None) if number is None else (_watch(number), _watch(number))
        )

    def wanted(self) -> bool:
        """Whether something has arrived that the loop has yet to see."""
        return self._own_poll_set is not None and bool(self._own_poll_set.poll(0))

    def enter(self, *, yielding: bool) -> None:
        """A guest is about to run; a `yielding` one gives way to whatever else there is to do.

        First `running`, then a look at `asleep`; the thread does the same in mirror image, so one
        of the two always sees the other and no guest runs without a ticker.
        """
        self.yielding = yielding
        self.running = True
        if self.asleep:
            self.asleep = False
            self._wake.set()

    def leave(self) -> None:
        """The guest gave control back."""
        self.running = self.yielding = False

    def stop(self) -> None:
        """Ends the thread; no epoch advances afterwards."""
        self._stopped = True
        self._wake.set()
        self._thread.join()

    def _tick(self) -> None:
        idle = 0
        while not self._stopped:
            self._pause()
            lib.wasmtime_engine_increment_epoch(self._engine)
            idle = 0 if self.running else idle + 1
            if idle > _IDLE_TICKS:
                idle = 0
                self._sleep()

    def _pause(self) -> None:
        """Lets an epoch pass: a tick, or less once a yielding guest is in others' way."""
        end = time.monotonic() + TICK
        while (left := end - time.monotonic()) > 0:
            poll_set = self._poll_set
            if poll_set is None:
                time.sleep(left)
            elif not self.yielding:
                time.sleep(min(left, _GLANCE))
            elif poll_set.poll(left * 1000) and self.yielding:
                self.yielding = False  # once a slice: the loop needs the processor now, not this thread
                return

    def _sleep(self) -> None:
        self._wake.clear()
        self.asleep = True
        if self.running or self._stopped:
            self.asleep = False
            return
        self._wake.wait()


def _watch(number: int) -> select.poll:
    poll_set = select.poll()
    poll_set.register(number, select.POLLIN)
    return poll_set


def _poll_set_of(loop: asyncio.AbstractEventLoop) -> int | None:
    """The descriptor that becomes readable when the loop has something to do: uvloop's, or asyncio's."""
    uvloops = getattr(loop, "_get_backend_id", None)
    selector = getattr(loop, "_selector", None)
    try:
        return int(uvloops() if uvloops else selector.fileno())  # type: ignore[union-attr] # see except
    except (AttributeError, OSError):  # a loop of another kind
        return None
