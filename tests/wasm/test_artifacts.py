"""Compiled modules on disk: whole, ours and for this engine, or not there at all."""

from __future__ import annotations

import gc
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serverless_wasm.errors import EngineError
from serverless_wasm.events import Event, Notice
from serverless_wasm.wasm.artifacts import ABANDONED, KEY_SIZE, Artifact, Cache, Entry, digest_of, open_cache
from serverless_wasm.wasm.binary import Beginning

CODE = b"\x7fELF native code"
ARTIFACT = Artifact(digest=digest_of(b"one"), begins=Beginning(65_536, 7), imports_memory=True)
OTHER = Artifact(digest=digest_of(b"two"), begins=Beginning(0, 0), imports_memory=False)
SHAPE = b'[[["env","f",[[],[]]]],[]]'
ENTRY = Entry(artifact=ARTIFACT, shape=SHAPE, code=CODE)
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[:-1],
    "checksum": lambda data: bytes([data[0] ^ 1]) + data[1:],
    "facts": lambda data: data.replace(b'"fuel": false', b'"fuel": true '),
    "shape": lambda data: data.replace(b'"env"', b'"ENV"'),
    "code": lambda data: data[:-1] + b"!",
    "empty": lambda _data: b"",
    "checksum alone": lambda data: data[:32],
    "longer": lambda data: data + b"\0",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.cwasm"))


def test_what_was_put_comes_back_to_any_process(folder: Path) -> None:
    """Facts and code, through another cache of the same folder; owner-only."""
    Cache(folder).put(ENTRY, fuel=False)

    assert ENTRY == Cache(folder).get(ARTIFACT.digest, fuel=False)
    (entry,) = entries(folder)
    assert stat.S_IMODE(entry.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {"key", entry.name} == {path.name for path in folder.iterdir()}


def test_code_that_counts_fuel_is_other_code(folder: Path) -> None:
    """One never answers for the other."""
    cache, counting = Cache(folder), replace(ENTRY, code=b"counting")
    cache.put(ENTRY, fuel=False)

    assert cache.get(ARTIFACT.digest, fuel=True) is None

    cache.put(counting, fuel=True)

    assert ENTRY == cache.get(ARTIFACT.digest, fuel=False)
    assert counting == cache.get(ARTIFACT.digest, fuel=True)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_changed_entry_is_none_and_is_replaced(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    """It is native code: what does not carry our checksum does not exist."""
    cache = Cache(folder)
    cache.put(ENTRY, fuel=False)
    (entry,) = entries(folder)
    good = entry.read_bytes()
    assert damage(good) != good
    entry.write_bytes(damage(good))

    assert cache.get(ARTIFACT.digest, fuel=False) is None

    cache.put(ENTRY, fuel=False)

    assert good == entry.read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=100))
def test_any_bytes_are_no_entry(folder: Path, content: bytes) -> None:
    """Whatever is found there, with or without a checksum's length."""
    cache = Cache(folder)
    cache.put(ENTRY, fuel=False)
    entries(folder)[0].write_bytes(content)

    assert cache.get(ARTIFACT.digest, fuel=False) is None


def test_entry_under_another_name_is_none(folder: Path) -> None:
    """Nor does another module's code answer for this one, though it is ours."""
    cache = Cache(folder)
    cache.put(ENTRY, fuel=False)
    (mine,) = entries(folder)
    cache.put(Entry(artifact=OTHER, shape=b"", code=b"other"), fuel=False)
    (others,) = set(entries(folder)) - {mine}
    others.replace(mine)

    assert cache.get(ARTIFACT.digest, fuel=False) is None


def test_entry_of_another_key_is_not_ours(folder: Path) -> None:
    """The checksum is keyed: a file that was made elsewhere does not pass."""
    Cache(folder).put(ENTRY, fuel=False)
    (folder / "key").write_bytes(os.urandom(KEY_SIZE))

    assert Cache(folder).get(ARTIFACT.digest, fuel=False) is None


def test_dropped_entry_is_gone(folder: Path) -> None:
    """Twice is no matter."""
    cache = Cache(folder)
    cache.put(ENTRY, fuel=False)
    cache.drop(ARTIFACT.digest, fuel=False)
    cache.drop(ARTIFACT.digest, fuel=False)

    assert cache.get(ARTIFACT.digest, fuel=False) is None


def test_processes_that_open_a_new_folder_together_share_one_key(folder: Path) -> None:
    """Whoever comes second takes what the first has made."""
    caches: list[Cache] = []
    together = threading.Barrier(8)

    def open_it() -> None:
        together.wait()
        caches.append(Cache(folder))

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    caches[0].put(ENTRY, fuel=False)

    assert len(caches) == 8
    assert all(cache.get(ARTIFACT.digest, fuel=False) for cache in caches)
    assert {"key", entries(folder)[0].name} == {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o722])
def test_folder_that_others_may_write_is_refused(folder: Path, mode: int) -> None:
    """The sentence says what to do."""
    folder.mkdir()
    folder.chmod(mode)

    with pytest.raises(EngineError, match=r"can be written by others; write: chmod 700"):
        Cache(folder)


def test_folder_that_is_a_file_is_refused(folder: Path) -> None:
    """No traceback of the system's, a sentence."""
    folder.write_text("")

    with pytest.raises(EngineError, match="cannot be used"):
        Cache(folder)


