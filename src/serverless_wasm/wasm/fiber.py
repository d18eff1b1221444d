"""One guest on a stack of its own: started, suspended, resumed, cancelled, and freed with all it held.

An instance's recipe and the invocation it works for come in; its end or one InvocationError goes out.
It must never be polled from two tasks, nor touched after `close`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

from serverless_wasm.alarms import Alarm, Alarms
from serverless_wasm.errors import (
    CpuExceeded,
    DeadlineExceeded,
    FuelExhausted,
    GuestTrap,
    HostLimit,
    InvocationError,
    MemoryExceeded,
    Overloaded,
    StackExhausted,
)
from serverless_wasm.limits import Limits
from serverless_wasm.text import printable
from serverless_wasm.wasm.capi import (
    EXTERN_FUNC,
    EXTERN_MEMORY,
    NULL,
    ffi,
    lib,
    message_of,
    take_text,
)
from serverless_wasm.wasm.engine import SLICE_TICKS, TICK, Engine
from serverless_wasm.wasm.memory import Memory

_UNCOUNTED = 2**64 - 1
_WAITS = 8  # waits in a row that may have been over at once: each costs the loop some 50 us
_HOST_FAILED = b"host function failed"

# wasmtime_trap_code_t; a code that is not here is a plain GuestTrap
TRAP_ERRORS: dict[int, type[InvocationError]] = {
    0: StackExhausted,
    10: DeadlineExceeded,
    11: FuelExhausted,
}


class Watch(Alarm):
    """An invocation's deadline while its task waits, for any number of waits.

    As a context manager around a wait it cancels the task at the deadline, and tells such a
    cancellation from anybody else's as `asyncio.timeout` does: TimeoutError is raised for its own.
    """

    __slots__ = ("_cancelling", "_task", "expired")

    def __init__(self, alarms: Alarms) -> None:
        super().__init__(alarms)
        self.expired = False
        self._task: asyncio.Task[Any] | None = None
        self._cancelling = 0

    def __enter__(self) -> None:
        self._task = task = asyncio.current_task()
        if task is not None:
            self._cancelling = task.cancelling()

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        task, self._task = self._task, None
        ours = self.expired and kind is asyncio.CancelledError
        if ours and task is not None and task.uncancel() <= self._cancelling:
            raise TimeoutError

    def ring(self) -> None:
        """Ends the wait that is under way; nobody begins another one after this."""
        self.expired = True
        if self._task is not None:
            self._task.cancel()


@dataclass(frozen=True, slots=True)
class Call:
    """A call of an exported function that returns nothing.

    `values` are its arguments, pairs of a kind of capi.KIND_OF_TYPE and an integer.
    """

    function: bytes
    values: tuple[tuple[int, int], ...] = ()


class Fiber:
    """One instance in a fresh store, for one invocation.

    `owner` is whatever the host functions work for. `deadline` is a time of the event loop's clock.
    Busy fibers of one `share` take their slices from the same share of the processor; `number` is what
    the scheduler leaves as a trace while they run.
    """

    __slots__ = (
        "_calls", "_cells", "_cpu", "_engine", "_kept", "_pre", "_rested", "_store", "_waits", "answer",
        "background", "budget", "busy", "context", "deadline", "deliver", "failure", "future", "held",
        "host_calls", "memory", "number", "owner", "share", "waiting", "watch",
    )  # fmt: skip

    def __init__(self, engine: Engine, pre: Any, limits: Limits, owner: Any) -> None:
        self.owner = owner
        self.deadline = 0.0
        self.watch: Watch | None = None  # once it has waited
        self.failure: BaseException | None = None
        self.future: Any = None
        self.waiting: Awaitable[Any] | None = None
        self.deliver: Callable[[Any], None] | None = None
        self.answer: Any = None
        self.memory: Memory | None = None
        self.host_calls = 0
        self.busy = 0.0
        self.share: Hashable = None
        self.number = 0
        self.held = 0
        self.budget = limits.host_calls
        self._cpu = limits.cpu
        self._waits = 0
        self._rested = 0.0
        self._pre = pre
        self._engine = engine
        self._store = store = lib.wasmtime_store_new(engine.pointer, NULL, NULL)
        self.context = lib.wasmtime_store_context(store)
        lib.wasmtime_store_limiter(store, limits.memory, limits.table_elements, 1, -1, 1)
        lib.wasmtime_context_epoch_deadline_async_yield_and_update(self.context, 1)
        self.renew_slice()
        if engine.fuel:
            lib.wasmtime_context_set_fuel(self.context, limits.fuel or _UNCOUNTED)
        self._cells = engine.lend_cells()

    def renew_slice(self) -> None:
        """Gives the guest a whole slice from now: what it waited for is not its own time.

        Until it has used that up it is interactive. In the background each tick ends a slice.
        """
        self.background = False
        lib.wasmtime_context_set_epoch_deadline(self.context, SLICE_TICKS)

    def begin(self, calls: Iterable[Call]) -> None:
        """Begins to make the instance, its `start` included; these calls come after it, in their order."""
        self._calls = iter(calls)
        cells = self._cells
        self.future = lib.wasmtime_instance_pre_instantiate_async(
            self._pre, self.context, cells.instance, cells.trap, cells.error
        )

    def proceed(self) -> bool:
        """Ends what is over, raising how it ended badly, and begins the next call; False if that was all.

        Raises GuestTrap when there is no such function.
        """
        self._drop()
        own = self._cells.own
        if self.failure or own.trap or own.error:
            self._fail()
        call = next(self._calls, None)
        if call is None:
            return False
        self._begin(call)
        return True

    def _begin(self, call: Call) -> None:
        cells, name, values = self._cells, call.function, call.values
        item = cells.own.function
        found = lib.wasmtime_instance_export_get(
            self.context, cells.instance, name, len(name), cells.function_item
        )
        if not found or item.kind != EXTERN_FUNC:
            raise GuestTrap(f"no exported function {printable(name)}")
        arguments = NULL
        if values:  # kept, because the future reads them until it is deleted
            arguments = self._kept = ffi.new("wasmtime_val_t[]", [(kind, {"i64": at}) for kind, at in values])
        self.future = lib.wasmtime_func_call_async(
            self.context, cells.function, arguments, len(values), NULL, 0, cells.trap, cells.error
        )

    def find_memory(self, caller: Any) -> Memory:
        """The memory, from within a host function: in `start` there is no instance yet to ask.

        Raises GuestTrap when there is none.
        """
        cells = self._cells
        if not lib.wasmtime_caller_export_get(caller, b"memory", 6, cells.memory_item):
            raise GuestTrap("the module exports no memory")
        return self._found_memory()

    def _found_memory(self) -> Memory:
        cells = self._cells
        if cells.own.memory.kind != EXTERN_MEMORY:
            raise GuestTrap("the module exports no memory")
        self.memory = Memory(self.context, cells.memory)
        return self.memory

    def memory_size(self) -> int:
        """Bytes of linear memory now, which is its peak: a memory never shrinks. 0 without one."""
        if self.memory is not None:
            return self.memory.look()
        cells = self._cells
        if not cells.own.instance.store_id:
            return 0
        found = lib.wasmtime_instance_export_get(
            self.context, cells.instance, b"memory", 6, cells.memory_item
        )
        is_memory = found and cells.own.memory.kind == EXTERN_MEMORY
        return self._found_memory().size if is_memory else 0

    def grown(self) -> int:
        """Bytes of memory since the last time this was asked."""
        size = self.memory_size()
        more, self.held = max(0, size - self.held), max(size, self.held)
        return more

    def is_tired(self) -> bool:
        """Whether it has used a slice since it last gave way; a wait that is over at once is no rest."""
        self._waits += 1
        return self._waits > _WAITS or self.busy - self._rested > SLICE_TICKS * TICK

    def rest(self) -> None:
        """Goes to the background: it is about to give way to everyone else."""
        self.background = True
        self._waits, self._rested = 0, self.busy

    def check_cpu(self) -> None:
        """Raises CpuExceeded once the guest has used up its processor time."""
        if self.busy > self._cpu:
            raise CpuExceeded(f"cpu: more than {self._cpu:g} s")

    def charge(self) -> None:
        """Counts one host call; raises HostLimit when the budget is spent."""
        self.host_calls += 1
        if self.host_calls > self.budget:
            self.overspend()

    def overspend(self) -> NoReturn:
        """Raises HostLimit: the budget is spent."""
        raise HostLimit(f"host_calls: more than {self.budget}")

    def fail(self, failure: BaseException) -> Any:
        """Records why a host function ends the guest, and makes the trap that does so."""
        if self.failure is None:
            self.failure = failure
        return lib.wasmtime_trap_new(_HOST_FAILED, len(_HOST_FAILED))

    def _fail(self) -> None:
        """Raises the InvocationError of a call that ended badly."""
        own = self._cells.own
        text = _trap_of(own.trap) if own.trap else None
        words = message_of(own.error) if own.error else None
        own.trap = own.error = NULL
        if self.failure is not None:
            raise self.failure
        if text is not None:
            raise text
        if words is not None:
            raise _refusal(words)

    def stop(self) -> None:
        """Ends what is under way, which unwinds the guest, and what a host function has begun for it."""
        if self.future is not None:
            self._drop()
        operation, self.waiting = self.waiting, None
        close = getattr(operation, "close", None)
        if close is not None:
            close()

    def _drop(self) -> None:
        future, self.future = self.future, None
        lib.wasmtime_call_future_delete(future)

    def close(self) -> None:
        """Frees the instance, its memory and its stack; no call of it may be under way."""
        if self.watch is not None:
            self.watch.cancel()
        if self.memory is not None:
            self.memory.close()
        lib.wasmtime_store_delete(self._store)
        self._engine.take_cells(self._cells)


def _trap_of(trap: Any) -> InvocationError:
    """Takes a trap's code and first line, and frees it."""
    code, text = ffi.new("uint8_t *"), ffi.new("wasm_byte_vec_t *")
    known = lib.wasmtime_trap_code(trap, code)
    lib.wasm_trap_message(trap, text)
    lib.wasm_trap_delete(trap)
    kind = TRAP_ERRORS.get(code[0], GuestTrap) if known else GuestTrap
    return kind(printable(_reason(take_text(text))))


def _reason(message: str) -> str:
    """The cause alone: the engine puts it last, after the backtrace's addresses."""
    _, _, cause = message.rpartition("wasm trap: ")
    return (cause or message).strip("\0\n ")  # the C interface ends it with a NUL


def _refusal(message: str) -> InvocationError:
    """What an instantiation that failed without a trap means: over a limit, or no room in the pool."""
    return (MemoryExceeded if "exceeds" in message else Overloaded)(printable(message))
