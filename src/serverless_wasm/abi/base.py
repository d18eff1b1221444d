"""What all ABIs share: the invocation that host functions work on, and the shape of an ABI.

A request and an application's grants come in; a response goes out.
It must never hand a guest's pointer to a capability, nor a capability's object to a guest.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol

from serverless_wasm.abi.response import ResponseDraft
from serverless_wasm.abi.wasi.process import Process
from serverless_wasm.errors import (
    CapabilityError,
    DeadlineExceeded,
    GuestExit,
    NotThere,
    Unavailable,
    Unsaved,
)
from serverless_wasm.events import ConnectionRefused, Emit, GuestLogged, StoreRefused
from serverless_wasm.limits import Limits
from serverless_wasm.messages import Request, Response
from serverless_wasm.net.tcp import Outbound, Sockets
from serverless_wasm.storage.files.stores import Files
from serverless_wasm.storage.files.tree_file import Session
from serverless_wasm.storage.files.tree_folder import TreeFolder
from serverless_wasm.storage.folder import Folder
from serverless_wasm.storage.kv.namespace import Namespace
from serverless_wasm.storage.mounts import Mounts, OpenMounts
from serverless_wasm.text import TEXT_LIMIT, printable
from serverless_wasm.wasm.capi import ffi
from serverless_wasm.wasm.code import Code
from serverless_wasm.wasm.fiber import Fiber
from serverless_wasm.wasm.linker import LinkedModule
from serverless_wasm.wasm.scheduler import Scheduler


@dataclass(frozen=True, slots=True, kw_only=True)
class Grants:
    """What one application may use, the same for all its invocations."""

    application: str
    number: int = 0
    """The application's number in the breadcrumb of its worker; 0 says nothing."""
    route: str = "/"
    """The path of the route, as it was written."""
    arguments: tuple[str, ...] | None = None
    """What a command is given behind its name; None means the words of the query."""
    reuse: int = 1
    """How many requests an instance of a component may answer, one after the other."""
    precise_clocks: bool = False
    """Whether the clocks of WASI show nanoseconds (THREATS G38)."""
    limits: Limits
    variables: Mapping[bytes, bytes]
    outbound: Outbound
    mounts: Mounts = field(default_factory=Mounts)
    files: Files = field(default_factory=lambda: Files({}))
    key_value: tuple[Namespace, ...] = ()
    """The first is that of contracts which know only one."""
    emit: Emit


