"""O5: a full disk costs log records and compiled modules, never a request, nor a restart afterwards."""

from __future__ import annotations

import json
import re
import shutil
import socket
from pathlib import Path
from typing import Any, Self

import pytest

from conditions import fill, hello_folder, serve, small_disk, start
from program import Folder, Service
from serverless_wasm.wasm.artifacts import Cache


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A configuration with one good application."""
    return hello_folder(tmp_path)


def records(path: Path) -> list[dict[str, Any]]:
    """Every line of a log file, each a whole record."""
    text = path.read_text()
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def port_of(path: Path) -> int:
    """The port of a service that logs to a file, once it listens."""
    while not (match := re.search(r'"address":"127.0.0.1:([0-9]+)"', path.read_text())):
        pass
    return int(match[1])


class Logged(Service):
    """A service whose log is a file."""

    def __init__(self, folder: Folder, log: Path) -> None:
        with log.open("w") as stderr:
            super().__init__(start(folder, "config.toml", stderr=stderr))
        self._log = log

    def __enter__(self) -> Self:
        """Waits until it listens."""
        self.port = port_of(self._log)
        return self


def test_log(folder: Folder) -> None:
    """With a full disk requests are answered; what the log lost is counted in the next record that fits."""
    with (folder.path / "config.toml").open("a") as config:
        config.write("[server]\nworkers = 1\n")
    with small_disk(folder.path / "disk", "256k") as disk:
        log = disk / "log"
        with Logged(folder, log) as service:
            ballast = fill(disk)
            before = len(log.read_bytes())
            for _ in range(200):
                assert service.get("/hello") == (200, b"hello")
            lost = 200 - log.read_bytes().count(b"invocation_finished")
            assert lost > 0
            assert len(log.read_bytes()) - before < 8192
            ballast.unlink()
            for _ in range(20):
                assert service.get("/hello") == (200, b"hello")
            service.process.terminate()
            service.process.wait()
        told = records(log)

    missing = sum(record["lost"] for record in told if record["event"] == "records_lost")
    written = sum(record["event"] == "invocation_finished" for record in told)
    assert written + missing == 220
    assert missing > 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_log_that_never_takes_a_byte(folder: Folder) -> None:
    """A log that was never written hinders nobody: the service starts, serves and ends with 0."""
    reserved = port(folder)
    with Path("/dev/full").open("w") as full:
        process = start(folder, "config.toml", stderr=full)
    service = Service(process)
    service.port = reserved
    try:
        assert until_served(service) == (200, b"hello")
        process.terminate()
        assert process.wait() == 0
    finally:
        process.kill()
        process.communicate()


def port(folder: Folder) -> int:
    """A free port, which the configuration names from now on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        number = int(probe.getsockname()[1])
    text = (folder.path / "config.toml").read_text()
    (folder.path / "config.toml").write_text(text.replace("127.0.0.1:0", f"127.0.0.1:{number}"))
    return number


def until_served(service: Service) -> tuple[int, bytes]:
    """The first answer of a service that is starting."""
    while service.process.poll() is None:
        try:
            return service.get("/hello")
        except ConnectionError:
            pass
    raise AssertionError("the service ended")


def test_cache_that_cannot_be_begun(folder: Folder) -> None:
    """Without room for its key the cache is left alone, in a sentence, and the service serves."""
    with small_disk(folder.path / "disk", "64k") as disk:
        fill(disk)
        with serve(folder, XDG_CACHE_HOME=str(disk)) as service:
            assert service.get("/hello") == (200, b"hello")

    (notice,) = (record["message"] for record in service.before if record["event"] == "notice")
    assert notice.startswith("compiled modules are not kept: ")
    assert notice.endswith(": No space left on device")


def test_cache_without_room_for_a_module(folder: Folder) -> None:
    """A cache that fills up only means that modules are kept in memory."""
    with small_disk(folder.path / "disk", "64k") as disk:
        with serve(folder, XDG_CACHE_HOME=str(disk)) as service:
            assert service.get("/hello") == (200, b"hello")
        for path in (disk / "serverless-wasm").glob("*.cwasm"):
            path.unlink()
        ballast = fill(disk)
        spare = Cache(disk / "serverless-wasm").spare
        try:
            with serve(folder, XDG_CACHE_HOME=str(disk)) as service:
                assert service.get("/hello") == (200, b"hello")
            kept = [path.suffix for path in spare.iterdir()]
        finally:
            shutil.rmtree(spare)
        ballast.unlink()
        with serve(folder, XDG_CACHE_HOME=str(disk)) as service:
            assert service.get("/hello") == (200, b"hello")
        left = [path.name for path in (disk / "serverless-wasm").iterdir()]

    assert ".cwasm" in kept
    assert any(name.endswith(".cwasm") for name in left)
    assert all(name == "key" or name.endswith(".cwasm") for name in left)
