"""`reload` and `status` against a service in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import typer
from typer.testing import CliRunner, Result

from program import PROGRAM
from serverless_wasm.cli.reload import reload
from serverless_wasm.cli.status import status

SERVICE = """
import asyncio, sys
from pathlib import Path
from serverless_wasm.processes.control import Answer, ControlSocket
ANSWERS = {
    "good": Answer(ok=True, message="2 applications changed", details=("hello changed: code", "old removed")),
    "bad": Answer(ok=False, message="the old one goes on", details=("config.toml:3: a", "x\\x1b[2J")),
    "same": Answer(ok=True, message="nothing has changed"),
}
async def main():
    async def handler(command):
        print(command, flush=True)
        return ANSWERS[sys.argv[2]] if sys.argv[2] in ANSWERS else await asyncio.sleep(1000)
    await ControlSocket(Path(sys.argv[1]), handler).open()
    print("open", flush=True)
    await asyncio.sleep(1000)
asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder for sockets of this test's own, short enough for their paths."""
    with TemporaryDirectory() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
        yield


@contextmanager
def service(config: Path, answer: str) -> Iterator[subprocess.Popen[str]]:
    """A service that says the same to every command, and prints the command."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVICE, str(config), answer], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "open\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def run(*arguments: str) -> Result:
    """Runs a command line that has both commands."""
    app = typer.Typer()
    app.command("reload")(reload)
    app.command("status")(status)
    return CliRunner().invoke(app, arguments)


@pytest.mark.parametrize(
    ("answer", "code", "out", "err"),
    [
        ("good", 0, "2 applications changed\nhello changed: code\nold removed\n", ""),
        ("same", 0, "nothing has changed\n", ""),
        ("bad", 1, "", "the old one goes on\nconfig.toml:3: a\nx\\x1b[2J\n"),
    ],
)
@pytest.mark.parametrize("command", ["reload", "status"])
def test_answers(tmp_path: Path, command: str, answer: str, code: int, out: str, err: str) -> None:
    """What the service says is printed line for line, a refusal on stderr; the exit code says which."""
    config = tmp_path / "config.toml"
    with service(config, answer) as process:
        done = run(command, str(config))
        assert process.stdout
        assert process.stdout.readline() == f"{command}\n"

    assert (code, out, err) == (done.exit_code, done.stdout, done.stderr)


def test_no_service(tmp_path: Path) -> None:
    """Without a service the exit code is 2, and the sentence says how to start one, quoted for a shell."""
    config = tmp_path / "my config.toml"
    done = run("reload", str(config))

    assert (2, "") == (done.exit_code, done.stdout)
    assert done.stderr == f"no service runs with {config}; start it with: serverless-wasm '{config}'\n"


def test_no_answer(tmp_path: Path) -> None:
    """A service that takes too long is not waited for longer than was said."""
    config = tmp_path / "config.toml"
    with service(config, "never"):
        done = run("reload", "--timeout", "0.2", str(config))

    assert (2, "") == (done.exit_code, done.stdout)
    assert done.stderr == f"the service with {config} has not answered within 0.2 s\n"


def test_a_service_that_dies(tmp_path: Path) -> None:
    """A service that ends meanwhile is no success."""
    config = tmp_path / "config.toml"
    with service(config, "never") as process:
        caller = subprocess.Popen(
            [*PROGRAM, "reload", str(config)],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout
        assert process.stdout.readline() == "reload\n"
        process.kill()
        _, err = caller.communicate()

    assert caller.returncode == 2
    assert err == f"the service with {config} has ended the conversation without an answer; see its log\n"
