"""Real services that tests talk to: each is started once for a session, on ports that were free.

`pytest_plugins` of conftest.py makes the fixtures known to every room.
"""

from __future__ import annotations

import base64
import hmac
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

import httpx
import obstore
import pytest

from serverless_wasm.stores import Patience, Remote, Store, open_objects

SCRIPT = "scripts/test installs it where it can"
READY = Patience(connect=5, request=30, retries=3)
"""A service that has just started may be slow."""


def program(name: str, how: str = SCRIPT) -> str:
    """Where a program is, beside this Python or on the PATH; skips the test where it is not."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed; {how}")
    return found


def free_ports(count: int) -> list[int]:
    """Ports that nobody has at the moment, each another one."""
    with_sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(sock.getsockname()[1]) for sock in with_sockets]
    for sock in with_sockets:
        sock.close()
    return ports


@contextmanager
def running(arguments: list[str], log: Path, sign: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server of our own, from the moment that its log says `sign`; ended by its id."""
    # it goes with us, also when we are killed
    bound = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    with log.open("wb") as output:
        process = subprocess.Popen([*bound, *arguments], stdout=output, stderr=output, cwd=log.parent)
    follower = subprocess.Popen(
        ["tail", "-n", "+1", "-F", f"--pid={process.pid}", str(log)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        errors="replace",
    )
    try:
        assert follower.stdout is not None
        said = any(sign in line for line in follower.stdout)
        follower.kill()
        follower.communicate()
        assert said, f"{arguments[0]} ended:\n{log.read_text(errors='replace')[-2000:]}"
        yield process
    finally:
        process.kill()
        process.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service that keeps objects: where it is, and who may ask it."""

    url: str
    """Of a bucket or container that exists and that all tests share: keep below a prefix of your own."""
    endpoint: str
    port: int
    options: Mapping[str, str] = field(default_factory=dict)
    """For `[stores.NAME]`: right in everything."""

    def remote(self, below: str = "", **options: str) -> Remote:
        """The place `below` in it; `options` replace those that are right."""
        store = Store(name="test", url=self.url, options={**self.options, **options})
        return Remote(url=f"{self.url}/{below}".rstrip("/"), store=store)


ACCESS, SECRET = "AKIAEXAMPLE1", "canary-secret-of-s3"
_IDENTITIES = {
    "identities": [
        {
            "name": "test",
            "credentials": [{"accessKey": ACCESS, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        },
        {"name": "anonymous", "actions": ["Read:open", "Write:open", "List:open"]},
    ]
}


@contextmanager
def seaweed(folder: Path) -> Iterator[Service]:
    """SeaweedFS as an S3 server, with a bucket, and another one, `open`, for requests without credentials."""
    (folder / "s3.json").write_text(json.dumps(_IDENTITIES))
    (folder / "data").mkdir()
    ports = free_ports(8)
    arguments = [program("weed"), "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    arguments += ["-filer", "-s3", f"-s3.config={folder / 's3.json'}"]
    arguments += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]
    arguments += [f"-filer.localSocket={folder / 'f'}", f"-s3.localSocket={folder / 's'}"]
    arguments += ["-master.volumeSizeLimitMB=1024", "-volume.max=20"]
    for name, web, grpc in zip(("s3", "master", "volume", "filer"), ports, ports[4:], strict=False):
        arguments += [f"-{name}.port={web}", f"-{name}.port.grpc={grpc}"]
    with running(arguments, folder / "weed.log", "Start Seaweed S3 API Server"):
        endpoint = f"http://127.0.0.1:{ports[0]}"
        options = {
            "endpoint": endpoint,
            "region": "us-east-1",
            "access_key_id": ACCESS,
            "secret_access_key": SECRET,
        }
        for bucket in ("open", "bucket"):
            service = Service(url=f"s3://{bucket}", endpoint=endpoint, port=ports[0], options=options)
            # the first write makes the bucket
            obstore.put(open_objects(service.remote(), READY), "ready", b"")
        yield service
    for port in ports[4:]:
        for left in Path("/tmp").glob(f"seaweedfs-*-grpc-{port}.sock"):  # noqa: S108 - weed has no other place
            left.unlink()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The S3 server of this session."""
    with seaweed(tmp_path_factory.mktemp("s3")) as service:
        yield service


AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Of the account that the emulator has: it is published."""
AZURE_ACCOUNT = "devstoreaccount1"


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Azurite, the emulator of Azure's blobs, with a container."""
    folder, (port,) = tmp_path_factory.mktemp("azure"), free_ports(1)
    arguments = [
        program("azurite-blob", "npm install --global azurite"),
        "--blobHost",
        "127.0.0.1",
        "--blobPort",
        str(port),
    ]
    arguments += ["--location", str(folder), "--skipApiVersionCheck", "--disableTelemetry"]
    with running(arguments, folder / "azurite.log", "successfully listen"):
        endpoint = f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}"
        _make_container(endpoint, "box")
        options = {"endpoint": endpoint, "account": AZURE_ACCOUNT, "account_key": AZURE_KEY}
        yield Service(url="az://box", endpoint=endpoint, port=port, options=options)


def _make_container(endpoint: str, name: str) -> None:
    """Create Container, signed as "Authorize with Shared Key" of Azure's documentation has it."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
    signed = "".join(f"{key}:{value}\n" for key, value in headers.items())
    text = "PUT" + "\n" * 12 + f"{signed}/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/{name}\nrestype:container"
    code = base64.b64encode(hmac.digest(base64.b64decode(AZURE_KEY), text.encode(), "sha256")).decode()
    headers["authorization"] = f"SharedKey {AZURE_ACCOUNT}:{code}"
    answer = httpx.put(f"{endpoint}/{name}?restype=container", headers=headers)
    assert 201 == answer.status_code, answer.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """A web server and the folder that it serves."""

    url: str
    port: int
    folder: Path


_NGINX = """
daemon off; master_process off; error_log stderr; pid {folder}/pid;
events {{}}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; root {folder}/www; location /secret/ {{ deny all; }} }}
}}
"""


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A folder that nginx serves; keep below a name of your own. /secret/ is forbidden."""
    folder, (port,) = tmp_path_factory.mktemp("web"), free_ports(1)
    (folder / "www").mkdir()
    for parent in (folder, folder.parent):
        parent.chmod(0o755)  # its worker may be somebody else
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, port=port))
    arguments = [
        program("nginx"),
        "-p",
        str(folder),
        "-c",
        str(folder / "nginx.conf"),
        "-g",
        "error_log stderr notice;",
    ]
    with running(arguments, folder / "nginx.log", "using the"):
        yield Web(url=f"http://127.0.0.1:{port}", port=port, folder=folder / "www")
