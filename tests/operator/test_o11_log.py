"""O11: a log that is rotated, closed, or not read costs records at most, and those are counted."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from conditions import hello_folder, start
from processes.running import until
from program import PROGRAM, Folder, Service


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A configuration with one good application."""
    return hello_folder(tmp_path)


def lines(text: str) -> list[dict[str, Any]]:
    """Every line as a record, which must be whole."""
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def finished(records: list[dict[str, Any]]) -> int:
    """How many invocations are told or counted as lost."""
    told = [record["event"] for record in records].count("invocation_finished")
    return told + sum(int(record["lost"]) for record in records if record["event"] == "records_lost")


@pytest.fixture
def logged(folder: Folder) -> Iterator[Service]:
    """A service whose log the shell has sent to the file `log`, without appending."""
    log = folder.path / "log"
    with log.open("w") as stderr:
        service = Service(start(folder, "config.toml", stderr=stderr))
    try:
        while not (match := re.search(r'"address":"127.0.0.1:([0-9]+)"', log.read_text())):
            assert service.process.poll() is None
        service.port = int(match[1])
        yield service
    finally:
        service.process.kill()
        service.process.communicate()


def ask(service: Service, times: int) -> None:
    """So many requests that are answered."""
    for _ in range(times):
        assert service.get("/hello") == (200, b"hello")


def ends(service: Service) -> None:
    """The service ends as it should."""
    service.process.terminate()
    assert service.process.wait() == 0


def test_copy_and_truncate(folder: Folder, logged: Service) -> None:
    """Logrotate's copytruncate leaves whole records in both files, and no hole."""
    log = folder.path / "log"
    copies = []
    for number in range(3):
        ask(logged, 20)
        until(lambda: finished(lines(log.read_text())) == 20)  # a record is written a turn after the answer
        copies.append(Path(shutil.copy(log, folder.path / f"log.{number}")))
        os.truncate(log, 0)
    ask(logged, 20)
    ends(logged)

    records = [lines(path.read_text()) for path in (*copies, log)]
    assert [20, 20, 20, 20] == [finished(part) for part in records]
    assert records[-1][-1]["event"] == "service_stopped"


def test_rename(folder: Folder, logged: Service) -> None:
    """A log that is only renamed is written on under its new name: nothing is lost."""
    log = folder.path / "log"
    ask(logged, 20)
    log.rename(folder.path / "log.1")
    log.touch()
    ask(logged, 20)
    ends(logged)

    assert finished(lines((folder.path / "log.1").read_text())) == 40
    assert log.read_text() == ""


def test_delete(folder: Folder, logged: Service) -> None:
    """A log that is deleted hinders nobody."""
    (folder.path / "log").unlink()
    ask(logged, 20)
    ends(logged)


@pytest.mark.parametrize(
    "closed",
    ["2>&-", ">&- 2>&-", "<&- >&- 2>&-"],
)
def test_closed_from_the_start(folder: Folder, closed: str) -> None:
    """Without an error output, or any, the service serves and ends with 0."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        number = int(probe.getsockname()[1])
    config = folder.path / "config.toml"
    config.write_text(config.read_text().replace("127.0.0.1:0", f"127.0.0.1:{number}"))
    process = subprocess.Popen(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *PROGRAM, "config.toml"],
        cwd=folder.path,
        env=folder.environment,
        text=True,
    )
    try:
        service = Service(process)
        service.port = number
        until_served(service)
        ask(service, 20)
        ends(service)
    finally:
        process.kill()
        process.wait()


def until_served(service: Service) -> None:
    """Waits for the first answer."""
    while True:
        assert service.process.poll() is None
        try:
            service.get("/hello")
        except ConnectionError:
            continue
        return


def test_reader_that_goes_away(folder: Folder) -> None:
    """A collector that ends takes the log with it, and nothing else."""
    with folder.serve() as service:
        ask(service, 5)
        assert service.process.stderr is not None
        service.process.stderr.close()
        ask(service, 50)
        ends(service)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_reader_that_pauses(folder: Folder, workers: int) -> None:
    """While nobody reads, many clients are answered as ever; what the pipe did not hold is counted."""
    with (folder.path / "config.toml").open("a") as config:
        config.write(f"[server]\nworkers = {workers}\n")
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)  # holds a dozen records
    with os.fdopen(writer, "w") as stderr, os.fdopen(reader) as log:
        service = Service(start(folder, "config.toml", stderr=stderr))
        stderr.close()
        first = log.readline()
        while "module_compiling" in first:  # on a machine that has much to do
            first = log.readline()
        service.port = json.loads(first)["address"].rpartition(":")[2]
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda _: ask(service, 100), range(4)))
            rest = pool.submit(log.read)
            ask(service, 100)
            ends(service)
            records = lines(first + rest.result())
        service.process.communicate()

    assert any(record["event"] == "records_lost" for record in records)
    assert finished(records) == 500 if workers < 2 else finished(records) <= 500
