from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

import pytest

from program import HELLO, Folder
from serverless_wasm.cli.main import with_command
from serverless_wasm.wasm.fast import find_steps

COMMANDS = ("serve", "check", "inspect", "push", "pull", "reload", "status")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["config.toml"], ["serve", "config.toml"]),
        (["config.toml", "--strict"], ["serve", "config.toml", "--strict"]),
        (["serve", "check"], ["serve", "check"]),
        (["check", "config.toml"], ["check", "config.toml"]),
        (["inspect", "a.wasm"], ["inspect", "a.wasm"]),
        (["./check"], ["serve", "./check"]),
        (["--help"], ["--help"]),
        ([], []),
    ],
)
def test_file_alone(arguments: list[str], expected: list[str]) -> None:
    """A first word that is neither a command nor an option is a file to serve."""
    assert expected == with_command(arguments)


def test_version(tmp_path: Path) -> None:
    """--version names the package, the engine, its path and the interpreter in one line, on stdout."""
    done = Folder(tmp_path).run("--version")

    python = f"{platform.python_implementation()} {platform.python_version()}"
    engine = f"wasmtime {version('wasmtime')}, {find_steps().name}"
    expected = f"serverless-wasm {version('serverless-wasm')} ({engine}, {python})\n"
    assert (0, expected, "") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(tmp_path: Path, option: str) -> None:
    """Help names every command, shows examples on lines of their own, and offers no completion options."""
    done = Folder(tmp_path).run(option)

    assert done.returncode == 0
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert any(line.startswith("serverless-wasm check config.toml  ") for line in lines)
    assert all(any(line.startswith(f"{name}  ") for line in lines) for name in COMMANDS)
    assert "completion" not in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [("--nope",), ("check", "--nope"), ("config.toml", "--nope"), ("check",), ("check", "a", "b")],
)
def test_wrong_words(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """A wrong command line is a usage error with exit code 2 and nothing on stdout."""
    done = Folder(tmp_path).run(*arguments)

    assert (2, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith("Usage: ")


@pytest.mark.parametrize(
    ("arguments", "redirection", "code"),
    [
        (("inspect", "hello.wasm"), ">&- 2>&-", 0),
        (("gone.toml",), "2>&-", 2),
        (("check", "\udcff.toml"), "", 2),
    ],
)
def test_streams(tmp_path: Path, arguments: tuple[str, ...], redirection: str, code: int) -> None:
    """Streams that are closed, and names that are no text, change nothing."""
    folder = Folder(tmp_path)
    folder.module("hello.wasm", HELLO)

    done = folder.run(*arguments, redirection=redirection)

    assert (code, "") == (done.returncode, done.stdout)


def test_no_words(tmp_path: Path) -> None:
    """Without any argument the help is shown, with the exit code of a wrong command line."""
    done = Folder(tmp_path).run()

    assert done.returncode == 2
    assert "Examples:" in done.stdout + done.stderr
