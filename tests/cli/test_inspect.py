from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from program import HELLO, Folder
from sandbox import wat

STRANGE = """(module
    (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
    (import "env" "tcp_read" (func (param i32 i32) (result i32)))
    (import "env" "memory" (memory 18))
    (func (export "_initialize")) (func (export "[bold]a\\0ab")) (func (export "take") (param i32))
    (table (export "table") 1 funcref))"""


def lines(text: str) -> list[str]:
    """The table with single spaces."""
    return [" ".join(line.split()) for line in text.splitlines() if line]


def test_runnable(tmp_path: Path) -> None:
    """A module of the seed's contract: its size, digest, imports, exports, memory, ABI and entry points."""
    folder = Folder(tmp_path)
    folder.module("hello.wasm", HELLO)
    data = (tmp_path / "hello.wasm").read_bytes()

    done = folder.run("inspect", "hello.wasm")

    assert (0, "") == (done.returncode, done.stderr)
    assert lines(done.stdout) == [
        "file hello.wasm",
        f"size {len(data)} bytes",
        f"digest sha256:{hashlib.sha256(data).hexdigest()}",
        "memory exported: from 64KiB to 256KiB",
        "imports env.log (i32 i64) -> ()",
        "env.response_set_body (i32 i64) -> ()",
        "exports memory: memory from 64KiB to 256KiB",
        "handle () -> ()",
        "abi env",
        "missing nothing",
        "entry points handle",
    ]


def test_strange(tmp_path: Path) -> None:
    """A module that speaks no ABI is shown whole, with what is missing; its names cannot forge a line."""
    folder = Folder(tmp_path)
    folder.module("strange.wasm", STRANGE)

    done = folder.run("inspect", "strange.wasm")

    assert done.returncode == 0
    found = lines(done.stdout)
    memory = "imported, so the host defines it and exports it as memory"
    assert f"memory {memory}: from 1152KiB to the application's limit" in found
    assert "abi env" in found
    assert any(line.startswith("missing env.tcp_read (i32 i32) -> (i32) must be ") for line in found)
    assert r"entry points [bold]a\nb" in found
    assert "table: table" in found


def test_component(tmp_path: Path) -> None:
    """What it imports and exports, by interface, and what is not offered."""
    text = """(component
      (import "wasi:random/random@0.2.3" (instance $random
        (export "get-random-u64" (func (result u64))) (export "get-luck" (func (result u64)))))
      (core func $number (canon lower (func $random "get-random-u64")))
      (core func $luck (canon lower (func $random "get-luck")))
      (core module $Main
        (import "host" "number" (func (result i64))) (import "host" "luck" (func (result i64))))
      (core instance (instantiate $Main (with "host" (instance
        (export "number" (func $number)) (export "luck" (func $luck)))))))"""
    (tmp_path / "app.wasm").write_bytes(wat(text))

    done = Folder(tmp_path).run("inspect", "app.wasm")

    assert done.returncode == 0
    found = " ".join(done.stdout.split())
    assert "imports wasi:random/random@0.2.3 exports none" in found
    assert "abi none: is a component that exports nothing" in found


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "file: is empty\n"),
        (b"(module)", "file: is WebAssembly text; translate it first"),
        (b"#!/bin/sh\n", "file: is not WebAssembly: it begins with 23 21 2f 62 69 6e 2f 73\n"),
        (b"\0asm\x0d\0\x01\0\xff", "file: is not valid: "),
        (b"\0asm\x01\0\0\0\xff", "file: is not valid: "),
        (None, "file cannot be read: No such file or directory\n"),
    ],
)
def test_no_module(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    """What is no module gets a sentence that says what it is instead, and exit code 2."""
    if content is not None:
        (tmp_path / "file").write_bytes(content)

    done = Folder(tmp_path).run("inspect", "file")

    assert (2, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1
