"""A folder on disk with something beside it that nobody may reach, and every way to keep files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from serverless_wasm.storage.folder import Folder
from storage.backends import BACKENDS, Backend, backend
from storage.trees import SECRET, descriptors


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder, empty; `secret` and `outside/secret` lie beside it."""
    (tmp_path / "secret").write_bytes(SECRET)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(SECRET)
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def folder(root: Path) -> Iterator[Folder]:
    """The folder for a guest that may write; whatever a test does with it, no descriptor is left."""
    before = descriptors()
    opened = Folder.at(str(root), writable=True)
    yield opened
    opened.close()
    assert before == descriptors()


@pytest.fixture(params=BACKENDS)
def keeps(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """Each way to keep files."""
    return backend(request.param, request, tmp_path)
