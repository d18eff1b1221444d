"""Every function of `wasi_snapshot_preview1`, with its types, as the linker offers them.

A guest's numbers and windows come in; an errno goes back, and what the call found is written.
It decides nothing: a window outside the memory ends the guest before a call of these begins.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable
from typing import NoReturn, Protocol

from serverless_wasm.abi.wasi import files, paths
from serverless_wasm.abi.wasi.events import poll_oneoff
from serverless_wasm.abi.wasi.layout import (
    FDSTAT,
    FILESTAT,
    IOVEC,
    LAST_SIGNAL,
    NUMBERS,
    PRESTAT,
    SIZE,
    TIMESTAMP,
    number_of,
)
from serverless_wasm.abi.wasi.process import Process
from serverless_wasm.abi.wasi.trees import CALLS, WAITING, AtStore
from serverless_wasm.abi.wasi.waiting import Later, fd_read, fd_sync, fd_write
from serverless_wasm.errors import CapabilityError, GuestExit, HostLimit, NotPermitted, NotThere, TooLarge
from serverless_wasm.storage.beneath import refusal
from serverless_wasm.wasm.linker import HostFunction, Kind, Reply
from serverless_wasm.wasm.memory import Window, window

NAMESPACE = "wasi_snapshot_preview1"
_RANDOM_LIMIT = 1024 * 1024  # what one random_get gives
_OF_STORES = (
    (NotThere, NUMBERS["noent"]),
    (NotPermitted, NUMBERS["acces"]),
    (TooLarge, NUMBERS["dquot"]),
    (CapabilityError, NUMBERS["io"]),
)


class _Run(Protocol):
    """The owner of a guest that these functions are linked for."""

    @property
    def process(self) -> Process: ...

    def tell_refusal(self, error: CapabilityError) -> None: ...


def args_get(process: Process, pointers: Window, text: Window) -> None:
    _give(process.arguments, pointers, text)


def args_sizes_get(process: Process, count: Window, size: Window) -> None:
    _measure(process.arguments, count, size)


def environ_get(process: Process, pointers: Window, text: Window) -> None:
    _give(process.environment, pointers, text)


def environ_sizes_get(process: Process, count: Window, size: Window) -> None:
    _measure(process.environment, count, size)


def _measure(values: tuple[bytes, ...], count: Window, size: Window) -> None:
    count.write(SIZE.pack(len(values)))
    size.write(SIZE.pack(sum(len(value) + 1 for value in values)))


def _give(values: tuple[bytes, ...], pointers: Window, text: Window) -> None:
    """The guest says where, and knows by then how much that is."""
    places, at = bytearray(), text.start
    for value in values:
        places += SIZE.pack(at % 2**32)
        at += len(value) + 1
    into = window(pointers.memory, pointers.start, len(places))
    window(text.memory, text.start, at - text.start).write(b"".join(value + b"\0" for value in values))
    into.write(bytes(places))


def clock_res_get(process: Process, clock: int, resolution: Window) -> None:
    resolution.write(TIMESTAMP.pack(process.clocks.resolution(clock)))


def clock_time_get(process: Process, clock: int, _precision: int, time: Window) -> None:
    time.write(TIMESTAMP.pack(process.clocks.now(clock)))


def proc_exit(_process: Process, code: int) -> NoReturn:
    raise GuestExit(code)


def proc_raise(_process: Process, signal: int) -> NoReturn:
    """There are no signals; what a C library raises it handles itself."""
    raise refusal(errno.EINVAL if signal > LAST_SIGNAL else errno.ENOTSUP)


def sched_yield(_process: Process) -> None:
    """There is nobody else in the guest to give way to."""


def random_get(_process: Process, buffer: Window) -> None:
    if buffer.size > _RANDOM_LIMIT:
        raise HostLimit(f"random_get: {buffer.size} bytes, limit {_RANDOM_LIMIT}")
    buffer.write(os.urandom(buffer.size))


def no_socket(process: Process, fd: int, *_rest: object) -> NoReturn:
    """None of the descriptors is a socket."""
    _ = process.descriptors[fd]
    raise refusal(errno.ENOTSOCK)


def _function(
    name: str, call: Callable[..., Later | None], *params: Kind, waits: bool = False
) -> HostFunction:
    """A call that may refuse with OSError, or have to wait, as a host function that answers with an errno.

    Whatever it is that a store does with its files, it waits for the store.
    """
    call, waits = CALLS[name](call) if name in CALLS else call, waits or name in WAITING

    def answer(owner: _Run, *arguments: object) -> int | Awaitable[int | Reply]:
        process = owner.process
        try:
            later = call(process, *arguments)
            if later is None:
                return 0
            if not isinstance(later, AtStore):  # a failure of the store's may still be one of the response's
                process.flush()
        except OSError as error:
            return number_of(error)
        return _answer(owner, later)

    return HostFunction(name, params, "i32", answer, waits=waits, module=NAMESPACE)


async def _answer(owner: _Run, later: Later) -> int | Reply:
    try:
        return Reply(0, await later())
    except OSError as error:
        return number_of(error)
    except CapabilityError as error:
        owner.tell_refusal(error)
        return next(number for kind, number in _OF_STORES if isinstance(error, kind))


_U32, _U64, _SPAN, _BUFFERS = Kind.U32, Kind.U64, Kind.SPAN, Kind.array(IOVEC.size)
_POINTER = Kind.place(1)  # to as much as the host has to say
_SIZE, _TIME = Kind.place(SIZE.size), Kind.place(TIMESTAMP.size)
_FDSTAT, _FILESTAT, _PRESTAT = Kind.place(FDSTAT.size), Kind.place(FILESTAT.size), Kind.place(PRESTAT.size)
_FLAGS = Kind.place(2)
_EXIT = HostFunction(
    "proc_exit", (_U32,), None, lambda owner, code: proc_exit(owner.process, code), module=NAMESPACE
)
FUNCTIONS = (
    _function("args_get", args_get, _POINTER, _POINTER),
    _function("args_sizes_get", args_sizes_get, _SIZE, _SIZE),
    _function("environ_get", environ_get, _POINTER, _POINTER),
    _function("environ_sizes_get", environ_sizes_get, _SIZE, _SIZE),
    _function("clock_res_get", clock_res_get, _U32, _TIME),
    _function("clock_time_get", clock_time_get, _U32, _U64, _TIME),
    _function("fd_advise", files.fd_advise, _U32, _U64, _U64, _U32),
    _function("fd_allocate", files.fd_allocate, _U32, _U64, _U64),
    _function("fd_close", files.fd_close, _U32),
    _function("fd_datasync", fd_sync, _U32, waits=True),
    _function("fd_fdstat_get", files.fd_fdstat_get, _U32, _FDSTAT),
    _function("fd_fdstat_set_flags", files.fd_fdstat_set_flags, _U32, _U32),
    _function("fd_fdstat_set_rights", files.fd_fdstat_set_rights, _U32, _U64, _U64),
    _function("fd_filestat_get", files.fd_filestat_get, _U32, _FILESTAT),
    _function("fd_filestat_set_size", files.fd_filestat_set_size, _U32, _U64),
    _function("fd_filestat_set_times", files.fd_filestat_set_times, _U32, _U64, _U64, _U32),
    _function("fd_pread", files.fd_pread, _U32, _BUFFERS, _U64, _SIZE),
    _function("fd_prestat_get", files.fd_prestat_get, _U32, _PRESTAT),
    _function("fd_prestat_dir_name", files.fd_prestat_dir_name, _U32, _SPAN),
    _function("fd_pwrite", files.fd_pwrite, _U32, _BUFFERS, _U64, _SIZE),
    _function("fd_read", fd_read, _U32, _BUFFERS, _SIZE, waits=True),
    _function("fd_readdir", files.fd_readdir, _U32, _SPAN, _U64, _SIZE),
    _function("fd_renumber", files.fd_renumber, _U32, _U32),
    _function("fd_seek", files.fd_seek, _U32, _U64, _U32, _TIME),
    _function("fd_sync", fd_sync, _U32, waits=True),
    _function("fd_tell", files.fd_tell, _U32, _TIME),
    _function("fd_write", fd_write, _U32, _BUFFERS, _SIZE, waits=True),
    _function("path_create_directory", paths.path_create_directory, _U32, _SPAN),
    _function("path_filestat_get", paths.path_filestat_get, _U32, _U32, _SPAN, _FILESTAT),
    _function("path_filestat_set_times", paths.path_filestat_set_times, _U32, _U32, _SPAN, _U64, _U64, _U32),
    _function("path_link", paths.path_link, _U32, _U32, _SPAN, _U32, _SPAN),
    _function("path_open", paths.path_open, _U32, _U32, _SPAN, _U32, _U64, _U64, _U32, _SIZE),
    _function("path_readlink", paths.path_readlink, _U32, _SPAN, _SPAN, _SIZE),
    _function("path_remove_directory", paths.path_remove_directory, _U32, _SPAN),
    _function("path_rename", paths.path_rename, _U32, _SPAN, _U32, _SPAN),
    _function("path_symlink", paths.path_symlink, _SPAN, _U32, _SPAN),
    _function("path_unlink_file", paths.path_unlink_file, _U32, _SPAN),
    _function("poll_oneoff", poll_oneoff, _U32, _U32, _U32, _SIZE, waits=True),
    _EXIT,
    _function("proc_raise", proc_raise, _U32),
    _function("random_get", random_get, _SPAN),
    _function("sched_yield", sched_yield),
    _function("sock_accept", no_socket, _U32, _U32, _SIZE),
    _function("sock_recv", no_socket, _U32, _BUFFERS, _U32, _SIZE, _FLAGS),
    _function("sock_send", no_socket, _U32, _BUFFERS, _U32, _SIZE),
    _function("sock_shutdown", no_socket, _U32, _U32),
)
