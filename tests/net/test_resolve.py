"""The resolver: a stub in the place of getaddrinfo hangs, fails, and answers too much."""

from __future__ import annotations

import asyncio
import gc
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address
from typing import Any

import pytest

from net.backends import Run, join_lookups
from serverless_wasm.errors import Failed
from serverless_wasm.net.policy import Address, Target
from serverless_wasm.net.resolve import Resolver

LOCAL = (ip_address("127.0.0.1"),)


async def resolve(
    resolver: Resolver, host: str, *, payer: str = "app", timeout: float = 60
) -> tuple[Address, ...]:
    """The addresses of a host, which is a name or an IPv4 address."""
    deadline = asyncio.get_running_loop().time() + timeout
    return await resolver.resolve(Target.parse(f"{host}:80".encode()), payer=payer, deadline=deadline)


def infos(*addresses: str) -> list[tuple[Any, ...]]:
    """What getaddrinfo returns for some addresses."""
    return [(socket.AF_INET6 if ":" in one else socket.AF_INET, 1, 6, "", (one, 0)) for one in addresses]


class Names:
    """A getaddrinfo with a few answers, 127.0.0.1 for the rest; names in `hang*` wait for `go_on`."""

    def __init__(self, **answers: list[tuple[Any, ...]] | Exception) -> None:
        self.answers = answers
        self.asked: Counter[str] = Counter()
        self.called = threading.Semaphore(0)
        self.go_on = threading.Event()

    def __call__(self, host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        self.asked[host] += 1
        self.called.release()
        if host.startswith("hang"):
            self.go_on.wait()
        answer = self.answers.get(host, infos("127.0.0.1"))
        if isinstance(answer, Exception):
            raise answer
        return answer


@contextmanager
def ending(names: Names) -> Iterator[None]:
    """Lets every hanging lookup return at last, and waits for its thread."""
    try:
        yield
    finally:
        names.go_on.set()
        join_lookups()


def test_system_resolves_localhost(run: Run) -> None:
    """Without a stub it is the system that answers."""

    async def main() -> None:
        assert all(address.is_loopback for address in await resolve(Resolver(), "localhost"))

    run(main())


def test_address_is_its_own_answer(run: Run) -> None:
    """An address never reaches a resolver."""
    names = Names()

    async def main() -> None:
        assert await resolve(Resolver(getaddrinfo=names), "127.0.0.1") == LOCAL

    run(main())
    assert not names.asked


def test_answers_are_bounded(run: Run) -> None:
    """Of a hundred answers the first 16 different ones are kept, in their order, and zones are dropped."""
    many = [f"10.0.0.{number // 2}" for number in range(200)]
    names = Names(many=infos(*many), zoned=infos("fe80::1%lo", "fe80::1%eth0"), none=[])

    async def main() -> None:
        resolver = Resolver(getaddrinfo=names)
        assert await resolve(resolver, "many") == tuple(ip_address(f"10.0.0.{n}") for n in range(16))
        assert await resolve(resolver, "zoned") == (IPv6Address("fe80::1"),)
        with pytest.raises(Failed, match="no address"):
            await resolve(resolver, "none")

    run(main())


@pytest.mark.parametrize(
    "error",
    [
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
        OSError("odd"),
        TimeoutError(),
        UnicodeError("label too long"),
        MemoryError(),
    ],
    ids=repr,
)
def test_every_error_is_failed(error: Exception, run: Run) -> None:
    """Whatever the lookup raises, the guest's side sees Failed, and the next lookup works."""

    async def main() -> None:
        resolver = Resolver(getaddrinfo=Names(broken=error))
        for _ in range(9):
            with pytest.raises(Failed, match="broken cannot be looked up"):
                await resolve(resolver, "broken")
        assert await resolve(resolver, "fine") == LOCAL

    run(main())


def test_hanging_lookup_meets_its_deadline(run: Run) -> None:
    """A name server that never answers costs its own application a deadline, others nothing at all."""
    names = Names()

    async def main() -> None:
        resolver = Resolver(getaddrinfo=names)
        hanging = [resolve(resolver, f"hang{n}", payer="bad", timeout=0.05) for n in range(20)]
        results = await asyncio.gather(*hanging, return_exceptions=True)
        assert all(isinstance(result, Failed) and "no answer in time" in str(result) for result in results)
        assert names.asked.total() == 4
        with pytest.raises(Failed):  # its share is still used up, by threads that nobody waits for
            await resolve(resolver, "fine", payer="bad", timeout=0.05)
        assert await resolve(resolver, "fine", payer="good") == LOCAL

        names.go_on.set()
        assert await resolve(resolver, "fine", payer="bad") == LOCAL

    with ending(names):
        run(main())


def test_abandoned_lookups_leave_the_queue(run: Run) -> None:
    """A lookup that nobody waits for any more is never started, and leaves nothing behind."""
    names = Names()

    async def main() -> None:
        resolver = Resolver(getaddrinfo=names)
        tasks = [asyncio.create_task(resolve(resolver, f"hang{number}")) for number in range(6)]
        for _ in range(4):
            await asyncio.to_thread(names.called.acquire)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert all(task.cancelled() for task in tasks)
        del task, tasks  # whose tracebacks hold every frame
        assert not resolver._lookups
        assert resolver._shares
        names.go_on.set()
        assert await resolve(resolver, "fine") == LOCAL
        assert names.asked.total() == 5
        await asyncio.to_thread(join_lookups)
        gc.collect()
        assert not resolver._shares

    with ending(names):
        run(main())


def test_waiters_share_a_lookup(run: Run) -> None:
    """A hundred waiters for one name ask once; a cancelled one does not disturb the rest."""
    names = Names()

    async def main() -> None:
        resolver = Resolver(getaddrinfo=names)
        tasks = [asyncio.create_task(resolve(resolver, "hang")) for _ in range(100)]
        await asyncio.to_thread(names.called.acquire)
        tasks[0].cancel()
        names.go_on.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(answers[0], asyncio.CancelledError)
        assert answers[1:] == [LOCAL] * 99
        assert names.asked == {"hang": 1}

    with ending(names):
        run(main())


def test_no_answer_is_kept(run: Run) -> None:
    """A second connect asks again: an answer is vetted in the resolution it came from (THREATS G28)."""
    names = Names()

    async def main() -> None:
        resolver = Resolver(getaddrinfo=names)
        assert await resolve(resolver, "name") == LOCAL
        names.answers["name"] = infos("127.0.0.2")
        assert await resolve(resolver, "name") == (ip_address("127.0.0.2"),)

    run(main())


def test_closed_resolver_asks_nobody(run: Run) -> None:
    """After close a name is Failed without being looked up."""
    names = Names()

    async def main() -> None:
        resolver = Resolver(getaddrinfo=names)
        resolver.close()
        with pytest.raises(Failed, match="closed"):
            await resolve(resolver, "name")

    run(main())
    assert not names.asked


def test_loop_may_close_before_the_answer(run: Run) -> None:
    """An answer that comes after the loop has closed disturbs nobody."""
    names = Names()

    async def main() -> None:
        with pytest.raises(Failed):
            await resolve(Resolver(getaddrinfo=names), "hang", timeout=0.01)

    with ending(names):
        run(main())


def test_hanging_lookup_does_not_delay_the_end() -> None:
    """The process ends while a lookup hangs, as those of an executor would not let it."""
    program = """
import asyncio, threading
from serverless_wasm.errors import Failed
from serverless_wasm.net.policy import Target
from serverless_wasm.net.resolve import Resolver
resolver = Resolver(getaddrinfo=lambda *_, **__: threading.Event().wait())
async def main():
    deadline = asyncio.get_running_loop().time() + 0.01
    await resolver.resolve(Target.parse(b"hang:80"), payer=None, deadline=deadline)
try:
    asyncio.run(main())
except Failed:
    print("ended")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)

    assert (0, b"ended\n", b"") == (done.returncode, done.stdout, done.stderr)
