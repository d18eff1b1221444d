"""wasi:logging, into the log of the service."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abi.wasi_http.keyvalues import Offered, world_of
from applications import Host
from serverless_wasm.abi.wasi_http.logging import LEVEL, LOGGING
from serverless_wasm.events import GuestLogged

LOG = Offered([LOGGING], "wasi:logging/logging")


def lines(host: Host) -> list[str]:
    """What the log has of guests."""
    return [event.message for event in host.events if isinstance(event, GuestLogged)]


def test_a_line_has_level_and_context(host: Host) -> None:
    """Each level by its name; without a context there is none."""
    world = world_of(host)
    for level in LEVEL.names:
        LOG.call(world, "log", level, "orders", "3 left")
    LOG.call(world, "log", "info", "", "3 left")

    expected = [f"{level.upper()} orders: 3 left" for level in LEVEL.names]
    assert lines(host) == [*expected, "INFO: 3 left"]


def test_a_guest_cannot_forge_a_line(host: Host) -> None:
    """Line ends and control characters are escaped in context and message alike."""
    LOG.call(world_of(host), "log", "info", "a\nb", "c\r\n\x1b[31m\u202e")

    (line,) = lines(host)
    assert line.isprintable()


def test_the_quota_holds(host: Host) -> None:
    """What is over the application's lines and bytes is dropped and counted."""
    world = world_of(host)
    limits = world.invocation.grants.limits
    LOG.call(world, "log", "info", "", "x" * limits.log_bytes)
    for _ in range(limits.log_lines + 10):
        LOG.call(world, "log", "info", "", "x")

    assert len(lines(host)) == limits.log_lines
    assert world.invocation.log_dropped == 11


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(level=st.sampled_from(LEVEL.names), context=st.text(), message=st.text())
def test_any_text_is_one_line(host: Host, level: str, context: str, message: str) -> None:
    """Printable, and the level comes first."""
    host.events.clear()
    LOG.call(world_of(host), "log", level, context, message)

    (line,) = lines(host)
    assert line.isprintable()
    assert line.startswith(level.upper())
