from __future__ import annotations

import os
import re
import signal
import socket
import threading
from itertools import takewhile
from pathlib import Path

import pytest

from program import ASKS, HELLO, Folder

HELLO_APPLICATION = '[[applications]]\nfile_path = "hello.wasm"\nurl_path = "/hello"\n'
BROKEN_APPLICATIONS = """
[[applications]]
file_path = "gone.wasm"
url_path = "/gone"
[[applications]]
file_path = "hello.wasm"
url_path = "/bad"
function = "nope"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder with the module hello.wasm."""
    made = Folder(tmp_path)
    made.module("hello.wasm", HELLO)
    return made


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serves_until_a_signal(folder: Folder, number: signal.Signals) -> None:
    """A file alone is served: it answers, writes its log to stderr and nothing to stdout, and ends with 0."""
    folder.config(HELLO_APPLICATION)

    with folder.serve() as service:
        assert service.get("/hello") == (200, b"hello")
        service.signal(number)
        code, out, records = service.end()

    assert (0, "") == (code, out)
    assert service.started["applications"] == 1
    assert service.started["slots"] > 0
    assert [record["event"] for record in records] == ["invocation_finished", "service_stopped"]


def test_finishes_requests(folder: Folder) -> None:
    """A request in progress when the signal comes is answered before the service ends."""
    with socket.create_server(("127.0.0.1", 0)) as backend:
        add_waiting(folder, backend, drain="1h")
        with folder.serve() as service:
            answers: list[tuple[int, bytes]] = []
            client = threading.Thread(target=lambda: answers.append(service.get("/wait")))
            client.start()
            guest, _ = backend.accept()
            service.signal(signal.SIGTERM)
            until_refused(service.port)
            with guest:
                guest.sendall(b"late")
            client.join()
            code, _, records = service.end()

    assert (0, [(200, b"late")]) == (code, answers)
    assert records[-1]["event"] == "service_stopped"


def test_second_signal(folder: Folder) -> None:
    """A second signal ends requests in progress, and still the exit code is 0."""
    with socket.create_server(("127.0.0.1", 0)) as backend:
        add_waiting(folder, backend, drain="1h")
        with (
            folder.serve() as service,
            socket.create_connection(("127.0.0.1", service.port)) as client,
        ):
            client.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
            guest, _ = backend.accept()
            service.signal(signal.SIGTERM)
            until_refused(service.port)
            service.signal(signal.SIGINT)
            code, _, records = service.end()
            guest.close()

    assert code == 0
    assert ["cancelled"] == [record["outcome"] for record in records if "outcome" in record]
    assert records[-1]["event"] == "service_stopped"


def add_waiting(folder: Folder, backend: socket.socket, drain: str) -> None:
    """An application that answers with what the backend sends."""
    target = f"127.0.0.1:{backend.getsockname()[1]}"
    folder.module("wait.wasm", ASKS.format(target=target, length=len(target)))
    folder.config(
        f"""[[applications]]
file_path = "wait.wasm"
url_path = "/wait"
env = {{ backend = "{target}" }}
limits = {{ timeout = "1h" }}
[server]
drain = "{drain}"
"""
    )


def until_refused(port: int) -> None:
    """Returns once nobody listens on the port."""
    try:
        while True:
            socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionError:
        return


def test_broken_applications(folder: Folder) -> None:
    """Applications that cannot be loaded answer 503 and are logged with the reason; the others live."""
    folder.config(HELLO_APPLICATION + BROKEN_APPLICATIONS)

    with folder.serve() as service:
        assert service.get("/hello") == (200, b"hello")
        assert [service.get(path)[0] for path in ("/gone", "/bad", "/none")] == [503, 503, 404]
        assert service.started["applications"] == 1

    reasons = {record["application"]: record["reason"] for record in service.before}
    assert reasons["gone"] == f"{folder.path}/gone.wasm cannot be read: No such file or directory"
    assert reasons["hello-nope"] == 'function "nope" does not exist; write one of: handle'


