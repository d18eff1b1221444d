"""A Redis server may be down, slow, full, restarted or not Redis at all: callers are told, in time."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import pytest
import trustme

from serverless_wasm.storage.kv.namespace import Namespace
from serverless_wasm.storage.kv.redis import CONNECTIONS, _names
from serverless_wasm.storage.kv.stores import open_key_value
from storage.key_values import (
    all_keys,
    free_port,
    gone,
    opened,
    redis_server,
    refused,
    settings_of,
    with_namespace,
)

PASSWORD = "p%40ss%2Fword"  # noqa: S105 - as a URL has it, of our own server
PLAIN = "p@ss/word"


@pytest.fixture(scope="module", name="port")
def _port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """One server for the tests that do nothing to it."""
    with redis_server(tmp_path_factory.mktemp("redis")) as chosen:
        yield chosen


def url_of(port: int, user: str = "", options: str = "") -> str:
    return f"redis://{user}127.0.0.1:{port}/0{options}"


async def say(port: int, *words: str) -> bytes:
    """One command, by hand; the first line of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(" ".join(words).encode() + b"\r\n")
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return line


def connections() -> int:
    """How many sockets this process has."""
    found = 0
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists them
            found += str(path.readlink()).startswith("socket:")
    return found


class Proxy:
    """Stands before a server, and passes bytes on only while it is open."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.own = 0
        self.is_open = asyncio.Event()
        self.is_open.set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with suppress(asyncio.CancelledError), closing(writer):
            back, forth = await asyncio.open_connection("127.0.0.1", self.port)
            with closing(forth):
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._pass(reader, forth))
                    both.create_task(self._pass(back, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self.is_open.wait()
                writer.write(data)
                await writer.drain()
        writer.close()

    async def end(self) -> None:
        """Cuts every connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def proxy(port: int) -> AsyncIterator[Proxy]:
    """A proxy of that port."""
    between = Proxy(port)
    server = await asyncio.start_server(between.serve, "127.0.0.1", 0)
    between.own = server.sockets[0].getsockname()[1]
    try:
        yield between
    finally:
        server.close()
        await between.end()
        await server.wait_closed()


def test_nobody_is_there() -> None:
    """Failed with the address and the reason, for each call; closing is fine."""
    port = free_port()

    async def main(space: Namespace) -> None:
        for call in space.get(b"a"), space.set(b"a", b""), space.keys(), space.increment(b"a", 1):
            said = await refused(call)
            assert re.fullmatch(
                f"Failed: key_value.default: Redis at 127.0.0.1:{port} cannot be reached: .+", said
            ), said

    with_namespace(url_of(port, f"user:{PASSWORD}@"), main)


def test_a_name_that_is_not_known() -> None:
    """Failed, as when nobody is there."""

    async def main(space: Namespace) -> None:
        assert "Redis at nowhere.invalid:6379 cannot be reached" in await refused(space.get(b"a"))

    with_namespace("redis://nowhere.invalid", main)


def test_it_comes_back(tmp_path: Path) -> None:
    """Calls fail while the server is down, and work as soon as it is up again, with what it kept."""
    kept = ("--appendonly", "yes", "--appendfsync", "always")
    port = free_port()

    async def main() -> None:
        async with opened(url_of(port)) as store:
            space = store.namespace("a")
            with redis_server(tmp_path, *kept, port=port):
                await asyncio.gather(*(space.set(b"%d" % number, b"value") for number in range(100)))
            for _ in range(3):
                assert "cannot be reached" in await refused(space.get(b"1"))
            with redis_server(tmp_path, *kept, port=port):
                assert await space.get(b"1") == b"value"
                assert len(await all_keys(space)) == 100

    asyncio.run(main())


def test_a_slow_server_is_given_up(port: int) -> None:
    """Each call when its time is up, however many; another store goes on; afterwards all is well."""

    async def main() -> None:
        async with proxy(port) as between, opened(url_of(between.own), 0.2, name="slow") as store:
            space = store.namespace("a")
            await space.set(b"key", b"value")
            between.is_open.clear()
            calls = [space.increment(b"n", 1) for _ in range(2 * CONNECTIONS)]
            answers = await asyncio.gather(*(refused(call) for call in calls))
            assert {"Failed: key_value.slow: no answer within 0.2 s"} == set(answers)
            async with opened(url_of(port), name="quick") as quick:
                await quick.namespace("a").set(b"key", b"value")
            between.is_open.set()
            for _ in range(CONNECTIONS + 1):
                assert await space.get(b"key") == b"value"
            assert (await space.get(b"n") or b"0").isdigit()

    asyncio.run(main())


