"""What the tests of the doors share."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from server.certificates import VERSIONS


@pytest.fixture(params=VERSIONS, ids=["1.2", "1.3"])
def version(request: pytest.FixtureRequest) -> ssl.TLSVersion:
    """Each version of TLS that is spoken."""
    chosen: ssl.TLSVersion = request.param
    return chosen


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The event loop has nothing to say of any client."""
    yield
    assert [] == [record.message for record in caplog.records if record.name == "asyncio"]