def test_strict(folder: Folder) -> None:
    """With --strict the service starts only if every application can be loaded; all reasons are told."""
    folder.config(HELLO_APPLICATION + BROKEN_APPLICATIONS)

    done = folder.run("serve", "config.toml", "--strict")

    assert (2, "") == (done.returncode, done.stdout)
    assert "gone.wasm cannot be read: No such file or directory" in done.stderr
    assert "does not exist; write one of: handle" in done.stderr
    assert done.stderr.endswith("--strict: cannot be loaded, for the reasons above: gone, hello-nope\n")


def test_mistakes(folder: Folder) -> None:
    """Every mistake of a file is a line of its own on stderr, and the exit code is 2."""
    folder.config('[[applications]]\nfile_path = 3\nurl_path = "hello"\nmemory = "1MiB"\n', listen="nowhere")

    done = folder.run("config.toml")

    assert (2, "") == (done.returncode, done.stdout)
    lines = done.stderr.splitlines()
    assert ["1", "3", "4", "5"] == [line.split(":")[1] for line in lines]
    assert all(re.fullmatch(r"config\.toml:\d+: \S+: found .+, expected .+", line) for line in lines)


def test_no_file(folder: Folder) -> None:
    """A file that is not there is a mistake like any other."""
    done = folder.run("gone.toml")

    assert (2, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith("gone.toml:1: ")
    assert "No such file or directory" in done.stderr


def test_address_in_use(folder: Folder) -> None:
    """A taken address is one sentence with the remedy, before any module is looked at."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        folder.config(BROKEN_APPLICATIONS, listen)
        done = folder.run("config.toml")

    expected = f"cannot listen on {listen}: another program listens there; stop it, or write another port"
    assert (2, "") == (done.returncode, done.stdout)
    assert done.stderr == f"{expected} in listen_address\n"


def test_unknown_name(folder: Folder) -> None:
    """A listen address whose name nobody knows is one sentence with the remedy."""
    folder.config(HELLO_APPLICATION, "no-such-name.invalid:8080")

    done = folder.run("config.toml")

    assert done.returncode == 2
    assert done.stderr.startswith(
        "cannot listen on no-such-name.invalid:8080: the name is not known here; write "
    )


def test_console(folder: Folder) -> None:
    """The log for a person says what to type to see each application that is there answer."""
    folder.config(HELLO_APPLICATION + BROKEN_APPLICATIONS)

    process = folder.start("serve", "config.toml", "--log", "console")
    with process:
        assert process.stderr is not None
        head = list(takewhile(lambda line: not line.startswith("curl "), process.stderr))
        process.terminate()
        rest = process.stderr.read()

    assert process.returncode == 0
    assert head[-1] == "try:\n"
    assert any("service_started" in line for line in head)
    assert "curl " not in rest


def test_signal_before_listening(folder: Folder) -> None:
    """A service that is still starting ends at once, with exit code 0, whatever it is waiting for."""
    key = add_unwritten_key(folder)
    folder.config(HELLO_APPLICATION)

    with folder.start("config.toml") as process, key.open("wb"):  # open waits until it is read
        process.terminate()
        assert process.wait() == 0


def test_address_taken_meanwhile(folder: Folder) -> None:
    """Another program that begins to listen while the service starts is one sentence with the remedy."""
    key = add_unwritten_key(folder)

    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        folder.config(HELLO_APPLICATION, listen)
        process = folder.start("config.toml")
        with key.open("wb") as file:
            other.listen()
            (folder.path / "key").write_bytes(bytes(32))
            (folder.path / "key").replace(key)  # for the processes that read it next
            file.write(bytes(32))
        out, err = process.communicate()

    assert (2, "") == (process.returncode, out)
    assert err.startswith(f"cannot listen on {listen}: another program listens there; ")
    assert err.count("\n") == 1


def add_unwritten_key(folder: Folder) -> Path:
    """Holds a starting service up: it reads its cache's key before it compiles, and nobody writes one."""
    cache = folder.path / "cache" / "serverless-wasm"
    cache.mkdir(mode=0o700, parents=True)
    os.mkfifo(cache / "key", 0o600)
    return cache / "key"