def test_a_cancelled_call_leaves_no_answer_behind(port: int) -> None:
    """While its answer is on the way: the next call on any connection gets its own."""

    async def main() -> None:
        async with proxy(port) as between, opened(url_of(between.own), name="cancelled") as store:
            space = store.namespace("a")
            for number in range(20):
                await space.set(b"%d" % number, b"%d" % number)
            for turn in range(20):
                between.is_open.clear()
                tasks = [asyncio.create_task(space.get(b"%d" % number)) for number in range(20)]
                for _ in range(turn):
                    await asyncio.sleep(0)
                for task in tasks[: turn + 1]:
                    task.cancel()
                between.is_open.set()
                answers = await asyncio.gather(*tasks, return_exceptions=True)
                assert [b"%d" % number for number in range(turn + 1, 20)] == answers[turn + 1 :]
                assert await space.get(b"7") == b"7"

    asyncio.run(main())


def test_connections_are_bounded_and_freed(port: int) -> None:
    """No more than CONNECTIONS, however many calls there are at once, and none once the store is closed."""

    async def main() -> None:
        before = connections()
        async with opened(url_of(port), name="bounded") as store:
            space = store.namespace("a")
            sums = await asyncio.gather(*(space.increment(b"n", 1) for _ in range(300)))
            assert list(range(1, 301)) == sorted(sums)
            assert before < connections() <= before + CONNECTIONS
        await asyncio.sleep(0)  # transports close in the next turn
        assert before == connections()

    asyncio.run(main())


@pytest.mark.parametrize(
    "user", ["", ":wrong-word@", "nobody:wrong-word@", "default:wrong-word@", f"nobody:{PASSWORD}@"]
)
def test_wrong_credentials_are_told_and_not_shown(tmp_path: Path, user: str) -> None:
    """One sentence for no password, a wrong one and a user that there is not; then the right one works."""

    async def main() -> None:
        async with opened(url_of(port, user)) as store:
            for call in store.namespace("a").get(b"a"), store.namespace("a").set(b"a", b""):
                said = await refused(call)
                assert said == "Failed: key_value.default: Redis refuses the user name or password"
        async with opened(url_of(port, f":{PASSWORD}@")) as store:
            await store.namespace("a").set(b"a", b"")

    with redis_server(tmp_path, "--requirepass", PLAIN) as port:
        asyncio.run(main())


def test_a_user_without_rights_is_told(tmp_path: Path) -> None:
    """One that may read only, or only other keys: no permission is as good as no password."""
    user = ("--user", "guest", "on", f">{PLAIN}", "~other:*", "+@all")

    async def main(space: Namespace) -> None:
        assert "Redis refuses the user name or password" in await refused(space.set(b"a", b""))

    with redis_server(tmp_path, *user) as port:
        with_namespace(url_of(port, f"guest:{PASSWORD}@"), main)


def test_the_rights_that_the_documentation_names(tmp_path: Path) -> None:
    """They are enough for every call."""
    page = (Path(__file__).parents[2] / "docs" / "key-value.md").read_text()
    rights = re.search(r"rights that a user needs: `([^`]*)`", page)
    assert rights is not None
    user = ("--user", "guest", "on", f">{PLAIN}", *rights[1].split())

    async def main(space: Namespace) -> None:
        await space.set_many([(b"a", b"1"), (b"b", b"2")])
        await space.set(b"c", b"", 1)
        await gone(space, b"c")
        assert await space.increment(b"a", 1) == 2
        assert await space.swap(b"b", b"2", b"3")
        assert [b"a", b"b"] == await all_keys(space)
        await space.delete(b"a")
        assert await space.get_many([b"a", b"b"]) == [None, b"3"]

    with redis_server(tmp_path, *user) as port:
        with_namespace(url_of(port, f"guest:{PASSWORD}@")[:-1] + "1", main)


def test_a_full_server_is_told(tmp_path: Path) -> None:
    """TooLarge when maxmemory is reached; reading and deleting go on, and then writing does."""

    async def main(space: Namespace) -> None:
        await space.set(b"key", b"value")
        await say(port, "CONFIG", "SET", "maxmemory", "1")
        for call in space.set(b"a", b"x"), space.increment(b"n", 1), space.swap(b"s", None, b""):
            assert await refused(call) == (
                "TooLarge: key_value.default: Redis has no memory left (maxmemory)"
            )
        assert await space.get(b"key") == b"value"
        await space.delete(b"key")
        await say(port, "CONFIG", "SET", "maxmemory", "0")
        assert [] == await all_keys(space)
        await space.set(b"a", b"x")

    with redis_server(tmp_path, "--maxmemory-policy", "noeviction") as port:
        with_namespace(url_of(port), main)


def test_a_read_only_replica_is_told(tmp_path: Path) -> None:
    """Writes fail, reads do not."""

    async def main(space: Namespace) -> None:
        await space.set(b"key", b"value")
        await say(port, "REPLICAOF", "127.0.0.1", "1")
        await say(port, "CONFIG", "SET", "replica-serve-stale-data", "yes")
        assert await space.get(b"key") == b"value"
        assert "Failed: key_value.default: Redis is a read-only replica" == await refused(
            space.set(b"a", b"")
        )

    with redis_server(tmp_path) as port:
        with_namespace(url_of(port), main)


