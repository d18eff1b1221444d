"""Reading modules from the disk: whole, of any size that is allowed, without a buffer for the largest."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from serverless_wasm.errors import SourceError
from serverless_wasm.limits import KIB, MIB
from serverless_wasm.sources import local


@pytest.mark.parametrize("size", [0, 1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 3 * MIB])
def test_a_file_is_read_whole(tmp_path: Path, size: int) -> None:
    """Smaller than a piece, as large, and larger."""
    content = os.urandom(size)
    (tmp_path / "file").write_bytes(content)

    assert content == local.read(tmp_path / "file")


def test_a_small_file_takes_little_memory(tmp_path: Path) -> None:
    """Not as much as the largest would: thousands are read one after the other."""
    (tmp_path / "file").write_bytes(b"small")
    tracemalloc.start()
    try:
        local.read(tmp_path / "file")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < MIB


@pytest.mark.parametrize("said", [0, 1, 299 * KIB, MIB])
def test_a_file_is_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: int) -> None:
    """Whatever it said of its size: it may grow meanwhile, or be cut; but little beyond the limit."""
    (tmp_path / "file").write_bytes(bytes(300 * KIB))
    with (tmp_path / "file").open("rb") as file:
        assert bytes(300 * KIB) == local._read_all(file.fileno(), said)

    monkeypatch.setattr(local, "SIZE_LIMIT", 200 * KIB)
    with (tmp_path / "file").open("rb") as file:
        assert bytes(200 * KIB + 1) == local._read_all(file.fileno(), said)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    """Neither of a file that was read nor of one that was refused."""
    (tmp_path / "file").write_bytes(b"x")
    before = list(Path("/dev/fd").iterdir())

    local.read(tmp_path / "file")
    for refused in (tmp_path, tmp_path / "gone", Path("/proc/self/mem")):
        with pytest.raises(SourceError):
            local.read(refused)

    assert before == list(Path("/dev/fd").iterdir())
