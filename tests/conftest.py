"""Fixtures that more than one room's tests use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from applications import Host
from sandbox import Sandbox

settings.register_profile("house", deadline=None)  # machines are noisy: no test asserts an absolute time
settings.load_profile("house")


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """One engine for all tests that do not count its slots."""
    room = Sandbox()
    yield room
    room.close()


@pytest.fixture
def host(sandbox: Sandbox) -> Iterator[Host]:
    """Runs applications; a new one for each test, on the shared engine."""
    room = Host(sandbox)
    yield room
    room.close()
