"""Servers that modules come from, as real as they can be had here: of our own making, or from Debian."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from serverless_wasm.errors import SourceError
from serverless_wasm.events import Event
from serverless_wasm.limits import MIB
from serverless_wasm.sources.fetch import Fetched, Fetcher, Wanted
from serverless_wasm.stores import Remote, Store
from services import free_ports, program, running

MODULE = b"\0asm\1\0\0\0"
"""The smallest there is."""


class Exchange(BaseHTTPRequestHandler):
    """One request, and what can be answered."""

    server: _Server
    protocol_version = "HTTP/1.1"

    def say(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """A whole answer."""
        fields = {"Content-Length": str(len(body)), **(headers or {})}
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def say_raw(self, data: bytes) -> None:
        """Bytes as they are, and the end of the connection."""
        self.wfile.write(data)
        self.close_connection = True

    def hold(self) -> None:
        """Says nothing until the server ends."""
        self.server.ended.wait()
        self.close_connection = True

    def _handle(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        self.server.headers.append(dict(self.headers.items()))
        self.server.answer(self)

    do_GET = do_HEAD = do_POST = do_PUT = _handle  # noqa: N815 - names of the standard library

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the standard library
        """Nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    answer: Callable[[Exchange], None]

    def __init__(self, secure: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.connections = 0
        self.ended = threading.Event()
        self._secure = secure

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In the thread of the connection, so that a handshake keeps nobody waiting."""
        self.connections += 1
        try:
            if self._secure:
                request = self._secure.wrap_socket(request, server_side=True)
            with closing(request):
                super().finish_request(request, client_address)
        except OSError:  # the client does not trust us, or has left
            pass

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])


@contextmanager
def web(answer: Callable[[Exchange], None], secure: ssl.SSLContext | None = None) -> Iterator[_Server]:
    """A server that answers each request as it is told to, in a thread for each connection."""
    server = _Server(secure)
    server.answer = answer
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


def free_port() -> int:
    """A port that nobody has at this moment."""
    return free_ports(1)[0]


@contextmanager
def registry(folder: Path, http: str = "", more: str = "") -> Iterator[int]:
    """The registry of Debian, and what its configuration has beside the usual; yields its port."""
    port = free_port()
    (folder / "registry.yml").write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/registry}}}}\n"
        f'http: {{addr: "127.0.0.1:{port}", secret: x{http}}}\n{more}'
    )
    arguments = [program("docker-registry"), "serve", str(folder / "registry.yml")]
    with running(arguments, folder / "registry.log", "listening on"):
        yield port


def table(url: str, **options: str) -> Store:
    """The table `[stores.mine]`."""
    return Store(name="mine", url=url, options=options)


def me(url: str, password: str) -> Store:
    """The same, for a user."""
    return table(url, username="me", password=password)


def wanted(url: str, store: Store | None = None, digest: str | None = None, limit: int = 8 * MIB) -> Wanted:
    """A module that somebody wants."""
    return Wanted(remote=Remote(url=url, store=store), digest=digest, limit=limit)


class Cached:
    """A cache and what was told while it was used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events: list[Event] = []
        self.watched: list[tuple[str, int, int | None]] = []

    def fetch(self, *every: Wanted) -> list[Fetched | SourceError]:
        """As a new process does it."""
        fetcher = Fetcher(self.folder, self.events.append, lambda *told: self.watched.append(told))
        return asyncio.run(fetcher.fetch(every))

    def bytes(self, item: Wanted) -> bytes:
        """What is fetched; raises the SourceError if it is not."""
        (result,) = self.fetch(item)
        if isinstance(result, SourceError):
            raise result
        return result.path.read_bytes()

    def refusal(self, item: Wanted) -> str:
        """Why it is not fetched."""
        (result,) = self.fetch(item)
        assert isinstance(result, SourceError), result
        return str(result)

    def parts(self) -> list[Path]:
        """What was left half written."""
        return list(self.folder.rglob("part-*"))
