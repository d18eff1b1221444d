"""Registries: Debian's own, with each way to say who we are, and one of our making that lies."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from serverless_wasm.errors import SourceError
from serverless_wasm.sources import oci
from serverless_wasm.sources.fetch import Fetched
from serverless_wasm.sources.oci import LAYER, MANIFEST, Pushed
from serverless_wasm.sources.registry import Reference
from serverless_wasm.stores import Remote, Store
from sources.servers import MODULE, Cached, Exchange, free_port, me, registry, table, wanted, web

LARGE = MODULE + bytes(3 << 20)
HTPASSWD = "me:$2y$04$abcdefghijklmnopqrstuuV3duMsC0HpUex6N9qapiuOHHWkwRXVm\n"
"""What `htpasswd -B` makes of the password hunter2."""


@pytest.fixture
def cached(tmp_path: Path) -> Cached:
    """An empty cache."""
    return Cached(tmp_path / "cache")


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No login of whoever runs the tests."""
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def push(url: str, module: bytes = MODULE, store: Store | None = None) -> Pushed:
    """Puts a module into a registry, without a word."""
    return asyncio.run(oci.push(Remote(url=url, store=store), module, lambda _: None))


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.fixture(scope="module")
def open_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A registry that everybody may write to."""
    with registry(tmp_path_factory.mktemp("registry")) as port:
        yield port


def test_what_is_pushed_is_fetched(cached: Cached, open_port: int) -> None:
    """By its tag, by the digest of its manifest, and in the layout of wkg."""
    url = f"oci://127.0.0.1:{open_port}/me/hello"
    sent: list[int] = []

    pushed = asyncio.run(oci.push(Remote(url=f"{url}:1.0"), LARGE, sent.append))

    assert pushed.module == digest(LARGE)
    assert sent[-1] == len(LARGE)
    assert LARGE == cached.bytes(wanted(f"{url}:1.0"))
    assert LARGE == cached.bytes(wanted(f"{url}@{pushed.manifest}"))
    assert LARGE == cached.bytes(wanted(f"{url}:2.0@{pushed.manifest}", digest=pushed.module))
    answer = httpx.get(
        f"http://127.0.0.1:{open_port}/v2/me/hello/manifests/1.0", headers={"accept": MANIFEST}
    )
    manifest = answer.json()
    assert digest(answer.content) == pushed.manifest
    assert manifest["schemaVersion"] == 2
    assert manifest["mediaType"] == MANIFEST
    assert manifest["layers"] == [{"mediaType": LAYER, "digest": pushed.module, "size": len(LARGE)}]
    assert manifest["config"]["mediaType"] == "application/vnd.wasm.config.v0+json"
    config = httpx.get(
        f"http://127.0.0.1:{open_port}/v2/me/hello/blobs/{manifest['config']['digest']}"
    ).json()
    assert config.pop("created").endswith("Z")
    assert config == {"architecture": "wasm", "os": "wasip1", "layerDigests": [pushed.module]}


def test_a_tag_moves(cached: Cached, open_port: int) -> None:
    """What it stands for is asked each time; what is there already is not moved again."""
    url = f"oci://127.0.0.1:{open_port}/moves"
    push(url, MODULE)
    assert MODULE == cached.bytes(wanted(url))
    assert MODULE == cached.bytes(wanted(f"{url}:latest"))
    push(url, LARGE)
    assert LARGE == cached.bytes(wanted(url))
    push(url, MODULE)
    assert MODULE == cached.bytes(wanted(url))
    assert [event.from_cache for event in cached.events] == [False, True, False, True]  # type: ignore[attr-defined]  # all of them are ModuleFetched


def test_a_digest_is_for_ever(cached: Cached, tmp_path: Path) -> None:
    """What is in the cache under the digest of a manifest is not asked for; another tag is not there."""
    with registry(tmp_path) as port:
        url = f"oci://127.0.0.1:{port}/hello"
        pinned = f"{url}@{push(url).manifest}"
        assert MODULE == cached.bytes(wanted(pinned))
        assert "cannot be fetched: the registry has no hello:2" in cached.refusal(wanted(f"{url}:2"))
        assert "the registry has no hello:sha256:000" in cached.refusal(wanted(f"{url}@sha256:{'0' * 64}"))
    cached.events.clear()
    assert MODULE == cached.bytes(wanted(pinned))
    assert [event.from_cache for event in cached.events] == [True]  # type: ignore[attr-defined]  # the same


@pytest.fixture(scope="module")
def closed_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A registry for `me` with the password `hunter2`."""
    folder = tmp_path_factory.mktemp("closed")
    (folder / "htpasswd").write_text(HTPASSWD)
    with registry(folder, more=f"auth: {{htpasswd: {{realm: r, path: {folder}/htpasswd}}}}\n") as port:
        yield port


