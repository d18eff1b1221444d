"""Host functions made callable by guests: one wrapper around every one of them.

A table of host functions comes in; linked modules, ready to be instantiated, go out.
An exception must never leave a host function except through the fiber's own failure record.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Any, ClassVar, Protocol

from serverless_wasm.errors import CapabilityError, EngineError, LinkError
from serverless_wasm.text import printable
from serverless_wasm.wasm.binary import Beginning
from serverless_wasm.wasm.capi import KIND_OF_TYPE, NULL, ffi, lib, message_of
from serverless_wasm.wasm.engine import Engine
from serverless_wasm.wasm.fast import CompiledSteps
from serverless_wasm.wasm.fiber import Fiber
from serverless_wasm.wasm.memory import Window, two_windows, window
from serverless_wasm.wasm.modules import FunctionType, Import, Module
from serverless_wasm.wasm.plan import Plan, Terms
from serverless_wasm.wasm.scheduler import Scheduler


@dataclass(frozen=True, slots=True)
class Kind:
    """How a host function sees an argument: a number, unsigned, or a checked Window.

    `core` is what the guest passes for it. A window has `fixed` bytes from a pointer, or
    items of `item` bytes, as many as the number behind the pointer says.
    """

    core: tuple[str, ...]
    item: int = 0
    fixed: int = 0

    U32: ClassVar[Kind]
    U64: ClassVar[Kind]
    WINDOW: ClassVar[Kind]
    """A pointer and a size of 64 bits."""
    SPAN: ClassVar[Kind]
    """A pointer and a size of 32 bits."""

    @classmethod
    def array(cls, item: int) -> Kind:
        """A pointer, and how many items of so many bytes are there."""
        return cls(("i32", "i32"), item=item)

    @classmethod
    def place(cls, size: int) -> Kind:
        """A pointer to so many bytes."""
        return cls(("i32",), fixed=size)

    @property
    def is_window(self) -> bool:
        """Whether the host function is given a Window."""
        return bool(self.item or self.fixed)


Kind.U32 = Kind(("i32",))
Kind.U64 = Kind(("i64",))
Kind.WINDOW = Kind(("i32", "i64"), item=1)
Kind.SPAN = Kind.array(1)


RAW = {"i32": "I12x", "i64": "Q8x"}
"""How `struct` reads a wasmtime_val_raw_t, unsigned; of an i32 only four bytes mean anything."""
TYPED = {"i32": "8xI20x", "i64": "8xQ16x"}
"""The same for a wasmtime_val_t, which has its kind in front."""
Arguments = Callable[[Fiber, Any, Any], list[Any]]
"""Makes a host function's arguments of the caller and the values that it passed."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a host function that waited answers: a number, and bytes for some of its windows."""

    value: int
    writes: tuple[tuple[Window, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class HostFunction:
    """One import that the host offers, of `module`; `call` takes the fiber's owner, then the arguments.

    With `waits`, `call` may return an awaitable, and the guest is suspended until that is over. The answer is
    a number; or bytes, which go to the function's last window, and their count to the guest; or a Reply.
    Windows are read before `call` returns, for afterwards the engine owns the store.
    A CapabilityError becomes its `abi_code`; any other exception ends the guest.
    `compiled` names what fast.c does in its place, but for what is unusual.
    """

    name: str
    params: tuple[Kind, ...]
    result: str | None
    call: Callable[..., Any]
    waits: bool = False
    compiled: str = ""
    module: str = "env"

    @property
    def type(self) -> FunctionType:
        """The core type that a guest must import it with."""
        core = tuple(name for kind in self.params for name in kind.core)
        return FunctionType(core, (self.result,) if self.result else ())


class Runnable(Protocol):
    """What guests are made of: a module, or a component."""

    digest: str
    begins: Beginning

    def close(self) -> None:
        """Frees the compiled code once no instance uses it."""


@dataclass(frozen=True, slots=True)
class LinkedModule:
    """A module with its imports resolved, and how to run it; instances of it cost microseconds.

    The recipe is freed with the last plan made of it; instances that are alive keep what they need.
    """

    module: Runnable
    recipe: Any
    plan: Plan
    kept: Any
    """What the engine may call as long as there are guests of it."""
    namespaces: frozenset[str]
    """The module names that it imports from."""


class Linker:
    """Offers host functions to any number of modules.

    Must be kept as long as a guest may call one of them.
    """

    def __init__(self, engine: Engine, scheduler: Scheduler) -> None:
        self._engine = engine
        self._scheduler = scheduler
        self._offered: dict[tuple[str, str], FunctionType] = {}
        self._pointer = lib.wasmtime_linker_new(engine.pointer)
        self._ready = ffi.callback("bool(void *)", self._is_ready, error=True)
        self._answered = ffi.callback("bool(void *)", self._is_answered, error=True)
        self._callbacks: list[Any] = []

    @property
    def ready(self) -> tuple[Any, Any]:
        """Whether a function that waits has ended, for the engine to ask: one that does, one that did not."""
        return self._ready, self._answered

    def define(self, function: HostFunction) -> None:
        """Adds one host function."""
        self._offered[function.module, function.name] = function.type
        if function.waits:
            callback = ffi.callback("wasmtime_func_async_callback_t", self._waiting(function))
            define = lib.wasmtime_linker_define_async_func
        else:
            callback = ffi.callback("wasmtime_func_unchecked_callback_t", self._immediate(function))
            define = lib.wasmtime_linker_define_func_unchecked
        self._callbacks.append(callback)
        called, data = callback, NULL
        if function.compiled and isinstance(self._engine.steps, CompiledSteps):
            called, data = self._engine.steps.function(function.compiled), ffi.cast("void *", callback)
        namespace, name, kind = (
            function.module.encode(),
            function.name.encode(),
            function_type(function.type),
        )
        error = define(self._pointer, namespace, len(namespace), name, len(name), kind, called, data, NULL)
        lib.wasm_functype_delete(kind)
        if error != NULL:
            raise EngineError(message_of(error))

    def close(self) -> None:
        """Frees the linker, once nothing is linked with it any more; it holds on to the engine."""
        lib.wasmtime_linker_delete(self._pointer)
        self._callbacks.clear()

    def missing(self, module: Module) -> tuple[str, ...]:
        """A sentence for each import of the module that is not offered, or offered with another type."""
        return tuple(filter(None, map(self._missing, module.imports)))

    def _missing(self, wanted: Import) -> str | None:
        if wanted.is_memory:
            return None
        offered = self._offered.get((wanted.module, wanted.name))
        if offered is None:
            return f"{wanted} is not offered"
        if wanted.type != offered:
            return f"{wanted} must be imported as {offered}"
        return None

    def link(self, module: Module, terms: Terms) -> LinkedModule:
        """Resolves the imports, to be run on these terms; raises LinkError that names all that misfit."""
        missing = self.missing(module)
        if missing:
            raise LinkError("imports do not fit: " + "; ".join(missing))
        pre = ffi.new("wasmtime_instance_pre_t **")
        error = lib.wasmtime_linker_instantiate_pre(self._pointer, module.pointer, pre)
        if error != NULL:
            raise LinkError(printable(message_of(error)))
        recipe = ffi.gc(pre[0], lib.wasmtime_instance_pre_delete)
        namespaces = frozenset(wanted.module for wanted in module.imports)
        return LinkedModule(module, recipe, Plan(self._engine, recipe, terms), self, namespaces)

    def _immediate(self, function: HostFunction) -> Callable[..., Any]:
        """The C callback of a function that answers at once."""
        scheduler, call, result = self._scheduler, function.call, function.result
        arguments, is_wide = _arguments(function, RAW), result == "i64"
        if function.compiled and not result:  # one that gives something has noted nothing
            arguments = _after_collecting(arguments)

        def callback(_env: Any, caller: Any, values: Any, _count: int) -> Any:
            fiber: Any = scheduler.current
            try:
                own = fiber.own
                own.host_calls = calls = own.host_calls + 1  # Fiber.charge, without a call of our own
                if calls > fiber.budget:
                    fiber.overspend()
                value = call(fiber.owner, *arguments(fiber, caller, values))
            except CapabilityError as refusal:
                value = refusal.abi_code
            except BaseException as failure:
                return fiber.fail(failure)
            if is_wide:
                values.i64 = value
            elif result:
                values.i32 = value
            return NULL

        return callback

    def _waiting(self, function: HostFunction) -> Callable[..., None]:
        """The C callback of a function that suspends the guest until its coroutine has ended."""
        scheduler, call, result = self._scheduler, function.call, function.result
        arguments, ready, answered = _arguments(function, TYPED), self._ready, self._answered

        def callback(
            _env: Any, caller: Any, values: Any, _n: int, results: Any, _m: int, trap: Any, continuation: Any
        ) -> None:
            continuation.callback = ready  # first: the engine panics without one
            fiber: Any = scheduler.current
            try:
                fiber.charge()
                given = arguments(fiber, caller, values)
                answer = call(fiber.owner, *given)
                if isinstance(answer, Awaitable):
                    fiber.waiting = answer
                else:
                    fiber.answer, continuation.callback = answer, answered
                fiber.deliver = _delivery(results, result, given)
            except BaseException as failure:
                trap[0] = fiber.fail(failure)
                fiber.deliver = None

        return callback

    def _is_ready(self, _env: Any) -> bool:
        """The engine's question, at each poll, whether the host function has ended."""
        fiber: Any = self._scheduler.current
        if fiber.waiting is not None:
            return False
        fiber.renew_slice()
        return self._is_answered(_env)

    def _is_answered(self, _env: Any) -> bool:
        """The same for one that need not wait: its guest goes on, in the slice it has."""
        fiber: Any = self._scheduler.current
        deliver, fiber.deliver = fiber.deliver, None
        if deliver is not None:
            deliver(fiber)
        return True


def _after_collecting(arguments: Arguments) -> Arguments:
    """For a function that goes on where compiled ones have stopped."""

    def collected(fiber: Fiber, caller: Any, values: Any) -> list[Any]:
        fiber.collect()
        return arguments(fiber, caller, values)

    return collected


def _delivery(results: Any, result: str | None, given: list[Any]) -> Callable[[Fiber], None]:
    """Hands an answer to the guest, inside the poll that resumes it, as the C interface demands."""

    def deliver(fiber: Fiber) -> None:
        try:
            value = _settle(fiber.answer, given)
            if result:
                results[0].kind = KIND_OF_TYPE[result]
                setattr(results[0].of, result, value)
        except BaseException as failure:
            fiber.failure = failure
            fiber.own.failed = True

    return deliver


def _settle(answer: Any, given: list[Any]) -> Any:
    """Writes what an answer has for the guest's memory, and returns its number."""
    if isinstance(answer, bytes):
        return given[-1].write(answer)
    if isinstance(answer, CapabilityError):
        return answer.abi_code
    if isinstance(answer, Reply):
        for into, data in answer.writes:
            into.write(data)
        return answer.value
    return answer


def _arguments(function: HostFunction, forms: Mapping[str, str]) -> Arguments:
    """How to turn the values that the guest passed into the host function's arguments."""
    if not function.params:
        return lambda _fiber, _caller, _values: []
    form = Struct("=" + "".join(forms[name] for name in function.type.params))
    unpack, size, places = form.unpack, form.size, _places(function.params)
    if function.params == (Kind.WINDOW, Kind.WINDOW):  # a key and a buffer: the most frequent, written out

        def windows(fiber: Fiber, caller: Any, values: Any) -> list[Any]:
            memory = fiber.memory or fiber.find_memory(caller)
            return two_windows(memory, unpack(ffi.buffer(values, size)))

        return windows

    def arguments(fiber: Fiber, caller: Any, values: Any) -> list[Any]:
        numbers = unpack(ffi.buffer(values, size))
        return [
            numbers[at]
            if not is_window
            else window(
                fiber.memory or fiber.find_memory(caller),
                numbers[at],
                numbers[at + 1] * item if item else fixed,
            )
            for at, is_window, item, fixed in places
        ]

    return arguments


def _places(params: tuple[Kind, ...]) -> list[tuple[int, bool, int, int]]:
    """Where each argument begins among the guest's values, whether it is a window, and of which size."""
    places: list[tuple[int, bool, int, int]] = []
    at = 0
    for kind in params:
        places.append((at, kind.is_window, kind.item, kind.fixed))
        at += len(kind.core)
    return places


def function_type(wanted: FunctionType) -> Any:
    vectors = []
    for names in (wanted.params, wanted.results):
        vector = ffi.new("wasm_valtype_vec_t *")
        items = [lib.wasm_valtype_new(KIND_OF_TYPE[name]) for name in names]
        lib.wasm_valtype_vec_new(vector, len(items), ffi.new("wasm_valtype_t *[]", items))
        vectors.append(vector)
    return lib.wasm_functype_new(*vectors)
