"""Fixtures that more than one room's tests use."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Coroutine, Iterator
from random import SystemRandom
from typing import Any

import pytest
import uvloop
from hypothesis import settings

from applications import Host
from paths import PATHS, taking
from sandbox import Sandbox
from server.doors import Run

pytest_plugins = ("services",)
SAME_EACH_TIME = "CI" in os.environ
"""A gate gives one answer to one change; without the variable each run draws anew."""

# machines are noisy: no test asserts an absolute time
settings.register_profile("house", deadline=None, derandomize=SAME_EACH_TIME)
settings.load_profile("house")


@pytest.fixture
def seed() -> int:
    """Of what a test draws; told when the test fails."""
    number = 1 if SAME_EACH_TIME else SystemRandom().randrange(10**6)
    print(f"seed {number}")  # noqa: T201 - pytest shows it
    return number


@pytest.fixture(scope="session", autouse=True)
def _runtime_folder() -> Iterator[None]:
    """Where services are found: the path of a socket may not be as long as those of pytest's folders."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNTIME_DIRECTORY", folder)
        yield


@pytest.fixture(scope="session", params=PATHS)
def engine_path(request: pytest.FixtureRequest) -> str:
    """Each path through the library: what asks for it, or for a sandbox, runs once with either."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def on_path(engine_path: str) -> Iterator[None]:
    """Engines that the test makes itself take the path."""
    with taking(engine_path):
        yield


@pytest.fixture(scope="session")
def sandbox(engine_path: str) -> Iterator[Sandbox]:
    """One engine on each path for all tests that do not count its slots."""
    with taking(engine_path):
        room = Sandbox()
    yield room
    room.close()


@pytest.fixture
def host(sandbox: Sandbox) -> Iterator[Host]:
    """Runs applications; a new one for each test, on the shared engine."""
    room = Host(sandbox)
    yield room
    room.close()


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine on a fresh loop of either kind."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def run_on_it(main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(asyncio.wait_for(main, 30))

    return run_on_it