def login(folder: Path, registry: str, password: str = "hunter2") -> Path:  # noqa: S107 - a canary
    """What `docker login` writes."""
    path = folder / "config.json"
    auth = base64.b64encode(f"me:{password}".encode()).decode()
    path.write_text(json.dumps({"auths": {registry: {"auth": auth}}}))
    return path


def test_a_password_of_the_table_or_of_docker(
    cached: Cached, closed_port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And of nobody else; a refusal says whose it was, never what."""
    url = f"oci://127.0.0.1:{closed_port}/me/hello"
    right, wrong = (me(url, text) for text in ("hunter2", "canary"))
    with pytest.raises(
        SourceError, match=r"status 401, no right to write it without credentials; run docker"
    ):
        push(url)
    with pytest.raises(SourceError, match=r"no right to write it with the credentials of \[stores\.mine\]"):
        push(url, store=wrong)
    push(url, store=right)

    assert MODULE == cached.bytes(wanted(url, right))
    refusal = cached.refusal(wanted(url, wrong))
    assert "status 401, no right to read it with the credentials of [stores.mine]" in refusal
    assert "canary" not in refusal
    assert "without credentials" in cached.refusal(wanted(url))

    path = login(tmp_path, f"127.0.0.1:{closed_port}")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert MODULE == cached.bytes(wanted(url))
    login(tmp_path, f"127.0.0.1:{closed_port}", "canary")
    assert f"with the login in {path}" in cached.refusal(wanted(url))


class Tokens:
    """Gives out tokens as registries of the world do it, signed so that Debian's registry takes them."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "roots.pem"))
        issued = authority.issue_cert("tokens")
        key = load_pem_private_key(issued.private_key_pem.bytes(), None)
        assert isinstance(key, EllipticCurvePrivateKey)
        self.key = key
        certificate = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes())
        self.chain = [base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()]
        self.asked: list[tuple[str, str]] = []

    def __call__(self, exchange: Exchange) -> None:
        query = {key: values[0] for key, values in parse_qs(urlsplit(exchange.path).query).items()}
        shown = exchange.headers.get("authorization", "")
        self.asked.append((query.get("scope", ""), shown))
        me = f"Basic {base64.b64encode(b'me:hunter2').decode()}"
        if shown not in {"", me}:
            exchange.say(401)
            return
        kind, name, actions = query["scope"].split(":")
        granted = actions.split(",") if shown else ["pull"]
        exchange.say(200, json.dumps({"token": self.token(kind, name, granted)}).encode())

    def token(self, kind: str, name: str, actions: list[str]) -> str:
        """RFC 7519, with an ECDSA signature."""
        claims: Mapping[str, Any] = {
            "iss": "tokens",
            "aud": "registry",
            "sub": "me",
            "exp": 1 << 40,
            "nbf": 0,
            "access": [{"type": kind, "name": name, "actions": actions}],
        }
        head = {"typ": "JWT", "alg": "ES256", "x5c": self.chain}
        text = ".".join(_coded(json.dumps(part).encode()) for part in (head, claims))
        r, s = decode_dss_signature(self.key.sign(text.encode(), ECDSA(hashes.SHA256())))
        return f"{text}.{_coded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _coded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def test_tokens(cached: Cached, tmp_path: Path) -> None:
    """A registry that wants tokens gets them: with a password for writing, without for reading."""
    tokens = Tokens(tmp_path)
    with web(tokens) as server:
        more = (
            f"auth: {{token: {{realm: 'http://127.0.0.1:{server.port}/token', service: registry, "
            f"issuer: tokens, rootcertbundle: {tmp_path}/roots.pem}}}}\n"
        )
        with registry(tmp_path, more=more) as port:
            url = f"oci://127.0.0.1:{port}/me/hello"
            with pytest.raises(SourceError, match="no right to write it without credentials"):
                push(url)
            with pytest.raises(SourceError, match=r"status 401, no token for it with .*\[stores.mine\]"):
                push(url, store=me(url, "canary"))
            push(url, LARGE, me(url, "hunter2"))
            tokens.asked.clear()

            assert LARGE == cached.bytes(wanted(url))

            assert tokens.asked == [("repository:me/hello:pull", "")]
            own = table(url, token=tokens.token("repository", "me/hello", ["pull"]))
            tokens.asked.clear()
            assert LARGE == Cached(tmp_path / "other").bytes(wanted(url, own))
            assert tokens.asked == []


