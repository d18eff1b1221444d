"""What an interface of WASI 0.2 is to the host: its functions with their types, and its resources.

The files beside this one declare one interface each; host.py offers them all to components.
An interface decides nothing: it turns values into calls of capabilities, and their answers into values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from serverless_wasm.wasm.components.canonical import Answers
from serverless_wasm.wasm.components.types import Borrow, Own, Signature, Type


@dataclass(frozen=True, slots=True)
class Ok:
    """What went well, of a `result`."""

    value: Any = None


@dataclass(frozen=True, slots=True)
class Err:
    """What went wrong, of a `result`."""

    value: Any = None


class Refusal(Exception):
    """Ends a host function whose `result` is an error: the same as returning Err(value)."""

    def __init__(self, value: Any = None) -> None:
        super().__init__(value)
        self.value = value


ANSWERS = Answers(Ok, Err, Refusal)


class Resource:
    """What a handle of a guest stands for.

    `parent` is a resource that must outlive this one: a guest that drops it earlier is ended.
    """

    __slots__ = ("children", "parent")

    name: str
    """Interface without version, and name: `wasi:io/streams/input-stream`."""

    def __init__(self, parent: Resource | None = None) -> None:
        self.parent = parent
        self.children = 0
        """How many handles are alive whose resources have this one as their parent; Handles counts."""

    def drop(self) -> None:
        """Frees what is behind it: the guest has dropped the handle, or is gone. Called once at most."""


@dataclass(frozen=True, slots=True)
class Function:
    """One function of an interface, by its name in the component model: `[method]input-stream.read`.

    `call` takes the World, then a value for each parameter. With `waits` it may return an awaitable,
    and the guest is suspended until that is over.
    """

    name: str
    signature: Signature
    call: Callable[..., Any]
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface; `versions` are those it is offered at.

    `0.2` stands for every 0.2.x that is released, anything else for itself; "" is no version.
    """

    name: str
    functions: tuple[Function, ...]
    resources: tuple[type[Resource], ...] = ()
    versions: tuple[str, ...] = ("0.2",)


def function(
    name: str,
    call: Callable[..., Any],
    *params: tuple[str, Type],
    gives: Type | None = None,
    waits: bool = False,
) -> Function:
    """A function of these parameters, in their order."""
    return Function(name, Signature(params, gives), call, waits)


def method(
    resource: type[Resource],
    name: str,
    call: Callable[..., Any],
    *params: tuple[str, Type],
    gives: Type | None = None,
    waits: bool = False,
) -> Function:
    """A method: its first parameter is the resource, lent for the call."""
    receiver = ("self", Borrow(resource.name))
    label = f"[method]{resource.name.rpartition('/')[2]}.{name}"
    return Function(label, Signature((receiver, *params), gives), call, waits)


def own(resource: type[Resource]) -> Own:
    """A handle of it that is handed over."""
    return Own(resource.name)


def borrow(resource: type[Resource]) -> Borrow:
    """A handle of it that is lent."""
    return Borrow(resource.name)
