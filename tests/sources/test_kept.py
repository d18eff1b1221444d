"""The cache of modules from elsewhere: never other bytes, never half of them, never a disk that fills up."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from pathlib import Path

import pytest

from serverless_wasm.errors import SourceError
from serverless_wasm.sources.kept import Entry, Kept, Part, read

DATA = b"\0asm and more"
DIGEST = hashlib.sha256(DATA).hexdigest()
ENTRY = Entry(place="s3://b/a.wasm", digest=DIGEST, validator='"1"')
DAY = 86_400


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """A cache that is open."""
    kept = Kept(tmp_path / "sources")
    kept.open()
    return kept


def put(kept: Kept, data: bytes = DATA) -> Path:
    """Keeps a module."""
    part = kept.part()
    part.write(data)
    path = kept.path(part.digest)
    part.finish(path)
    return path


def age(path: Path, days: float) -> None:
    """Makes it look as old."""
    then = time.time() - days * DAY
    os.utime(path, (then, then))


def everything(kept: Kept) -> list[Path]:
    return [path for path in kept.path("x").parent.parent.rglob("*") if path.is_file()]


def test_what_is_kept_is_found(kept: Kept) -> None:
    """By its digest, for nobody but us."""
    path = put(kept)
    kept.note(ENTRY)

    assert kept.path(DIGEST) == path
    assert kept.size(DIGEST) == len(DATA)
    assert DATA == read(path, DIGEST)
    assert kept.entry(ENTRY.place) == ENTRY
    assert kept.entry("s3://b/other.wasm") is None
    assert {0o600} == {stat.S_IMODE(file.stat().st_mode) for file in everything(kept)}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("bad", [b"", DATA[:-1], DATA + b"x", b"\1" + DATA[1:]])
def test_damage_is_seen(kept: Kept, bad: bytes) -> None:
    """A module that is not what it was is none, and is gone then; read says so, too."""
    path = put(kept)
    path.write_bytes(bad)

    with pytest.raises(SourceError, match="was changed after it had been fetched"):
        read(path, DIGEST)
    assert kept.size(DIGEST) is None
    assert not path.exists()


@pytest.mark.parametrize("bad", [b"", b"{", b"[]", b"{}", b'{"place": 1}', b"[" * 20_000, b"\xff" * 9])
def test_a_damaged_entry_is_none(kept: Kept, bad: bytes) -> None:
    """The place is asked again, then."""
    kept.note(ENTRY)
    (path,) = everything(kept)
    path.write_bytes(bad)

    assert kept.entry(ENTRY.place) is None
    kept.note(ENTRY)
    assert kept.entry(ENTRY.place) == ENTRY


def test_an_entry_of_another_place_is_none(kept: Kept) -> None:
    """Whatever its file is called."""
    kept.note(ENTRY)
    (path,) = everything(kept)
    kept.note(Entry(place="other", digest=DIGEST, validator=""))
    other = next(file for file in everything(kept) if file != path)
    path.replace(other)

    assert kept.entry("other") is None


def test_what_is_given_up_leaves_nothing(kept: Kept) -> None:
    """Neither before it has its name, nor when it cannot have it; what is finished stays."""
    part = kept.part()
    part.write(DATA)
    part.discard()
    part = kept.part()
    with pytest.raises(OSError, match="No such file"):
        part.finish(kept.path(DIGEST) / "not" / "there")
    part.discard()
    assert everything(kept) == []

    part = kept.part()
    part.finish(kept.path(part.digest))
    part.discard()
    assert len(everything(kept)) == 1


def test_a_full_disk_leaves_nothing(kept: Kept) -> None:
    """What was not yet written when it filled up is not tried again."""
    part = kept.part()
    part._file.close()
    part._file = Path("/dev/full").open("wb")  # noqa: SIM115 - closed by discard
    part.write(b"x")
    with pytest.raises(OSError, match="No space left"):
        part.finish(kept.path(part.digest))
    assert everything(kept) == []

    part = Part(kept.path("x").parent)
    part._file.close()
    part._file = Path("/dev/full").open("wb")  # noqa: SIM115 - the same
    with pytest.raises(OSError, match="No space left"):
        part.write(bytes(1 << 20))
    part.discard()
    assert everything(kept) == []


def test_what_nobody_needs_is_removed(kept: Kept, tmp_path: Path) -> None:
    """Parts of processes that were killed, modules that no place has, places that nobody asks for."""
    used, unused, recent = (put(kept, data) for data in (DATA, b"old", b"new"))
    kept.note(ENTRY)
    (entry,) = (tmp_path / "sources").rglob("*.json")
    part, fresh = used.parent / "part-1-x", used.parent / "part-2-y"
    part.touch()
    fresh.touch()
    age(part, 1)
    for path in (used, unused, entry):
        age(path, 100)

    kept.open()
    assert set(everything(kept)) == {used, recent, fresh, entry}

    age(entry, 400)
    kept.open()
    assert set(everything(kept)) == {recent, fresh}


def test_use_keeps_it(kept: Kept) -> None:
    """A module that is asked for is not old, nor is a place."""
    path = put(kept)
    kept.note(ENTRY)
    for file in everything(kept):
        age(file, 500)
    assert kept.size(DIGEST)
    assert kept.entry(ENTRY.place)

    kept.open()

    assert path.exists()
    assert kept.entry(ENTRY.place)


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    """In one sentence."""
    (tmp_path / "sources").write_text("a file")
    with pytest.raises(SourceError, match="cannot be used: Not a directory"):
        Kept(tmp_path / "sources").open()
