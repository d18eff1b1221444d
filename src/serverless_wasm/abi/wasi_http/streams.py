"""wasi:io/streams: bytes that a guest reads from a Source, and writes to a Target (abi/wasi/descriptors.py).

Sizes and bytes come in; what is there, or room for more, goes out; what fails is told once, and closes it.
A guest must never write more than it was permitted, nor copy more than a chunk in one call.
"""

from __future__ import annotations

from collections.abc import Awaitable

from serverless_wasm.abi.wasi.descriptors import Source, Target
from serverless_wasm.abi.wasi_http.interface import Err, Interface, Ok, Refusal, Resource, borrow, method, own
from serverless_wasm.abi.wasi_http.io_error import IoError
from serverless_wasm.abi.wasi_http.poll import Pollable
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.errors import GuestTrap, forget_frames
from serverless_wasm.limits import KIB
from serverless_wasm.text import printable
from serverless_wasm.wasm.components.types import BYTES, U64, Result, Variant

STREAM_ERROR = Variant((("last-operation-failed", own(IoError)), ("closed", None)))
CHUNK = 64 * KIB
"""Bytes that one call reads or writes at most."""
MOST_AND_FLUSH = 4096
"""Bytes of `blocking-write-and-flush`, as the interface says."""
_CLOSED = ("closed", None)


class InputStream(Resource):
    """Bytes to be read."""

    __slots__ = ("_failure", "_over", "source")
    name = "wasi:io/streams/input-stream"

    def __init__(self, source: Source, parent: Resource | None = None) -> None:
        super().__init__(parent)
        self.source = source
        self._over = False
        self._failure: OSError | None = None

    @property
    def is_ready(self) -> bool:
        """Whether a read has something to say."""
        if self._over or self._failure is not None:
            return True
        try:
            return self.source.ready is not None
        except OSError:
            return True  # the read will tell

    def take(self, most: int) -> bytes | None:
        """Up to so many bytes; None when one has to wait; raises Refusal at the end, or for a failure."""
        if self._over:
            raise Refusal(_CLOSED)
        if self._failure is not None:
            raise self._fail(self._failure)
        try:
            data = self.source.take(min(most, CHUNK)) if most else b""
        except OSError as error:
            raise self._fail(error) from None
        if data == b"" and most:
            self._over = True
            raise Refusal(_CLOSED)
        return data

    async def arrive(self) -> None:
        """Waits until a read has something to say, if only that it failed."""
        try:
            await self.source.arrive()
        except OSError as error:
            self._failure = error

    def _fail(self, error: OSError) -> Refusal:
        self._over = True
        return failed(error)


class OutputStream(Resource):
    """Room to be written to."""

    __slots__ = ("_failure", "_over", "_permitted", "target")
    name = "wasi:io/streams/output-stream"

    def __init__(self, target: Target, parent: Resource | None = None) -> None:
        super().__init__(parent)
        self.target = target
        self._over = False
        self._failure: OSError | None = None
        self._permitted = 0

    @property
    def is_ready(self) -> bool:
        """Whether there is room, or a failure to be told."""
        if self._over or self._failure is not None:
            return True
        try:
            return self.target.left > 0
        except OSError:
            return True

    def permit(self) -> int:
        """Bytes that may be written now; raises Refusal when none ever may."""
        self._require_open()
        try:
            self._permitted = min(self.target.left, CHUNK)
        except OSError as error:
            raise self._fail(error) from None
        return self._permitted

    def spend(self, size: int) -> None:
        """Uses up a permit; raises GuestTrap for more than was permitted."""
        if size > self._permitted:
            raise GuestTrap(
                f"output-stream: {size} bytes written, {self._permitted} permitted by check-write"
            )
        self._permitted -= size

    def put(self, data: bytes) -> int:
        """Takes what there is room for; raises Refusal when it is closed."""
        self._require_open()
        try:
            return self.target.put(data)
        except OSError as error:
            raise self._fail(error) from None

    def flush(self) -> None:
        """Hands on what was written."""
        self._require_open()
        try:
            self.target.flush()
        except OSError as error:
            raise self._fail(error) from None

    async def room(self) -> None:
        """Waits until there is room, or a failure to be told by what is done next."""
        try:
            await self.target.room()
        except OSError as error:
            self._failure = error

    def _require_open(self) -> None:
        if self._over:
            raise Refusal(_CLOSED)
        if self._failure is not None:
            raise self._fail(self._failure)

    def _fail(self, error: OSError) -> Refusal:
        self._over = True
        return failed(error)


def failed(error: OSError) -> Refusal:
    """What a stream says of a failure of what is behind it."""
    if isinstance(error, BrokenPipeError):
        return Refusal(_CLOSED)
    forget_frames(error)
    return Refusal(("last-operation-failed", IoError(printable(error.strerror or "failed"), error)))


def _read(world: World, stream: InputStream, size: int) -> Ok:
    return Ok(stream.take(size) or b"")


def _blocking_read(world: World, stream: InputStream, size: int) -> Ok | Awaitable[Ok]:
    data = stream.take(size)
    if data is not None:
        return Ok(data)
    world.flush()
    return _read_later(stream, size)


async def _read_later(stream: InputStream, size: int) -> Ok:
    while (data := stream.take(size)) is None:
        await stream.arrive()
    return Ok(data)


