"""Modules from registries, in the layout of `wkg` and Spin: one manifest, one layer that is the module.

A reference comes in and the bytes of its layer go out, or a module comes in and its digests go out.
It must never take a manifest or a layer whose bytes are not those of its digest.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import msgspec

from serverless_wasm.errors import SourceError
from serverless_wasm.sources.registry import Registry, open_registry, read_bounded
from serverless_wasm.sources.remote import PIECE, Away, Download, Known, cannot
from serverless_wasm.sources.web import download, require
from serverless_wasm.stores import Remote
from serverless_wasm.text import printable

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.wasm.config.v0+json"
LAYER = "application/wasm"
"""What the CNCF guidance "Wasm OCI Artifact" names them."""
_LAYERS = frozenset({LAYER, "application/vnd.wasm.content.layer.v1+wasm"})
"""The second is Spin's."""
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_ACCEPTED = ", ".join((MANIFEST, "application/vnd.docker.distribution.manifest.v2+json", *_INDEXES))
_MANIFEST_LIMIT = 4 << 20
"""What registries should take: OCI distribution specification, "Pushing manifests"."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MODULE = b"\0asm\1\0\0\0"

Progress = Callable[[int], None]
"""Is told how many bytes were sent so far."""


class Descriptor(msgspec.Struct, rename="camel", kw_only=True, omit_defaults=True):
    """A reference to a blob, with its digest and size."""

    media_type: str
    digest: str
    size: int


class Manifest(msgspec.Struct, rename="camel", kw_only=True, omit_defaults=True):
    """What a tag stands for; an index has `manifests` instead of layers."""

    schema_version: int = 0
    media_type: str = ""
    config: Descriptor | None = None
    layers: list[Descriptor] = []
    manifests: list[Descriptor] = []


class _Config(msgspec.Struct, rename="camel", kw_only=True):
    """The configuration of a plain module, which has no component to describe."""

    created: str
    architecture: str = "wasm"
    os: str = "wasip1"
    layer_digests: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What a registry has taken."""

    manifest: str
    """Its digest, with "sha256:"; what a reference with "@" names."""
    module: str
    """Its digest, with "sha256:"; what the key `digest` of an application names."""


@asynccontextmanager
async def opened(remote: Remote, known: Known | None) -> AsyncIterator[Download | None]:
    """The layer of an artifact; None when its manifest is still the one that is known."""
    async with open_registry(remote) as registry:
        named = registry.reference.digest
        if known and named and known.validator == named:
            yield None  # a digest names the same for ever
            return
        digest, data = await _manifest(registry)
        if known and known.validator == digest:
            yield None
            return
        layer = _layer(remote.url, data)
        async with registry.ask("GET", f"blobs/{layer.digest}", {}) as response:
            require(remote.url, response, registry.who)
            body = download(response)
            yield Download(
                pieces=body.pieces,
                size=layer.size,
                validator=digest,
                digest=layer.digest.removeprefix("sha256:"),
            )


async def _manifest(registry: Registry) -> tuple[str, bytes]:
    """A manifest and its digest, which is the one that was asked for."""
    reference = registry.reference
    async with registry.ask("GET", f"manifests/{reference.version}", {"accept": _ACCEPTED}) as response:
        if response.status_code == httpx.codes.NOT_FOUND:
            raise cannot(reference.url, f"the registry has no {reference.repository}:{reference.version}")
        require(reference.url, response, registry.who)
        data = await read_bounded(response, _MANIFEST_LIMIT)
        said = reference.digest or response.headers.get("docker-content-digest", "")
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if said.startswith("sha256:") and said != digest:
        raise cannot(reference.url, f"the registry sent the manifest {digest} for {printable(said, 80)}")
    return digest, data


