"""O13: what another release or another engine left in the cache is ignored, and modules are compiled anew."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from conditions import hello_folder, serve, start
from program import Folder, Service

OTHER_ENGINE = """
import importlib.metadata
real = importlib.metadata.version
importlib.metadata.version = lambda name: "50.9.9" if name == "wasmtime" else real(name)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A configuration that was served once."""
    made = hello_folder(tmp_path)
    serves(made)
    return made


def serves(folder: Folder, environment: Mapping[str, str] | None = None) -> None:
    """The service starts without a word of warning, and answers."""
    with Service(start(folder, "config.toml", environment=environment)) as service:
        assert service.get("/hello") == (200, b"hello")
    assert {record["event"] for record in service.before} <= {"module_compiling"}


def cache_of(folder: Folder) -> Path:
    """Where compiled modules are."""
    return folder.path / "cache" / "serverless-wasm"


def entries(folder: Folder) -> dict[str, bytes]:
    """The compiled modules by name."""
    return {path.name: path.read_bytes() for path in cache_of(folder).glob("*.cwasm")}


def test_second_start_compiles_nothing(folder: Folder) -> None:
    """An entry of this release and this engine is used as it is."""
    (path,) = cache_of(folder).glob("*.cwasm")
    written = path.stat().st_mtime_ns

    serves(folder)

    assert [path] == list(cache_of(folder).glob("*.cwasm"))
    assert written == path.stat().st_mtime_ns


def test_another_engine(folder: Folder) -> None:
    """After an update of the engine modules are compiled anew; after a step back the old ones are used."""
    before = entries(folder)
    other = folder.path / "site"
    other.mkdir()
    (other / "sitecustomize.py").write_text(OTHER_ENGINE)
    paths = os.pathsep.join(filter(None, (str(other), os.environ.get("PYTHONPATH"))))

    serves(folder, {"PYTHONPATH": paths})
    both = entries(folder)
    serves(folder)

    assert len(both) == 2
    assert before.items() < both.items()
    assert both == entries(folder)


@pytest.mark.parametrize("content", [b"", b"\0" * 100_000, b"\x7fELF" + bytes(5000)])
def test_entry_of_an_unknown_format(folder: Folder, content: bytes) -> None:
    """What stands under our name and is not ours is replaced."""
    ((name, good),) = entries(folder).items()
    (cache_of(folder) / name).write_bytes(content)

    serves(folder)

    assert [(name, len(good))] == [(found, len(data)) for found, data in entries(folder).items()]


def test_entry_of_an_older_release(folder: Folder) -> None:
    """Even one with a right checksum is not taken for what it is not: it has another name and stays."""
    module = (folder.path / "hello.wasm").read_bytes()
    key = (cache_of(folder) / "key").read_bytes()
    old = f"{hashlib.sha256(module).hexdigest()}-1.0.0.cwasm"
    code = b"\x7fELF" + bytes(500)
    (cache_of(folder) / old).write_bytes(hmac.digest(key, code, "sha256") + code)
    before = entries(folder)

    serves(folder)

    assert before == entries(folder)


def test_foreign_files(folder: Folder) -> None:
    """Files of others in the folder are left alone."""
    (cache_of(folder) / "README").write_text("mine")
    (cache_of(folder) / "folder.cwasm").mkdir()

    with serve(folder) as service:
        assert service.get("/hello") == (200, b"hello")

    assert (cache_of(folder) / "README").read_text() == "mine"


def test_empty_cache(folder: Folder) -> None:
    """The folder may be removed at any time, while the service runs too."""
    with serve(folder) as service:
        for path in cache_of(folder).iterdir():
            path.unlink()
        cache_of(folder).rmdir()
        assert service.get("/hello") == (200, b"hello")
    serves(folder)

    assert len(entries(folder)) == 1
