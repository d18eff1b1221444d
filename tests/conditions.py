"""The real program under the conditions of a bad day: limits, permissions, a full disk."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from program import HELLO, PROGRAM, Folder, Service

HELLO_APPLICATION = '[[applications]]\nfile_path = "hello.wasm"\nurl_path = "/hello"\n'
ROOT = os.geteuid() == 0


def application(file_path: str, url_path: str, more: str = "") -> str:
    """One more application of a file."""
    return f'[[applications]]\nfile_path = "{file_path}"\nurl_path = "{url_path}"\n{more}\n'


def hello_folder(path: Path) -> Folder:
    """A folder with hello.wasm and a configuration that serves it."""
    folder = Folder(path)
    folder.module("hello.wasm", HELLO)
    folder.config(HELLO_APPLICATION)
    return folder


def start(
    folder: Folder,
    *arguments: str,
    under: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
    stderr: int | IO[Any] = subprocess.PIPE,
) -> subprocess.Popen[str]:
    """Starts the program; `under` is a command, such as prlimit, that starts it with less than usual."""
    if under and not shutil.which(under[0]):
        pytest.skip(f"{under[0]} is not installed")
    return subprocess.Popen(
        [*under, *PROGRAM, *arguments],
        cwd=folder.path,
        env={**folder.environment, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


def serve(folder: Folder, *arguments: str, under: tuple[str, ...] = (), **environment: str) -> Service:
    """A service of config.toml whose log a test reads."""
    return Service(start(folder, "config.toml", *arguments, under=under, environment=environment))


def ended(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    """Exit code and lines of stderr of a program that ends by itself, without a traceback."""
    out, err = process.communicate()
    assert out == ""
    assert "Traceback" not in err, err
    return process.returncode, err.splitlines()


def powerless() -> tuple[str, ...]:
    """What takes root's right to read and write everything away from a program."""
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner", "--") if ROOT else ()


def processes(pid: int) -> Iterator[int]:
    """A process and all that come of it."""
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from processes(int(child))


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[Path]:
    """A file system of that size, which only root can make."""
    if not ROOT or not shutil.which("mount"):
        pytest.skip("only root can mount a small file system")
    path.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(path)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("this machine does not let root mount a file system")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def fill(path: Path) -> Path:
    """A file in that folder that leaves no byte to others."""
    ballast = path / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
    return ballast
