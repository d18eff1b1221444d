"""The control socket, with real callers and real services that die."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from server.doors import Run
from serverless_wasm.processes import control, rendezvous
from serverless_wasm.processes.control import Answer, ControlSocket, Handler, NoControl, NoService, ask
from serverless_wasm.processes.rendezvous import Place
from serverless_wasm.text import TEXT_LIMIT

SERVICE = """
import asyncio, os, sys
from pathlib import Path
from serverless_wasm.processes.control import Answer, ControlSocket
async def main():
    async def handler(command):
        return Answer(ok=True, message=str(os.getpid()))
    await ControlSocket(Path(sys.argv[1]), handler).open()
    print("open", flush=True)
    await asyncio.sleep(1000)
asyncio.run(main())
"""
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="takes root to become somebody else")


@pytest.fixture
def environ() -> Iterator[Mapping[str, str]]:
    """An environment whose folder for sockets is this test's own, and short enough for a socket's path."""
    with TemporaryDirectory() as folder:
        yield {"XDG_RUNTIME_DIR": folder}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration's path; the file is there."""
    path = tmp_path / "config.toml"
    path.touch()
    return path


async def echo(command: str) -> Answer:
    return Answer(ok=True, message=f"did {command}", details=("a", "b"))


@asynccontextmanager
async def serving(config: Path, handler: Handler, environ: Mapping[str, str]) -> AsyncIterator[ControlSocket]:
    """An open control socket; closed whatever happens, for uvloop waits for ever where one is left open."""
    service = ControlSocket(config, handler, environ)
    await service.open()
    try:
        yield service
    finally:
        await service.close()


def test_a_command_is_answered(run: Run, config: Path, environ: Mapping[str, str]) -> None:
    """What the handler says is what the caller gets, refusals too."""

    async def handler(command: str) -> Answer:
        return await echo(command) if command == "reload" else Answer(ok=False, message="no", details=("x",))

    async def main() -> None:
        async with serving(config, handler, environ):
            assert await ask(config, "reload", 10, environ) == await echo("reload")
            assert await ask(config, "other", 10, environ) == Answer(ok=False, message="no", details=("x",))

    run(main())


def test_for_the_user_alone(run: Run, config: Path, environ: Mapping[str, str]) -> None:
    """Folder and socket are closed to others, and nothing is left at the end; it can be opened again."""

    async def main() -> None:
        folder = Path(environ["XDG_RUNTIME_DIR"], "serverless-wasm")
        service = ControlSocket(config, echo, environ)
        for _ in range(2):
            await service.open()
            assert modes(folder) == (0o700, {".lock": 0o600, ".sock": 0o600})
            await service.close()
            assert modes(folder) == (0o700, {})
        await service.close()

    run(main())