def test_scripts_may_be_forgotten(port: int) -> None:
    """By SCRIPT FLUSH, or a restart: they are sent again."""

    async def main(space: Namespace) -> None:
        await space.set(b"key", b"value")
        await say(port, "SCRIPT", "FLUSH")
        assert await space.get(b"key") == b"value"
        assert await space.increment(b"n", 1) == 1

    with_namespace(url_of(port), main, name="scripts")


def test_a_number_of_a_database(tmp_path: Path) -> None:
    """Each is a store of its own; one that there is not is an error."""

    async def main() -> None:
        async with opened(url_of(port)[:-1] + "1") as one, opened(url_of(port)[:-1] + "2") as two:
            await one.namespace("a").set(b"key", b"value")
            assert await two.namespace("a").get(b"key") is None
        async with opened(url_of(port)[:-1] + "999") as store:
            assert "Redis answers with an error (ERR)" in await refused(store.namespace("a").get(b"key"))

    with redis_server(tmp_path) as port:
        asyncio.run(main())


@pytest.mark.parametrize(
    "answer",
    [b"", b"\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"+OK\r\n", b":5\r\n", b"$-1\r\n", b"*0\r\n",
     b"*2\r\n:1\r\n:2\r\n", b"*1\r\n*1\r\n*0\r\n",
     b"$5\r\nabc", b"$x\r\n", b"*99999999999\r\n", b":\r\n", b"\xff\xfe\r\n", b"-\r\n",
     b"-ERR secret\r\n", b"-secret\r\n", b"-LOADING secret\r\n", b"-MISCONF secret\r\n",
     b"*1\r\n" * 5000, b"$-5\r\n"],
)  # fmt: skip
def test_what_is_no_redis_is_told(answer: bytes) -> None:
    """Whatever answers, and however: Failed or a value of the right type, without what it said."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(OSError, asyncio.CancelledError):
            while await reader.read(65536) and answer:
                writer.write(answer)
                await writer.drain()

    async def main() -> None:
        server = await asyncio.start_server(speak, "127.0.0.1", 0)
        async with server, opened(url_of(server.sockets[0].getsockname()[1]), 0.3) as store:
            space = store.namespace("a")
            for call in (
                space.get(b"key"), space.keys(), space.increment(b"n", 1), space.swap(b"a", None, b""),
                space.set(b"a", b""), space.get_many([b"a", b"b"]), space.exists(b"a"),
            ):  # fmt: skip
                said = await refused(call)
                assert said.startswith(("Failed: key_value.default: ", "TooLarge: ", "answered ")), said
                assert "secret" not in said

    asyncio.run(main())


def test_no_two_namespaces_have_a_key_in_common() -> None:
    """Whatever stores and applications are called."""
    names = ["", "a", "b", "1:a", "a1:b", "a}:v", "1:a1:b", "{", "}", ":", "ä"]
    made = [name for store in names for application in names for name in _names(store, application)]

    assert len(set(made)) == 4 * len(names) ** 2


def test_nothing_else_is_touched(port: int) -> None:
    """What others keep on the server stays, and of ours every key begins with our name."""

    async def main() -> None:
        await say(port, "SET", "key", "theirs")
        async with opened(url_of(port), name="polite") as store:
            space = store.namespace("a")
            await space.set(b"key", b"ours")
            await space.delete_many(await all_keys(space))
        assert await say(port, "GET", "key") == b"$6\r\n"

    asyncio.run(main())


def test_tls_is_verified(tmp_path: Path) -> None:
    """With the authority of `ssl_ca_certs`; a server that it does not vouch for is not spoken to."""
    authority, stranger = trustme.CA(), trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    stranger.cert_pem.write_to_path(tmp_path / "stranger.pem")
    port = free_port()
    tls = (
        *(
            "--tls-port",
            str(port),
            "--tls-auth-clients",
            "no",
            "--tls-ca-cert-file",
            str(tmp_path / "ca.pem"),
        ),
        *("--tls-cert-file", str(tmp_path / "cert.pem"), "--tls-key-file", str(tmp_path / "key.pem")),
    )

    async def main() -> None:
        async with opened(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={tmp_path}/ca.pem") as store:
            await store.namespace("a").set(b"key", b"value")
            assert await store.namespace("a").get(b"key") == b"value"
        for wrong in (
            f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={tmp_path}/stranger.pem", f"rediss://127.0.0.1:{port}",
            f"rediss://localhost:{port}/0?ssl_ca_certs={tmp_path}/ca.pem",
            f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={tmp_path}/missing.pem", f"redis://127.0.0.1:{port}",
        ):  # fmt: skip
            async with opened(wrong) as store:
                said = await refused(store.namespace("a").get(b"key"))
                assert said.startswith("Failed: key_value.default: Redis at "), said

    with redis_server(tmp_path, *tls):
        asyncio.run(main())


def test_nothing_is_opened_before_the_first_call() -> None:
    """Not even a name is looked up."""
    before = connections()

    store = open_key_value(settings_of("redis://nowhere.invalid"), 5.0)

    assert before == connections()
    asyncio.run(store.close())
