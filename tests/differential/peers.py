"""nginx and haproxy as Debian packages them, each in front of a backend that records what it is given.

Ports come in; running processes go out, ended by their id when the context ends.
It must never use a file outside its folder, a port that is not its own, or the configuration in /etc.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

NGINX = """
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log crit;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000;
    lingering_timeout 1s;  # well below the patience of exchange.py
    upstream backend {{ server 127.0.0.1:{backend}; keepalive 64; keepalive_requests 1000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        server_name "";
        location / {{
            proxy_pass http://backend/;  # with a path: nginx sends the target as it reads it
            proxy_http_version 1.1;
            proxy_next_upstream off;
            proxy_set_header Host $host;
            proxy_set_header Connection "";
            proxy_set_header X-Client-Port $remote_port;
        }}
    }}
}}
"""

HAPROXY = """
global
    nbthread 1
    maxconn 8192
defaults
    mode http
    timeout connect 10s
    timeout client 60s
    timeout server 60s
    timeout http-request 60s
    retries 0
    option http-buffer-request
frontend front
    bind 127.0.0.1:{port} backlog 1024
    http-request set-header x-client-port %[src_port]
    default_backend back
backend back
    http-reuse always
    server backend 127.0.0.1:{backend}
"""


def missing() -> list[str]:
    """The programs that are not here; Debian has one in /usr/sbin, which not every PATH has."""
    return [name for name in ("nginx", "haproxy") if _path(name) is None]


def _path(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


@asynccontextmanager
async def peer(name: str, folder: Path, backend: int) -> AsyncIterator[int]:
    """Runs one of the two in front of a backend's port; gives its own port once it accepts."""
    port = _free_port()
    text = {"nginx": NGINX, "haproxy": HAPROXY}[name].format(folder=folder, port=port, backend=backend)
    file = folder / f"{name}.conf"
    file.write_text(text)
    path = _path(name) or name
    command = (
        [path, "-p", str(folder), "-c", str(file)] if name == "nginx" else [path, "-db", "-f", str(file)]
    )
    log = (folder / f"{name}.out").open("wb")
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
    )
    log.close()
    try:
        await _accepting(port, process, folder / f"{name}.out")
        yield port
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def _accepting(port: int, process: asyncio.subprocess.Process, log: Path) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if process.returncode is not None:
                raise RuntimeError(f"it did not start: see {log}") from None
            await asyncio.sleep(0.01)
        else:
            writer.close()
            return
