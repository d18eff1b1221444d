"""Which addresses are this machine's own, asked of the system itself."""

from __future__ import annotations

import os
import resource
from ipaddress import ip_address

import pytest

from net.backends import main_address, no_descriptor_left
from serverless_wasm.net.interfaces import is_local


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", main_address()])
def test_own_address(address: str) -> None:
    """Every loopback address, and that of an interface."""
    with no_descriptor_left():
        assert is_local(ip_address(address))


@pytest.mark.parametrize("address", ["203.0.113.7", "8.8.8.8", "2001:db8::7", "2606:4700::1111"])
def test_stranger(address: str) -> None:
    """An address that no interface has is somebody else's."""
    with no_descriptor_left():
        assert not is_local(ip_address(address))


def test_when_in_doubt_it_is_our_own() -> None:
    """Without a descriptor to ask with, the answer is the one that keeps guests out."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        assert is_local(ip_address("8.8.8.8"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