@pytest.mark.parametrize("key", [b"", b"short", bytes(KEY_SIZE + 1)])
def test_key_that_was_cut_is_refused(folder: Path, key: bytes) -> None:
    """An empty key would let anybody's code in."""
    folder.mkdir(mode=0o700)
    (folder / "key").write_bytes(key)

    with pytest.raises(EngineError, match=r"key is damaged; write: rm "):
        Cache(folder)


def test_what_the_folder_does_not_take_is_kept_in_memory(folder: Path) -> None:
    """For every process that opens the same folder, and for no other folder."""
    cache, stranger = Cache(folder), Cache(folder.with_name("stranger"))
    (folder / "key").unlink()
    folder.rmdir()

    try:
        cache.put(ENTRY, fuel=False)

        assert cache.get(ARTIFACT.digest, fuel=False) == ENTRY
        assert Cache(folder).get(ARTIFACT.digest, fuel=False) == ENTRY
        assert stranger.get(ARTIFACT.digest, fuel=False) is None
    finally:
        shutil.rmtree(cache.spare)


def test_what_is_of_no_use_is_dropped_in_memory_too(folder: Path) -> None:
    """Or the next compilation would find it there again."""
    cache = Cache(folder)
    (folder / "key").unlink()
    folder.rmdir()
    try:
        cache.put(ENTRY, fuel=False)

        cache.drop(ARTIFACT.digest, fuel=False)

        assert cache.get(ARTIFACT.digest, fuel=False) is None
    finally:
        shutil.rmtree(cache.spare)


def test_spare_folder_of_somebody_else_is_left_alone(folder: Path) -> None:
    """What others may write to is never used: whoever puts is told, and nothing is there for who gets."""
    cache = Cache(folder)
    (folder / "key").unlink()
    folder.rmdir()
    cache.spare.mkdir()
    cache.spare.chmod(0o777)
    try:
        with pytest.raises(OSError, match="chmod 700"):
            cache.put(ENTRY, fuel=False)
        assert cache.get(ARTIFACT.digest, fuel=False) is None
        assert list(cache.spare.iterdir()) == []
    finally:
        shutil.rmtree(cache.spare)


def test_what_a_killed_process_left_half_written_is_swept(folder: Path) -> None:
    """Its own alone."""
    cache = Cache(folder)
    (folder / "part-12-ab").write_bytes(b"half")
    (folder / "part-123-ab").write_bytes(b"another's")

    cache.sweep(12)

    assert ["key", "part-123-ab"] == sorted(path.name for path in folder.iterdir())


def test_what_was_half_written_long_ago_is_swept_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is left to sweep it otherwise: its parent was killed, too."""
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path))
    events: list[Event] = []
    folder = open_cache(events.append).folder
    for name, age in (("part-12-ab", ABANDONED + 60), ("part-13-ab", 60)):
        (folder / name).write_bytes(b"half")
        os.utime(folder / name, (time.time() - age, time.time() - age))

    open_cache(events.append)

    assert ["key", "part-13-ab"] == sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("facts", [
    None, [], "", {}, {**ARTIFACT.facts(), "digest": 1}, {**ARTIFACT.facts(), "memory": "1"},
    {**ARTIFACT.facts(), "table_elements": None}, {**ARTIFACT.facts(), "imports_memory": 1},
    {**ARTIFACT.facts(), "memory": 1.5},
])  # fmt: skip
def test_facts_of_another_shape_are_refused(facts: object) -> None:
    """They may come from a process that was taken over."""
    with pytest.raises(ValueError, match="not the facts"):
        Artifact.from_facts(facts)


def test_facts_give_the_same_artifact() -> None:
    """As plain data and back."""
    assert Artifact.from_facts(ARTIFACT.facts()) == ARTIFACT


@pytest.mark.parametrize(("given", "expected"), [
    ({"CACHE_DIRECTORY": "{0}/systemd", "XDG_CACHE_HOME": "{0}/xdg", "HOME": "{0}"}, "systemd"),
    ({"XDG_CACHE_HOME": "{0}/xdg", "HOME": "{0}"}, "xdg"),
    ({"HOME": "{0}"}, ".cache"),
])  # fmt: skip
def test_the_usual_folder_is_where_the_system_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], expected: str
) -> None:
    """That of systemd first, then the desktop's variable, then the home folder; and nothing to notice."""
    for name in ("CACHE_DIRECTORY", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value.format(tmp_path))
    events: list[Event] = []

    assert tmp_path / expected / "serverless-wasm" == open_cache(events.append).folder
    assert events == []


def test_a_folder_that_cannot_be_used_is_replaced_for_as_long_as_the_cache_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator reads why; another process can open it; nothing is left of it."""
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "file"))
    (tmp_path / "file").write_text("")
    events: list[Event] = []
    cache = open_cache(events.append)
    folder = cache.folder

    cache.put(ENTRY, fuel=False)

    assert ENTRY == Cache(folder).get(ARTIFACT.digest, fuel=False)
    (notice,) = events
    assert isinstance(notice, Notice)
    assert "compiled modules are not kept: " in notice.message
    assert str(tmp_path / "file") in notice.message
    del cache
    gc.collect()
    assert not folder.exists()


@pytest.mark.parametrize("module", ["artifacts", "compiler", "child"])
def test_who_only_supervises_does_not_load_the_engine(module: str) -> None:
    """Neither the library nor what opens it."""
    code = f"import sys, serverless_wasm.wasm.{module}; print(*{{'wasmtime', 'cffi'}} & set(sys.modules))"

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout.split() == []