def modes(folder: Path) -> tuple[int, dict[str, int]]:
    """The mode of a folder, and of the files in it by their suffix."""
    inside = {path.suffix: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    return stat.S_IMODE(folder.stat().st_mode), inside


def test_no_service(run: Run, config: Path, environ: Mapping[str, str]) -> None:
    """Where no service runs, the sentence says how to start one."""

    async def main() -> None:
        async with serving(config.with_name("another.toml"), echo, environ):
            with pytest.raises(NoService) as caught:
                await ask(config, "reload", 10, environ)
            assert str(caught.value) == (
                f"no service runs with {config}; start it with: serverless-wasm {config}"
            )

    run(main())


def start(config: Path, environ: Mapping[str, str]) -> subprocess.Popen[str]:
    """A service in a process of its own, with its control socket open."""
    service = subprocess.Popen(
        [sys.executable, "-c", SERVICE, str(config)],
        env={**os.environ, "RUNTIME_DIRECTORY": "", **environ},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert service.stdout
    assert service.stdout.readline() == "open\n"
    return service


def test_a_dead_service_leaves_nothing_that_matters(
    run: Run, config: Path, environ: Mapping[str, str]
) -> None:
    """After kill -9 nobody answers, and the next service takes the socket."""

    async def main() -> None:
        with start(config, environ) as service:
            assert (await ask(config, "pid", 10, environ)).message == str(service.pid)
            service.send_signal(signal.SIGKILL)
            service.wait()
        with pytest.raises(NoService, match="no service runs"):
            await ask(config, "pid", 10, environ)
        async with serving(config, echo, environ):
            assert (await ask(config, "x", 10, environ)).message == "did x"

    run(main())


def test_a_live_service_keeps_its_socket(run: Run, config: Path, environ: Mapping[str, str]) -> None:
    """A second service on the same file is told; also while the first one is stopped and answers nobody."""

    async def main() -> None:
        with start(config, environ) as service:
            second = ControlSocket(config, echo, environ)
            service.send_signal(signal.SIGSTOP)
            with pytest.raises(NoControl) as caught:
                await second.open()
            await second.close()
            with pytest.raises(NoService, match=r"has not answered within 0\.05 s"):
                await ask(config, "pid", 0.05, environ)
            service.send_signal(signal.SIGCONT)
            assert (await ask(config, "pid", 10, environ)).message == str(service.pid)
            service.kill()
        assert str(caught.value) == f"no control socket: another service runs with {config}"

    run(main())


def test_other_names_of_the_file(run: Run, config: Path, environ: Mapping[str, str]) -> None:
    """Any name of its file finds a service, also once the link that it was started with leads elsewhere."""

    async def main() -> None:
        folder = config.parent
        for release in ("one", "two"):
            (folder / release).mkdir()
            (folder / release / "config.toml").touch()
        current = folder / "current"
        current.symlink_to("one")
        async with serving(current / "config.toml", echo, environ):
            for release in ("one", "two"):
                current.unlink()
                current.symlink_to(release)
                for name in (current, folder / release, folder / "two" / ".." / "current"):
                    assert (await ask(name / "config.toml", "x", 10, environ)).ok
            with pytest.raises(NoService):
                await ask(folder / "one" / "config.toml", "x", 10, environ)

    run(main())


def test_commands_come_one_after_another(run: Run, config: Path, environ: Mapping[str, str]) -> None:
    """Callers wait for their turn, in the order in which they came."""

    async def main() -> None:
        running: list[str] = []
        order: list[str] = []

        async def handler(command: str) -> Answer:
            running.append(command)
            assert running == [command]
            for _ in range(3):
                await asyncio.sleep(0)
            running.remove(command)
            order.append(command)
            return Answer(ok=True, message=command)

        async with serving(config, handler, environ):
            names = [str(number) for number in range(10)]
            answers = await asyncio.gather(*(ask(config, name, 10, environ) for name in names))
            assert [answer.message for answer in answers] == names
            assert sorted(order) == sorted(names)

    run(main())


def place(config: Path, environ: Mapping[str, str]) -> Place:
    """Where the service of a configuration is."""
    return Place.of(Path(environ["XDG_RUNTIME_DIR"], "serverless-wasm"), config)


async def raw(config: Path, environ: Mapping[str, str], request: bytes) -> bytes:
    """Everything that the service answers to these bytes."""
    reader, writer = await asyncio.open_unix_connection(place(config, environ).socket)
    writer.write(request)
    try:
        return await received(reader)
    finally:
        writer.transport.abort()


async def received(reader: asyncio.StreamReader) -> bytes:
    """All bytes until the end; none when the service is not willing to read what was sent."""
    try:
        return await reader.read()
    except ConnectionError:
        return b""


@pytest.mark.parametrize(
    "request_line",
    [
        b"\n",
        b"reload\n",
        b'"reload"\n',
        b'{"command": 1}\n',
        b'{"command": null}\n',
        b"[" * 4000 + b"\n",
        b"\xff\n",
        b'{"command": "' + b"x" * 100_000 + b'"}\n',
        b"x" * 100_000,
    ],
)
def test_no_command(run: Run, config: Path, environ: Mapping[str, str], request_line: bytes) -> None:
    """What is no command ends the conversation, and the next caller is served."""

    async def main() -> None:
        async with serving(config, echo, environ):
            assert await raw(config, environ, request_line) == b""
            assert (await ask(config, "x", 10, environ)).ok

    run(main())


def test_silent_callers(
    run: Run, config: Path, environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Callers that say nothing are closed after a while; of too many, the last are turned away at once."""

    async def main() -> None:
        async with serving(config, echo, environ):
            monkeypatch.setattr(control, "REQUEST_TIMEOUT", 0.05)
            assert await raw(config, environ, b'{"command"') == b""

            monkeypatch.setattr(control, "REQUEST_TIMEOUT", 1000)
            silent = [asyncio.create_task(raw(config, environ, b"{")) for _ in range(control.CALLERS + 5)]
            done, waiting = await asyncio.wait(silent, return_when=asyncio.FIRST_COMPLETED)
            assert {task.result() for task in done} == {b""}
            assert len(waiting) >= control.CALLERS
        assert {await task for task in silent} == {b""}

    run(main())


LARGE = Answer(ok=True, message="", details=("x" * 8000,) * 100)


def test_a_caller_that_does_not_read(run: Run, config: Path, environ: Mapping[str, str]) -> None:
    """An answer that nobody takes holds nobody up."""

    async def handler(command: str) -> Answer:
        return LARGE

    async def main() -> None:
        async with serving(config, handler, environ):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(place(config, environ).socket))
                sock.sendall(b'{"command": "x"}\n')
                for _ in range(3):
                    assert await ask(config, "x", 10, environ) == LARGE

    run(main())


def test_a_caller_that_never_reads(
    run: Run, config: Path, environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that nobody takes is given up after a while."""

    async def main() -> None:
        begun = asyncio.Event()

        async def handler(command: str) -> Answer:
            monkeypatch.setattr(control, "REQUEST_TIMEOUT", 0.05)
            begun.set()
            return LARGE

        async with serving(config, handler, environ) as service:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(place(config, environ).socket))
                sock.sendall(b'{"command": "x"}\n')
                await begun.wait()
                await asyncio.wait(service._callers)

    run(main())


def test_large_answers(run: Run, config: Path, environ: Mapping[str, str]) -> None:
    """An answer of any size arrives, cut at the end, and on one line for each of its lines."""

    async def main() -> None:
        async def handler(command: str) -> Answer:
            return Answer(ok=False, message="a\nb\x1b[2J", details=("\U0001f600" * 100_000, "\n") * 1000)

        async with serving(config, handler, environ):
            answer = await ask(config, "x", 10, environ)

        assert answer.message == "a\\nb\\x1b[2J"
        assert all(detail.isprintable() for detail in answer.details)
        assert len(answer.details[0]) < TEXT_LIMIT + 30
        assert answer.details[-1] == f"and {2000 - len(answer.details) + 1} more"

    run(main())


def test_a_handler_that_fails(run: Run, config: Path, environ: Mapping[str, str]) -> None:
    """A fault of ours is told to the caller and to the loop, and the next caller is served."""

    async def main() -> None:
        faults: list[Mapping[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))

        async def handler(command: str) -> Answer:
            raise RuntimeError(command)

        async with serving(config, handler, environ):
            for _ in range(2):
                answer = await ask(config, "x", 10, environ)
                assert answer == Answer(ok=False, message="the service failed; its log says how")
            assert [repr(fault["exception"]) for fault in faults] == ["RuntimeError('x')"] * 2

    run(main())


def test_close_ends_what_is_being_done(run: Run, config: Path, environ: Mapping[str, str]) -> None:
    """A command in progress is cancelled when the service closes, and its caller is told."""

    async def main() -> None:
        begun, ended = asyncio.Event(), asyncio.Event()

        async def handler(command: str) -> Answer:
            begun.set()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                ended.set()
            raise AssertionError("nobody ends that future")

        async with serving(config, handler, environ):
            asking = asyncio.create_task(ask(config, "x", 10, environ))
            await begun.wait()
        assert ended.is_set()
        with pytest.raises(NoService, match="without an answer"):
            await asking

    run(main())


@pytest.mark.parametrize(
    "answer",
    [b"", b"{}\n", b"[]\n", b"x\n", b'{"ok": 1, "message": "", "details": []}\n', b"[" * 100_000 + b"\n"],
)
def test_strange_answers(run: Run, config: Path, environ: Mapping[str, str], answer: bytes) -> None:
    """A service of another version is no success, and no traceback."""
    folder = Path(environ["XDG_RUNTIME_DIR"], "serverless-wasm")
    folder.mkdir(mode=0o700)

    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.write(answer)
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_unix_server(serve, Place.of(folder, config).socket)
        with pytest.raises(NoService):
            await ask(config, "x", 10, environ)
        server.close()

    run(main())


@ROOT_ONLY
def test_other_users(config: Path, tmp_path: Path) -> None:
    """A folder that another user owns, or may write in, is not used."""
    runtime = tmp_path / "serverless-wasm"
    runtime.mkdir(mode=0o777)
    runtime.chmod(0o777)
    environ = {"RUNTIME_DIRECTORY": str(runtime)}
    assert runtime not in set(rendezvous.own_folders(environ))
    runtime.chmod(0o755)
    os.chown(runtime, 65534, 65534)
    assert runtime not in set(rendezvous.own_folders(environ))


@ROOT_ONLY
def test_the_peer_counts(run: Run, config: Path) -> None:
    """A caller of another user is turned away even where the modes would let it in."""

    async def main(runtime: Path) -> None:
        environ = {"RUNTIME_DIRECTORY": str(runtime)}
        async with serving(config, echo, environ):
            path = Place.of(runtime, config).socket
            os.chmod(path, 0o666)  # noqa: PTH101, S103 - a service would never
            for user, answer in ((65534, b""), (0, b'{"ok": true')):
                with socket.socket(socket.AF_UNIX) as sock:
                    sock.setblocking(False)
                    os.seteuid(user)
                    try:
                        sock.connect(str(path))
                    finally:
                        os.seteuid(0)
                    reader, writer = await asyncio.open_connection(sock=sock)
                    writer.write(b'{"command": "x"}\n')
                    assert (await received(reader)).startswith(answer)
                    writer.transport.abort()

    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        run(main(Path(folder)))


def test_strange_files_in_the_folder(run: Run, config: Path, environ: Mapping[str, str]) -> None:
    """Whatever lies in the folder, nobody waits for it, and the service is found under another name."""
    link = config.with_name("link.toml")
    link.symlink_to(config)
    folder = Path(environ["XDG_RUNTIME_DIR"], "serverless-wasm")
    folder.mkdir(mode=0o700)
    os.mkfifo(folder / "a.lock")
    (folder / "b.lock").mkdir()
    (folder / "c.lock").symlink_to(config)
    (folder / "d.lock").write_bytes(b"\0\xff")
    (folder / "e.lock").touch()

    async def main() -> None:
        with pytest.raises(NoService, match="no service runs"):
            await ask(link, "x", 10, environ)
        async with serving(config, echo, environ):
            assert (await ask(link, "x", 10, environ)).ok

    run(main())


def test_line_of_an_answer() -> None:
    """The protocol is one line of JSON each way."""
    line = control._line(Answer(ok=True, message="m", details=("d",)))

    assert line.endswith(b"\n")
    assert json.loads(line) == {"ok": True, "message": "m", "details": ["d"]}
