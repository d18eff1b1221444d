"""Reloads of a running service: what is taken, what is refused and why, and that no answer is ever mixed."""

from __future__ import annotations

import http.client
import os
import signal
import ssl
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from processes.conftest import Serve
from processes.running import Running, application, kill, says, server, until
from program import PROGRAM, Folder
from server.certificates import Issuer

ALONE = ("--workers", "0")
ONE, TWO = application("hello", "/hello"), application("other", "/other")


def by_signal(service: Running) -> list[str]:
    """Reloads by SIGHUP; what the log says has changed, or why not."""
    record = service.reload()
    return list(record.get("changes", [])) + list(record.get("reasons", []))


def by_command(service: Running) -> list[str]:
    """Reloads by the command; what it prints, which is what the log says."""
    arguments = [*PROGRAM, "reload", "config.toml"]
    done = subprocess.run(
        arguments,
        cwd=service.folder.path,
        env=service.folder.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    record = service.record("reloaded", "reload_refused")
    taken = record["event"] == "reloaded"
    assert (0 if taken else 1) == done.returncode
    head, *lines = (done.stdout if taken else done.stderr).splitlines()
    told = record["changes" if taken else "reasons"]
    assert told == lines
    assert head == (("reloaded" if lines else "reloaded, nothing has changed") if taken else OLD)
    return lines


OLD = "the configuration before is still served"


@pytest.mark.parametrize("arguments", [(), ALONE], ids=["workers", "alone"])
@pytest.mark.parametrize("by", [by_signal, by_command])
def test_reloads(
    folder: Folder, serve: Serve, by: Callable[[Running], list[str]], arguments: tuple[str, ...]
) -> None:
    """What is right is taken, what is wrong is refused with the reason, and then the old is still served."""
    folder.config(ONE + server())
    service = serve(*arguments)
    listen = f"127.0.0.1:{service.port}"

    assert [] == by(service)

    folder.module("hello.wasm", says("world"))
    assert ["hello changed: code"] == by(service)
    assert (200, b"world") == service.get("/hello")

    folder.module("other.wasm", says("other"))
    folder.config(ONE.replace("/hello", "/moved") + TWO + server())
    assert ["other added", "hello changed: url_path"] == by(service)
    assert [404, 200, 200] == [service.get(path)[0] for path in ("/hello", "/moved", "/other")]

    folder.config(ONE + "url_path = 3\n" + server())
    assert ["config.toml"] == [reason.partition(":")[0] for reason in by(service)]

    folder.module("other.wasm", '(module (import "env" "nothing" (func)))')
    folder.config(ONE + TWO + server())
    (reason,) = by(service)
    assert reason.startswith("other: ")

    folder.module("other.wasm", says("other"))
    folder.config(ONE + TWO + server(), listen="127.0.0.1:1")
    assert ["listen_address has changed, which takes a restart"] == by(service)
    folder.config(ONE + TWO + server(more='heartbeat = "9s"'))
    assert ["server.workers or server.heartbeat has changed, which takes a restart"] == by(service)
    assert [404, 200, 200] == [service.get(path)[0] for path in ("/hello", "/moved", "/other")]

    folder.config(ONE + server(more='drain = "2s"'))
    assert ["other removed", "hello changed: url_path", "drain changed"] == by(service)
    assert [200, 404, 404] == [service.get(path)[0] for path in ("/hello", "/moved", "/other")]
    assert listen == service.started["address"]
    service.stop()


@pytest.mark.parametrize("arguments", [(), ALONE], ids=["workers", "alone"])
def test_an_engine_that_cannot_be_is_refused(
    folder: Folder, serve: Serve, arguments: tuple[str, ...]
) -> None:
    """A reload that takes another engine takes it, or says why not; and the next one is heard."""
    folder.config(ONE + server())
    service = serve(*arguments, under=("prlimit", f"--as={600 << 30}"))

    folder.config(ONE + server().replace("slots = 16", "slots = 2_000"))
    refused = service.reload()
    folder.config(ONE + server().replace("slots = 16", "slots = 20"))

    assert "reload_refused" == refused["event"]
    assert "address space" in refused["reasons"][0]
    assert ["slots changed"] == service.reload()["changes"]
    assert (200, b"hello") == service.get("/hello")
    service.stop()


@pytest.mark.parametrize("arguments", [(), ALONE], ids=["workers", "alone"])
def test_watching(folder: Folder, serve: Serve, arguments: tuple[str, ...]) -> None:
    """With --watch a changed file is enough, and a mistake in it changes nothing."""
    folder.config(ONE + server())
    service = serve("--watch", *arguments)

    folder.module("hello.wasm", says("world"))
    assert ["hello changed: code"] == service.record("reloaded")["changes"]
    assert (200, b"world") == service.get("/hello")
    folder.config("[[applications]")
    assert "config.toml" in service.record("reload_refused")["reasons"][0]
    folder.config(ONE.replace("/hello", "/moved") + server())
    assert ["hello changed: url_path"] == service.record("reloaded")["changes"]
    assert [404, 200] == [service.get(path)[0] for path in ("/hello", "/moved")]

    folder.config(ONE + TWO + server())
    assert "other.wasm cannot be read" in service.record("reload_refused")["reasons"][0]
    folder.module("other.wasm", says("other"))
    assert ["other added", "hello changed: url_path"] == service.record("reloaded")["changes"]
    service.stop()


def test_watching_the_certificate(folder: Folder, serve: Serve) -> None:
    """One that is renewed on disk is shown to the next client, and the log says what has changed."""
    issuer = Issuer(folder.path)
    issuer.issue()
    folder.config(ONE + server() + '[server.tls]\ncertificate = "cert.pem"\nkey = "key.pem"\n')
    service = serve("--watch")
    before = ssl.get_server_certificate(("127.0.0.1", service.port))

    issuer.issue()

    assert ["certificate renewed"] == service.record("reloaded")["changes"]
    assert before != ssl.get_server_certificate(("127.0.0.1", service.port))
    service.stop()


def test_a_storm_of_signals(folder: Folder, serve: Serve) -> None:
    """SIGHUP by the hundred, and a first process that stands still for a while: nothing is lost."""
    folder.config(ONE + server(more='heartbeat = "500ms"'))
    service = serve()
    serving = service.serving()

    for _ in range(100):
        service.signal(signal.SIGHUP)
        service.signal(signal.SIGCHLD)
    service.signal(signal.SIGSTOP)
    assert {(200, b"hello")} == {service.get("/hello") for _ in range(100)}
    service.signal(signal.SIGCONT)
    folder.config(ONE.replace("/hello", "/moved") + server(more='heartbeat = "500ms"'))

    while ["hello changed: url_path"] != service.reload()["changes"]:
        pass
    assert (200, b"hello") == service.get("/moved")
    assert serving == service.serving() or service.events("worker_lost")
    assert [] == service.events("reload_refused")
    service.stop()


def test_a_signal_while_it_starts(folder: Folder) -> None:
    """A wish to reload that comes before anything is served is not the end; it is granted afterwards."""
    folder.config(ONE + server())
    cache = folder.path / "cache" / "serverless-wasm"
    cache.mkdir(mode=0o700, parents=True)
    os.mkfifo(cache / "key", 0o600)

    service = Running(folder)
    with (cache / "key").open("wb") as key:  # waits until the service reads it
        service.signal(signal.SIGHUP)
        folder.config(ONE.replace("/hello", "/moved") + server())
        (cache / "new").write_bytes(bytes(32))
        (cache / "new").replace(cache / "key")  # for the processes that read it next
        key.write(bytes(32))

    with service:
        assert ["hello changed: url_path"] == service.record("reloaded")["changes"]
        assert (200, b"hello") == service.get("/moved")
        service.stop()


def test_a_worker_that_dies_in_the_middle(folder: Folder, serve: Serve) -> None:
    """The reload is refused, every worker serves the old one, and the next reload is taken by all."""
    folder.config(ONE + server(more='heartbeat = "1s"'))
    service = serve()
    stuck, _ = service.serving()

    kill(stuck, signal.SIGSTOP)  # it will be asked to prepare, and killed for its silence
    folder.module("hello.wasm", says("world"))
    refused = service.reload()

    assert "reload_refused" == refused["event"]
    assert ["a worker was lost while it loaded the applications: the other process has gone"] == refused[
        "reasons"
    ]
    service.record("worker_replaced")
    assert {(200, b"hello")} == {service.get("/hello") for _ in range(20)}
    assert ["hello changed: code"] == service.reload()["changes"]
    assert {(200, b"world")} == {service.get("/hello") for _ in range(20)}
    service.stop()


class Reader(threading.Thread):
    """A client that asks on one connection which version it is served, and for that version's own route."""

    def __init__(self, port: int, over: threading.Event) -> None:
        super().__init__()
        self.versions: list[int] = []
        self.mistakes: list[Any] = []
        self._port = port
        self._over = over
        self.start()

    def run(self) -> None:
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", self._port)) as client:
                while not self._over.is_set():
                    self._look(client)
        except Exception as error:
            self.mistakes.append(error)

    def _look(self, client: http.client.HTTPConnection) -> None:
        version = self._version(client)
        answer = self._get(client, f"/v{version}")
        after = self._version(client)
        if not version <= after or (version == after and answer != (200, b"%d" % version)):
            self.mistakes.append((version, answer, after))
        if answer not in {(200, b"%d" % version), (404, None)}:
            self.mistakes.append((version, answer, after))

    def _version(self, client: http.client.HTTPConnection) -> int:
        status, body = self._get(client, "/version")
        self.versions.append(int(body or -1))
        return self.versions[-1] if status == 200 else -1

    @staticmethod
    def _get(client: http.client.HTTPConnection, path: str) -> tuple[int, bytes | None]:
        client.request("GET", path)
        response = client.getresponse()
        body = response.read()
        return response.status, body if response.status == 200 else None


@pytest.mark.parametrize("arguments", [(), ALONE], ids=["workers", "alone"])
def test_no_answer_is_mixed(folder: Folder, serve: Serve, arguments: tuple[str, ...]) -> None:
    """While one version follows the other each answer is of one alone, in order, and none fails."""
    write_version(folder, 1)
    service = serve(*arguments)
    over = threading.Event()
    readers = [Reader(service.port, over) for _ in range(4)]

    try:
        for version in range(2, 10):
            write_version(folder, version)
            assert "reloaded" == service.reload()["event"]
            assert b"%d" % version == service.get("/version")[1]  # from now on, for all who come
            (folder.path / "config.toml").write_text("broken")
            assert "reload_refused" == service.reload()["event"]
        until(lambda: all(reader.versions[-1:] == [9] for reader in readers))
    finally:
        over.set()
        for reader in readers:
            reader.join()

    assert [[]] * 4 == [reader.mistakes for reader in readers]
    service.stop()


def write_version(folder: Folder, version: int) -> None:
    """A configuration in which code and route of a version belong together."""
    folder.module(f"version{version}.wasm", says(str(version)))
    same = f'file_path = "version{version}.wasm"'
    common = application("version", "/version").replace('file_path = "version.wasm"', same)
    own = application("own", f"/v{version}").replace('file_path = "own.wasm"', same)
    folder.config(common + own + server())
