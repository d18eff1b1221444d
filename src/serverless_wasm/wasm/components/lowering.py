"""Functions of the host as core modules call them: the canonical ABI's `lower`, and its builtins.

A declared function and its options come in; what the engine can call goes out.
Whatever a host function raises must end in the fiber's failure record, never in the library.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from struct import Struct
from typing import Any, Protocol

from serverless_wasm.errors import LinkError
from serverless_wasm.wasm.capi import KIND_OF_TYPE, NULL, ffi
from serverless_wasm.wasm.components.blueprint import Builtin, Lowered
from serverless_wasm.wasm.components.canonical import Answers, Codecs, TupleCodec
from serverless_wasm.wasm.components.codec import MOST_BYTES, Codec, require_inside
from serverless_wasm.wasm.components.crossing import NOWHERE, Crossing
from serverless_wasm.wasm.components.types import Result, Signature
from serverless_wasm.wasm.fiber import Fiber
from serverless_wasm.wasm.linker import RAW, TYPED
from serverless_wasm.wasm.modules import FunctionType
from serverless_wasm.wasm.scheduler import Scheduler

MAX_FLAT_PARAMS = 16  # CanonicalABI.md, `MAX_FLAT_PARAMS`


class Offered(Protocol):
    """A function of the host: `call` takes the world, then its arguments (abi/wasi_http/interface.py)."""

    @property
    def call(self) -> Callable[..., Any]: ...
    @property
    def waits(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Callback:
    """What the engine is given: `function` is cffi's, and must be kept for as long as it may be called."""

    type: FunctionType
    function: Any
    waits: bool


class Lowering:
    """Makes callbacks; `ready` are what the engine asks whether a waiting function has ended (Linker)."""

    def __init__(self, scheduler: Scheduler, answers: Answers) -> None:
        self._scheduler = scheduler
        self._answers = answers
        self._codecs = Codecs(answers)

    def function(self, lowered: Lowered, offered: Offered, ready: tuple[Any, Any]) -> Callback:
        """The callback of a function of an interface."""
        crossing = _Form(self._codecs, lowered.signature)
        if offered.waits:
            made = self._waiting(lowered, offered, crossing, ready)
            return Callback(crossing.type, ffi.callback("wasmtime_func_async_callback_t", made), waits=True)
        made = self._immediate(lowered, offered, crossing)
        return Callback(crossing.type, ffi.callback("wasmtime_func_unchecked_callback_t", made), waits=False)

    def builtin(self, builtin: Builtin) -> Callback:
        """The callback of what the canonical ABI does with a resource itself."""
        resource, scheduler = builtin.resource, self._scheduler
        work = {"drop": _drop, "new": _new, "rep": _rep}[builtin.kind]
        gives = builtin.kind != "drop"

        def callback(_env: Any, _caller: Any, values: Any, _count: int) -> Any:
            fiber: Any = scheduler.current
            try:
                fiber.charge()
                fiber.crossing.require_outside()
                answer = work(fiber.crossing, values.i32 & 0xFFFFFFFF, resource)
                if gives:
                    values.i32 = _signed(answer, 32)
            except BaseException as failure:
                return fiber.fail(failure)
            return NULL

        kind = FunctionType(("i32",), ("i32",) if gives else ())
        return Callback(kind, ffi.callback("wasmtime_func_unchecked_callback_t", callback), waits=False)

    def _immediate(self, lowered: Lowered, offered: Offered, form: _Form) -> Callable[..., Any]:
        """The C callback of a function that answers at once."""
        scheduler, call, realloc = self._scheduler, offered.call, lowered.options.realloc
        refuses, refusal, error = form.refuses, self._answers.refusal, self._answers.error
        unpack, size = form.numbers(RAW)
        arguments, finish, uses_memory = form.arguments, form.finish, form.uses_memory

        def callback(_env: Any, caller: Any, values: Any, _count: int) -> Any:
            fiber: Any = scheduler.current
            try:
                own = fiber.own
                own.host_calls = calls = own.host_calls + 1
                if calls > fiber.budget:
                    fiber.overspend()
                crossing = fiber.crossing
                if crossing.allocating:
                    crossing.require_outside()
                if uses_memory:
                    crossing.realloc, crossing.left = realloc, MOST_BYTES
                    if crossing.memory is NOWHERE:
                        crossing.find_memory(caller)
                numbers = unpack(ffi.buffer(values, size)) if size else ()
                given = arguments(crossing, numbers)
                try:
                    answer = call(crossing.world, *given)
                except refusal as refused:
                    if not refuses:
                        raise
                    answer = error(refused.value)  # type: ignore[attr-defined] # every refusal has one
                if finish is not None:
                    finish(crossing, numbers, answer, values)
            except BaseException as failure:
                return fiber.fail(failure)
            return NULL

        return callback

    def _waiting(
        self, lowered: Lowered, offered: Offered, form: _Form, ready: tuple[Any, Any]
    ) -> Callable[..., None]:
        """The C callback of a function that suspends the guest until what it returned is over."""
        scheduler, call, realloc = self._scheduler, offered.call, lowered.options.realloc
        settle, answers, (is_ready, is_answered) = self._settle, self._answers, ready
        unpack, size = form.numbers(TYPED)

        def callback(
            _env: Any, caller: Any, values: Any, _n: int, results: Any, _m: int, trap: Any, continuation: Any
        ) -> None:
            continuation.callback = is_ready  # first: the engine panics without one
            fiber: Any = scheduler.current
            try:
                fiber.charge()
                crossing = fiber.crossing
                crossing.require_outside()
                crossing.left = MOST_BYTES
                if form.uses_memory and crossing.memory is NOWHERE:
                    crossing.find_memory(caller)
                numbers = unpack(ffi.buffer(values, size)) if size else ()
                answer = settle(form, call, crossing.world, form.arguments(crossing, numbers))
                if isinstance(answer, Awaitable):
                    fiber.waiting = Settled(answer, answers)
                else:
                    fiber.answer, continuation.callback = answer, is_answered
                fiber.deliver = _delivery(form, realloc, numbers, results)
            except BaseException as failure:
                trap[0] = fiber.fail(failure)
                fiber.deliver = None

        return callback

    def _settle(self, form: _Form, call: Callable[..., Any], world: Any, given: Any) -> Any:
        """What a function answers at once; a refusal is an answer if it may refuse."""
        try:
            return call(world, *given)
        except self._answers.refusal as refused:
            if not form.refuses:
                raise
            return self._answers.error(refused.value)  # type: ignore[attr-defined] # every refusal has one


