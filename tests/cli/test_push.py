"""`push` and `pull` as a person types them, with a real registry."""

from __future__ import annotations

import hashlib
import os
import re
import select
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from program import HELLO, PROGRAM, Folder
from sources.servers import MODULE, Exchange, free_port, registry, web


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A registry that everybody may write to."""
    with registry(tmp_path_factory.mktemp("registry")) as port:
        yield port


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A folder with hello.wasm, of somebody who has no logins."""
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = Folder(tmp_path)
    folder.module("hello.wasm", HELLO)
    return folder


def test_there_and_back(folder: Folder, port: int) -> None:
    """What is pushed is pulled, to its own name or another; both print the digest that `digest` takes."""
    url = f"oci://127.0.0.1:{port}/me/greeting:1.0"
    hello = (folder.path / "hello.wasm").read_bytes()
    digest = hashlib.sha256(hello).hexdigest()

    pushed = folder.run("push", "hello.wasm", url)
    pulled = folder.run("pull", url)
    other = folder.run("pull", url, "-o", "other.wasm")

    match = re.fullmatch(
        rf"{re.escape(url)}\nmanifest (sha256:[0-9a-f]{{64}})\nmodule   sha256:{digest}\n", pushed.stdout
    )
    assert match
    assert (0, "") == (pushed.returncode, pushed.stderr)
    assert (0, "", f"greeting.wasm\nmodule sha256:{digest}\n") == (
        pulled.returncode,
        pulled.stderr,
        pulled.stdout,
    )
    assert other.returncode == 0
    assert hello == (folder.path / "greeting.wasm").read_bytes() == (folder.path / "other.wasm").read_bytes()
    assert (folder.path / "hello.wasm").stat().st_mode == (folder.path / "other.wasm").stat().st_mode
    by_digest = folder.run("pull", f"oci://127.0.0.1:{port}/me/greeting@{match[1]}")
    assert by_digest.returncode == 0
    assert {path.name for path in folder.path.iterdir()} == {"hello.wasm", "greeting.wasm", "other.wasm"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("push", "gone.wasm", "oci://127.0.0.1:1/a"), "gone.wasm cannot be read: No such file or directory"),
        (("push", "text.txt", "oci://127.0.0.1:1/a"), "cannot be pushed: it is not WebAssembly"),
        (
            ("push", "hello.wasm", "https://127.0.0.1:1/a"),
            "https://127.0.0.1:1/a names no artifact; write",
        ),
        (("push", "hello.wasm", "oci://127.0.0.1:1/a"), "cannot be pushed: 127.0.0.1:1 refuses connections"),
        (("pull", "hello"), "hello is no URL, such as oci://ghcr.io/me/hello:1.0"),
        (("pull", "ftp://a/b"), "ftp://a/b: expected "),
        (("pull", "oci://127.0.0.1:1/a:1"), "oci://127.0.0.1:1/a:1 cannot be fetched: 127.0.0.1:1 refuses"),
        (("pull", "oci://127.0.0.1:1/a", "-o", "none/a.wasm"), "none/a.wasm cannot be written: No such file"),
        (("pull", "oci://127.0.0.1:1/a/\x1b[2J"), "a URL"),
    ],
)
def test_a_mistake_is_a_sentence(folder: Folder, words: tuple[str, ...], said: str) -> None:
    """On stderr, with exit code 2; nothing is left behind."""
    (folder.path / "text.txt").write_text("hello")

    done = folder.run(*words)

    assert (2, "") == (done.returncode, done.stdout)
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert "\x1b" not in done.stderr
    assert {path.name for path in folder.path.iterdir()} == {"hello.wasm", "text.txt"}


def test_a_failed_pull_leaves_the_file_that_was_there(folder: Folder) -> None:
    """Whole, as it was."""
    before = (folder.path / "hello.wasm").read_bytes()
    with web(lambda exchange: exchange.say(200, b"not a module")) as server:
        done = folder.run("pull", f"http://127.0.0.1:{server.port}/x", "-o", "hello.wasm")

    assert done.returncode == 2
    assert before == (folder.path / "hello.wasm").read_bytes()


