"""One guest on a stack of its own: started, suspended, resumed, cancelled, and freed with all it held.

An instance's recipe and the invocation it works for come in; its end or one InvocationError goes out.
It must never be polled from two tasks, nor touched after `close`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
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
from serverless_wasm.text import printable
from serverless_wasm.wasm.capi import (
    EXTERN_MEMORY,
    NULL,
    ffi,
    lib,
    message_of,
    take_text,
)
from serverless_wasm.wasm.engine import SLICE_TICKS, TICK, Engine
from serverless_wasm.wasm.memory import Memory
from serverless_wasm.wasm.plan import Plan
from serverless_wasm.wasm.pure import LOST, OVER
from serverless_wasm.wasm.shelf import Instance

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


class Fiber:
    """One instance in a fresh store, for one invocation.

    `instance` is one that has answered before, else a new one is made.
    `owner` is whatever the host functions work for. `deadline` is a time of the event loop's clock.
    Busy fibers of one `share` take their slices from the same share of the processor; `number` is what
    the scheduler leaves as a trace while they run.
    """

    __slots__ = (
        "_engine", "_plan", "_rested", "_waits", "answer", "background", "budget", "busy", "crossing",
        "deadline", "deliver", "failure", "held", "memory", "number", "own", "owner", "share", "waiting",
        "watch",
    )  # fmt: skip

    def __init__(self, engine: Engine, plan: Plan, owner: Any, instance: Instance | None = None) -> None:
        self.owner = owner
        self.deadline = 0.0
        self.watch: Watch | None = None  # once it has waited
        self.failure: BaseException | None = None
        self.waiting: Awaitable[Any] | None = None
        self.deliver: Callable[[Any], None] | None = None
        self.answer: Any = None
        self.crossing: Any = None
        """What host functions of components work with (components/crossing.py)."""
        self.memory: Memory | None = None
        self.busy = 0.0
        self.share: Hashable = None
        self.number = 0
        self.held = 0
        self.background = False
        self.budget = plan.limits.host_calls
        self._waits = 0
        self._rested = 0.0
        self._plan = plan
        self._engine = engine
        if instance is None:
            self.lend()
        else:
            self._resume(instance)

    def lend(self) -> None:
        """Has an empty guest_t, in which `go` will make the instance."""
        self.own = own = self._engine.lend_guest()
        own.plan = self._plan.own

    def free(self) -> None:
        """Gives it back, with the instance that may be in it."""
        own, self.own = self.own, None  # it is another fiber's soon; a second time would give it to two
        self._engine.free_guest(own)

    def _resume(self, instance: Instance) -> None:
        """Takes over an instance that has answered before, as if it had just been made."""
        self.own = own = instance.own
        self.memory, self.crossing = instance.memory, instance.crossing
        own.host_calls = own.next = 0
        if own.plan.counts_fuel:
            lib.wasmtime_context_set_fuel(own.context, own.plan.fuel)
        self.renew_slice()

    def keep(self, answered: int) -> Instance:
        """The instance, for another fiber of the same plan; this one must not be touched any more."""
        if self.watch is not None:
            self.watch.cancel()
        own, self.own = self.own, None
        return Instance(
            engine=self._engine,
            own=own,
            memory=self.memory,
            crossing=self.crossing,
            answered=answered,
            since=asyncio.get_running_loop().time(),
        )

    @property
    def host_calls(self) -> int:
        """How many it has made."""
        calls: int = self.own.host_calls
        return calls

    def renew_slice(self) -> None:
        """Gives the guest a whole slice from now: what it waited for is not its own time.

        Until it has used that up it is interactive. In the background each tick ends a slice.
        """
        self.background = False
        lib.wasmtime_context_set_epoch_deadline(self.own.context, SLICE_TICKS)

    def go(self) -> bool:
        """Makes the instance, its `start` included, and the calls of the plan; or goes on where it waited.

        True once all is over; False while it waits, or has used its slice. Raises how one ended badly,
        GuestTrap when there is no such function to call.
        """
        return self.settle(self._plan.go(self.own))

    def settle(self, how: int) -> bool:
        """Takes over what a stretch has left, which ended like this: see `go`."""
        if self.own.answer.touched:
            self.collect()
        if how > OVER or self.failure is not None:
            self._fail(how)
        return how == OVER

    def collect(self) -> None:
        """Hands over what compiled host functions have noted; they note no more for this guest."""
        own = self.own
        own.answers = False  # also when there is nothing yet: from now on Python counts
        if own.answer.touched:
            own.answer.touched = False
            self.owner.collect(own.answer)

    def find_memory(self, caller: Any) -> Memory:
        """The memory, from within a host function: in `start` there is no instance yet to ask.

        Raises GuestTrap when there is none.
        """
        own = self.own
        if not own.has_memory:
            item = ffi.addressof(own, "memory")
            found = lib.wasmtime_caller_export_get(caller, b"memory", 6, item)
            if not found or item.kind != EXTERN_MEMORY:
                raise GuestTrap("the module exports no memory")
            own.has_memory = True
        self.memory = Memory(own.context, self._engine.memory_of(own))
        return self.memory

    def memory_size(self) -> int:
        """Bytes of linear memory when it last stood still, which is its peak: a memory never shrinks."""
        size: int = self.own.size
        return size

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
        cpu = self._plan.limits.cpu
        if self.busy > cpu:
            raise CpuExceeded(f"cpu: more than {cpu:g} s")

    def charge(self) -> None:
        """Counts one host call; raises HostLimit when the budget is spent."""
        self.own.host_calls += 1
        if self.own.host_calls > self.budget:
            self.overspend()

    def overspend(self) -> NoReturn:
        """Raises HostLimit: the budget is spent."""
        raise HostLimit(f"host_calls: more than {self.budget}")

    def allocate(self, function: Any, wanted: Any) -> int:
        """Calls the guest's allocator from within one of its host calls; an allocation_t says how it went."""
        how: int = self._engine.steps.guest_allocate(self.own.context, function, wanted)
        return how

    def fail(self, failure: BaseException) -> Any:
        """Records why a host function ends the guest, and makes the trap that does so."""
        if self.failure is None:
            self.failure = failure
        return lib.wasmtime_trap_new(_HOST_FAILED, len(_HOST_FAILED))

    def _fail(self, how: int) -> None:
        """Raises the InvocationError of a call that ended badly."""
        own = self.own
        text = trap_of(own.trap) if own.trap else None
        words = message_of(own.error) if own.error else None
        own.trap = own.error = NULL
        if self.failure is not None:
            raise self.failure
        if text is not None:
            raise text
        if words is not None:
            raise _refusal(words)
        if how == LOST:
            name = own.plan.calls[own.next - 1].function
            raise GuestTrap(f"no exported function {printable(ffi.buffer(name.data, name.size)[:])}")

    def stop(self) -> None:
        """Ends what is under way, which unwinds the guest, and what a host function has begun for it."""
        future, self.own.future = self.own.future, NULL
        if future:
            lib.wasmtime_call_future_delete(future)
        operation, self.waiting = self.waiting, None
        close = getattr(operation, "close", None)
        if close is not None:
            close()

    def close(self) -> None:
        """Frees the instance, its memory and its stack; no call of it may be under way."""
        if self.watch is not None:
            self.watch.cancel()
        if self.memory is not None:
            self.memory.close()
        # Each of these knows this fiber, an exception by its frames: the garbage collector comes late.
        self.answer = self.crossing = self.failure = None
        self.free()


def trap_of(trap: Any) -> InvocationError:
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
