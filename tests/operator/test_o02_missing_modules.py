"""O2: a module that cannot be read is told in a sentence, answers 503, and hinders no other."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest

from conditions import HELLO_APPLICATION, application, ended, hello_folder, powerless, serve, start
from program import Folder
from serverless_wasm.errors import SourceError
from serverless_wasm.sources import local

SENTENCES = {
    "missing": "cannot be read: No such file or directory",
    "unreadable": "cannot be read: Permission denied",
    "hidden/module.wasm": "cannot be read: Permission denied",
    "folder": "is not a file",
    "pipe": "is not a file",
    "socket": "is not a file",
    "loop": "cannot be read: Too many levels of symbolic links",
    "file/module.wasm": "cannot be read: Not a directory",
    "x" * 300: "cannot be read: File name too long",
    "empty": "is empty",
    "huge": "has 5368709120 bytes, the limit is 268435456",
    "large": "has 1000 bytes, more than module_size, 500",
}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """One good module, and everything that a path can lead to instead of one."""
    made = hello_folder(tmp_path)
    (tmp_path / "unreadable").touch(mode=0)
    (tmp_path / "hidden").mkdir(mode=0)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    (tmp_path / "empty").touch()
    (tmp_path / "large").write_bytes(bytes(1000))
    with (tmp_path / "huge").open("wb") as sparse:
        sparse.truncate(5 << 30)
    entries = [
        application(name, f"/{number}", f'name = "a{number}"\nlimits.module_size = 500')
        for number, name in enumerate(SENTENCES)
    ]
    made.config(HELLO_APPLICATION + "\n".join(entries))
    return made


def test_others_are_served(folder: Folder) -> None:
    """Each that cannot be read answers 503 and is told once, with its path and the reason."""
    with serve(folder, under=powerless()) as service:
        assert service.get("/hello") == (200, b"hello")
        assert {service.get(f"/{number}")[0] for number in range(len(SENTENCES))} == {503}
        assert service.started["applications"] == 1

    told = [record for record in service.before if record["event"] == "application_broken"]
    reasons = {record["application"]: record["reason"] for record in told}
    assert len(told) == len(SENTENCES)
    for number, sentence in enumerate(SENTENCES.values()):
        assert sentence in reasons[f"a{number}"]
    for number in range(9):
        assert reasons[f"a{number}"].startswith(str(folder.path))


def test_strict(folder: Folder) -> None:
    """With --strict nothing is served; every reason is told, and which applications it is."""
    code, lines = ended(start(folder, "serve", "config.toml", "--strict", under=powerless()))

    assert code == 2
    names = ", ".join(f"a{number}" for number in range(len(SENTENCES)))
    assert lines[-1] == f"--strict: cannot be loaded, for the reasons above: {names}"
    assert all(any(sentence in line for line in lines) for sentence in SENTENCES.values())


@pytest.mark.parametrize("path", ["a\\u0000b", "a\\nb", "", "ftp://example.com/a.wasm"])
def test_paths_that_are_none(tmp_path: Path, path: str) -> None:
    """What can be no path on this machine, and no URL, is a mistake of the file."""
    folder = hello_folder(tmp_path)
    folder.config(HELLO_APPLICATION + application(path, "/a"))

    code, lines = ended(start(folder, "config.toml"))

    assert code == 2
    assert re.fullmatch(r'config\.toml:6: applications\[1\]\.file_path: found ".*", expected .* .*', lines[0])
    assert len(lines) == 1


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="files of Linux that are not on a disk")
@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/proc/self/mem", "cannot be read: Input/output error"),
        ("/dev/zero", "is not a file"),
        ("a\0b", "cannot be read: an impossible path"),
    ],
)
def test_files_that_are_none(path: str, sentence: str) -> None:
    """Neither a device nor what only looks like a file is waited for."""
    with pytest.raises(SourceError, match=sentence):
        local.read(Path(path))


def test_file_that_does_not_say_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is longer than it was, or below /proc, is not read beyond the limit."""
    monkeypatch.setattr(local, "SIZE_LIMIT", 3)
    (tmp_path / "file").write_bytes(b"abc")
    assert local.read(tmp_path / "file") == b"abc"

    with pytest.raises(SourceError, match="has more than 3 bytes, the limit"):
        local.read(Path("/proc/version"))