class Invocation:
    """One request through one guest: all that its host functions may touch, and what it used."""

    __slots__ = (
        "_log_bytes", "_log_lines", "_mounts", "_sockets", "_told", "begin", "busy", "deadline", "grants",
        "held", "host_calls", "log_dropped", "memory_peak", "process", "request", "response", "session",
        "since", "started",
    )  # fmt: skip

    def __init__(self, request: Request, grants: Grants) -> None:
        self.request = request
        self.grants = grants
        self.deadline = 0.0
        self.response = ResponseDraft(grants.limits)
        self.begin: Callable[[Response], None] | None = None
        """Takes a response whose body is still being made; None when nobody waits for one."""
        self.process: Process | None = None
        """What the calls of WASI work on, in a module that makes any."""
        self.session: Session | None = None
        """What is not in its store yet, once folders were opened."""
        self.since = perf_counter()
        self.started: Fiber | None = None
        """The guest, if it has begun already (abi/prompt.py)."""
        self.busy = 0.0
        self.memory_peak = 0
        self.held = 0
        self.host_calls = 0
        self.log_dropped = 0
        self._sockets: Sockets | None = None
        self._mounts: OpenMounts | None = None
        self._log_bytes = grants.limits.log_bytes
        self._log_lines = grants.limits.log_lines
        self._told = False

    def log(self, message: bytes) -> None:
        """Emits one line of the guest; what is over the application's quota is dropped and counted.

        What counts is what the log will hold: a byte that has to be escaped is several there.
        """
        if self._log_lines <= 0 or len(message) > self._log_bytes:
            self.log_dropped += 1
            return
        text = printable(message, TEXT_LIMIT)
        size = max(len(message), len(json.dumps(text)) - 2)
        if size > self._log_bytes:
            self.log_dropped += 1
            return
        self._log_lines -= 1
        self._log_bytes -= size
        self.grants.emit(
            GuestLogged(request_id=self.request.id, application=self.grants.application, message=text)
        )

    @property
    def sockets(self) -> Sockets:
        """The invocation's descriptors."""
        if self._sockets is None:
            self._sockets = self.grants.outbound.for_invocation(self._refused)
        return self._sockets

    def open_folders(self) -> Mapping[bytes, Folder | TreeFolder]:
        """The folders that the guest finds, by their names; raises Unavailable when one cannot be opened.

        Asked for once.
        """
        grants = self.grants
        try:
            self._mounts = grants.mounts.open()
        except OSError as error:
            raise Unavailable(printable(f"mounts: {error}")) from None
        session = self.session = Session(grants.limits.file_size, self.tell_refusal)
        trees = {name: TreeFolder(tree, session) for name, tree in grants.files.trees.items()}
        return {**self._mounts.folders, **trees}

    async def keep_files(self) -> None:
        """Puts what the guest has changed into its stores.

        Raises Unsaved when one does not take it, DeadlineExceeded when it takes too long.
        """
        if self.session is None or not self.session.is_dirty:
            return
        try:
            async with asyncio.timeout_at(self.deadline):
                await self.session.finish()
        except CapabilityError as error:
            self.tell_refusal(error)
            raise Unsaved(str(error)) from None
        except TimeoutError:
            raise DeadlineExceeded("waiting for a store to take a file") from None
        except OSError as error:
            raise Unsaved(f"a file was not put into its store: {error.strerror}") from None

    def _refused(self, target: str, reason: str, remedy: str) -> None:
        self.grants.emit(
            ConnectionRefused(
                request_id=self.request.id,
                application=self.grants.application,
                target=target,
                reason=reason,
                remedy=remedy,
            )
        )

    def tell_refusal(self, error: CapabilityError) -> None:
        """Tells the log once what a store refused or failed; that something is not there is no news."""
        if self._told or isinstance(error, NotThere):
            return
        self._told = True
        self.grants.emit(
            StoreRefused(
                request_id=self.request.id,
                application=self.grants.application,
                reason=printable(str(error)),
            )
        )

    def close(self) -> None:
        """Closes what the guest left open, and forgets it: what knows the invocation would outlive it."""
        if self._sockets is not None:
            self._sockets.close_all()
            self._sockets = None
        if self.process is not None:
            self.process.close()
            self.process = None
        if self._mounts is not None:
            self._mounts.close()
            self._mounts = None
        self.session = None

    def collect(self, answer: Any) -> None:
        """Takes over what compiled host functions have noted and checked: an answer_t of guest.h."""
        response = self.response
        if answer.status:
            response.set_status(answer.status, noted(answer, answer.reason))
        for at in range(answer.fields):
            response.add_header(noted(answer, answer.names[at]), noted(answer, answer.values[at]))
        if answer.has_body:
            response.set_body(noted(answer, answer.body))

    def account(self, fiber: Fiber) -> None:
        """Takes over what a fiber used; called before it is closed."""
        self.busy, self.held = fiber.busy, fiber.held
        self.host_calls, self.memory_peak = fiber.own.host_calls, fiber.own.size


def noted(answer: Any, span: Any) -> bytes:
    """The bytes of a span_t in an answer_t."""
    at, size = span.at, span.size
    data: bytes = ffi.buffer(answer.arena)[at : at + size] if size else b""
    return data


class Abi(Protocol):
    """One contract between guest and host, named as in the configuration's `abi`."""

    name: str
    entry: str
    """The function that is called unless the configuration names another one."""
    streams: bool
    """Whether a response may begin while its guest still runs."""
    reuses: bool
    """Whether an instance can answer more than one request."""

    def matches(self, code: Code) -> bool:
        """Whether what it imports and exports is this contract."""

    def link(
        self, code: Code, function: str, limits: Limits, variables: Mapping[bytes, bytes]
    ) -> LinkedModule:
        """Resolves a module for calls of `function`; raises LinkError that names all that does not fit."""

    def missing(self, code: Code) -> tuple[str, ...]:
        """A sentence for each import of the module that this contract does not offer."""

    def is_prompt(self, linked: LinkedModule) -> bool:
        """Whether a guest may begin before there is an invocation: it needs its host functions alone."""

    async def run(self, linked: LinkedModule, invocation: Invocation) -> Response:
        """Runs one invocation to its end; raises the InvocationError or RequestError it ended with."""


async def run_guest(scheduler: Scheduler, linked: LinkedModule, invocation: Invocation) -> None:
    """Runs an invocation's guest in a fresh store, or on; whatever happens, the store is gone afterwards.

    Raises what ended it badly; a guest may end itself at any place, with exit code 0.
    """
    fiber = invocation.started or Fiber(scheduler.engine, linked.plan, invocation)
    invocation.started = None  # or each would know the other
    fiber.deadline, fiber.held = invocation.deadline, invocation.held
    fiber.share, fiber.number = invocation.grants.application, invocation.grants.number
    try:
        await scheduler.run(fiber)
    except GuestExit as ended:
        if ended.exit_code:
            raise
    finally:
        invocation.account(fiber)
        fiber.close()