class Settled:
    """An operation under way, of which a refusal is an answer."""

    __slots__ = ("_answers", "_operation")

    def __init__(self, operation: Any, answers: Answers) -> None:
        self._operation = operation
        self._answers = answers

    def __await__(self) -> Generator[Any, Any, Any]:
        try:
            return (yield from self._operation.__await__())
        except self._answers.refusal as refused:
            return self._answers.error(refused.value)  # type: ignore[attr-defined] # every refusal has one

    def close(self) -> None:
        """Ends it, before or after it has begun."""
        close = getattr(self._operation, "close", None)
        if close is not None:
            close()


class _Form:
    """How the parameters and the result of one function lie among core values and in memory."""

    def __init__(self, codecs: Codecs, signature: Signature) -> None:
        self._params = params = codecs.tuple_of(signature.types)
        self._result = result = None if signature.result is None else codecs.of(signature.result)
        in_memory = len(params.flat) > MAX_FLAT_PARAMS
        core = ("i32",) if in_memory else params.flat
        flat = result.flat if result else ()
        is_direct = len(flat) <= 1
        if not is_direct:
            core = (*core, "i32")
        self.type = FunctionType(core, flat if is_direct else ())
        if "f" in "".join((*core, *flat)):
            raise LinkError("functions with floating-point numbers are not offered")
        self.refuses = isinstance(signature.result, Result)
        """Whether a refusal is an answer of it."""
        self.uses_memory = in_memory or params.points or not is_direct
        self.arguments = self._from_memory if in_memory else _lifting(params)
        """The arguments in their order, of the crossing and the core values."""
        self.finish = None if result is None else _giving(result) if is_direct else _putting(result)
        """Hands an answer over, as a core value or where the guest's last one points to; None without one."""

    def numbers(self, forms: Any) -> tuple[Callable[[Any], tuple[int, ...]], int]:
        """How to read the core values, and how many bytes they have."""
        form = Struct("=" + "".join(forms[name] for name in self.type.params))
        return form.unpack, form.size

    def _from_memory(self, crossing: Crossing, numbers: tuple[int, ...]) -> Any:
        start = numbers[0]
        require_inside(crossing, start, self._params)
        data = crossing.memory.data[start : start + self._params.size]
        return self._params.load(crossing, data, 0)

    def deliver(self, crossing: Crossing, numbers: tuple[int, ...], answer: Any, results: Any) -> None:
        """Hands over what a function that waited has answered."""
        if self.finish is None:
            return
        if self.type.results:
            results[0].kind = KIND_OF_TYPE[self.type.results[0]]
            results = results[0].of
        self.finish(crossing, numbers, answer, results)


