"""What `import serverless_wasm` gives."""

from __future__ import annotations

import subprocess
import sys

import pytest

import serverless_wasm


def test_every_public_name_is_there_and_sorted() -> None:
    """At most twenty names, each of which can be had."""
    names = serverless_wasm.__all__

    assert sorted(names) == names
    assert len(names) <= 20
    for name in names:
        assert getattr(serverless_wasm, name).__doc__


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    """As for any module."""
    with pytest.raises(AttributeError, match="no attribute 'Servic'"):
        _ = serverless_wasm.Servic


def test_importing_the_package_does_not_load_the_engine() -> None:
    """A process that only supervises others must stay small, and able to fork."""
    code = "import sys, serverless_wasm; print('wasmtime' in sys.modules, 'uvloop' in sys.modules)"

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout.split() == ["False", "False"]