def test_tls(cached: Cached, tmp_path: Path) -> None:
    """The registry's own authority is trusted if the table says so."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issued = authority.issue_cert("127.0.0.1")
    (tmp_path / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    http = f", tls: {{certificate: {tmp_path}/cert.pem, key: {tmp_path}/key.pem}}"
    with registry(tmp_path, http) as port:
        url = f"oci://127.0.0.1:{port}/hello"
        store = table(url, ca=str(tmp_path / "ca.pem"))
        push(url, store=store)
        assert MODULE == cached.bytes(wanted(url, store))
        other = wanted(url, table(url, endpoint=f"https://127.0.0.1:{port}"))
        assert "is not trusted" in cached.refusal(other)
        assert "the first record does not look like a TLS handshake" not in cached.refusal(other)


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("oci://ghcr.io/me/hello:1.0", ("ghcr.io", "me/hello", "1.0", None)),
        ("oci://localhost:5000/hello", ("localhost:5000", "hello", "latest", None)),
        ("oci://[::1]:5000/a_b/c-d", ("[::1]:5000", "a_b/c-d", "latest", None)),
        ("oci://Docker.io/hello", ("docker.io", "library/hello", "latest", None)),
        ("oci://a/b:c@sha256:" + "0" * 64, ("a", "b", "c", "sha256:" + "0" * 64)),
    ],
)
def test_references(url: str, read: tuple[str, str, str, str | None]) -> None:
    """Registry, repository, tag and digest."""
    reference = Reference.parse(url)
    assert read == (reference.registry, reference.repository, reference.tag, reference.digest)


@pytest.mark.parametrize(
    "url",
    [
        "oci://a",
        "oci://a/",
        "oci://a/B",
        "oci://a/b:",
        "oci://a/b@sha256:0",
        "oci://a/../b",
        "oci://me@a/b",
        "a/b",
    ],
)
def test_what_is_no_reference(url: str) -> None:
    """A sentence says what is one."""
    with pytest.raises(SourceError, match="names no artifact; write oci://registry/repository:tag"):
        Reference.parse(url)


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"hello", "not WebAssembly"), (b"", "not WebAssembly"), (b"\0asm\x0d\0\1\0", "a component, which no")],
)
def test_only_a_module_is_pushed(data: bytes, said: str) -> None:
    """Nothing is asked of the registry."""
    with pytest.raises(SourceError, match=f"cannot be pushed: it is {said}"):
        push(f"oci://127.0.0.1:{free_port()}/a", data)


def test_a_push_that_fails_says_why() -> None:
    """No registry, one that is ill, and no tag to push to."""
    port = free_port()
    with pytest.raises(SourceError, match=f"cannot be pushed: 127.0.0.1:{port} refuses connections"):
        push(f"oci://127.0.0.1:{port}/a")
    with web(lambda exchange: exchange.say(500)) as server, pytest.raises(SourceError, match="status 500"):
        push(f"oci://127.0.0.1:{server.port}/a")
    with pytest.raises(SourceError, match="names a digest; a push needs a tag"):
        push(f"oci://127.0.0.1:{port}/a@sha256:{'0' * 64}")


class Liar:
    """A registry that answers what it was told to, right or wrong."""

    def __init__(self, manifest: object, blob: bytes = MODULE) -> None:
        self.manifest = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        self.headers: dict[str, str] = {}
        self.blob = blob

    def __call__(self, exchange: Exchange) -> None:
        if "/manifests/" in exchange.path:
            exchange.say(200, self.manifest, self.headers)
        else:
            exchange.say(200, self.blob)


def layer(data: bytes = MODULE, kind: str = LAYER, **other: object) -> dict[str, object]:
    """A layer of a manifest."""
    return {"mediaType": kind, "digest": digest(data), "size": len(data), **other}


SPIN = "application/vnd.wasm.content.layer.v1+wasm"
LIES: dict[str, tuple[Liar, str]] = {
    "no JSON": (Liar(b"{"), "its manifest is not understood"),
    "deep": (Liar(b"[" * 100_000), "its manifest is not understood"),
    "other types": (Liar({"layers": "x"}), "its manifest is not understood"),
    "long": (Liar(b" " * (5 << 20)), "the registry's answer has more than 4194304 bytes"),
    "no layers": (Liar({"layers": []}), f"it has no layer {LAYER}, only none at all"),
    "an image": (Liar({"layers": [layer(kind="image/x")]}), f"it has no layer {LAYER}, only image/x"),
    "two": (Liar({"layers": [layer(), layer()]}), "it has 2 layers application/wasm instead of one"),
    "index": (
        Liar({"manifests": [layer(b"a"), layer(b"b")]}),
        f"an index of several artifacts; write one of them behind an @, of {digest(b'a')}, {digest(b'b')}",
    ),
    "list": (
        Liar({"mediaType": "application/vnd.docker.distribution.manifest.list.v2+json"}),
        "it is an index of several artifacts; write one of them behind an @, of none",
    ),
    "sha512": (Liar({"layers": [layer(digest="sha512:0")]}), "has the digest sha512:0, which is not SHA-256"),
    "a path": (Liar({"layers": [layer(digest="../../x")]}), "has the digest ../../x, which is not SHA-256"),
    "other blob": (
        Liar({"layers": [layer()]}, MODULE[:7] + b"x"),
        f"the server sent {digest(MODULE[:7] + b'x')} for {digest(MODULE)}",
    ),
    "short blob": (Liar({"layers": [layer()]}, MODULE[:5]), "only 5 of 8 bytes came"),
    "no module": (
        Liar({"layers": [layer(b"hello")]}, b"hello"),
        "it is not WebAssembly: it begins with hell",
    ),
    "huge": (Liar({"layers": [layer(size=1 << 40)]}), "it has more than 8388608 bytes, which is module_size"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_registry_that_lies(cached: Cached, lie: str) -> None:
    """A sentence for each way, and nothing is kept."""
    liar, said = LIES[lie]
    with web(liar) as server:
        assert said in cached.refusal(wanted(f"oci://127.0.0.1:{server.port}/a"))
    assert [path for path in cached.folder.rglob("*") if path.is_file()] == []


def test_another_manifest_is_refused(cached: Cached) -> None:
    """When it is not that of the digest that was asked for, or that the registry itself says."""
    liar = Liar({"layers": [layer()]})
    with web(liar) as server:
        url = f"oci://127.0.0.1:{server.port}/a"
        sent = digest(liar.manifest)
        refusal = cached.refusal(wanted(f"{url}@sha256:{'0' * 64}"))
        assert f"the registry sent the manifest {sent} for sha256:000" in refusal
        liar.headers["Docker-Content-Digest"] = "sha256:" + "1" * 64
        assert f"the registry sent the manifest {sent} for sha256:111" in cached.refusal(wanted(url))
        liar.headers.clear()
        assert MODULE == cached.bytes(wanted(url))


def test_the_layer_of_spin_is_taken(cached: Cached) -> None:
    """And one of several kinds is the module."""
    with web(Liar({"layers": [layer(b"x", "application/x"), layer(kind=SPIN)]})) as server:
        assert MODULE == cached.bytes(wanted(f"oci://127.0.0.1:{server.port}/a"))


@pytest.mark.parametrize(
    "realm",
    ["http://10.0.0.1/token", "file:///etc/passwd", "", "ftp://127.0.0.1/", "http://[", "//127.0.0.1/x"],
)
def test_a_password_goes_nowhere_without_tls(cached: Cached, realm: str) -> None:
    """But to the registry itself, if that has no TLS either."""
    challenge = {"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'}
    with web(lambda exchange: exchange.say(401, headers=challenge)) as server:
        url = f"oci://127.0.0.1:{server.port}/a"
        store = me(url, "canary")
        refusal = cached.refusal(wanted(url, store))
        assert "without TLS" in refusal or "is no URL of HTTP" in refusal
        assert all("authorization" not in map(str.lower, headers) for headers in server.headers)


@pytest.mark.parametrize(
    "answer",
    [b"{", b"[]", b"{}", b'{"token": 1}', b'{"token": "a\\nb"}', b" " * 100_000, b'{"token": "\xc3\xa9"}'],
)
def test_a_token_that_is_none(cached: Cached, answer: bytes) -> None:
    """Is told, or refused by the registry; nothing else happens."""

    def say(exchange: Exchange) -> None:
        if exchange.path.startswith("/token"):
            exchange.say(200, answer)
        else:
            realm = f"http://{exchange.headers['host']}/token"
            exchange.say(401, headers={"WWW-Authenticate": f'Bearer realm="{realm}"'})

    with web(say) as server:
        assert "cannot be fetched: " in cached.refusal(wanted(f"oci://127.0.0.1:{server.port}/a"))
        assert len(server.asked) <= 3


def test_an_upload_may_go_elsewhere_without_the_password(tmp_path: Path) -> None:
    """A registry may have its blobs taken in by another server; who we are stays with it."""

    def take(exchange: Exchange) -> None:
        exchange.rfile.read(int(exchange.headers["content-length"]))
        exchange.say(201)

    with web(take) as other:

        def say(exchange: Exchange) -> None:
            if exchange.command == "HEAD":
                exchange.say(404)
            elif "authorization" not in exchange.headers:
                exchange.close_connection = True
                exchange.say(401, headers={"WWW-Authenticate": "Basic realm=x"})
            elif exchange.command == "POST":
                exchange.say(202, headers={"Location": f"http://127.0.0.1:{other.port}/up?state=1"})
            else:
                take(exchange)

        with web(say) as server:
            url = f"oci://127.0.0.1:{server.port}/a"
            pushed = push(url, store=me(url, "canary"))

    assert other.asked[0] == f"PUT /up?state=1&digest={pushed.module.replace(':', '%3A')}"
    assert all("authorization" not in map(str.lower, headers) for headers in other.headers)


def test_offline(cached: Cached, tmp_path: Path) -> None:
    """A tag that was fetched once is used from the cache when the registry is away."""
    with registry(tmp_path) as port:
        url = f"oci://127.0.0.1:{port}/hello"
        push(url)
        cached.fetch(wanted(url))
    (result,) = cached.fetch(wanted(url))
    assert isinstance(result, Fetched)
    assert "the copy in the cache is used" in str(cached.events[-1])
