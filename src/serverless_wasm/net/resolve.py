"""Turns names into addresses without letting one application wait for another's name server.

Hosts that the policy has passed come in; addresses, still to be vetted one by one, go out.
It must never block the loop, never answer from an earlier lookup, and never delay the end of the process.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from ipaddress import ip_address
from itertools import islice
from threading import Thread
from typing import Any
from weakref import WeakValueDictionary

from serverless_wasm.errors import Failed
from serverless_wasm.net.policy import Address, Target

_LOOKUPS = 4  # of one payer at once; each is a thread until the system's resolver returns
_ADDRESSES = 16  # of one answer; a hostile zone may send hundreds

_Key = tuple[Hashable, str, int]
_Answer = tuple[Address, ...] | str
"""The addresses, or why there are none."""


class Resolver:
    """The system's resolver, asked on threads.

    Threads of our own rather than a ThreadPoolExecutor: getaddrinfo cannot be cancelled, and the interpreter
    waits for an executor's threads when it ends, daemons it leaves behind. Each payer (an application) has
    a few threads and no claim on another's, so a name server that never answers costs its own application.
    """

    def __init__(self, *, getaddrinfo: Callable[..., Iterable[Any]] = socket.getaddrinfo) -> None:
        self._getaddrinfo = getaddrinfo
        # A share lives as long as a lookup holds it: applications come and go with every reload.
        self._shares: WeakValueDictionary[Hashable, asyncio.Semaphore] = WeakValueDictionary()
        self._lookups: dict[_Key, _Lookup] = {}
        self._closed = False

    async def resolve(self, target: Target, *, payer: Hashable, deadline: float) -> tuple[Address, ...]:
        """The addresses of a target's host, in the system's order; an address is its own answer.

        Callers of one payer who wait for the same name share one lookup. Raises Failed when the name has no
        address, or not before the deadline, a time of the loop's clock: glibc alone would wait 5 s for each
        server and try.
        """
        host = target.host
        if not isinstance(host, str):
            return (host,)
        if self._closed:
            raise Failed("the network is closed")
        try:
            async with asyncio.timeout_at(deadline):
                answer = await self._shared((payer, host, target.port))
        except TimeoutError:
            raise Failed(f"{host} cannot be looked up: no answer in time") from None
        if isinstance(answer, str):
            raise Failed(f"{host} cannot be looked up: {answer}")
        return answer

    def close(self) -> None:
        """Takes no more lookups; those under way end with their deadline."""
        self._closed = True

    async def _shared(self, key: _Key) -> _Answer:
        lookup = self._lookups.get(key)
        if lookup is None:
            lookup = self._lookups[key] = _Lookup(asyncio.create_task(self._look_up(key)))
        lookup.waiting += 1
        try:
            return await asyncio.shield(lookup.task)
        finally:
            lookup.waiting -= 1
            if not lookup.waiting:  # the last one out: nobody may find this answer later
                lookup.task.cancel()
                del self._lookups[key]

    async def _look_up(self, key: _Key) -> _Answer:
        payer, host, port = key
        share = self._shares.setdefault(payer, asyncio.Semaphore(_LOOKUPS))
        await share.acquire()
        answer: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        # Released when the thread has ended, however long after everyone has stopped waiting for it.
        answer.add_done_callback(lambda _: share.release())
        try:
            Thread(target=self._ask, args=(host, port, answer), name="lookup", daemon=True).start()
        except RuntimeError as error:  # the system has no thread left
            answer.set_result(str(error))
        return await asyncio.shield(answer)

    def _ask(self, host: str, port: int, answer: asyncio.Future[_Answer]) -> None:
        try:
            found: _Answer = _addresses(self._getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            found = error.strerror or str(error)
        except Exception as error:  # whatever it is, the waiters and their share must be released
            found = repr(error)
        with suppress(RuntimeError):  # the loop has closed meanwhile
            answer.get_loop().call_soon_threadsafe(answer.set_result, found)


class _Lookup:
    """A lookup under way, and how many wait for it."""

    __slots__ = ("task", "waiting")

    def __init__(self, task: asyncio.Task[_Answer]) -> None:
        self.task = task
        self.waiting = 0


def _addresses(infos: Iterable[Any]) -> _Answer:
    # The zone of a link-local address goes: ipaddress would take two zones for two addresses.
    texts = (str(sockaddr[0]).partition("%")[0] for *_, sockaddr in infos)
    return tuple(islice(dict.fromkeys(map(ip_address, texts)), _ADDRESSES)) or "it has no address"
