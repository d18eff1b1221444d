"""O12: what the service may not read or write, or others may write, is told in a sentence; it serves."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from conditions import ROOT, ended, hello_folder, powerless, serve, start
from program import Folder

NOT_KEPT = "compiled modules are not kept: "


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A configuration with one good application."""
    return hello_folder(tmp_path)


@pytest.fixture
def cache(folder: Folder) -> Path:
    """The folder of compiled modules, made by somebody else."""
    path = folder.path / "cache" / "serverless-wasm"
    path.mkdir(mode=0o700, parents=True)
    return path


def notices(folder: Folder, under: tuple[str, ...] = ()) -> list[str]:
    """The notices of a service that starts; it must serve in spite of them."""
    with serve(folder, under=under) as service:
        assert service.get("/hello") == (200, b"hello")
    return [record["message"] for record in service.before if record["event"] == "notice"]


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o720])
def test_cache_that_others_may_write(folder: Folder, cache: Path, mode: int) -> None:
    """Native code is neither read from there nor written there; the operator reads what to type."""
    cache.chmod(mode)

    (notice,) = notices(folder)

    assert notice == f"{NOT_KEPT}{cache} can be written by others; write: chmod 700 {cache}"
    assert list(cache.iterdir()) == []


@pytest.mark.skipif(not ROOT, reason="only root can give a folder away")
def test_cache_of_another_user(folder: Folder, cache: Path) -> None:
    """A folder that belongs to somebody else is neither read nor written."""
    os.chown(cache, 65534, 65534)

    (notice,) = notices(folder)

    assert notice.startswith(f"{NOT_KEPT}{cache} ")
    assert list(cache.iterdir()) == []


@pytest.mark.skipif(not ROOT, reason="only root can give a folder away")
def test_remedy_for_a_cache_of_another_user(folder: Folder, cache: Path) -> None:
    """The remedy is one that helps."""
    os.chown(cache, 65534, 65534)

    (notice,) = notices(folder)

    assert "belongs to another user" in notice
    assert "chmod 700" not in notice


def test_cache_that_is_read_only(folder: Folder, cache: Path) -> None:
    """A folder that cannot be written from the start is told with the system's reason."""
    cache.chmod(0o500)

    (notice,) = notices(folder, powerless())

    assert notice == f"{NOT_KEPT}{cache} cannot be used for compiled modules: Permission denied"


@pytest.mark.parametrize("what", ["cache", "file"])
def test_cache_that_is_no_folder(folder: Folder, what: str) -> None:
    """A file, or a folder in one, in the place of the cache is told with the system's reason."""
    place = folder.path / "cache" / ("serverless-wasm" if what == "cache" else "")
    place.parent.mkdir(exist_ok=True)
    place.touch()

    (notice,) = notices(folder)

    path = folder.path / "cache" / "serverless-wasm"
    assert re.fullmatch(
        f"{NOT_KEPT}{path} cannot be used for compiled modules: (File exists|Not a dir.*)", notice
    )


def test_cache_that_became_read_only(folder: Folder, cache: Path) -> None:
    """What is in it is used; what is not is compiled anew each time."""
    assert notices(folder) == []
    for path in cache.glob("*.cwasm"):
        path.unlink()
    cache.chmod(0o500)

    with serve(folder, under=powerless()) as service:
        assert service.get("/hello") == (200, b"hello")

    assert [path.name for path in cache.iterdir()] == ["key"]


def test_no_home_at_all(folder: Folder) -> None:
    """Without any place for a cache the service serves."""
    with serve(folder, XDG_CACHE_HOME="/proc/nowhere", HOME="/proc/nowhere") as service:
        assert service.get("/hello") == (200, b"hello")


@pytest.mark.parametrize("verb", ["serve", "check"])
@pytest.mark.parametrize(
    "mode",
    [
        0o000,
        0o600,
    ],
)
def test_configuration_that_cannot_be_read(folder: Folder, verb: str, mode: int) -> None:
    """A file without permission, or in a folder without, is one sentence and exit code 2."""
    hidden = folder.path / "hidden"
    hidden.mkdir()
    (folder.path / "config.toml").rename(hidden / "config.toml")
    (hidden if mode else hidden / "config.toml").chmod(mode)

    code, lines = ended(start(folder, verb, "hidden/config.toml", under=powerless()))

    sentence = (
        "hidden/config.toml:1: file: found Permission denied, expected the path of a readable TOML file"
    )
    assert (code, lines) == (2, [sentence])