def test_ctrl_c_leaves_nothing(folder: Folder) -> None:
    """Whenever it comes."""
    asked = threading.Event()

    def stall(exchange: Exchange) -> None:
        exchange.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + MODULE)
        exchange.wfile.flush()
        asked.set()
        exchange.hold()

    with web(stall) as server:
        process = folder.start("pull", f"http://127.0.0.1:{server.port}/a.wasm")
        assert asked.wait(20)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()

    assert process.returncode
    assert "Traceback" not in said
    assert [path.name for path in folder.path.iterdir()] == ["hello.wasm"]


def test_a_terminal_shows_a_bar(folder: Folder) -> None:
    """While it is under way; at the end it is gone, and a pipe has none."""
    half = MODULE + bytes(1 << 20)

    with web(lambda exchange: exchange.say(200, half)) as server:
        url = f"http://127.0.0.1:{server.port}/half.wasm"
        text = _on_terminal(folder, "pull", url)
        assert "half.wasm" in text
        assert "MB" in text or "kB" in text
        assert "\x1b[2K" in text
        assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
        assert folder.run("pull", url).stderr == ""


def _on_terminal(folder: Folder, *words: str) -> str:
    """What a program writes to a terminal that is its stderr."""
    leader, follower = os.openpty()
    environment = {**folder.environment, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(
        [*PROGRAM, *words], cwd=folder.path, env=environment, stderr=follower, stdout=subprocess.DEVNULL
    )
    os.close(follower)
    text = b""
    try:
        while select.select([leader], [], [], 30)[0]:
            text += os.read(leader, 65536)
    except OSError:  # Linux: the last one has closed it
        pass
    finally:
        process.kill()
        process.wait()
        os.close(leader)
    return text.decode()


def test_a_file_is_served_from_a_registry(folder: Folder, port: int) -> None:
    """With the digest that push has printed; and again without the registry, from the cache."""
    url = f"oci://127.0.0.1:{port}/served:1"
    pushed = folder.run("push", "hello.wasm", url)
    digest = pushed.stdout.split()[-1]
    route = 'url_path = "/hello"'
    folder.config(f'[[applications]]\nfile_path = "{url}"\ndigest = "{digest}"\n{route}\n')
    (folder.path / "hello.wasm").unlink()

    with folder.serve("--workers", "0") as service:
        fetched = next(record for record in service.before if record["event"] == "module_fetched")
        assert (200, b"hello") == service.get("/hello")

    assert (url, digest, False) == (fetched["url"], fetched["digest"], fetched["from_cache"])
    checked = folder.run("check", "config.toml")
    assert checked.returncode == 0
    assert f"{url} is in the cache: " in checked.stderr
    wrong = digest[:-1] + ("0" if digest[-1] != "0" else "1")
    folder.config(f'[[applications]]\nfile_path = "{url}"\ndigest = "{wrong}"\n{route}\n')
    refused = folder.run("check", "config.toml")
    assert refused.returncode == 2
    assert f"has digest {digest}, not {wrong} as the file says" in refused.stdout


def test_a_start_without_a_network(folder: Folder) -> None:
    """Is told, and serves what was fetched before."""
    module = (folder.path / "hello.wasm").read_bytes()
    with web(lambda exchange: exchange.say(200, module)) as server:
        url = f"http://127.0.0.1:{server.port}/hello.wasm"
        folder.config(f'[[applications]]\nfile_path = "{url}"\nurl_path = "/hello"\n')
        assert f"{url} fetched: " in folder.run("check", "config.toml").stderr

    with folder.serve("--workers", "0") as service:
        assert (200, b"hello") == service.get("/hello")
        notices = [record["message"] for record in service.before if record["event"] == "notice"]
    assert any("refuses connections; the copy in the cache is used" in notice for notice in notices)


def test_one_that_is_away_is_broken_alone(folder: Folder) -> None:
    """Its neighbour is served."""
    away = f"http://127.0.0.1:{free_port()}/away.wasm"
    folder.config(
        f'[[applications]]\nfile_path = "{away}"\nurl_path = "/away"\n'
        '[[applications]]\nfile_path = "hello.wasm"\nurl_path = "/hello"\n'
    )
    with folder.serve("--workers", "0") as service:
        assert (200, b"hello") == service.get("/hello")
        assert service.get("/away")[0] == 503
        (broken,) = [record for record in service.before if record["event"] == "application_broken"]
    assert "refuses connections" in broken["reason"]
