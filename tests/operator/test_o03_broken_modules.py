"""O3: a module that cannot run here is told with every reason, answers 503, and hinders no other."""

from __future__ import annotations

from pathlib import Path

import pytest
import wasmtime

from conditions import HELLO_APPLICATION, application, hello_folder, serve
from program import HELLO, Folder

GOOD = bytes(wasmtime.wat2wasm(HELLO))
STRANGE = "".join(f'(import "env" "unknown_{number}" (func))' for number in range(40))
NEXT = '(import "wasi_snapshot_preview2" "x" (func))'
WRONG = '(import "env" "log" (func (param i64)))(import "env" "response_set_body" (func))'
MODULES: dict[str, tuple[bytes | str, tuple[str, ...]]] = {
    "text": (b"hello, world\n", ("not WebAssembly",)),
    "elf": (b"\x7fELF" + bytes(60), ("not WebAssembly",)),
    "cut": (GOOD[:-5], ("is not valid: ",)),
    "damaged": (GOOD[:30] + b"\xff\xff" + GOOD[32:], ("is not valid: ",)),
    "longer": (GOOD + b"\x00", ("is not valid: ",)),
    "version": (b"\0asm\x02\0\0\0", ("",)),
    "component": (b"\0asm\x0d\0\x01\0", ("",)),
    "imports": (f"(module {STRANGE})", tuple(f"env.unknown_{number} " for number in range(40))),
    "types": (f"(module {WRONG})", ("env.log", "env.response_set_body")),
    "stranger": (f"(module {NEXT})", ("wasi_snapshot_preview2",)),
    "function": ('(module (func (export "main")) (func (export "other")))', ("main", "other", '"handle"')),
    "parameters": ('(module (func (export "handle") (param i32)))', ('"handle"', "i32")),
    "data": ('(module (global (export "handle") i32 i32.const 0))', ('"handle"',)),
    "memories": ('(module (memory 1) (memory 1) (func (export "handle")))', ("",)),
}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """One good module and all the broken ones."""
    made = hello_folder(tmp_path)
    for name, (content, _) in MODULES.items():
        data = wasmtime.wat2wasm(content) if isinstance(content, str) else content
        (tmp_path / f"{name}.wasm").write_bytes(data)
    made.config(HELLO_APPLICATION + "".join(application(f"{name}.wasm", f"/{name}") for name in MODULES))
    return made


def test_others_are_served(folder: Folder) -> None:
    """Each that cannot run answers 503 and is told once, with every import or export that does not fit."""
    with serve(folder) as service:
        assert service.get("/hello") == (200, b"hello")
        assert {name: service.get(f"/{name}")[0] for name in MODULES} == dict.fromkeys(MODULES, 503)

    told = [record for record in service.before if record["event"] == "application_broken"]
    reasons = {record["application"]: record["reason"] for record in told}
    assert len(told) == len(MODULES)
    for name, (_, words) in MODULES.items():
        assert reasons[name]
        assert all(word in reasons[name] for word in words), reasons[name]


def test_check(folder: Folder) -> None:
    """`check` tells the same without serving, and ends with 2."""
    done = folder.run("check", "config.toml")

    assert done.returncode == 2
    names = ", ".join(MODULES)
    count = len(MODULES)
    assert done.stderr == f"config.toml: {count} of {count + 1} applications cannot be served: {names}\n"
    for _, words in MODULES.values():
        assert all(word.strip() in done.stdout for word in words)
