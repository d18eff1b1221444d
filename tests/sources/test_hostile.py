"""Whatever a server answers: a sentence for the operator, no fault, and nothing left."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serverless_wasm.errors import SourceError
from serverless_wasm.events import InternalFault
from serverless_wasm.sources import oci
from serverless_wasm.sources.oci import Descriptor
from serverless_wasm.sources.registry import Reference
from sources.servers import MODULE, Cached, Exchange, wanted, web

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
KEYS = st.sampled_from(["mediaType", "digest", "size", "layers", "manifests", "config", "schemaVersion"])
LAYER = st.dictionaries(KEYS, JSON | st.just("application/wasm") | st.just("sha256:" + "0" * 64))
MANIFESTS = JSON | st.dictionaries(KEYS, JSON | st.lists(LAYER)) | st.dictionaries(KEYS, st.lists(LAYER))
HEAD = st.sampled_from(
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 302 X\r\nLocation: ",
        b"HTTP/1.1 401 X\r\nWWW-Authenticate: Bearer realm=",
    ]
)
FIELDS = [b"Content-Length: 8", b"Content-Length: -1", b"Transfer-Encoding: chunked", b"ETag: \xff"]
LINES = st.lists(st.sampled_from(FIELDS) | st.binary(max_size=12), max_size=3).map(b"\r\n".join)


def told(work: Callable[[], object]) -> object:
    """What it gives, or the sentence of its refusal."""
    try:
        return work()
    except SourceError as error:
        return str(error)


@given(MANIFESTS.map(lambda manifest: json.dumps(manifest).encode()) | st.binary())
def test_any_manifest(data: bytes) -> None:
    """Has one layer that is a module, or a sentence says why not."""
    layer = told(lambda: oci._layer("oci://a/b", data))
    assert isinstance(layer, Descriptor) or str(layer).isprintable()


@given(st.text() | st.from_regex(r"oci://[a-z.:]+/[a-z:@]+", fullmatch=True))
def test_any_reference(text: str) -> None:
    """Is read, or a sentence says what one is."""
    reference = told(lambda: Reference.parse(text))
    assert isinstance(reference, Reference) or str(reference).isprintable()


@FEW
@given(HEAD, LINES, st.binary(max_size=20) | st.just(MODULE))
def test_any_answer(head: bytes, lines: bytes, body: bytes) -> None:
    """Of a web server and of a registry."""

    def say(exchange: Exchange) -> None:
        exchange.say_raw(head + lines + b"\r\nConnection: close\r\n\r\n" + body)

    with tempfile.TemporaryDirectory() as folder, web(say) as server:
        cached = Cached(Path(folder) / "cache")
        place = f"127.0.0.1:{server.port}/a"
        for result in cached.fetch(wanted(f"http://{place}"), wanted(f"oci://{place}")):
            assert not isinstance(result, SourceError) or str(result).isprintable()
        assert not [event for event in cached.events if isinstance(event, InternalFault)], cached.events
        assert cached.parts() == []