def _skip(world: World, stream: InputStream, size: int) -> Ok:
    return Ok(len(stream.take(size) or b""))


def _blocking_skip(world: World, stream: InputStream, size: int) -> Ok | Awaitable[Ok]:
    data = stream.take(size)
    if data is not None:
        return Ok(len(data))
    world.flush()
    return _skip_later(stream, size)


async def _skip_later(stream: InputStream, size: int) -> Ok:
    return Ok(len((await _read_later(stream, size)).value))


def _subscribe_input(world: World, stream: InputStream) -> Pollable:
    return Pollable(lambda: stream.is_ready, stream.arrive, stream)


def _subscribe_output(world: World, stream: OutputStream) -> Pollable:
    return Pollable(lambda: stream.is_ready, stream.room, stream)


def _check_write(world: World, stream: OutputStream) -> Ok:
    return Ok(stream.permit())


def _write(world: World, stream: OutputStream, data: bytes) -> Ok:
    stream.spend(len(data))
    stream.put(data)
    return Ok()


def _write_zeroes(world: World, stream: OutputStream, size: int) -> Ok:
    stream.spend(size)
    stream.put(bytes(size))
    return Ok()


def _flush(world: World, stream: OutputStream) -> Ok:
    stream.flush()
    return Ok()


def _blocking_flush(world: World, stream: OutputStream) -> Ok | Awaitable[Ok]:
    stream.flush()
    if stream.is_ready:
        return Ok()
    world.flush()
    return _flush_later(stream)


async def _flush_later(stream: OutputStream) -> Ok:
    await stream.room()
    stream.flush()
    return Ok()


def _write_and_flush(world: World, stream: OutputStream, data: bytes) -> Ok | Awaitable[Ok]:
    if len(data) > MOST_AND_FLUSH:
        raise GuestTrap(f"blocking-write-and-flush: {len(data)} bytes, at most {MOST_AND_FLUSH}")
    written = stream.put(data)
    if written == len(data):
        stream.flush()
        return Ok()
    world.flush()
    return _write_later(stream, data[written:])


def _write_zeroes_and_flush(world: World, stream: OutputStream, size: int) -> Ok | Awaitable[Ok]:
    if size > MOST_AND_FLUSH:
        raise GuestTrap(f"blocking-write-zeroes-and-flush: {size} bytes, at most {MOST_AND_FLUSH}")
    return _write_and_flush(world, stream, bytes(size))


async def _write_later(stream: OutputStream, data: bytes) -> Ok:
    while data:
        await stream.room()
        data = data[stream.put(data) :]
    stream.flush()
    return Ok()


def _splice(world: World, stream: OutputStream, source: InputStream, size: int) -> Ok:
    data = source.take(min(size, stream.permit()))
    stream.spend(len(data or b""))
    if data:
        stream.put(data)
    return Ok(len(data or b""))


def _blocking_splice(
    world: World, stream: OutputStream, source: InputStream, size: int
) -> Ok | Err | Awaitable[Ok]:
    if stream.is_ready and source.is_ready:
        return _splice(world, stream, source, size)
    world.flush()
    return _splice_later(world, stream, source, size)


async def _splice_later(world: World, stream: OutputStream, source: InputStream, size: int) -> Ok:
    while not stream.is_ready:
        await stream.room()
    while not source.is_ready:
        await source.arrive()
    return _splice(world, stream, source, size)


_DATA, _COUNT, _NOTHING = Result(BYTES, STREAM_ERROR), Result(U64, STREAM_ERROR), Result(None, STREAM_ERROR)
_SIZE, _CONTENTS, _FROM = ("len", U64), ("contents", BYTES), ("src", borrow(InputStream))
STREAMS = Interface(
    "wasi:io/streams",
    (
        method(InputStream, "read", _read, _SIZE, gives=_DATA),
        method(InputStream, "blocking-read", _blocking_read, _SIZE, gives=_DATA, waits=True),
        method(InputStream, "skip", _skip, _SIZE, gives=_COUNT),
        method(InputStream, "blocking-skip", _blocking_skip, _SIZE, gives=_COUNT, waits=True),
        method(InputStream, "subscribe", _subscribe_input, gives=own(Pollable)),
        method(OutputStream, "check-write", _check_write, gives=_COUNT),
        method(OutputStream, "write", _write, _CONTENTS, gives=_NOTHING),
        method(
            OutputStream, "blocking-write-and-flush", _write_and_flush, _CONTENTS, gives=_NOTHING, waits=True
        ),
        method(OutputStream, "flush", _flush, gives=_NOTHING),
        method(OutputStream, "blocking-flush", _blocking_flush, gives=_NOTHING, waits=True),
        method(OutputStream, "subscribe", _subscribe_output, gives=own(Pollable)),
        method(OutputStream, "write-zeroes", _write_zeroes, _SIZE, gives=_NOTHING),
        method(
            OutputStream, "blocking-write-zeroes-and-flush", _write_zeroes_and_flush, _SIZE, gives=_NOTHING,
            waits=True,
        ),
        method(OutputStream, "splice", _splice, _FROM, _SIZE, gives=_COUNT),
        method(OutputStream, "blocking-splice", _blocking_splice, _FROM, _SIZE, gives=_COUNT, waits=True),
    ),
    (InputStream, OutputStream),
)  # fmt: skip