def _layer(url: str, data: bytes) -> Descriptor:
    """The one layer that is a module; raises SourceError, a sentence, when there is not one."""
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, RecursionError):
        raise cannot(url, "its manifest is not understood") from None
    if manifest.manifests or manifest.media_type in _INDEXES:
        choice = ", ".join(printable(item.digest, 80) for item in manifest.manifests[:3])
        raise cannot(
            url, f"it is an index of several artifacts; write one of them behind an @, of {choice or 'none'}"
        )
    layers = [layer for layer in manifest.layers if layer.media_type in _LAYERS]
    if not layers:
        kinds = ", ".join(printable(layer.media_type, 80) for layer in manifest.layers[:3])
        raise cannot(url, f"it has no layer {LAYER}, only {kinds or 'none at all'}")
    if len(layers) > 1:
        raise cannot(url, f"it has {len(layers)} layers {LAYER} instead of one")
    if not _DIGEST.fullmatch(layers[0].digest) or layers[0].size < 0:
        raise cannot(url, f"its layer has the digest {printable(layers[0].digest, 80)}, which is not SHA-256")
    return layers[0]


async def push(remote: Remote, module: bytes, progress: Progress) -> Pushed:
    """Puts a module under a tag; raises SourceError, a sentence, when that does not work."""
    if not module.startswith(_MODULE):
        kind = "a component, which no application runs" if module[:4] == _MODULE[:4] else "not WebAssembly"
        raise SourceError(f"{printable(remote.url)} cannot be pushed: it is {kind}")
    layer = _descriptor(LAYER, module)
    created = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    config_data = msgspec.json.encode(_Config(created=created, layer_digests=[layer.digest]))
    config = _descriptor(CONFIG, config_data)
    data = msgspec.json.encode(Manifest(schema_version=2, media_type=MANIFEST, config=config, layers=[layer]))
    try:
        async with open_registry(remote) as registry:
            if registry.reference.digest:
                raise SourceError(f"{printable(remote.url)} names a digest; a push needs a tag")
            await _push_blob(registry, layer, module, progress)
            await _push_blob(registry, config, config_data, lambda _: None)
            await _push_manifest(registry, data)
    except (Away, SourceError) as error:
        name = printable(remote.url)
        text = str(error)
        raise SourceError(text if name in text else f"{name} cannot be pushed: {text}") from None
    return Pushed(manifest=_descriptor(MANIFEST, data).digest, module=layer.digest)


def _descriptor(media_type: str, data: bytes) -> Descriptor:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return Descriptor(media_type=media_type, digest=digest, size=len(data))


async def _push_blob(registry: Registry, blob: Descriptor, data: bytes, progress: Progress) -> None:
    """POST and PUT: OCI distribution specification, "POST then PUT"; nothing if the registry has it."""
    async with registry.ask("HEAD", f"blobs/{blob.digest}", {}) as response:
        if response.status_code == httpx.codes.OK:
            progress(len(data))
            return
    async with registry.ask("POST", "blobs/uploads/", {"content-length": "0"}) as response:
        _require_taken(registry, response, httpx.codes.ACCEPTED)
        place = registry.place(response)
    place = place.copy_merge_params({"digest": blob.digest})
    headers = {"content-type": "application/octet-stream", "content-length": str(len(data))}
    async with registry.ask("PUT", str(place), headers, lambda: _told(data, progress)) as response:
        _require_taken(registry, response, httpx.codes.CREATED)


async def _push_manifest(registry: Registry, data: bytes) -> None:
    path = f"manifests/{registry.reference.tag}"
    async with registry.ask("PUT", path, {"content-type": MANIFEST}, data) as response:
        _require_taken(registry, response, httpx.codes.CREATED)


async def _told(data: bytes, progress: Progress) -> AsyncIterator[bytes]:
    for start in range(0, len(data), PIECE):
        yield data[start : start + PIECE]
        progress(min(start + PIECE, len(data)))


def _require_taken(registry: Registry, response: httpx.Response, wanted: int) -> None:
    status, url = response.status_code, printable(registry.reference.url)
    if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        raise SourceError(f"{url} cannot be pushed: status {status}, no right to write it {registry.how}")
    if status != wanted:
        raise SourceError(f"{url} cannot be pushed: status {status} instead of {int(wanted)}")
