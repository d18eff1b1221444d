"""How `serverless-wasm reload FILE` reaches the service that runs with FILE: over a socket of the user's own.

A line of JSON comes in, {"command": "reload"}; a line goes out, {"ok": true, "message": "", "details": []}.
It must never hear anybody but the same user and root, nor take the socket of a service that is alive.

    control = ControlSocket(path, handler)        # handler: async (command: str) -> Answer
    await control.open()                          # raises NoControl, a sentence for a Notice
    await control.close()                         # cancels what is being done for callers
    answer = await ask(path, "reload", timeout)   # raises NoService, a sentence for the operator
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from serverless_wasm.limits import MIB
from serverless_wasm.processes.rendezvous import Place, foreign_folders, own_folders, places, written
from serverless_wasm.text import TEXT_LIMIT, printable

REQUEST_LIMIT = 4 * 1024
"""Bytes of a request."""
REQUEST_TIMEOUT = 5.0
"""Seconds for a request to arrive, and for an answer to be taken."""
ANSWER_LIMIT = 1 * MIB
"""Bytes of an answer's details; how many more there are is said in the last."""
CALLERS = 32
"""Callers at once; one more is turned away."""
_CREDENTIALS = struct.Struct("3i")  # struct ucred (unix(7)): process, user, group


class NoControl(Exception):
    """The service must do without a control socket; the text says why."""


class NoService(Exception):
    """No service has answered; the text says why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a running service says to a command."""

    ok: bool
    message: str
    details: tuple[str, ...] = ()
    """A line each: what has changed, every reason, every worker."""


Handler = Callable[[str], Awaitable[Answer]]
"""Does what a command says; commands come one after another."""


class ControlSocket:
    """Hears commands for the service of one configuration, from `open` to `close`."""

    def __init__(
        self, path_of_configuration: Path, handler: Handler, environ: Mapping[str, str] = os.environ
    ) -> None:
        self._configuration = path_of_configuration
        self._handler = handler
        self._environ = environ
        self._turn = asyncio.Lock()
        self._callers: set[asyncio.Task[None]] = set()
        self._closed = False
        self._held: tuple[asyncio.Server, Place, int] | None = None

    async def open(self) -> None:
        """Takes the place of this configuration; raises NoControl when it is taken, or when there is none."""
        self._closed = False
        reason = "no folder is ours alone; set XDG_RUNTIME_DIR"
        for folder in own_folders(self._environ):
            place = Place.of(folder, self._configuration)
            try:
                self._held = await self._listen(place)
            except BlockingIOError:
                name = printable(written(self._configuration))
                raise NoControl(f"no control socket: another service runs with {name}") from None
            except OSError as error:  # a file system without sockets, a path that is too long
                reason = f"{printable(str(place.socket))}: {error.strerror or error}"
            else:
                return
        raise NoControl(f"no control socket: {reason}")

    async def close(self) -> None:
        """Hears nobody any more; what is being done for a caller is cancelled."""
        self._closed = True
        if self._held is None:
            return
        (server, place, lock), self._held = self._held, None
        try:
            server.close()
            for caller in self._callers:
                caller.cancel()
            await asyncio.gather(*self._callers, return_exceptions=True)
        finally:
            place.leave(lock)

    async def _listen(self, place: Place) -> tuple[asyncio.Server, Place, int]:
        with ExitStack() as on_failure:
            lock = place.take(self._configuration)
            on_failure.callback(place.leave, lock)
            sock = on_failure.enter_context(_bound(place.socket))
            server = await asyncio.start_unix_server(self._meet, sock=sock, limit=REQUEST_LIMIT)
            on_failure.pop_all()
        return server, place, lock

    def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        room = 0 if self._closed else CALLERS  # one that was accepted just before the end is met after it
        if len(self._callers) >= room or _peer(writer) not in {0, os.geteuid(), None}:
            writer.transport.abort()
            return
        caller = asyncio.create_task(self._serve(reader, writer))
        self._callers.add(caller)
        caller.add_done_callback(self._callers.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT):
                command = _read_command(await reader.readline())
            answer = await self._answer(command)
            async with asyncio.timeout(REQUEST_TIMEOUT):
                writer.write(_line(answer))
                writer.close()
                await writer.wait_closed()
        except (OSError, ValueError):  # no command, or the caller has gone
            return
        finally:
            writer.transport.abort()

    async def _answer(self, command: str) -> Answer:
        async with self._turn:
            try:
                return await self._handler(command)
            except Exception as error:
                fault = {"message": f"the command {printable(command)} failed", "exception": error}
                asyncio.get_running_loop().call_exception_handler(fault)
                return Answer(ok=False, message="the service failed; its log says how")


