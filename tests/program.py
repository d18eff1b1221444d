"""The real program in processes of its own: written files in, exit codes, text and records out."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import wasmtime

HELLO = """(module
    (import "env" "log" (func $log (param i32 i64)))
    (import "env" "response_set_body" (func $body (param i32 i64)))
    (memory (export "memory") 1 4) (data (i32.const 0) "hello")
    (func (export "handle") i32.const 0 i64.const 5 call $body))"""
ASKS = """(module
    (import "env" "tcp_connect" (func $connect (param i32 i64) (result i32)))
    (import "env" "tcp_read" (func $read (param i32 i32 i64) (result i64)))
    (import "env" "response_set_body" (func $body (param i32 i64)))
    (memory (export "memory") 1) (data (i32.const 0) "{target}")
    (func (export "handle")
        (drop (call $read (call $connect (i32.const 0) (i64.const {length})) (i32.const 64) (i64.const 4)))
        (call $body (i32.const 64) (i64.const 4))))"""
"""Answers with the four bytes that a backend sends."""
PROGRAM = (sys.executable, "-m", "serverless_wasm")


class Folder:
    """A folder with a configuration and its modules, for one program to run in."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def module(self, name: str, text: str) -> None:
        """Writes WebAssembly text as a module."""
        self._put(name, bytes(wasmtime.wat2wasm(text)))

    def config(self, text: str, listen: str = "127.0.0.1:0") -> None:
        """Writes config.toml."""
        head = f'listen_address = "{listen}"\n' if listen else ""
        self._put("config.toml", (head + text).encode())

    def _put(self, name: str, content: bytes) -> None:
        """Whole or not at all: a service that reloads just now never reads half a file."""
        file = self.path / name
        file.with_name(f".{file.name}.new").write_bytes(content)
        file.with_name(f".{file.name}.new").replace(file)

    @property
    def environment(self) -> dict[str, str]:
        """Ours, with a cache of compiled modules that nobody else uses."""
        return {**os.environ, "XDG_CACHE_HOME": str(self.path / "cache"), "NO_COLOR": "1"}

    def run(self, *arguments: str, redirection: str = "") -> subprocess.CompletedProcess[str]:
        """Runs the program to its end, with its streams as a shell has them; it may not show a traceback."""
        done = subprocess.run(
            ["sh", "-c", f'exec "$@" {redirection}', "sh", *PROGRAM, *arguments],
            cwd=self.path,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stdout + done.stderr
        return done

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts the program; whoever asked for it waits for its end."""
        return subprocess.Popen(
            [*PROGRAM, *arguments],
            cwd=self.path,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def serve(self, *arguments: str) -> Service:
        """Serves config.toml with a JSON log; the service listens once it is entered."""
        return Service(self.start("config.toml", *arguments))


class Service:
    """A running service with a JSON log; killed at the end unless it was stopped."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.before: list[dict[str, Any]] = []
        """The records before it listened."""

    def __enter__(self) -> Self:
        try:
            self.started = self.record("service_started")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self.port = int(self.started["address"].rpartition(":")[2])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.communicate()

    def record(self, event: str) -> dict[str, Any]:
        """The next record of that event, waiting for it."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            record: dict[str, Any] = json.loads(line)
            if record["event"] == event:
                return record
            self.before.append(record)
        raise AssertionError(f"the service ended without {event}: {self.before}")

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of a request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal."""
        self.process.send_signal(number)

    def end(self) -> tuple[int, str, list[dict[str, Any]]]:
        """Waits for the end: the exit code, all of stdout, and the records not read yet."""
        out, err = self.process.communicate()
        assert "Traceback" not in err
        return self.process.returncode, out, [json.loads(line) for line in err.splitlines()]