def _lifting(params: TupleCodec) -> Callable[[Crossing, tuple[int, ...]], Any]:
    """Written out for as many as most functions have: a loop costs more than what it does."""
    lifts = params.lifts
    match lifts:
        case []:
            return lambda _crossing, _numbers: ()
        case [(first, _)]:
            return lambda crossing, numbers: (first(crossing, numbers, 0),)
        case [(first, _), (second, at)]:
            return lambda crossing, numbers: (first(crossing, numbers, 0), second(crossing, numbers, at))
        case _:
            return lambda crossing, numbers: [lift(crossing, numbers, at) for lift, at in lifts]


def _giving(codec: Codec) -> Callable[[Crossing, tuple[int, ...], Any, Any], None]:
    lower, is_wide = codec.lower, codec.flat == ("i64",)
    span = 1 << (64 if is_wide else 32)
    most = span // 2 - 1

    def give(crossing: Crossing, _numbers: tuple[int, ...], answer: Any, values: Any) -> None:
        number = lower(crossing, answer)
        if number > most:  # the same bits as the C interface has them
            number -= span
        if is_wide:
            values.i64 = number
        else:
            values.i32 = number

    return give if codec.flat else lambda *_nothing: None


def _putting(codec: Codec) -> Callable[[Crossing, tuple[int, ...], Any, Any], None]:
    store, size, align = codec.store, codec.size, codec.align

    def put(crossing: Crossing, numbers: tuple[int, ...], answer: Any, _values: Any) -> None:
        start, memory = numbers[-1], crossing.memory
        if start % align or start + size > memory.size:
            require_inside(crossing, start, codec)
        memory.data[start : start + size] = store(crossing, answer)

    return put


def _delivery(form: _Form, realloc: Any, numbers: tuple[int, ...], results: Any) -> Callable[[Fiber], None]:
    """Hands an answer to the guest, inside the poll that resumes it, as the C interface demands."""

    def deliver(fiber: Any) -> None:
        try:
            crossing = fiber.crossing
            crossing.realloc = realloc
            form.deliver(crossing, numbers, fiber.answer, results)
        except BaseException as failure:
            fiber.failure = fiber.failure or failure  # the guest's allocator may have failed before
            fiber.own.failed = True

    return deliver


def _signed(number: Any, bits: int) -> int:
    """The same bits as the C interface has them."""
    half = 1 << (bits - 1)
    signed: int = ((number & ((1 << bits) - 1)) ^ half) - half
    return signed


class _Defined:
    """A resource that the component defines itself: all there is to it is a number of its own."""

    parent = None
    children = 0

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.number = number

    def drop(self) -> None:
        """Its destructor is not called: the guest, and all it has, is gone with the request."""


def _drop(crossing: Crossing, number: int, resource: str) -> int:
    crossing.handles.take(number, resource).drop()
    return 0


def _new(crossing: Crossing, number: int, resource: str) -> int:
    return crossing.handles.add(_Defined(resource, number))


def _rep(crossing: Crossing, number: int, resource: str) -> int:
    found: _Defined = crossing.handles.get(number, resource)
    return found.number
