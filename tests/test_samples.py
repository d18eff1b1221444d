"""The samples, served by the real program as samples/config.toml has them, with a real Redis."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from program import PROGRAM, Folder

SAMPLES = Path(__file__).parent.parent / "samples"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@contextmanager
def redis(folder: Path) -> Iterator[int]:
    """A Redis of our own, in memory; yields its port."""
    program, port = shutil.which("redis-server"), free_port()
    if program is None:
        pytest.skip("redis-server is not installed; scripts/test installs it where it can")
    arguments = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "Ready to accept connections" in line:
                break
        yield port
    finally:
        process.kill()
        process.communicate()


@contextmanager
def samples(folder: Path, redis_port: int) -> Iterator[httpx.Client]:
    """A client of samples/config.toml, with other ports and everything else as it is."""
    text = (SAMPLES / "config.toml").read_text()
    text = text.replace("127.0.0.1:8080", "127.0.0.1:0").replace("127.0.0.1:6379", f"127.0.0.1:{redis_port}")
    for sample in (*SAMPLES.glob("*/*.wasm"), *SAMPLES.glob("*/assets/*")):
        target = folder / sample.relative_to(SAMPLES)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample, target)
    (folder / "config.toml").write_text(text)
    with (
        Folder(folder).serve() as service,
        httpx.Client(base_url=f"http://127.0.0.1:{service.port}") as client,
    ):
        yield client


def test_each_sample_answers(tmp_path: Path) -> None:
    """One module with two functions, the request as a guest sees it, variables, memory that is imported."""
    with samples(tmp_path, free_port()) as client:
        hello, bonjour = client.get("/hello"), client.get("/bonjour")
        echo = client.put("/echo/a%20b?x=1&y", content=b"the body", headers={"X-Demo": "shown"})
        person = client.get("/people/m%C3%BCller")
        env, clock = client.get("/env"), client.get("/clock")

    assert [200] * 6 == [answer.status_code for answer in (hello, bonjour, echo, person, env, clock)]
    assert hello.text != bonjour.text
    for seen in ("PUT", "/echo/a b", "x=1&y", "shown", "the body"):
        assert seen in echo.text
    assert "müller" in person.text
    assert "Bonjour" in env.text
    assert "le monde" in env.text
    assert clock.text


def test_guest_speaks_to_a_real_redis(tmp_path: Path) -> None:
    """PING, a counter, SET and GET with hostile keys and values, all from inside the sandbox."""
    with redis(tmp_path) as port, samples(tmp_path, port) as client:
        assert "PONG" in client.get("/redis/ping").text
        assert [1, 2, 3] == [int(client.get("/redis/counter").text) for _ in range(3)]
        for key, value in {
            "plain": b"v",
            "a%0Ab": b"x",
            "*3%24": b"\r\n$-1\r\n",
            "big": b"z" * 60_000,
        }.items():
            path = f"/redis/keys/{key}"
            if "%0A" in key:  # a control character in a path has two readings
                assert client.put(path, content=value).status_code == 400
                continue
            assert client.get(path).status_code == 404
            assert client.put(path, content=value).is_success
            assert client.get(path).content == value


def test_notes_are_kept(tmp_path: Path) -> None:
    """Put, got, listed below a file of the application's, and still there for the next process."""
    for names in ("milk", "milk tea"):
        with samples(tmp_path, free_port()) as client:
            for name in names.split():
                assert client.put(f"/notes/{name}", content=b"buy some").status_code == 204
                assert client.get(f"/notes/{name}").text == "buy some"
            listed = client.get("/notes").text
            missing = client.get("/notes/none")
    assert listed.splitlines()[1:] == ["milk", "tea"]
    assert listed.startswith("PUT, GET or DELETE")
    assert missing.status_code == 404
    with samples(tmp_path, free_port()) as client:
        assert client.delete("/notes/milk").status_code == 204
        assert client.get("/notes/milk").status_code == 404
        assert client.put("/notes/large", content=b"x" * 65_537).status_code == 507


def test_guest_without_its_backend_is_a_bad_gateway(tmp_path: Path) -> None:
    """The guest sees -1 and says so; the next request is served."""
    with samples(tmp_path, free_port()) as client:
        assert client.get("/redis/ping").status_code == 502
        assert client.get("/hello").status_code == 200


def test_check_is_content_with_the_samples() -> None:
    """What the repository ships is good in every respect."""
    done = subprocess.run(
        [*PROGRAM, "check", str(SAMPLES / "config.toml")], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("npm") is None, reason="building the samples needs npm")
def test_building_again_gives_the_same_bytes(tmp_path: Path) -> None:
    """The binaries in the repository are those of the sources beside them."""
    build = SAMPLES.parent / "scripts" / "build-samples"
    subprocess.run([build, tmp_path], check=True, capture_output=True)

    for sample in SAMPLES.glob("*/*.wasm"):
        assert sample.read_bytes() == (tmp_path / sample.relative_to(SAMPLES)).read_bytes(), sample.name
