"""A TCP proxy that counts what a server sends, and can hold it back."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_CHUNK = 64 * 1024


class Throttle:
    """Between a client and a server on this machine; closed by `close`."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.received = 0
        """Bytes that the server has sent, heads of responses too."""
        self.flowing = threading.Event()
        self.flowing.set()
        self._sockets = [self._listener]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """Ends every connection, and waits for the threads."""
        self.flowing.set()
        for sock in self._sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for sock in self._sockets:
            sock.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                server = socket.create_connection(("127.0.0.1", self._target))
                self._sockets.append(server)
                for pump in ((client, server, False), (server, client, True)):
                    thread = threading.Thread(target=self._pump, args=pump)
                    self._threads.append(thread)
                    thread.start()

    def _pump(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:  # noqa: FBT001 - args of a Thread
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                if counted:
                    self.flowing.wait()
                    self.received += len(data)
                sink.sendall(data)
        for sock in (source, sink):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


@contextmanager
def throttle(target: int) -> Iterator[Throttle]:
    """A proxy in front of a port, for as long as a test needs it."""
    proxy = Throttle(target)
    try:
        yield proxy
    finally:
        proxy.close()