async def ask(
    path_of_configuration: Path, command: str, timeout: float, environ: Mapping[str, str] = os.environ
) -> Answer:
    """What the service that runs with a configuration says to a command.

    Raises NoService when none can be reached, or when it does not answer within `timeout` seconds.
    """
    name = printable(written(path_of_configuration))
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await _connect(path_of_configuration, environ)
            try:
                writer.write(json.dumps({"command": command}).encode() + b"\n")
                line = await reader.readline()
            finally:
                writer.transport.abort()
    except TimeoutError:
        raise NoService(f"the service with {name} has not answered within {timeout:g} s") from None
    except (OSError, ValueError):  # ValueError: a line beyond the limit
        line = b""
    return _read_answer(line, name)


async def _connect(
    configuration: Path, environ: Mapping[str, str]
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    for place in places(configuration, environ):
        try:
            return await asyncio.open_unix_connection(place.socket, limit=2 * ANSWER_LIMIT)
        except OSError:  # nothing there, or what a dead service has left
            continue
    name = written(configuration)
    others = ", ".join(printable(str(folder)) for folder in foreign_folders(environ))
    hint = f"; another user's may, see {others}: ask as that user or as root" if others else ""
    start = f"start it with: serverless-wasm {printable(shlex.quote(name))}"
    raise NoService(f"no service runs with {printable(name)}{hint or f'; {start}'}")


def _bound(path: Path) -> socket.socket:
    """A socket at the path, for us alone; removes what a dead service left there: the place is ours."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        sock.bind(str(path))
        path.chmod(0o600)  # nobody can connect before we listen
    except BaseException:
        sock.close()
        raise
    return sock


def _peer(writer: asyncio.StreamWriter) -> int | None:
    """The user at the other end; None where the system does not tell, and the modes must do."""
    if sys.platform == "linux":
        sock = writer.get_extra_info("socket")
        data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        user: int = _CREDENTIALS.unpack(data)[1]
        return user
    else:  # noqa: RET505 - mypy reads what stands under the other platform's `else` only
        return None


def _read_command(line: bytes) -> str:
    """Raises ValueError for anything but a whole line with a command."""
    try:
        request = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    command = request.get("command") if isinstance(request, dict) and line.endswith(b"\n") else None
    if not isinstance(command, str):
        raise ValueError("no command")  # noqa: TRY004 - as every other mistake in the line
    return command


def _line(answer: Answer) -> bytes:
    """One line, of a size that a caller takes."""
    shown: list[str] = []
    size = 0
    for detail in answer.details:
        text = printable(detail, TEXT_LIMIT)
        size += len(json.dumps(text))
        if size > ANSWER_LIMIT:
            shown.append(f"and {len(answer.details) - len(shown)} more")
            break
        shown.append(text)
    sent = replace(answer, message=printable(answer.message, TEXT_LIMIT), details=tuple(shown))
    return json.dumps(asdict(sent)).encode() + b"\n"


def _read_answer(line: bytes, name: str) -> Answer:
    """Raises NoService for anything but an answer: a service of another version, or none any more."""
    if not line.endswith(b"\n"):
        raise NoService(f"the service with {name} has ended the conversation without an answer; see its log")
    try:
        match json.loads(line):
            case {"ok": bool(ok), "message": str(message), "details": [*details]}:
                texts = tuple(printable(str(detail), TEXT_LIMIT) for detail in details)
                return Answer(ok=ok, message=printable(message, TEXT_LIMIT), details=texts)
    except (ValueError, RecursionError):
        pass
    raise NoService(f"the service with {name} gave an answer that this version does not understand")
